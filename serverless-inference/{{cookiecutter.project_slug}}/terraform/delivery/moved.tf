# What the promotion consists of was once made here; a repository that has it keeps it.

moved {
  from = aws_codepipeline.this
  to   = module.promotion.aws_codepipeline.this
}

moved {
  from = terraform_data.folders
  to   = module.promotion.terraform_data.folders
}

moved {
  from = module.bucket
  to   = module.promotion.module.bucket
}

moved {
  from = module.build
  to   = module.promotion.module.build
}

moved {
  from = module.events
  to   = module.promotion.module.events
}

moved {
  from = module.key
  to   = module.promotion.module.key
}

moved {
  from = module.pipeline_role
  to   = module.promotion.module.pipeline_role
}
