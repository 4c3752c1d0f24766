terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0" # exactly: the builds keep no lock file
    }
  }

  # `terraform init` is given the rest (the builds do it), once for each environment:
  #   bucket = <the foundation's state bucket there>, key = deployment/<slug>/<environment>.tfstate,
  #   use_lockfile = true, assume_role = { role_arn = <deployment_role_arn> }
  backend "s3" {}
}

provider "aws" {
  region              = local.project.region
  allowed_account_ids = [local.account]

  assume_role {
    role_arn     = var.deployment_role_arn
    session_name = "${local.project.slug}-${var.environment}"
  }

  default_tags {
    tags = local.tags
  }
}
