# Putting sources: what a CI server may do that runs `make publish`, and, below, pipelines of Bitbucket Cloud.

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

# Bitbucket Cloud: its pipelines prove who they are by OpenID Connect, so that no key of AWS lies in Bitbucket.

locals {
  bitbucket_issuer = local.is_cloud ? "api.bitbucket.org/2.0/workspaces/${var.bitbucket_workspace.name}/pipelines-config/identity/oidc" : ""
  bitbucket_audience = local.is_cloud ? (
    "ari:cloud:bitbucket::workspace/${var.bitbucket_workspace.uuid}"
  ) : ""
}

resource "aws_iam_openid_connect_provider" "bitbucket" {
  count = local.is_cloud ? 1 : 0

  url            = "https://${local.bitbucket_issuer}"
  client_id_list = [local.bitbucket_audience]
}

resource "aws_iam_role" "publisher" {
  count = local.is_cloud ? 1 : 0

  name                 = "${var.prefix}-publisher"
  description          = "Pipelines of the named Bitbucket repositories put sources"
  assume_role_policy   = data.aws_iam_policy_document.publisher_trust[0].json
  permissions_boundary = local.permissions_boundary_arn
  max_session_duration = 3600
}

resource "aws_iam_role_policy_attachment" "publisher" {
  count = local.is_cloud ? 1 : 0

  role       = aws_iam_role.publisher[0].name
  policy_arn = aws_iam_policy.publish.arn
}

data "aws_iam_policy_document" "publisher_trust" {
  count = local.is_cloud ? 1 : 0

  statement {
    sid     = "PipelinesOfTheNamedRepositories"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.bitbucket[0].arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.bitbucket_issuer}:aud"
      values   = [local.bitbucket_audience]
    }

    # The subject is {repository}:{step}, or {repository}:{environment}:{step}; step UUIDs are new in each run.
    condition {
      test     = "StringLike"
      variable = "${local.bitbucket_issuer}:sub"
      values   = [for uuid in sort(var.bitbucket_repository_uuids) : "{${uuid}}:*"]
    }
  }
}
