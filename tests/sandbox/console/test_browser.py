"""The page in a real browser: it shows a sandbox's state, and the next state by itself.

Chromium is told what to do over a pipe, DevTools' own protocol: NUL-terminated JSON on descriptors 3 and 4.
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.console.server import start
from mlops_workbench.sandbox.organisation.record import Organisation
from mlops_workbench.sandbox.services.events.bus import emit
from tests.sandbox.services.codepipeline.world import World, approval_stage, build_stage
from tests.waiting import FOREVER

pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--window-size=1280,1600",
)
HOSTILE = "<img src=x onerror=document.title='taken'>"


class Tab:
    """One page of a headless browser."""

    def __init__(self, process: subprocess.Popen, send: int, receive: int) -> None:
        self._process, self._send, self._receive = process, send, receive
        self._count, self._rest, self.messages = 0, b"", []
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters):
        self._count += 1
        request = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._send, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + FOREVER
        while time.monotonic() < deadline:
            message = self._next()
            if message.get("id") == self._count:
                assert "error" not in message, message
                return message["result"]
            self.messages.append(message)
        raise AssertionError(f"no answer to {method}")

    def _next(self) -> dict:
        while b"\0" not in self._rest:
            block = os.read(self._receive, 1 << 20)
            assert block, "the browser has ended"
            self._rest += block
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def run(self, expression: str):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def text(self, section: str) -> str:
        return self.run(f"document.getElementById({section!r})?.innerText ?? ''")

    def wait(self, section: str, *words: str) -> str:
        deadline = time.monotonic() + FOREVER
        while time.monotonic() < deadline:
            shown = self.text(section)
            if all(word in shown for word in words):
                return shown
            time.sleep(0.1)
        raise AssertionError(f"{section}: expected {words}, the page shows:\n{shown}")

    def picture(self, path: Path) -> None:
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """A new browser with nothing of a person's own."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: install one of {', '.join(NAMES)}")
    to_read, send = os.pipe()
    receive, to_write = os.pipe()
    # bash's own redirections put the pipes where the browser looks for them.
    process = subprocess.Popen(
        [
            "bash",
            "-c",
            f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}',
            found,
            *FLAGS,
            f"--user-data-dir={folder}",
        ],
        pass_fds=(to_read, to_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(to_write)
    try:
        yield Tab(process, send, receive)
    finally:
        os.close(send)  # its end of the pipe is the end of the browser
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(receive)


@pytest.fixture
def page(sandbox: Sandbox):
    opened = Organisation(
        folder=str(sandbox.folder),
        endpoint=sandbox.endpoint_url,
        accounts=list(sandbox.accounts),
        region=sandbox.region,
    )
    started = start(opened)
    yield started
    with contextlib.suppress(Exception):
        started.stop()


@pytest.fixture
def tab(page, tmp_path):
    with browser(tmp_path / "browser") as opened:
        opened.call("Page.navigate", url=page.url)
        deadline = time.monotonic() + FOREVER
        while opened.run("document.getElementById('freshness')?.textContent") != "live":
            assert time.monotonic() < deadline, opened.messages
            time.sleep(0.1)
        yield opened


def register(sandbox, bucket, metrics):
    client = sandbox.client("sagemaker")
    with contextlib.suppress(client.exceptions.ClientError):
        client.create_model_package_group(ModelPackageGroupName="spam-build")
    uri = bucket.put("metrics.json", json.dumps(metrics))
    return client.create_model_package(
        ModelPackageGroupName="spam-build",
        ModelApprovalStatus="PendingManualApproval",
        ModelMetrics={"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": uri}}},
    )["ModelPackageArn"]


def test_the_page_shows_the_state_and_then_the_next_one_by_itself(tab, sandbox, bucket):
    assert "No model package" in tab.text("packages")
    arn = register(sandbox, bucket, {"classification_metrics": {"accuracy": {"value": 0.9312}}})
    shown = tab.wait("packages", "spam-build version 1", "Pending approval")
    assert "accuracy" in shown and "0.9312" in shown
    assert "mlops-sandbox approve spam-build/1" in tab.wait("approvals", "spam-build/1")
    assert tab.run("document.title") == "(1) mlops-sandbox"
    sandbox.client("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    assert "Pending" not in tab.wait("packages", "Approved")
    assert tab.run("document.getElementById('approvals').hidden")
    assert tab.run("performance.getEntriesByType('navigation').length") == 1  # it was never loaded again


def test_events_appear(tab, sandbox):
    emit(
        sandbox.accounts[0],
        sandbox.region,
        "aws.s3",
        "Object Created",
        {"bucket": {"name": "b"}, "object": {"key": "k"}},
    )
    tab.wait("events", "aws.s3", "Object Created", "no rule")


def test_what_others_have_written_is_shown_and_not_run(tab, sandbox, bucket):
    register(sandbox, bucket, {HOSTILE: {"value": 1}})
    assert HOSTILE in tab.wait("packages", "onerror")
    assert tab.run("document.images.length") == 0
    assert "taken" not in tab.run("document.title")


def test_the_browser_finds_nothing_to_complain_about(tab, sandbox, bucket):
    register(sandbox, bucket, {"accuracy": 0.5})
    tab.wait("packages", "0.5")
    complaints = [
        m["params"] for m in tab.messages if m.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")
    ]
    assert complaints == []
    asked = {
        m["params"]["request"]["url"] for m in tab.messages if m.get("method") == "Network.requestWillBeSent"
    }
    page = tab.run("location.href")
    assert asked <= {page, page + "overview.json", "data:,"}


def test_an_approval_leads_to_its_report_which_may_do_nothing(tab, page, sandbox, bucket):
    bucket.put("1/report.html", f"<h1>all is well</h1><script>document.title='taken'</script>{HOSTILE}")
    link = f"https://{sandbox.region}.console.aws.amazon.com/s3/object/{bucket.name}?prefix=1/report.html"
    world = World(sandbox)
    world.put(text="x")
    world.project("build", "true")
    world.make(
        approval_stage(CustomData="spam-build/3 is ready", ExternalEntityLink=link),
        build_stage("Build", "build"),
    )
    world.token()
    shown = tab.wait("approvals", "spam-build/3 is ready", "mlops-sandbox approve delivery/Approve/Person")
    assert "report" in shown
    path = tab.run("document.querySelector('#approvals a').getAttribute('href')")
    assert path == f"/objects/{sandbox.accounts[0]}/{bucket.name}/1/report.html"
    tab.run("document.querySelector('#approvals a').click()")
    deadline = time.monotonic() + FOREVER
    while tab.run("document.querySelector('h1')?.textContent") != "all is well":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert tab.run("document.title") != "taken"
    assert tab.run("self.origin") == "null"  # a document of its own: it cannot read the page beside it


def test_an_approvals_link_that_is_no_address_is_text(tab, sandbox):
    world = World(sandbox)
    world.put(text="x")
    world.project("build", "true")
    world.make(approval_stage(ExternalEntityLink="javascript:alert(1)"), build_stage("Build", "build"))
    tab.wait("approvals", "javascript:alert(1)")
    assert tab.run("document.querySelectorAll('#approvals a').length") == 0


def test_alarms_and_endpoints_have_their_parts(tab, sandbox):
    assert "No alarm is set" in tab.wait("alarms", "No alarm")
    assert "No endpoint serves" in tab.text("endpoints")
    client = sandbox.client("cloudwatch")
    client.put_metric_alarm(
        AlarmName="router-errors",
        MetricName="Errors",
        Namespace="Router",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    client.put_metric_data(Namespace="Router", MetricData=[{"MetricName": "Errors", "Value": 3}])
    assert "Threshold Crossed" in tab.wait("alarms", "router-errors", "In alarm")


def test_headings_and_tables_are_real(tab, sandbox, bucket):
    register(sandbox, bucket, {"accuracy": 0.5})
    tab.wait("packages", "0.5")
    headings = tab.run("[...document.querySelectorAll('h1, h2')].map(each => each.textContent)")
    assert headings[0] == "mlops-sandbox" and "Model packages" in headings
    assert tab.run(
        "[...document.querySelectorAll('table')].every(each => each.querySelector('th[scope=col]'))"
    )
    reached = "[...document.querySelectorAll('a, [tabindex=\"0\"]')]"
    assert tab.run(f"{reached}.filter(each => !each.innerText && !each.ariaLabel).length") == 0


def test_scroll_and_focus_stay_where_they_are_when_something_changes(tab, sandbox, bucket):
    tab.call("Emulation.setDeviceMetricsOverride", width=320, height=400, deviceScaleFactor=1, mobile=False)
    register(sandbox, bucket, {"accuracy": 0.5})
    tab.wait("packages", "0.5")
    tab.run("document.querySelector('#packages .scroll').focus()")
    tab.run("document.querySelector('#packages .scroll').scrollLeft = 40")
    tab.run("window.scrollTo(0, 150)")
    register(sandbox, bucket, {"accuracy": 0.6})
    tab.wait("packages", "version 2")
    assert tab.run("window.scrollY") == 150
    assert tab.run("document.querySelector('#packages .scroll').scrollLeft") == 40
    assert tab.run("document.activeElement.getAttribute('aria-label')") == "Model packages"


def test_a_hidden_page_asks_nothing(tab, page, sandbox):
    hide = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => %s});"
    tab.run(hide % "true" + "document.dispatchEvent(new Event('visibilitychange'))")
    tab.run("self.asked = 0; self.real = self.fetch")
    tab.run("self.fetch = (...given) => { self.asked++; return real(...given); }")
    count = "self.asked"
    before = tab.run(count)
    time.sleep(2.5)
    assert tab.run(count) == before
    tab.run(hide % "false" + "document.dispatchEvent(new Event('visibilitychange'))")
    deadline = time.monotonic() + FOREVER
    while tab.run(count) == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_sandbox_that_has_ended_is_said(tab, page):
    page.stop()
    deadline = time.monotonic() + FOREVER
    while "no answer" not in tab.run("document.getElementById('freshness').textContent"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
