# With config/model.yaml's serving.image lean: the registry of the repository's own serving image, and the build that
# pushes it. With AWS's image there is none of this.

locals {
  lean = try(local.model.serving.image, "huggingface") == "lean"

  # model_build/serving_image.py names it so; a fixed name, so that roles need not wait for it
  serving_image     = "${local.name}-serving"
  serving_image_arn = "arn:${local.partition}:ecr:${local.region}:${local.account}:repository/${local.serving_image}"

  # Back at AWS's image, what was registered before still needs the old ones: what is there stays, and nothing builds.
  has_images = local.lean || try(contains(data.aws_ecr_repositories.there[0].names, local.serving_image), false) # null: none
}

data "aws_ecr_repositories" "there" {
  count = local.lean ? 0 : 1
}

resource "aws_ecr_repository" "serving" {
  count = local.has_images ? 1 : 0

  name                 = local.serving_image
  image_tag_mutability = "IMMUTABLE" # a tag is made of the content, and versions are registered by tag
  force_delete         = true        # goes after the group of versions does, which cannot go while it has one

  image_scanning_configuration {
    scan_on_push = true
  }

  # Amazon ECR encrypts and decrypts by a grant that it makes with the repository: who pulls needs nothing of the key.
  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = local.kms_key_arn
  }
}

# An image with a tag never expires: any version that was registered with it may be approved again, or serve still, and
# neither ECR nor this repository knows which. They are few (a push builds one only when serving_image/ has changed) and
# small. What has no tag is what a push has left that was cut off: no version can name it.
resource "aws_ecr_lifecycle_policy" "serving" {
  count = local.has_images ? 1 : 0

  repository = aws_ecr_repository.serving[0].name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "what no version can name"
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_ecr_repository_policy" "serving" {
  count = local.has_images && local.two_accounts ? 1 : 0

  repository = aws_ecr_repository.serving[0].name
  policy     = data.aws_iam_policy_document.serving_image_readers[0].json
}

data "aws_iam_policy_document" "serving_image_readers" {
  count = local.has_images && local.two_accounts ? 1 : 0

  statement {
    sid     = "ProductionPulls"
    actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.production_readers.account_id}:root"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:PrincipalArn"
      values   = local.production_readers.principal_arns
    }
  }
}

module "serving_image" {
  source = "../modules/build-project"
  count  = local.lean ? 1 : 0

  name                     = "${local.name}-serving-image"
  description              = "${local.project.name}: builds and pushes the serving image"
  buildspec                = "buildspecs/serving-image.yml"
  privileged               = true # docker
  artifacts                = { bucket_arn = module.bucket.arn, prefix = local.artifacts_prefix }
  kms_key_arn              = local.kms_key_arn
  policy                   = data.aws_iam_policy_document.serving_image[0].json
  permissions_boundary_arn = local.boundary
  log_retention_days       = local.foundation.log_retention_days
}

data "aws_iam_policy_document" "serving_image" {
  count = local.lean ? 1 : 0

  statement {
    sid       = "SignInToRegistry" # resource *: this call has no resources
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid = "PushToOneRepository" # nothing there can be overwritten or deleted by it
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:DescribeImages",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = [local.serving_image_arn]
  }
}
