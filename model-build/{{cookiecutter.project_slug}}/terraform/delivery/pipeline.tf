# CodePipeline: a new source archive -> the build. Training goes on in SageMaker after the build has ended.

resource "aws_codepipeline" "this" {
  name          = local.name
  role_arn      = module.pipeline_role.arn
  pipeline_type = "V2"

  artifact_store {
    type     = "S3"
    location = module.bucket.name

    encryption_key {
      type = "KMS"
      id   = local.kms_key_arn
    }
  }

  stage {
    name = "Source"

    action {
      name             = "Source"
      category         = "Source"
      owner            = "AWS"
      provider         = "S3"
      version          = "1"
      output_artifacts = ["source"]

      configuration = {
        S3Bucket             = local.source.bucket
        S3ObjectKey          = local.source.key
        PollForSourceChanges = "false" # an event starts it (events.tf); left out, it would poll as well
      }
    }
  }

  stage {
    name = "Build"

    action {
      name            = "UpdateAndStartTraining"
      category        = "Build"
      owner           = "AWS"
      provider        = "CodeBuild"
      version         = "1"
      input_artifacts = ["source"]
      namespace       = "Build" # for the build's exported variables

      configuration = {
        ProjectName = module.build.name
      }
    }
  }
}

module "pipeline_role" {
  source = "../modules/service-role"

  name                     = "${local.name}-pipeline"
  description              = "CodePipeline ${local.name}: fetches the source and starts the build"
  service                  = "codepipeline.amazonaws.com"
  policy                   = data.aws_iam_policy_document.pipeline.json
  permissions_boundary_arn = local.boundary
}

data "aws_iam_policy_document" "pipeline" {
  statement {
    sid       = "ReadSource"
    actions   = ["s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionTagging"]
    resources = ["arn:${local.partition}:s3:::${local.source.bucket}/${local.source.key}"]
  }

  statement {
    sid       = "FindSourceAndArtifacts"
    actions   = ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:ListBucket"]
    resources = ["arn:${local.partition}:s3:::${local.source.bucket}", module.bucket.arn]
  }

  statement {
    sid       = "DecryptSource"
    actions   = ["kms:Decrypt", "kms:DescribeKey"]
    resources = [local.foundation.kms_key_arn]
  }

  statement {
    sid       = "KeepArtifacts" # CodePipeline chooses the names below its folder
    actions   = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
    resources = ["${module.bucket.arn}/${local.artifacts_prefix}*"]
  }

  statement {
    sid       = "EncryptArtifacts"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
    resources = [local.kms_key_arn]
  }

  statement {
    sid       = "Build"
    actions   = ["codebuild:BatchGetBuilds", "codebuild:StartBuild", "codebuild:StopBuild"]
    resources = [module.build.arn]
  }
}
