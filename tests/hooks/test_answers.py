"""Each rule of an answer, and the line that names a broken one."""

from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks import answers as rules

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text("{%#\"'\\\n\ud800 a-1"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=3,
)
KEYS = [
    "project_name",
    "project_slug",
    "description",
    "owner_email",
    "aws_region",
    "shared_services_account_id",
    "single_account",
    "production_account_id",
    "prefix",
    "bitbucket_hosting",
    "bitbucket_url",
    "bitbucket_project_key",
    "register",
]


def broken(answers: dict[str, Any], **changed: Any) -> list[str]:
    return [problem.key for problem in rules.problems({**answers, **changed})]


def test_a_slug_does_not_end_with_the_name_of_an_environment(answers: dict[str, Any]) -> None:
    # deployments may change what is named <slug>-staging or <slug>-production
    for slug in ("router-staging", "router-production"):
        assert broken(answers, project_slug=slug) == ["project_slug"]
    assert broken(answers, project_slug="staging-router") == []


@pytest.mark.parametrize("value", ["email-router", "A", "a--b", "x" * 63])
def test_a_model_package_group_is_named_as_sagemaker_allows(answers: dict[str, Any], value: str) -> None:
    assert broken(answers, model_package_group=value) == []


@pytest.mark.parametrize("value", ["", "-a", "a-", "a_b", "x" * 64, None, 7])
def test_a_model_package_group_that_sagemaker_would_refuse(answers: dict[str, Any], value: object) -> None:
    assert broken(answers, model_package_group=value) == ["model_package_group"]


def test_the_default_answers_are_accepted(answers: dict[str, Any]) -> None:
    assert broken(answers) == []
    assert set(KEYS) == answers.keys()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("project_name", "\u00dcberwachung \u6771\u4eac \U0001f600 \"'\\ <&>"),
        ("project_name", "x" * 80),
        ("project_slug", "abc"),
        ("project_slug", "a1-b2-c3"),
        ("owner_email", "o'neil+ml@mail.example.co.uk"),
        ("prefix", "xy"),
        ("bitbucket_url", "https://bitbucket"),
        ("bitbucket_url", "https://code.example.org:8443/bitbucket"),
        ("bitbucket_project_key", "A_1"),
    ],
)
def test_accepted(answers: dict[str, Any], key: str, value: str) -> None:
    assert broken(answers, **{key: value}) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[
            ("project_name", value)
            for value in ("", " x", "x ", "a\nb", "a\tb", "x" * 81, "{{ x", "{% x", "{# x", 7, None)
        ],
        *[
            ("description", value)
            for value in ("", "a\r\nb", "\u2028", "\x00", "\u202e", "\udcff", "x" * 256)
        ],
        *[
            ("project_slug", value)
            for value in ("", "ab", "a" * 33, "Abc", "1abc", "-abc", "abc-", "a--b", "a_b", "a.b")
        ],
        *[("project_slug", value) for value in ("abc\n", "\u00e4bc", "../abc", "a/b", "a b", None, ["abc"])],
        *[
            ("owner_email", value)
            for value in ("", "x", "x@y", "@y.z", "a b@y.z", "x@y..z", "x@-y.z", "x@y.z\n")
        ],
        *[
            ("aws_region", value)
            for value in ("", "ca", "canada", "ca-central", "CA-CENTRAL-1", "ca-central-1 ", "ca-middle-1")
        ],
        *[
            ("shared_services_account_id", value)
            for value in ("", "1" * 11, "1" * 13, "1111-1111-1111", "\u0661" * 12, 1)
        ],
        ("production_account_id", "x" * 12),
        *[("single_account", value) for value in ("no", "", 0, None)],
        *[
            ("prefix", value)
            for value in (
                "",
                "x",
                "x" * 17,
                "Ml",
                "ml-",
                "m--l",
                "m.l",
                "1ml",
                "sthree",
                "sthree-x",
                "amzn-s3-demo",
            )
        ],
        *[
            ("bitbucket_url", value)
            for value in ("", "http://b.org", "https://", "https://b.org/", "https://u:p@b.org")
        ],
        *[
            ("bitbucket_url", value)
            for value in ("https://b.org?x", "https://b org", "https://[::1", "javascript:alert(1)")
        ],
        *[
            ("bitbucket_project_key", value)
            for value in ("", "ml", "1A", "_A", "A-B", "A" * 129, "\u00c9", "~ME")
        ],
    ],
)
def test_refused(answers: dict[str, Any], key: str, value: object) -> None:
    assert broken(answers, **{key: value}) == [key]


def test_every_region_that_aws_has_is_accepted(answers: dict[str, Any]) -> None:
    session = botocore.session.get_session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("sagemaker", partition):
            assert broken(answers, aws_region=region) == [], region


@pytest.mark.parametrize(
    ("single", "shared", "production", "keys"),
    [
        (False, "1" * 12, "2" * 12, []),
        (False, "1" * 12, "1" * 12, ["production_account_id"]),
        (False, "2" * 12, "2" * 12, ["production_account_id"]),
        (True, "1" * 12, "1" * 12, []),
        (True, "1" * 12, "2" * 12, ["production_account_id"]),
        (True, "1", "2" * 12, ["shared_services_account_id"]),
    ],
)
def test_accounts_differ_unless_one_is_asked_for(
    answers: dict[str, Any], single: bool, shared: str, production: str, keys: list[str]
) -> None:
    changed = {
        "single_account": single,
        "shared_services_account_id": shared,
        "production_account_id": production,
    }
    assert broken(answers, **changed) == keys


@pytest.mark.parametrize("key", ["bitbucket_hosting", "register"])
@pytest.mark.parametrize("value", ["", "yes", "server", 1, None, []])
def test_choices_are_refused_when_they_are_none_of_those_offered(
    answers: dict[str, Any], key: str, value: object
) -> None:
    assert broken(answers, **{key: value}) == [key]


@pytest.mark.parametrize(
    ("hosting", "url", "accepted"),
    [
        ("cloud", "https://bitbucket.org/acme", True),
        ("cloud", "https://bitbucket.org", False),
        ("cloud", "https://bitbucket.org/acme/repository", False),
        ("cloud", "https://bitbucket.org.example.org/acme", False),
        ("data-center", "https://bitbucket.example.org", True),
        ("data-center", "https://bitbucket.organisation.example", True),
        ("data-center", "https://bitbucket.org", False),
        ("data-center", "https://bitbucket.org/acme", False),
    ],
)
def test_the_address_belongs_to_the_hosting(
    answers: dict[str, Any], hosting: str, url: str, accepted: bool
) -> None:
    changed = {"bitbucket_hosting": hosting, "bitbucket_url": url}
    assert broken(answers, **changed) == ([] if accepted else ["bitbucket_url"])


@pytest.mark.parametrize("region", ["ca-central-1", "ap-southeast-1", "us-isof-south-1"])
def test_a_bucket_name_fills_63_characters_and_no_more(answers: dict[str, Any], region: str) -> None:
    room = 63 - len(f"--{'1' * 12}-{region}")
    for longer, keys in ((0, []), (1, ["prefix"])):
        changed = {
            "aws_region": region,
            "project_slug": "s" * (room - 12),
            "prefix": "p" * (12 + longer),
        }
        assert broken(answers, **changed) == keys


def test_where_files_are_answered_a_bucket_s_name_says_the_environment_too(answers: dict[str, Any]) -> None:
    room = 63 - len(f"--production-{'1' * 12}-ca-central-1")
    for longer, keys in ((0, []), (1, ["prefix"])):
        changed = {"text_column": "comment", "project_slug": "s" * (room - 5 + longer), "prefix": "mlops"}
        assert broken(answers, **changed) == keys


@pytest.mark.parametrize(
    ("value", "keys"), [("comment", []), ("Text_2", []), ("", ["text_column"]), ("a b", ["text_column"])]
)
def test_a_column_s_name_is_one_word(answers: dict[str, Any], value: str, keys: list[str]) -> None:
    assert broken(answers, text_column=value) == keys


def test_names_made_from_the_longest_slug_are_accepted_by_aws() -> None:
    slug = "s" * rules.SLUG_LIMIT
    service = botocore.session.get_session().get_service_model("sagemaker")
    for operation, member in (
        ("CreatePipeline", "PipelineName"),
        ("CreateModelPackageGroup", "ModelPackageGroupName"),
        ("CreateEndpoint", "EndpointName"),
    ):
        assert (
            len(slug) + 31 <= service.operation_model(operation).input_shape.members[member].metadata["max"]
        )
    role = botocore.session.get_session().get_service_model("iam").operation_model("CreateRole").input_shape
    assert len(f"{slug}-sagemaker") <= role.members["RoleName"].metadata["max"]


def test_all_problems_come_at_once_each_with_key_rule_example_and_value() -> None:
    report = rules.report(rules.problems({"project_slug": "A\n", "aws_region": "moon", "prefix": "x" * 500}))
    first, slug, region, prefix, last = report.splitlines()
    assert "3 answers" in first and "again" in last
    assert slug == (
        "  project_slug: expected 3 to 32 lowercase letters, digits and single hyphens, "
        "a letter first and no hyphen last, such as 'email-router'; got 'A\\n'"
    )
    assert region == "  aws_region: expected the code of an AWS Region, such as 'ca-central-1'; got 'moon'"
    assert prefix.endswith("... (502 characters)")


def test_the_example_of_every_rule_keeps_the_rule() -> None:
    for rule in rules.RULES:
        assert rule.accepts({"false": False}.get(rule.example, rule.example.strip("'"))), rule.key


@given(answers=st.dictionaries(st.sampled_from(KEYS) | st.text(), ANYTHING))
def test_no_answer_makes_the_check_itself_fail(answers: dict[str, Any]) -> None:
    problems = rules.problems(answers)
    assert len(rules.report(problems).splitlines()) == len(problems) + 2
