# Putting sources: what a CI server may do that runs `make publish`, and, in cloud.tf, Bitbucket's own pipelines.

resource "aws_iam_policy" "publish" {
  name        = "${var.prefix}-publish"
  description = "Put sources into ${module.source_bucket.name}"
  policy      = data.aws_iam_policy_document.publish.json
}

data "aws_iam_policy_document" "publish" {
  # Every repository and branch has a key of its own in the bucket.
  statement {
    sid       = "PutSources"
    actions   = ["s3:PutObject"]
    resources = ["${module.source_bucket.arn}/*"]
  }

  # S3 decrypts a data key when it puts the parts of a large object together.
  statement {
    sid       = "EncryptThem"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [module.key.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:aws:s3:arn"
      values   = [module.source_bucket.arn, "${module.source_bucket.arn}/*"]
    }
  }

  # Where the bucket and the key are; there is no secret in it.
  statement {
    sid       = "FindTheFoundation"
    actions   = ["ssm:GetParameter"]
    resources = [aws_ssm_parameter.foundation.arn]
  }
}
