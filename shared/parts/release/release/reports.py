"""Where the reports of deployments are kept, and the link that an approval shows."""

from urllib.parse import quote

from configuration.project import ProjectConfig


def key(execution: str, environment: str) -> str:
    """The object of an execution's report."""
    return f"reports/{execution}/{environment}.html"


def url(project: ProjectConfig, execution: str, environment: str) -> str:
    """The report's page in the S3 console, where a person with access opens it."""
    hosts = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}
    host = hosts.get(project.partition, "console.aws.amazon.com")
    prefix = quote(key(execution, environment))
    return (
        f"https://{project.region}.{host}/s3/object/{project.bucket}?region={project.region}&prefix={prefix}"
    )
