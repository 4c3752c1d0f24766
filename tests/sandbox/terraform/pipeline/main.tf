terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = "ca-central-1"
}

variable "answer" {
  description = "What the entry condition of the last stage wants."
  type        = string
  default     = "yes"
}

resource "aws_s3_bucket" "store" {
  bucket        = "conditions-store"
  force_destroy = true
}

resource "aws_s3_bucket_versioning" "store" {
  bucket = aws_s3_bucket.store.id

  versioning_configuration {
    status = "Enabled"
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["codepipeline.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "pipeline" {
  name               = "conditions-pipeline"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_sns_topic" "people" {
  name = "conditions-people"
}

resource "aws_codepipeline" "this" {
  name          = "conditions"
  role_arn      = aws_iam_role.pipeline.arn
  pipeline_type = "V2"

  artifact_store {
    type     = "S3"
    location = aws_s3_bucket.store.bucket
  }

  stage {
    name = "Source"

    action {
      name             = "Take"
      category         = "Source"
      owner            = "AWS"
      provider         = "S3"
      version          = "1"
      namespace        = "Taken"
      output_artifacts = ["code"]

      configuration = {
        S3Bucket             = aws_s3_bucket_versioning.store.bucket
        S3ObjectKey          = "main.zip"
        PollForSourceChanges = "false"
      }
    }
  }

  stage {
    name = "Release"

    before_entry {
      condition {
        result = "SKIP"

        rule {
          name = "Wanted"

          rule_type_id {
            category = "Rule"
            owner    = "AWS"
            provider = "VariableCheck"
            version  = "1"
          }

          configuration = {
            Variable = "#{Taken.BucketName}"
            Value    = var.answer
            Operator = "EQ"
          }
        }
      }
    }

    action {
      name      = "Approve"
      category  = "Approval"
      owner     = "AWS"
      provider  = "Manual"
      version   = "1"
      run_order = 1

      configuration = {
        NotificationArn    = aws_sns_topic.people.arn
        CustomData         = "from #{Taken.BucketName}"
        ExternalEntityLink = "https://example.com/#{Taken.VersionId}"
      }
    }
  }
}
