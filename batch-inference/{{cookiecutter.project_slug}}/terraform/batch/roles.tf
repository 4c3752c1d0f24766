# Who acts here: SageMaker (the pipeline and its jobs), the two functions, and EventBridge. A file and its answers can be
# read by few: what each role reads and writes is a folder, not the bucket.

locals {
  bucket_arn = module.bucket.arn
  input_arn  = "${local.bucket_arn}/${local.settings.input.prefix}*"
  output_arn = "${local.bucket_arn}/${local.settings.output.prefix}*"
  work_arn   = "${local.bucket_arn}/work/*"

  # SageMaker names what pipelines make pipelines-<execution>-<step>-<random>: the pipeline's own name is not in it.
  models_made_arn = "${local.sagemaker}:model/pipelines-*"

  by_s3 = ["s3.${local.region}.amazonaws.com"]

  jobs_role_name = "${local.name}-jobs"
}

# SageMaker

module "jobs_role" {
  source = "../modules/service-role"
  count  = local.enabled

  name                     = local.jobs_role_name
  path                     = local.foundation.service_role_path
  description              = "The SageMaker pipeline ${local.name} and its jobs"
  service                  = "sagemaker.amazonaws.com"
  source_arns              = ["${local.sagemaker}:*"] # pipelines, jobs and models alike: SageMaker gives different ones
  policy                   = data.aws_iam_policy_document.jobs.json
  permissions_boundary_arn = local.foundation.permissions_boundary_arn
}

data "aws_iam_policy_document" "jobs" {
  statement {
    sid       = "CallTheFunctions"
    actions   = ["lambda:InvokeFunction"]
    resources = [for function in local.functions : "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${function}"]
  }

  statement {
    sid = "RunJobs"
    actions = [
      "sagemaker:AddTags",
      "sagemaker:CreateProcessingJob", "sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob",
      "sagemaker:CreateTransformJob", "sagemaker:DescribeTransformJob", "sagemaker:StopTransformJob",
    ]
    resources = ["${local.sagemaker}:processing-job/pipelines-*", "${local.sagemaker}:transform-job/pipelines-*"]
  }

  statement {
    sid       = "MakeModels"
    actions   = ["sagemaker:AddTags", "sagemaker:CreateModel", "sagemaker:DescribeModel"]
    resources = [local.models_made_arn]
  }

  statement {
    sid       = "OfVersionsOfTheGroup" # from another account the group's own policy decides as well
    actions   = ["sagemaker:CreateModel", "sagemaker:DescribeModelPackage"]
    resources = [local.versions_arn]
  }

  statement {
    sid       = "RunThemAsThisRole"
    actions   = ["iam:PassRole"]
    resources = ["arn:${local.partition}:iam::${local.account}:role${local.foundation.service_role_path}${local.jobs_role_name}"]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["sagemaker.amazonaws.com"]
    }
  }

  statement {
    sid       = "ReadAndWriteWork" # a large part is written in several pieces
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = [local.work_arn]
  }

  statement {
    sid       = "ListWork"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["work/*"]
    }
  }

  statement {
    sid       = "UseKey" # for data in S3 and for the disks of instances
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
    resources = [local.kms_key_arn]
  }

  statement {
    sid       = "LendKeyToVolumes" # the storage service attaches an encrypted volume to a job's instance
    actions   = ["kms:CreateGrant"]
    resources = [local.kms_key_arn]
    condition {
      test     = "Bool"
      variable = "kms:GrantIsForAWSResource"
      values   = ["true"]
    }
  }

  statement {
    sid       = "ReadModels" # wildcard: every version has a folder of its own
    actions   = ["s3:GetObject"]
    resources = ["${local.models_arn}/models/*"]
  }

  statement {
    sid       = "ListModels"
    actions   = ["s3:ListBucket"]
    resources = [local.models_arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["models/*"]
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
      values   = local.by_s3
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:s3:arn"
      values   = [local.models_arn, "${local.models_arn}/models/*"] # the first with a bucket key
    }
  }

  statement {
    sid       = "SignInToRegistry" # resource *: this call has no resources
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "PullImages" # AWS's own images, in the account that AWS has for them in this Region
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [for image in data.aws_sagemaker_prebuilt_ecr_image.this : "arn:${local.partition}:ecr:${local.region}:${image.registry_id}:repository/${image.repository_name}"]
  }

  statement {
    # The image of the group's model-build repository, if that serves with one of its own: whether a version has it is known
    # when a file is answered. In production the repository's own policy decides as well; its key is no matter of who pulls.
    sid       = "PullServingImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [local.serving_image_arn]
  }

  statement {
    sid       = "WriteLogs" # SageMaker has one log group for a kind of job, and names the streams after the jobs
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = [for kind in ["ProcessingJobs", "TransformJobs"] : "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/sagemaker/${kind}:*"]
  }

  statement {
    sid       = "PutMetrics" # resource *: metrics have no ARN; the condition names their namespaces
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TransformJobs"]
    }
  }
}

data "aws_sagemaker_prebuilt_ecr_image" "this" {
  # the image of the steps, and the one that model-build registers its models with
  for_each = toset(["sagemaker-scikit-learn", "huggingface-pytorch-inference"])

  repository_name = each.key
  image_tag       = "latest" # only the account and the name are used
}

# Lambda

module "function_role" {
  source   = "../modules/service-role"
  for_each = local.functions

  name                     = "${local.name}-${each.key}"
  path                     = local.foundation.service_role_path
  description              = "The function ${each.value}"
  service                  = "lambda.amazonaws.com"
  policy                   = data.aws_iam_policy_document.function[each.key].json
  permissions_boundary_arn = local.foundation.permissions_boundary_arn
}

data "aws_iam_policy_document" "function" {
  for_each = local.functions

  source_policy_documents = [{
    begin   = data.aws_iam_policy_document.begin.json
    publish = data.aws_iam_policy_document.publish.json
  }[each.key]]

  statement {
    sid       = "WriteLog" # every instance of the function writes a stream of its own
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.function[each.key].arn}:*"]
  }

  statement {
    # No condition on the prefix: without this S3 answers 403 instead of 404 for what is not there, and a request for one
    # object has no prefix.
    sid       = "ListBucket"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]
  }

  statement {
    sid       = "UseKeyInS3"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [local.kms_key_arn]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = local.by_s3
    }
  }
}

data "aws_iam_policy_document" "begin" {
  statement {
    sid       = "FindNewestApprovedModel"
    actions   = ["sagemaker:ListModelPackages"]
    resources = [local.group_arn, local.versions_arn]
  }

  statement {
    sid       = "ReadFiles" # exactly the version that has started the execution
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = [local.input_arn]
  }

  statement {
    sid       = "WriteWork" # reads: Lambda may call twice, and the second call finds what the first has decided
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = [local.work_arn]
  }
}

data "aws_iam_policy_document" "publish" {
  statement {
    sid       = "ReadWork" # a copy names the version that it takes
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = [local.work_arn]
  }

  statement {
    sid       = "SeeWhatIsThere" # answers to a newer version of the file are not replaced
    actions   = ["s3:GetObject"]
    resources = [local.output_arn]
  }

  statement {
    sid       = "SeeWhichVersionIsNewer"
    actions   = ["s3:ListBucketVersions"]
    resources = [local.bucket_arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${local.settings.input.prefix}*"]
    }
  }

  statement {
    sid       = "WriteAnswers"
    actions   = ["s3:AbortMultipartUpload", "s3:PutObject"]
    resources = [local.output_arn]
  }

  statement {
    sid       = "ForgetTheModel"
    actions   = ["sagemaker:DeleteModel"]
    resources = [local.models_made_arn]
  }
}

# EventBridge

module "events_role" {
  source = "../modules/service-role"
  count  = local.enabled

  name                     = "${local.name}-events"
  path                     = local.foundation.service_role_path
  description              = "EventBridge starts the pipeline ${local.name}"
  service                  = "events.amazonaws.com"
  source_arns              = ["${local.rules_arn}/${local.slug}-input-${var.environment}"]
  policy                   = data.aws_iam_policy_document.events.json
  permissions_boundary_arn = local.foundation.permissions_boundary_arn
}

data "aws_iam_policy_document" "events" {
  statement {
    sid       = "StartPipeline"
    actions   = ["sagemaker:StartPipelineExecution"]
    resources = [local.pipeline_arn]
  }
}
