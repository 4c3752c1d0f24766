import io
import json
import re
import sys
import threading
import zipfile

import pytest

from mlops_workbench.sandbox.containers.functions import run_lambda
from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.images import Image, Images

ROLE = "arn:aws:iam::111111111111:role/lambda"


@pytest.fixture
def make_function(sandbox):
    principal = {"Service": "lambda.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sandbox.client("iam").create_role(RoleName="lambda", AssumeRolePolicyDocument=trust)

    def make(files, handler="app.handler", **more):
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        answer = sandbox.client("lambda").create_function(
            FunctionName="resolve", Runtime="python3.12", Role=ROLE, Handler=handler,
            Code={"ZipFile": code.getvalue()}, **more,
        )  # fmt: skip
        return answer["FunctionArn"]

    return make


def test_a_function_gets_its_event_its_variables_and_the_accounts_keys(make_function, jobs):
    code = """
import os, boto3
from package import helper
def handler(event, context):
    print("called")
    account = boto3.client("sts").get_caller_identity()["Account"]
    return {"twice": helper.twice(event["x"]), "variable": os.environ["NAME"], "account": account,
            "function": context.function_name, "time": context.get_remaining_time_in_millis() > 0}
"""
    files = {"app.py": code, "package/__init__.py": "", "package/helper.py": "def twice(x): return 2 * x"}
    arn = make_function(files, Environment={"Variables": {"NAME": "v"}}, Timeout=20)
    answer = run_lambda(arn, {"x": 4}, jobs.context())
    assert answer == {
        "twice": 8, "variable": "v", "account": "111111111111", "function": "resolve", "time": True
    }  # fmt: skip
    assert jobs.lines == ["called"]


def test_what_a_function_prints_is_in_its_log_group(make_function, jobs, sandbox):
    arn = make_function(
        {"app.py": "def handler(e, c):\n    print('seen', e['x'])\n    return {}"}, Timeout=20
    )
    run_lambda(arn, {"x": 4}, jobs.context())
    events = sandbox.client("logs").filter_log_events(logGroupName="/aws/lambda/resolve")["events"]
    assert "seen 4" in [event["message"] for event in events]


@pytest.mark.parametrize(
    ("code", "handler", "reason"),
    [
        ("def handler(e, c): raise KeyError('model')", "app.handler", "KeyError: 'model'"),
        (
            "def handler(e, c): return {'x': object()}",
            "app.handler",
            "Runtime.MarshalError: Unable to marshal",
        ),
        ("def handler(e, c): return [1]", "app.handler", r"expected an object, got \[1\]"),
        (
            "import none_such",
            "app.handler",
            "Runtime.ImportModuleError: Unable to import module 'app': No module",
        ),
        ("def (", "app.handler", "Runtime.UserCodeSyntaxError"),
        ("", "app.other", "Runtime.HandlerNotFound: Handler 'other' missing on module 'app'"),
        ("", "nodot", "Runtime.MalformedHandlerName: Bad handler 'nodot'"),
        ("import os\ndef handler(e, c): os._exit(9)", "app.handler", "Runtime.ExitError: .*exit status 9"),
        (
            "import time\ndef handler(e, c): time.sleep(3600)",
            "app.handler",
            r"Task timed out after 1\.00 seconds",
        ),
    ],
)
def test_a_failure_is_reported_as_lambda_does(make_function, jobs, code, handler, reason):
    arn = make_function({"app.py": code}, handler, Timeout=1 if "timed out" in reason else 600)
    with pytest.raises(JobFailed, match=reason):
        run_lambda(arn, {}, jobs.context())


def test_a_stop_ends_a_call(make_function, jobs):
    code = "import time\ndef handler(e, c): print('called', flush=True); time.sleep(3600)"
    arn = make_function({"app.py": code}, Timeout=600)
    stop = threading.Event()
    context = jobs.context(stop=stop, log=lambda job, line: stop.set())
    with pytest.raises(JobStopped):
        run_lambda(arn, {}, context)


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        ("arn:aws:lambda:ca-central-1:111111111111:function:none", "does not exist"),
        ("none", "expected the ARN of a Lambda function, got 'none'"),
    ],
)
def test_a_function_that_is_not_there_is_named(jobs, arn, message):
    with pytest.raises(JobFailed, match=message):
        run_lambda(arn, {}, jobs.context())


def test_the_python_of_a_runtime_can_be_declared(make_function, jobs, tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "the declared one"\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    arn = make_function({"app.py": "def handler(e, c): return {}"}, Timeout=20)
    images = Images((Image(re.compile(r"lambda/python:3\.12"), python),))
    assert run_lambda(arn, {}, jobs.context(images=images)) == {}
    assert jobs.lines == ["the declared one"]


def test_invoke_through_boto3_runs_the_function(make_function, sandbox):
    make_function(
        {"app.py": "def handler(e, c):\n    if e.get('bad'): raise ValueError('bad')\n    return e"}
    )
    client = sandbox.client("lambda")
    answer = client.invoke(FunctionName="resolve", Payload=b'{"a": [1, "b"]}')
    assert json.loads(answer["Payload"].read()) == {"a": [1, "b"]}
    assert "FunctionError" not in answer
    answer = client.invoke(FunctionName="resolve", Payload=b'{"bad": true}')
    assert answer["FunctionError"]
    error = json.loads(answer["Payload"].read())
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "bad")
