"""The two environments that a repository deploys to."""

STAGING, PRODUCTION = ENVIRONMENTS = ("staging", "production")
