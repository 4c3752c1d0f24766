# The role of the SageMaker pipeline and of its jobs. config/project.yaml's execution_role_arn takes its place.

locals {
  execution_role_arn = local.project.execution_role_arn != null ? local.project.execution_role_arn : module.sagemaker_role[0].arn
  pipeline_arn       = "${local.sagemaker}:pipeline/${local.name}"

  # Buckets besides our own that config/model.yaml reads: s3://bucket/prefix -> [bucket, prefix]
  s3_inputs = [
    for uri in [local.model.data.source, lookup(local.model.data, "test_source", null), local.model.model.base] :
    regex("^s3://([^/]+)/?(.*)$", uri) if uri != null && startswith(coalesce(uri, "-"), "s3://")
  ]
}

module "sagemaker_role" {
  source = "../modules/service-role"
  count  = local.project.execution_role_arn == null ? 1 : 0

  name                     = "${local.name}-sagemaker"
  description              = "The SageMaker pipeline ${local.name} and its jobs"
  service                  = "sagemaker.amazonaws.com"
  source_arns              = ["${local.sagemaker}:*"] # pipelines and jobs alike: SageMaker gives different ones
  policy                   = data.aws_iam_policy_document.sagemaker.json
  permissions_boundary_arn = local.boundary
}

data "aws_iam_policy_document" "sagemaker" {
  source_policy_documents = [
    data.aws_iam_policy_document.never_approve.json,
    data.aws_iam_policy_document.configured_data.json,
    data.aws_iam_policy_document.jobs_in_vpc.json,
  ]

  statement {
    sid       = "ListBucket"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
    resources = [module.bucket.arn]
  }

  statement {
    sid       = "ReadInputs" # wildcards: everything in these folders belongs to this pipeline
    actions   = ["s3:GetObject"]
    resources = [for folder in concat(local.written_by_builds, local.written_by_jobs) : "${module.bucket.arn}/${folder}*"]
  }

  statement {
    sid       = "WriteOutputs" # deletes: training removes old checkpoints
    actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"]
    resources = [for folder in local.written_by_jobs : "${module.bucket.arn}/${folder}*"]
  }

  statement {
    sid       = "UseKey"
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
    sid       = "SignInToRegistry" # resource *: this call has no resources
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "PullImages" # AWS's own images, in the account that AWS has for them in this Region
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [for image in data.aws_sagemaker_prebuilt_ecr_image.this : "arn:${local.partition}:ecr:${local.region}:${image.registry_id}:repository/${image.repository_name}"]
  }

  dynamic "statement" {
    for_each = local.lean ? [1] : []
    content {
      sid       = "PullServingImage" # registration reads the digest of the image that a version is to be served with
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = [local.serving_image_arn]
    }
  }

  statement {
    sid       = "WriteLogs" # SageMaker has one log group for a kind of job, and names the streams after the jobs
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = [for kind in ["ProcessingJobs", "TrainingJobs"] : "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/sagemaker/${kind}:*"]
  }

  statement {
    sid       = "PutMetrics" # resource *: metrics have no ARN; the condition names their namespaces
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TrainingJobs"]
    }
  }

  statement {
    # SageMaker names the jobs of pipelines pipelines-<execution>-<step>-<random>: the pipeline's own name is not in it
    sid = "RunJobs"
    actions = [
      "sagemaker:AddTags",
      "sagemaker:CreateProcessingJob", "sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob",
      "sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob",
    ]
    resources = ["${local.sagemaker}:processing-job/pipelines-*", "${local.sagemaker}:training-job/pipelines-*"]
  }

  statement {
    sid       = "RunJobsAsThisRole"
    actions   = ["iam:PassRole"]
    resources = ["arn:${local.partition}:iam::${local.account}:role/${local.name}-sagemaker"]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["sagemaker.amazonaws.com"]
    }
  }

  statement {
    sid       = "RegisterVersions"
    actions   = ["sagemaker:AddTags", "sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:ListModelPackages"]
    resources = [local.registry.group_arn, local.registry.versions_arn]
  }
}

# A model that has trained does not approve itself, whatever else its role is given later: a person does.
data "aws_iam_policy_document" "never_approve" {
  statement {
    sid       = "NeverApprove" # resource *: this only denies
    effect    = "Deny"
    actions   = ["sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "sagemaker:ModelApprovalStatus"
      values   = ["Approved"]
    }
  }
}

# What config/model.yaml reads from elsewhere on S3: exactly those prefixes.
data "aws_iam_policy_document" "configured_data" {
  dynamic "statement" {
    for_each = length(local.s3_inputs) > 0 ? [1] : []
    content {
      sid       = "ReadConfiguredData" # wildcards: a source is a folder, or a file's name
      actions   = ["s3:GetObject"]
      resources = [for input in local.s3_inputs : "arn:${local.partition}:s3:::${input[0]}/${input[1]}*"]
    }
  }

  dynamic "statement" {
    for_each = length(local.s3_inputs) > 0 ? [1] : []
    content {
      sid       = "ListConfiguredData"
      actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
      resources = distinct([for input in local.s3_inputs : "arn:${local.partition}:s3:::${input[0]}"])
    }
  }

  dynamic "statement" {
    for_each = length(local.s3_inputs) > 0 ? [1] : []
    content {
      # resource *: which key those buckets have is not known here. Only by S3, only for objects of those buckets.
      sid       = "DecryptConfiguredData"
      actions   = ["kms:Decrypt"]
      resources = ["*"]
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${local.region}.amazonaws.com"]
      }
      condition {
        test     = "ArnLike"
        variable = "kms:EncryptionContext:aws:s3:arn"
        values = flatten([for input in local.s3_inputs : [
          "arn:${local.partition}:s3:::${input[0]}", # with a bucket key
          "arn:${local.partition}:s3:::${input[0]}/${input[1]}*",
        ]])
      }
    }
  }
}

data "aws_iam_policy_document" "jobs_in_vpc" {
  dynamic "statement" {
    for_each = length(local.subnet_arns) > 0 ? [1] : []
    content {
      sid     = "PlaceJobsInSubnets"
      actions = ["ec2:CreateNetworkInterface"]
      resources = concat(local.subnet_arns, local.security_group_arns, [
        "${local.ec2}:network-interface/*", # they are made for each job
      ])
    }
  }

  dynamic "statement" {
    for_each = length(local.subnet_arns) > 0 ? [1] : []
    content {
      sid       = "UseOwnNetworkInterfaces"
      actions   = ["ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface", "ec2:DeleteNetworkInterfacePermission"]
      resources = ["${local.ec2}:network-interface/*"] # in the jobs' subnets, as the condition says
      condition {
        test     = "ArnEquals"
        variable = "ec2:Subnet"
        values   = local.subnet_arns
      }
    }
  }

  dynamic "statement" {
    for_each = length(local.subnet_arns) > 0 ? [1] : []
    content {
      sid       = "LookAtNetwork" # resource *: these calls have no resources
      actions   = ["ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"]
      resources = ["*"]
    }
  }
}

locals {
  ec2                 = "arn:${local.partition}:ec2:${local.region}:${local.account}"
  subnet_arns         = [for id in local.project.network.subnets : "${local.ec2}:subnet/${id}"]
  security_group_arns = [for id in local.project.network.security_group_ids : "${local.ec2}:security-group/${id}"]
}

data "aws_sagemaker_prebuilt_ecr_image" "this" {
  # the two images of model_build/images.py: jobs run in the first, registration reads the digest of the second
  for_each = toset(["huggingface-pytorch-training", "huggingface-pytorch-inference"])

  repository_name = each.key
  image_tag       = "latest" # only the account and the name are used
}
