# A role that one AWS service assumes for resources of this account, and for nobody else's: without the conditions
# another account could have the service act as this role (the confused deputy). Lambda alone says nothing about itself
# when it assumes a function's role: there only those can use the role who may pass it on.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

variable "name" {
  description = "The role's name."
  type        = string
}

variable "description" {
  description = "One line for the console: what acts as this role, and to do what."
  type        = string
}

variable "path" {
  description = "The role's path; roles that deploy to production have /<prefix>/deploy/."
  type        = string
  default     = "/"
}

variable "service" {
  description = "The service that assumes the role, for example codebuild.amazonaws.com."
  type        = string
}

variable "source_arns" {
  description = "The resources on whose behalf the service may assume it, with * for any part; empty where the service does not say."
  type        = list(string)
  default     = []
}

variable "policy" {
  description = "What the role may do, as JSON."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds every role of the organisation; null for none."
  type        = string
  default     = null
}

data "aws_caller_identity" "current" {}

resource "aws_iam_role" "this" {
  name                 = var.name
  path                 = var.path
  description          = var.description
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "this" {
  name   = var.name
  role   = aws_iam_role.this.id
  policy = var.policy
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = [var.service]
    }
    dynamic "condition" {
      for_each = var.service == "lambda.amazonaws.com" ? [] : [1]
      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [data.aws_caller_identity.current.account_id]
      }
    }
    dynamic "condition" {
      for_each = length(var.source_arns) > 0 ? [1] : []
      content {
        test     = "ArnLike"
        variable = "aws:SourceArn"
        values   = var.source_arns
      }
    }
  }
}

output "arn" {
  description = "The role's ARN, once its policy is attached."
  value       = aws_iam_role.this.arn
  depends_on  = [aws_iam_role_policy.this]
}

output "name" {
  description = "The role's name."
  value       = aws_iam_role.this.name
}
