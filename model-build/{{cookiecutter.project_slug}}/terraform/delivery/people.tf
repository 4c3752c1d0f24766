# What a person needs to decide about versions (make compare, approve, reject, lineage, status): attach it to the role or
# permission set of those who may. Nothing here lets anybody train, or read the texts that a model was trained on.

resource "aws_iam_policy" "decide" {
  name        = "${local.name}-decide"
  description = "Look at, approve and reject versions of ${local.name}"
  policy      = data.aws_iam_policy_document.decide.json
}

data "aws_iam_policy_document" "decide" {
  statement {
    sid       = "LookAtVersions"
    actions   = ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:ListModelPackages"]
    resources = [local.registry.group_arn, local.registry.versions_arn]
  }

  statement {
    sid       = "Decide"
    actions   = ["sagemaker:UpdateModelPackage"]
    resources = [local.registry.versions_arn]
  }

  statement {
    sid       = "LookAtRuns"
    actions   = ["sagemaker:DescribePipeline", "sagemaker:DescribePipelineExecution", "sagemaker:ListPipelineExecutionSteps", "sagemaker:ListPipelineExecutions"]
    resources = [local.pipeline_arn, "${local.pipeline_arn}/execution/*"] # every run: their names come later
  }

  statement {
    sid       = "LookAtJobs" # the jobs of all pipelines are called pipelines-…
    actions   = ["sagemaker:DescribeProcessingJob", "sagemaker:DescribeTrainingJob"]
    resources = ["${local.sagemaker}:processing-job/pipelines-*", "${local.sagemaker}:training-job/pipelines-*"]
  }

  statement {
    sid     = "ReadReports" # not the sets beside them, which have the texts; evaluation's report quotes some
    actions = ["s3:GetObject"]
    resources = [
      "${module.bucket.arn}/config/*",
      "${module.bucket.arn}/runs/*/evaluate/*",
      "${module.bucket.arn}/runs/*/preprocess/report/*",
    ]
  }

  statement {
    sid       = "DecryptReports"
    actions   = ["kms:Decrypt"]
    resources = [local.kms_key_arn]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${local.region}.amazonaws.com"]
    }
  }
}
