# A private bucket: versioned, encrypted, reached over TLS only, and without access control lists.

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
  description = "The bucket's name."
  type        = string
}

variable "kms_key_arn" {
  description = "The key that encrypts objects which come without a key of their own."
  type        = string
}

variable "readers" {
  description = "Another account whose principals read the objects below some prefixes; null for none. Principals are ARNs, with * for any part of a name; prefixes end with /."
  type = object({
    account_id     = string
    principal_arns = list(string)
    prefixes       = list(string)
  })
  default = null
}

variable "expire_days" {
  description = "Prefix, ending with /, -> days after which the objects below it are deleted."
  type        = map(number)
  default     = {}
}

variable "noncurrent_days" {
  description = "Days that a replaced or deleted object can still be brought back."
  type        = number
  default     = 90
}

variable "eventbridge" {
  description = "Whether the bucket's events go to EventBridge."
  type        = bool
  default     = false
}

variable "delete_data" {
  description = "Whether destroying the bucket deletes what is in it; otherwise a bucket that is not empty stays."
  type        = bool
  default     = false
}

data "aws_partition" "current" {}

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_144:a copy in another Region is the organisation's decision: data may not leave one
  # checkov:skip=CKV_AWS_18:CloudTrail's data events record access with the caller's role; an access log would be a second bucket
  # checkov:skip=CKV2_AWS_62:events are sent where something waits for objects, see var.eventbridge
  bucket        = var.name
  force_destroy = var.delete_data
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = true # one call to KMS for many objects: less throttling, lower cost

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "replaced-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }
    expiration {
      expired_object_delete_marker = true
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  dynamic "rule" {
    for_each = var.expire_days
    content {
      id     = "expire-${trimsuffix(rule.key, "/")}"
      status = "Enabled"
      filter {
        prefix = rule.key
      }

      expiration {
        days = rule.value
      }
      noncurrent_version_expiration {
        noncurrent_days = 1
      }
    }
  }

  # S3 refuses rules on replaced versions before versioning is on
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_notification" "this" {
  count = var.eventbridge ? 1 : 0

  bucket      = aws_s3_bucket.this.id
  eventbridge = true
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = data.aws_iam_policy_document.this.json

  # two changes of a bucket's access settings at the same time conflict
  depends_on = [aws_s3_bucket_public_access_block.this]
}

data "aws_iam_policy_document" "this" {
  statement {
    # wildcards: whoever asks, whatever for; this only denies
    sid       = "OnlyOverTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = var.readers == null ? [] : [var.readers]
    content {
      sid       = "ReadersGet"
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = [for prefix in statement.value.prefixes : "${aws_s3_bucket.this.arn}/${prefix}*"]
      principals {
        type        = "AWS"
        identifiers = ["arn:${data.aws_partition.current.partition}:iam::${statement.value.account_id}:root"]
      }
      condition {
        test     = "ArnLike"
        variable = "aws:PrincipalArn"
        values   = statement.value.principal_arns
      }
    }
  }

  dynamic "statement" {
    for_each = var.readers == null ? [] : [var.readers]
    content {
      # without it a missing object answers "access denied"
      sid       = "ReadersList"
      actions   = ["s3:ListBucket"]
      resources = [aws_s3_bucket.this.arn]
      principals {
        type        = "AWS"
        identifiers = ["arn:${data.aws_partition.current.partition}:iam::${statement.value.account_id}:root"]
      }
      condition {
        test     = "ArnLike"
        variable = "aws:PrincipalArn"
        values   = statement.value.principal_arns
      }
      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = [for prefix in statement.value.prefixes : "${prefix}*"]
      }
    }
  }
}

output "name" {
  description = "The bucket's name, once it may be used: encrypted, versioned and with its policy."
  value       = aws_s3_bucket.this.id
  depends_on = [
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_s3_bucket_versioning.this,
  ]
}

output "arn" {
  description = "The bucket's ARN."
  value       = aws_s3_bucket.this.arn
}
