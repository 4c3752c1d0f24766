"""The double of Bitbucket behaves as the published API says, so what passes against it means something."""

import hashlib
import hmac
import io
import json
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.waiting import FOREVER

HOST = "abc.execute-api.ca-central-1.amazonaws.com"
REPOSITORIES = "/rest/api/latest/projects/ML/repos"
EMAIL_ROUTER = REPOSITORIES + "/email-router"


def call(bitbucket, method, path, document=None, token=None):
    body = None if document is None else json.dumps(document).encode()
    headers = {"Authorization": f"Bearer {token or bitbucket.token}", "Content-Type": "application/json"}
    asked = urllib.request.Request(bitbucket.url + path, body, headers, method=method)
    tls = ssl.create_default_context(cafile=bitbucket.ca_file)
    try:
        with urllib.request.urlopen(asked, context=tls, timeout=FOREVER) as answer:
            status, kind, content = answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        status, kind, content = error.code, error.headers.get_content_type(), error.read()
    return status, json.loads(content) if kind == "application/json" and content else content


class Receiver(BaseHTTPRequestHandler):
    """Stands for API Gateway: keeps what it is sent, answers 200."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *arguments):
        pass


@pytest.fixture
def receiver(bitbucket):
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.received, server.status = [], 200
    bitbucket.resolve(HOST, f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def add_webhook(bitbucket, **changes):
    webhook = {
        "name": "AWS",
        "url": f"https://{HOST}/bitbucket/email-router",
        "active": True,
        "events": ["repo:refs_changed"],
        "configuration": {"secret": "secret"},
        "sslVerificationRequired": True,
    }
    return call(bitbucket, "POST", EMAIL_ROUTER + "/webhooks", webhook | changes)


def test_a_client_that_does_not_know_its_authority_refuses_it(bitbucket):
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(bitbucket.url, timeout=FOREVER)


def test_a_token_is_needed_and_works_as_bearer_only(bitbucket):
    tls = ssl.create_default_context(cafile=bitbucket.ca_file)
    for header in (None, "Bearer wrong", f"Basic {bitbucket.token}"):
        asked = urllib.request.Request(bitbucket.url + REPOSITORIES)
        if header:
            asked.add_header("Authorization", header)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked, context=tls, timeout=FOREVER)
        assert refused.value.code == 401
        refused.value.close()


def test_a_token_that_may_read_may_not_write_or_administer(bitbucket, clone):
    token = bitbucket.add_token("READ")
    assert call(bitbucket, "GET", EMAIL_ROUTER, token=token)[0] == 200
    assert call(bitbucket, "DELETE", EMAIL_ROUTER, token=token)[0] == 401
    clone.commit("One")
    environment = clone.environment | bitbucket.git_environment(token)
    pushed = subprocess.run(
        ["git", "push", "origin", "main"], cwd=clone.folder, env=environment, capture_output=True
    )
    assert pushed.returncode != 0
    assert bitbucket.repository("ML", "email-router").refs() == {}


def test_a_repository_is_made_once(bitbucket):
    wanted = {"name": "Email Router", "scmId": "git", "defaultBranch": "main"}
    status, made = call(bitbucket, "POST", REPOSITORIES, wanted)
    assert status == 201
    assert made["slug"] == "email-router"
    assert made["project"]["key"] == "ML"
    assert made["links"]["clone"] == [{"href": f"{bitbucket.url}/scm/ml/email-router.git", "name": "http"}]
    status, refused = call(bitbucket, "POST", REPOSITORIES, wanted)
    assert status == 409
    assert refused["errors"][0]["exceptionName"].endswith("DuplicateEntityException")
    assert call(bitbucket, "GET", EMAIL_ROUTER)[1] == made
    assert call(bitbucket, "DELETE", EMAIL_ROUTER)[0] == 202
    status, missing = call(bitbucket, "GET", EMAIL_ROUTER)
    assert status == 404
    assert missing["errors"][0]["exceptionName"].endswith("NoSuchRepositoryException")


def test_a_repository_in_a_project_that_is_not_there_is_not_found(bitbucket):
    status, _ = call(bitbucket, "POST", "/rest/api/latest/projects/NO/repos", {"name": "a"})
    assert status == 404


def test_branches_and_commits_are_those_that_were_pushed(bitbucket, clone):
    first = clone.commit("First")
    second = clone.commit("Second\n\nwith a body")
    clone.push("main", "main:feature/A")
    _, branches = call(bitbucket, "GET", EMAIL_ROUTER + "/branches?filterText=feature")
    assert [(b["displayId"], b["latestCommit"]) for b in branches["values"]] == [("feature/A", second)]
    _, one = call(bitbucket, "GET", EMAIL_ROUTER + "/branches?limit=1")
    assert (one["size"], one["isLastPage"], one["nextPageStart"]) == (1, False, 1)
    _, commits = call(bitbucket, "GET", EMAIL_ROUTER + "/commits?until=refs%2Fheads%2Ffeature%2FA")
    assert [commit["id"] for commit in commits["values"]] == [second, first]
    assert commits["values"][0]["message"] == "Second\n\nwith a body"
    status, missing = call(bitbucket, "GET", EMAIL_ROUTER + "/commits?until=refs%2Fheads%2Fgone")
    assert status == 404
    assert missing["errors"][0]["exceptionName"].endswith("commit.NoSuchCommitException")


def test_the_archive_of_a_commit_is_gits_own_with_the_files_at_the_top(bitbucket, clone):
    attributes = {".gitattributes": ".commit export-subst\n", ".commit": "$Format:%H$\n"}
    first = clone.commit("First", **attributes, **{"a.txt": "first"})
    clone.commit("Second", **{"a.txt": "second"})
    clone.push()
    status, content = call(bitbucket, "GET", f"{EMAIL_ROUTER}/archive?at={first}&format=zip")
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert sorted(archive.namelist()) == [".commit", ".gitattributes", "a.txt"]
        assert archive.read("a.txt") == b"first"
        assert archive.read(".commit").decode().strip() == first


def test_what_was_pushed_can_be_cloned(bitbucket, clone, tmp_path):
    commit = clone.commit("Large", **{"large.bin": "0123456789abcdef" * 200_000})
    clone.git("-c", "http.postBuffer=1000", "push", "--quiet", "origin", "main")
    clone.git(
        "clone", "--quiet", bitbucket.repository("ML", "email-router").clone_url, str(tmp_path / "again")
    )
    clone.folder = tmp_path / "again"
    assert clone.git("rev-parse", "HEAD") == commit


def test_a_push_sends_one_signed_event_with_every_change(bitbucket, clone, receiver):
    assert add_webhook(bitbucket)[0] == 201
    first = clone.commit("First")
    clone.push("main", "main:feature/A", "main:refs/tags/v1")
    second = clone.commit("Second")
    clone.push("main", ":feature/A")
    bitbucket.settle()
    (path, headers, body), (_, _, later) = receiver.received
    assert path == "/bitbucket/email-router"
    assert headers["Host"] == HOST
    assert headers["X-Event-Key"] == "repo:refs_changed"
    assert len(headers["X-Request-Id"]) == 36
    expected = "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    assert headers["X-Hub-Signature"] == expected
    event = json.loads(body)
    assert (event["repository"]["slug"], event["repository"]["project"]["key"]) == ("email-router", "ML")
    seen = [(c["ref"]["id"], c["ref"]["type"], c["type"], c["toHash"]) for c in event["changes"]]
    assert seen == [
        ("refs/heads/feature/A", "BRANCH", "ADD", first),
        ("refs/heads/main", "BRANCH", "ADD", first),
        ("refs/tags/v1", "TAG", "ADD", first),
    ]
    assert [(c["type"], c["fromHash"], c["toHash"]) for c in json.loads(later)["changes"]] == [
        ("DELETE", first, "0" * 40),
        ("UPDATE", first, second),
    ]
    assert [delivery.status for delivery in bitbucket.deliveries] == [200, 200]


def test_a_test_of_a_webhook_sends_an_unsigned_ping(bitbucket, clone, receiver):
    status, answer = call(bitbucket, "POST", f"{EMAIL_ROUTER}/webhooks/test?url=https%3A%2F%2F{HOST}%2Fx")
    assert (status, answer["result"]["outcome"]) == (200, "SUCCESS")
    [(_, headers, body)] = receiver.received
    assert headers["X-Event-Key"] == "diagnostics:ping"
    assert "X-Hub-Signature" not in headers
    assert json.loads(body) == {"test": True}


def test_a_webhook_is_listed_changed_and_deleted_and_keeps_its_secret_to_itself(bitbucket, clone):
    _, made = add_webhook(bitbucket)
    path = f"{EMAIL_ROUTER}/webhooks/{made['id']}"
    _, listed = call(bitbucket, "GET", EMAIL_ROUTER + "/webhooks")
    assert listed["values"] == [made]
    assert "secret" not in json.dumps(listed["values"][0]["configuration"])
    changed = {**made, "name": "Other", "configuration": {"secret": "new"}}
    assert call(bitbucket, "PUT", path, changed)[1]["name"] == "Other"
    assert call(bitbucket, "DELETE", path)[0] == 204
    assert call(bitbucket, "GET", path)[0] == 404
    assert add_webhook(bitbucket, url="no url")[0] == 400


def test_a_webhook_that_fails_five_times_is_skipped(bitbucket, clone, receiver):
    add_webhook(bitbucket)
    receiver.status = 500
    for number in range(7):
        clone.commit(f"Commit {number}")
        clone.push()
    assert [delivery.status for delivery in bitbucket.settle()] == [500] * 5


def test_branch_permissions_are_kept(bitbucket, clone):
    path = "/rest/branch-permissions/latest/projects/ML/repos/email-router/restrictions"
    matcher = {"id": "refs/heads/main", "type": {"id": "BRANCH"}}
    _, made = call(bitbucket, "POST", path, {"type": "no-deletes", "matcher": matcher})
    assert made["matcher"]["displayId"] == "main"
    assert call(bitbucket, "GET", path)[1]["values"] == [made]
    assert call(bitbucket, "POST", path, {"type": "no-deletes"})[0] == 400
    assert call(bitbucket, "DELETE", f"{path}/{made['id']}")[0] == 204


def test_it_can_be_unavailable_for_some_requests(bitbucket, clone):
    bitbucket.faults.status, bitbucket.faults.times = 503, 1
    assert call(bitbucket, "GET", EMAIL_ROUTER)[0] == 503
    assert call(bitbucket, "GET", EMAIL_ROUTER)[0] == 200
