import http.client
import json
import re
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from mlops_workbench.sandbox.console import content
from mlops_workbench.sandbox.console.server import start
from mlops_workbench.sandbox.organisation.overview import Overview
from mlops_workbench.sandbox.organisation.record import Organisation, page_path
from mlops_workbench.sandbox.organisation.releases import Action, Pipeline, Stage
from tests.waiting import FOREVER


@pytest.fixture
def organisation(sandbox):
    return Organisation(
        folder=str(sandbox.folder),
        endpoint=sandbox.endpoint_url,
        accounts=list(sandbox.accounts),
        region=sandbox.region,
    )


@pytest.fixture
def page(organisation):
    started = start(organisation)
    yield started
    started.stop()


@pytest.fixture
def ask(page):
    def run(path="/", method="GET", **headers):
        connection = http.client.HTTPConnection(urlsplit(page.url).netloc, timeout=FOREVER)
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer, body

    return run


def test_the_page_is_one_document_that_loads_nothing_else(ask):
    answer, body = ask()
    assert answer.status == 200
    assert "/*style*/" not in body and "/*script*/" not in body
    assert re.findall(r'(?:src|href)="([^"]*)"', body) == ["data:,", "#pipelines", "/log?kind=sandbox"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:{port}", "127.0.0.1:1", "127.0.0.1.evil.test:{port}", ""]
)
def test_a_foreign_host_is_refused(ask, page, host):
    answer, body = ask("/overview.json", Host=host.format(port=urlsplit(page.url).port))
    assert answer.status == 403
    assert "packages" not in body


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "navigate"},
    ],
)
def test_another_page_in_the_browser_is_refused(ask, headers):
    assert ask("/overview.json", **headers)[0].status == 403


def test_a_link_on_another_page_leads_to_this_one(ask):
    assert ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0].status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_reading_is_answered(ask, method):
    assert ask("/overview.json", method)[0].status == 405


def test_the_overview_names_the_accounts_and_what_they_have(ask, sandbox):
    sandbox.client("sagemaker").create_model_package_group(ModelPackageGroupName="spam")
    sandbox.client("sagemaker").create_model_package(
        ModelPackageGroupName="spam", ModelApprovalStatus="Approved"
    )
    overview = json.loads(ask("/overview.json")[1])
    assert overview["accounts"] == list(sandbox.accounts)
    assert [(each["group"], each["version"], each["approval"]) for each in overview["packages"]] == [
        ("spam", 1, "Approved")
    ]


def test_a_jobs_log_is_text(ask, sandbox):
    folder = sandbox.folder / "jobs/train-1"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("epoch 1 <b>loss</b> 0.5\n")
    answer, body = ask(f"/log?kind=job&account={sandbox.accounts[0]}&id=train-1")
    assert (answer.status, body) == (200, "epoch 1 <b>loss</b> 0.5\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["..", "../../secret", "%2e%2e/%2e%2e/secret", "/etc", "link", "", "."])
def test_no_other_file_is_reached_by_the_name_of_a_job(ask, sandbox, tmp_path, name):
    (sandbox.folder / "jobs").mkdir(exist_ok=True)
    for folder in (tmp_path / "secret", sandbox.folder / "jobs", sandbox.folder):
        folder.mkdir(exist_ok=True)
        (folder / "log.txt").write_text("not for the page")
    (sandbox.folder / "jobs/link").symlink_to(tmp_path / "secret")
    answer, body = ask(f"/log?kind=job&account={sandbox.accounts[0]}&id={name}")
    assert answer.status == 404
    assert "not for the page" not in body


def test_a_build_that_is_not_there_has_no_log(ask, sandbox):
    answer, body = ask(f"/log?kind=build&account={sandbox.accounts[0]}&id=spam:1")
    assert answer.status == 404
    assert "spam:1" in body


def _report(sandbox, key="reports/1/a report.html", body="<h1>well</h1><script>1</script>", **more):
    client = sandbox.client("s3", sandbox.accounts[0])
    place = {"LocationConstraint": sandbox.region}
    client.create_bucket(Bucket="reports", CreateBucketConfiguration=place)
    client.put_object(Bucket="reports", Key=key, Body=body.encode(), **more)
    return f"/objects/{sandbox.accounts[0]}/reports/{quote(key)}"


def test_a_report_in_s3_is_shown_and_may_do_nothing(ask, sandbox):
    answer, body = ask(_report(sandbox))
    assert (answer.status, body) == (200, "<h1>well</h1><script>1</script>")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policies = answer.headers.get_all("Content-Security-Policy")
    assert len(policies) == 1
    rules = [rule.strip() for rule in policies[0].split(";")]
    assert "sandbox" in rules and "default-src 'none'" in rules
    assert "script" not in policies[0] and "allow" not in policies[0]


def test_an_object_that_no_browser_shows_is_a_file(ask, sandbox):
    answer, _ = ask(_report(sandbox, "models/é.svg", "<svg/>", ContentType="image/svg+xml"))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%A9.svg"


@pytest.mark.parametrize(
    "path", ["", "1", "111111111111/reports", "111111111111/reports/none", "999999999999/reports/x", "a/b/c"]
)
def test_an_object_that_is_not_there_is_said(ask, sandbox, path):
    _report(sandbox)
    answer, body = ask(f"/objects/{path}")
    assert answer.status == 404
    assert "well" not in body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.test"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "navigate"}, 200),
        ({}, 200),
    ],
)
def test_objects_are_for_this_machines_own_page(ask, page, sandbox, headers, status):
    assert ask(_report(sandbox), **headers)[0].status == status


@pytest.mark.parametrize(
    ("link", "path"),
    [
        (
            "https://s3.console.aws.amazon.com/s3/object/b?region=ca-central-1&prefix=reports/1/a.html",
            "/objects/1/b/reports/1/a.html",
        ),
        (
            "https://ca-central-1.console.aws.amazon.com/s3/object/b?region=x&prefix=a%20b%2Fc%26d.html",
            "/objects/1/b/a%20b/c%26d.html",
        ),
        ("https://ca-central-1.console.aws.amazon.com/s3/object/b?region=x", ""),
        ("https://ca-central-1.console.aws.amazon.com/s3/buckets/b?prefix=a", ""),
        ("https://console.aws.amazon.com.evil.test/s3/object/b?prefix=a", ""),
        ("http://s3.console.aws.amazon.com/s3/object/b?prefix=a", ""),
        ("https://example.com/s3/object/b?prefix=a", ""),
        ("https://[", ""),
        ("see the wiki", ""),
        ("", ""),
    ],
)
def test_a_link_to_the_s3_console_leads_to_the_sandboxs_own_page(link, path):
    assert page_path(link, "1") == path


def test_what_answers_an_approval_stays_in_the_sandbox():
    action = Action("Approve", "InProgress", "", "", waits=True, token="the-token", external="")
    shown = content.as_json(
        Overview(
            "f", "r", "e", [], "", [Pipeline("1", "deploy", [Stage("Production", "InProgress", [action])])]
        )
    )
    assert shown["pipelines"][0]["stages"][0]["actions"][0]["waits"] is True
    assert "the-token" not in json.dumps(shown)


def test_the_script_never_writes_markup():
    script = Path(content.__file__).with_name("page.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)
