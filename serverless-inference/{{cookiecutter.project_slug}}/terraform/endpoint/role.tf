# What the container of the endpoint acts as: it reads models of this group, pulls its image, writes its log.
# Nothing here names a version, so a new one does not change it.

module "role" {
  source = "../modules/service-role"
  count  = local.has_model ? 1 : 0

  # The suffix keeps it apart from the role of the build, <slug>-<environment>: an account has each name once, whatever
  # the path. A role's name has 64 characters at most.
  name                     = length(local.name) <= 55 ? "${local.name}-endpoint" : "${substr(local.name, 0, 46)}-${substr(sha256(local.name), 0, 8)}-endpoint"
  path                     = local.foundation.service_role_path
  description              = "The endpoint ${local.name}"
  service                  = "sagemaker.amazonaws.com"
  source_arns              = ["arn:${local.partition}:sagemaker:${local.region}:${local.account}:*"] # SageMaker gives different ones
  policy                   = data.aws_iam_policy_document.role[0].json
  permissions_boundary_arn = local.foundation.permissions_boundary_arn
}

locals {
  # s3://bucket/folder/…/model.tar.gz -> [bucket, folder]
  model_data = local.has_model ? regex("^s3://([^/]+)/([^/]+)/", local.model.data_url) : null
  bucket_arn = local.has_model ? "arn:${local.partition}:s3:::${local.model_data[0]}" : null
  models_arn = local.has_model ? "${local.bucket_arn}/${local.model_data[1]}/*" : null

  # account.dkr.ecr.region.amazonaws.com/repository:tag -> [account, region, repository]
  image = local.has_model ? regex("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.[^/]+/([^:@]+)", local.model.image) : null
}

data "aws_iam_policy_document" "role" {
  count = local.has_model ? 1 : 0

  statement {
    sid       = "ReadModels" # wildcard: every version has a folder of its own
    actions   = ["s3:GetObject"]
    resources = [local.models_arn]
  }

  statement {
    sid       = "ListModels"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${local.model_data[1]}/*"]
    }
  }

  statement {
    # key/*: which key the bucket has is known in the registry's account alone. Only by S3, only for those objects.
    sid       = "DecryptModels"
    actions   = ["kms:Decrypt"]
    resources = ["arn:${local.partition}:kms:${local.region}:${local.registry_account}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${local.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:s3:arn"
      values   = [local.bucket_arn, local.models_arn] # the first with a bucket key
    }
  }

  statement {
    sid       = "SignInToRegistry" # resource *: this call has no resources
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "PullImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:${local.partition}:ecr:${local.image[1]}:${local.image[0]}:repository/${local.image[2]}"]
  }

  statement {
    sid       = "WriteLog" # streams: one for each container, named by SageMaker. The group is there (main.tf)
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }

  statement {
    sid       = "PutMetrics" # resource *: metrics have no ARN; the condition names their namespace
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["/aws/sagemaker/Endpoints"]
    }
  }
}
