terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # `terraform init` is given the rest (make register does it):
  #   bucket = <prefix>-terraform-state-<account>-<region>, key = delivery/<slug>.tfstate, use_lockfile = true
  backend "s3" {}
}

provider "aws" {
  region              = local.project.region
  allowed_account_ids = [local.account] # credentials of another account stop here, before anything is made

  default_tags {
    tags = local.tags
  }
}
