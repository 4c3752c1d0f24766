# Where these were before staging had them too: nothing is made anew, and a boundary that roles have cannot be.

moved {
  from = aws_iam_role.deployment
  to   = module.deployment.aws_iam_role.deployment
}

moved {
  from = aws_iam_role_policy.deployment
  to   = module.deployment.aws_iam_role_policy.deployment
}

moved {
  from = aws_iam_policy.boundary
  to   = module.deployment.aws_iam_policy.boundary
}

moved {
  from = aws_ssm_parameter.foundation
  to   = module.deployment.aws_ssm_parameter.foundation
}
