"""Checks every answer before anything is generated, and reports all problems at once.

A rule for an answer that a template does not ask for is idle there.
"""

from __future__ import annotations

import re
from typing import Any, Callable, NamedTuple

# S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html. The reserved suffixes
# cannot occur, because our names end in a Region.
BUCKET_NAME_LIMIT = 63
RESERVED_BUCKET_PREFIXES = ("amzn-s3-demo-", "sthree-", "xn--")

# IAM role names end at 64 characters and SageMaker's names at 63: this leaves 31 for what they add.
SLUG_LIMIT = 32

# Where models are deployed to: the end of the names of what is deployed.
ENVIRONMENTS = ("staging", "production")

# Atlassian's own Bitbucket, which also tells generated repositories which of the two they have.
CLOUD = "https://bitbucket.org"

JINJA_OPENINGS = ("{{", "{%", "{#")


class Rule(NamedTuple):
    """What one answer must be like; `expected` and `example` go on from "expected" and "such as"."""

    key: str
    expected: str
    example: str
    accepts: Callable[[Any], bool]


class Problem(NamedTuple):
    """One answer that breaks a rule."""

    key: str
    expected: str
    example: str
    got: str

    def __str__(self) -> str:
        """The line that a person reads."""
        return f"{self.key}: expected {self.expected}, such as {self.example}; got {self.got}"


def matches(pattern: str, shortest: int, longest: int) -> Callable[[Any], bool]:
    """Accepts text of `shortest` to `longest` characters that `pattern` describes from end to end."""
    compiled = re.compile(pattern)

    def accepts(value: Any) -> bool:
        return (
            isinstance(value, str)
            and shortest <= len(value) <= longest
            and compiled.fullmatch(value) is not None
        )

    return accepts


def one_line(key: str, longest: int, example: str) -> Rule:
    """One line of printable text without spaces at its ends.

    Openings of Jinja expressions are refused because cookiecutter renders stored answers again (`--replay`,
    `cruft update`), which would change the answer or stop the update.
    """

    def accepts(value: Any) -> bool:
        return (
            isinstance(value, str)
            and 1 <= len(value) <= longest
            and value.isprintable()
            and value == value.strip()
            and not any(opening in value for opening in JINJA_OPENINGS)
        )

    expected = f"one line of 1 to {longest} printable characters, no space at either end, none of "
    return Rule(key, expected + " ".join(JINJA_OPENINGS), example, accepts)


NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
HOST_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"

RULES = (
    one_line("project_name", 80, "'Email Router'"),
    Rule(
        "project_slug",
        f"3 to {SLUG_LIMIT} lowercase letters, digits and single hyphens, a letter first and no hyphen last",
        "'email-router'",
        matches(NAME, 3, SLUG_LIMIT),
    ),
    one_line("description", 255, "'Routes inquiries to the right service line'"),
    Rule(
        # SageMaker: ModelPackageGroupName of CreateModelPackageGroup
        "model_package_group",
        "1 to 63 letters, digits and hyphens, no hyphen at either end",
        "'email-router'",
        matches(r"[A-Za-z0-9](-*[A-Za-z0-9])*", 1, 63),
    ),
    Rule(
        "text_column",
        "1 to 64 letters, digits and underscores, a letter first",
        "'comment'",
        matches(r"[A-Za-z][A-Za-z0-9_]*", 1, 64),
    ),
    Rule(
        "owner_email",
        "an e-mail address",
        "'mlops@example.org'",
        matches(rf"[A-Za-z0-9.!#$%&'*+/=?^_`~-]+@{HOST_LABEL}(\.{HOST_LABEL})+", 5, 254),
    ),
    Rule(
        "aws_region",
        "the code of an AWS Region",
        "'ca-central-1'",
        matches(
            r"([a-z]{2}|us-gov|us-iso[a-z]?|eu-isoe|eusc-de)"
            r"-(central|east|west|(north|south)(east|west)?)-[1-9]",
            9,
            20,
        ),
    ),
    Rule(
        "shared_services_account_id",
        "the 12 digits of an AWS account id",
        "'111111111111'",
        matches(r"[0-9]+", 12, 12),
    ),
    Rule("single_account", "true or false", "false", lambda value: isinstance(value, bool)),
    Rule(
        "production_account_id",
        "the 12 digits of an AWS account id",
        "'222222222222'",
        matches(r"[0-9]+", 12, 12),
    ),
    Rule(
        "prefix",
        "2 to 16 lowercase letters, digits and single hyphens, a letter first and no hyphen last",
        "'mlops'",
        matches(NAME, 2, 16),
    ),
    Rule(
        "bitbucket_hosting",
        "data-center or cloud",
        "'data-center'",
        lambda value: value in ("data-center", "cloud"),
    ),
    Rule(
        "bitbucket_url",
        "the https address of Bitbucket, with no slash at the end",
        "'https://bitbucket.example.org'",
        matches(rf"https://{HOST_LABEL}(\.{HOST_LABEL})*" + r"(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*", 9, 255),
    ),
    Rule(
        "bitbucket_project_key",
        "1 to 128 capital letters, digits and underscores, a letter first",
        "'ML'",
        matches(r"[A-Z][A-Z0-9_]*", 1, 128),
    ),
    Rule("register", "true or false", "false", lambda value: isinstance(value, bool)),
)


def problems(answers: dict[str, Any]) -> list[Problem]:
    """Every broken rule, in the order of the questions.

    Rules that join several answers look only at those that are fit by themselves: one mistake, one line.
    """
    alone = [
        Problem(rule.key, rule.expected, rule.example, show(answers[rule.key]))
        for rule in RULES
        if rule.key in answers and not rule.accepts(answers[rule.key])
    ]
    unfit = {problem.key for problem in alone}
    fit = {key: value for key, value in answers.items() if key not in unfit}
    return alone + slug_problems(fit) + account_problems(fit) + bucket_problems(fit) + hosting_problems(fit)


def slug_problems(fit: dict[str, Any]) -> list[Problem]:
    """The names of what is deployed end with the environment, and deployments may change what is named so."""
    slug = fit.get("project_slug", "")
    if not slug.endswith(tuple("-" + environment for environment in ENVIRONMENTS)):
        return []
    expected = "a name that does not end with an environment, as the names of what is deployed do"
    return [Problem("project_slug", expected, "'email-router'", show(slug))]


def account_problems(fit: dict[str, Any]) -> list[Problem]:
    """Two accounts have two ids, unless one account is asked for in so many words."""
    if not {"shared_services_account_id", "single_account", "production_account_id"} <= fit.keys():
        return []
    key, shared, production = (
        "production_account_id",
        fit["shared_services_account_id"],
        fit["production_account_id"],
    )
    if fit["single_account"] and production != shared:
        expected = "the same id as shared_services_account_id, because single_account is true"
        return [Problem(key, expected, show(shared), show(production))]
    if not fit["single_account"] and production == shared:
        another = "222222222222" if shared != "222222222222" else "111111111111"
        expected = "another id than shared_services_account_id, or single_account=true"
        return [Problem(key, expected, show(another), show(production))]
    return []


def bucket_problems(fit: dict[str, Any]) -> list[Problem]:
    """The names of S3 buckets, {prefix}-{project_slug}-{account}-{region}, keep S3's rules.

    Where files are answered (text_column is asked), each environment has a bucket that says which it is.
    """
    if not {"prefix", "project_slug", "aws_region"} <= fit.keys():
        return []
    key, prefix, slug = "prefix", fit["prefix"], fit["project_slug"]
    environment = f"-{max(ENVIRONMENTS, key=len)}" if "text_column" in fit else ""
    name = f"{prefix}-{slug}{environment}-{'0' * 12}-{fit['aws_region']}"
    used = len(prefix) + len(slug)
    broken = []
    if len(name) > BUCKET_NAME_LIMIT:
        room = BUCKET_NAME_LIMIT - (len(name) - used)
        expected = f"at most {room} characters together with project_slug, because S3 bucket names end at 63"
        got = f"{show(prefix)} and {show(slug)}, {used} characters"
        broken.append(Problem(key, expected, "'mlops' and 'email-router'", got))
    if name.startswith(RESERVED_BUCKET_PREFIXES):
        broken.append(Problem(key, "a prefix that S3 does not reserve", "'mlops'", show(prefix)))
    return broken


def hosting_problems(fit: dict[str, Any]) -> list[Problem]:
    """The address belongs to the hosting: Bitbucket Cloud has one, followed by the workspace."""
    if not {"bitbucket_hosting", "bitbucket_url"} <= fit.keys():
        return []
    key, url = "bitbucket_url", fit["bitbucket_url"]
    in_cloud = (url + "/").startswith(CLOUD + "/")
    if fit["bitbucket_hosting"] == "cloud" and not re.fullmatch(re.escape(CLOUD) + r"/[A-Za-z0-9_-]+", url):
        expected = CLOUD + "/ and your workspace, because bitbucket_hosting is cloud"
        return [Problem(key, expected, show(CLOUD + "/my-workspace"), show(url))]
    if fit["bitbucket_hosting"] == "data-center" and in_cloud:
        expected = "your own Bitbucket's address, or bitbucket_hosting=cloud"
        return [Problem(key, expected, "'https://bitbucket.example.org'", show(url))]
    return []


def show(value: Any) -> str:
    """An answer for display: quoted, control characters escaped, long text cut."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def report(broken: list[Problem]) -> str:
    """The problems as lines for a person."""
    count = "1 answer needs" if len(broken) == 1 else f"{len(broken)} answers need"
    return "\n".join(
        [
            f"Nothing is generated, because {count} another value:",
            *(f"  {problem}" for problem in broken),
            "Run the command again with other values; cookiecutter's own notice that it stopped follows.",
        ]
    )
