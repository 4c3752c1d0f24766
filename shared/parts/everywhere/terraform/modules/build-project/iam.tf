module "role" {
  source = "../service-role"

  name                     = var.name
  path                     = var.role_path
  description              = "Builds of ${var.name}"
  service                  = "codebuild.amazonaws.com"
  source_arns              = ["arn:${local.partition}:codebuild:${local.region}:${local.account}:project/${var.name}"]
  policy                   = data.aws_iam_policy_document.role.json
  permissions_boundary_arn = var.permissions_boundary_arn
}

data "aws_iam_policy_document" "role" {
  source_policy_documents = [var.policy]

  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"] # streams: one for each build, named by CodeBuild
  }

  statement {
    sid       = "ExchangeArtifacts"
    actions   = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
    resources = ["${var.artifacts.bucket_arn}/${var.artifacts.prefix}*"] # CodePipeline chooses the names below it
  }

  statement {
    sid       = "UseKey"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
    resources = [var.kms_key_arn]
  }
}
