"""HTTP APIs: a request at the API's own name reaches its function."""

import base64
import json
import urllib.error
import urllib.request

import pytest

from mlops_workbench.sandbox.services.apigateway import payloads
from mlops_workbench.sandbox.services.apigateway.payloads import match
from tests.sandbox.services.events.support import ACCOUNT, REGION, make_function

ECHO = """
import json
def handler(event, context):
    if event["rawPath"].endswith("/raise"):
        raise ValueError
    if event["rawPath"].endswith("/plain"):
        return {"no": "status"}
    return {"statusCode": 201, "headers": {"x-answer": "yes", "content-type": "application/json"},
            "body": json.dumps(event)}
"""


class Api:
    """An HTTP API with a function behind `POST /hook/{name}`."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.client = sandbox.client("apigatewayv2")
        self.function = make_function(sandbox, ECHO)
        self.id = self.client.create_api(Name="api", ProtocolType="HTTP")["ApiId"]
        self.integration = self.client.create_integration(
            ApiId=self.id, IntegrationType="AWS_PROXY", IntegrationUri=self.function,
            PayloadFormatVersion="2.0",
        )["IntegrationId"]  # fmt: skip
        target = f"integrations/{self.integration}"
        self.client.create_route(ApiId=self.id, RouteKey="POST /hook/{name}", Target=target)
        sandbox.client("logs").create_log_group(logGroupName="/api")
        log = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/api"
        format_ = "$context.httpMethod $context.routeKey $context.status $context.none"
        self.client.create_stage(
            ApiId=self.id, StageName="$default", AutoDeploy=True,
            AccessLogSettings={"DestinationArn": log, "Format": format_},
        )  # fmt: skip

    def admit(self, path="*/POST/hook/{name}"):
        self.sandbox.client("lambda").add_permission(
            FunctionName=self.function, StatementId="api", Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{self.id}/{path}",
        )  # fmt: skip

    @property
    def host(self):
        return f"{self.id}.execute-api.{REGION}.amazonaws.com"

    def send(self, path, body=b"{}", by_path=False, method="POST", **headers):
        where = f"/_execute-api/{self.id}{path}" if by_path else path
        headers = {"Content-Type": "application/json", **headers}
        if not by_path:
            headers["Host"] = self.host
        request = urllib.request.Request(self.sandbox.endpoint_url + where, body, headers, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.headers, json.loads(error.read() or b"null")

    def log(self):
        found = self.sandbox.client("logs").filter_log_events(logGroupName="/api")["events"]
        return [entry["message"] for entry in found]


@pytest.fixture
def api(sandbox):
    return Api(sandbox)


def test_a_function_gets_the_request_in_payload_format_2(api):
    api.admit()
    headers = {"X-Hub-Signature": "sha256=Ab", "Cookie": "a=1; b=2"}
    body = b'{"exact":  "bytes \xc3\xbc"}'
    status, answered, event = api.send("/hook/my%20repo?x=1&x=2&y=", body, **headers)
    assert (status, answered["x-answer"]) == (201, "yes")
    assert event["version"] == "2.0"
    assert (event["routeKey"], event["rawPath"]) == ("POST /hook/{name}", "/hook/my%20repo")
    assert event["pathParameters"] == {"name": "my repo"}
    assert (event["rawQueryString"], event["queryStringParameters"]) == ("x=1&x=2&y=", {"x": "1,2", "y": ""})
    assert event["headers"]["x-hub-signature"] == "sha256=Ab"
    assert (event["cookies"], "cookie" in event["headers"]) == (["a=1", "b=2"], False)
    assert (event["body"], event["isBase64Encoded"]) == (body.decode(), False)
    context = event["requestContext"]
    assert (context["stage"], context["apiId"], context["domainName"]) == ("$default", api.id, api.host)
    assert context["http"]["method"] == "POST"
    assert context["http"]["path"] == "/hook/my%20repo"


def test_a_body_that_is_no_text_is_in_base_64(api):
    api.admit()
    _, _, event = api.send("/hook/a", b"\x00\xff", **{"Content-Type": "application/octet-stream"})
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, b"\x00\xff")


def test_the_sandboxs_own_address_reaches_the_api_too(api):
    api.admit()
    status, _, event = api.send("/hook/a", by_path=True)
    assert (status, event["rawPath"], event["pathParameters"]) == (201, "/hook/a", {"name": "a"})


@pytest.mark.parametrize(("path", "method"), [("/other", "POST"), ("/hook/a/b", "POST"), ("/hook/a", "PUT")])
def test_what_no_route_takes_is_not_found(api, path, method):
    api.admit()
    status, _, body = api.send(path, method=method)
    assert (status, body) == (404, {"message": "Not Found"})


def test_an_unknown_api_is_not_found(api):
    api.id = "none"
    assert api.send("/hook/a")[0] == 404


def test_a_function_that_does_not_admit_the_api_is_not_called(api):
    status, _, body = api.send("/hook/a")
    assert (status, body) == (500, {"message": "Internal Server Error"})
    api.admit("*/POST/other/{name}")
    assert api.send("/hook/a")[0] == 500


def test_an_error_of_the_function_is_not_shown_to_the_client(api):
    api.admit()
    status, _, body = api.send("/hook/raise")
    assert (status, body) == (500, {"message": "Internal Server Error"})


def test_an_answer_without_a_status_is_the_body(api):
    api.admit()
    status, headers, body = api.send("/hook/plain")
    assert (status, headers["content-type"], body) == (200, "application/json", {"no": "status"})


def test_each_request_is_in_the_access_log(api):
    api.admit()
    api.send("/hook/a")
    api.send("/none")
    assert sorted(api.log()) == ["POST - 404 -", "POST POST /hook/{name} 201 -"]


def test_a_web_page_is_refused(api):
    api.admit()
    request = urllib.request.Request(
        f"{api.sandbox.endpoint_url}/hook/a", b"{}", {"Host": api.host, "Origin": "https://example.org"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403


@pytest.mark.parametrize("host", ["evil.example.org", "x.execute-api.ca-central-1.amazonaws.com.evil.org"])
def test_a_name_that_is_no_api_is_refused(api, host):
    request = urllib.request.Request(f"{api.sandbox.endpoint_url}/hook/a", b"{}", {"Host": host})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/a", "GET /a", {}),
        ("PUT", "/a", "ANY /a", {}),
        ("GET", "/b", "GET /{name}", {"name": "b"}),
        ("GET", "/b/c/d", "GET /{rest+}", {"rest": "b/c/d"}),
        ("DELETE", "/b/c", "$default", {}),
    ],
)
def test_the_most_particular_route_is_taken(method, path, key, parameters):
    keys = ["$default", "GET /{rest+}", "GET /{name}", "ANY /a", "GET /a"]
    found = match(keys, method, path)
    assert (found.key, found.parameters) == (key, parameters)
    assert match(["GET /a"], "POST", "/a") is None


@pytest.mark.parametrize(
    "payload",
    [
        {"statusCode": "many"},
        {"statusCode": 99},
        {"statusCode": 200, "headers": ["x"]},
        {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
        {"statusCode": 200, "body": "%", "isBase64Encoded": True},
    ],
)
def test_an_answer_that_is_none_is_refused(payload):
    with pytest.raises(ValueError):
        payloads.answer(payload)


def test_a_stage_is_changed_and_tagged_as_terraform_does(api):
    client = api.sandbox.client("apigatewayv2")
    arn = f"arn:aws:apigateway:{api.sandbox.region}::/apis/{api.id}/stages/$default"
    client.tag_resource(ResourceArn=arn, Tags={"cost-centre": "42", "gone": "soon"})
    client.untag_resource(ResourceArn=arn, TagKeys=["gone"])
    throttle = {"ThrottlingRateLimit": 5.0, "ThrottlingBurstLimit": 9}
    client.update_stage(ApiId=api.id, StageName="$default", DefaultRouteSettings=throttle)
    stage = client.get_stage(ApiId=api.id, StageName="$default")
    assert stage["Tags"] == {"cost-centre": "42"}
    assert throttle.items() <= stage["DefaultRouteSettings"].items()
