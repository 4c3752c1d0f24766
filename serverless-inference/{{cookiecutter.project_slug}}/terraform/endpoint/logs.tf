# What the containers write. SageMaker would make the group by itself; made here, it is encrypted and its lines expire.

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338:how long logs are kept is the foundation's setting
  name              = "/aws/sagemaker/Endpoints/${local.name}" # SageMaker's own name for it
  retention_in_days = local.foundation.log_retention_days
  kms_key_id        = local.foundation.kms_key_arn
}
