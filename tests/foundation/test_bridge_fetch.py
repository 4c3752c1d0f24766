"""The queue's function: the archive of the commit, whole and once, or a failure of that message alone."""

import base64
import hashlib
import io
import json
import zipfile

import pytest
from bitbucket_data_center import BitbucketDataCenter

from tests.waiting import FOREVER

KEY = "email-router/main.zip"


def message(commit, branch="main", repository="email-router", project="ML"):
    return {
        "repository": repository,
        "project": project,
        "branch": branch,
        "commit": commit,
        "request_id": "request-1",
    }


@pytest.fixture
def handle(fetch, sqs_event, context):
    """Handles messages; returns the ids of those that failed."""

    def run(*messages, seconds=FOREVER):
        answer = fetch.handler(sqs_event(*messages), context(seconds))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    return run


@pytest.fixture
def said(capsys):
    """What the function has logged since the last question."""

    def read():
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return read


def reason(lines):
    return next(line["reason"] for line in lines if line["message"] == "failed")


def names(aws, key=KEY):
    content = aws.client("s3").get_object(Bucket=aws.bucket, Key=key)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {entry: archive.read(entry).decode() for entry in archive.namelist()}


def commit_of(aws, key=KEY):
    return aws.client("s3").head_object(Bucket=aws.bucket, Key=key)["Metadata"]["commit"]


def test_the_archive_is_written_with_its_commit_its_summary_and_the_key(handle, aws, clone):
    commit = clone.commit(
        "Réglage du modèle → v2", **{"a.txt": "1", ".gitattributes": "c export-subst", "c": "$Format:%H$"}
    )
    clone.push()
    assert handle(message(commit)) == []
    found = aws.client("s3").head_object(Bucket=aws.bucket, Key=KEY, ChecksumMode="ENABLED")
    assert found["Metadata"] == {
        "commit": commit,
        "codepipeline-artifact-revision-summary": f"{commit[:12]} Reglage du modele ? v2",
    }
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", aws.key_arn)
    content = aws.client("s3").get_object(Bucket=aws.bucket, Key=KEY)["Body"].read()
    assert found["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(content).digest()).decode()
    # the files are at the top, and git has put the commit where .gitattributes asks for it
    assert names(aws) == {"a.txt": "1", ".gitattributes": "c export-subst", "c": commit}


def test_a_branch_keeps_its_case_and_its_slashes(handle, aws, clone):
    commit = clone.commit("One")
    branch = "feature/ABC-1/Étude+été %41&x=#1"
    clone.git("checkout", "--quiet", "-b", branch.replace(" ", "_"))
    branch = branch.replace(" ", "_")
    clone.push(branch)
    assert handle(message(commit, branch)) == []
    assert aws.objects() == [f"email-router/{branch}.zip"]
    assert commit_of(aws, f"email-router/{branch}.zip") == commit


def test_a_message_that_comes_twice_writes_once(handle, aws, clone):
    commit = clone.commit("One")
    clone.push()
    assert handle(message(commit), message(commit)) == []
    assert handle(message(commit)) == []
    assert aws.versions(KEY) == 1


def test_an_old_event_does_not_put_a_branch_back(handle, aws, clone, said):
    old = clone.commit("Old")
    clone.push()
    assert handle(message(old)) == []
    new = clone.commit("New")
    clone.push()
    assert handle(message(new)) == []
    said()
    assert handle(message(old)) == []
    assert "moved on" in said()[-1]["message"]
    assert (commit_of(aws), aws.versions(KEY)) == (new, 2)


def test_a_commit_that_never_was_the_branchs_is_not_fetched(handle, aws, clone):
    commit = clone.commit("Main")
    clone.push()
    clone.git("checkout", "--quiet", "-b", "other")
    other = clone.commit("Other")
    clone.push("other")
    assert handle(message(other)) == []
    assert aws.objects() == []
    assert handle(message(commit)) == []


def test_a_branch_that_was_forced_back_is_written_again(handle, aws, clone):
    first = clone.commit("First")
    clone.push()
    assert handle(message(first)) == []
    second = clone.commit("Second")
    clone.push()
    assert handle(message(second)) == []
    clone.push("--force", f"{first}:refs/heads/main")
    assert handle(message(first)) == []
    assert commit_of(aws) == first


def test_an_event_of_a_branch_that_is_gone_does_nothing(handle, aws, clone):
    commit = clone.commit("One")
    clone.push("main", "main:short-lived")
    clone.push(":short-lived")
    assert handle(message(commit, "short-lived")) == []
    assert aws.objects() == []


def test_the_archive_is_of_the_commit_and_not_of_the_branch_that_moves_meanwhile(
    handle, fetch, aws, clone, monkeypatch
):
    """The branch moves after Bitbucket was asked for its newest commit."""
    first = clone.commit("First", **{"a.txt": "first"})
    clone.push()
    ask = fetch.Bitbucket.head

    def head_then_push(self, *names):
        found = ask(self, *names)
        clone.commit("Second", **{"a.txt": "second"})
        clone.push()
        return found

    monkeypatch.setattr(fetch.Bitbucket, "head", head_then_push)
    assert handle(message(first)) == []
    assert names(aws) == {"a.txt": "first"}
    assert commit_of(aws) == first


@pytest.mark.parametrize("written_before", [False, True])
def test_of_two_functions_that_overlap_the_older_commit_loses(
    handle, fetch, aws, clone, monkeypatch, said, written_before
):
    """While the archive of the first is on the way, the second is pushed, fetched and written."""
    if written_before:
        before = clone.commit("Before")
        clone.push()
        assert handle(message(before)) == []
    first = clone.commit("First")
    clone.push()
    download = fetch.Bitbucket.download
    second = []

    def slow_download(self, project, repository, commit, into, limit):
        digest = download(self, project, repository, commit, into, limit)
        if not second:
            second.append(clone.commit("Second"))
            clone.push()
            assert handle(message(second[0])) == []
        return digest

    monkeypatch.setattr(fetch.Bitbucket, "download", slow_download)
    assert handle(message(first)) == ["message-0"]
    assert "another event wrote it" in reason(said())
    assert commit_of(aws) == second[0]
    # the queue gives the message again: by now the branch has moved on
    assert handle(message(first)) == []
    assert commit_of(aws) == second[0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_bitbucket_that_is_down_fails_that_message_alone(handle, aws, bitbucket, clone, said, status):
    commit = clone.commit("One")
    clone.push("main", "main:other")
    bitbucket.faults.status, bitbucket.faults.times = status, 1
    assert handle(message(commit), message(commit, "other")) == ["message-0"]
    assert f"not able to answer now ({status})" in reason(said())
    assert aws.objects() == ["email-router/other.zip"]
    assert handle(message(commit)) == []
    assert commit_of(aws) == commit


@pytest.mark.parametrize(("status", "words"), [(401, "token"), (403, "permission"), (404, "still there")])
@pytest.mark.parametrize("where", ["api", "archive"])
def test_a_refusal_says_what_to_do(handle, aws, bitbucket, clone, said, status, words, where):
    commit = clone.commit("One")
    clone.push()
    bitbucket.faults.status, bitbucket.faults.where = status, where
    assert handle(message(commit)) == ["message-0"]
    assert f"({status})" in reason(lines := said())
    assert words in reason(lines)
    assert aws.objects() == []


def test_a_repository_that_is_gone_is_an_error_and_not_a_branch_that_is_gone(handle, clone, said):
    commit = clone.commit("One")
    clone.push()
    assert handle(message(commit, repository="other")) == ["message-0"]
    assert "(404)" in reason(said())


def test_a_revoked_token_is_refused_and_a_new_one_is_read(handle, aws, bitbucket, clone, said):
    commit = clone.commit("One")
    clone.push()
    secrets = aws.client("secretsmanager")
    value = json.loads(secrets.get_secret_value(SecretId="mlops/bitbucket/token")["SecretString"])
    bitbucket.revoke(value["token"])
    assert handle(message(commit)) == ["message-0"]
    assert "(401)" in reason(said())
    value["token"] = bitbucket.add_token("READ")
    secrets.put_secret_value(SecretId="mlops/bitbucket/token", SecretString=json.dumps(value))
    assert handle(message(commit)) == []


@pytest.mark.parametrize("where", ["api", "archive"])
def test_a_sign_in_page_is_called_one_and_never_written(handle, aws, bitbucket, clone, said, where):
    commit = clone.commit("One")
    clone.push()
    bitbucket.faults.sign_in_page, bitbucket.faults.where = True, where
    assert handle(message(commit)) == ["message-0"]
    assert "sign-in page" in reason(said())
    assert aws.objects() == []


def test_a_sign_in_page_that_is_called_an_archive_is_seen_too(handle, aws, bitbucket, clone, said):
    commit = clone.commit("One")
    clone.push()
    bitbucket.faults.archive_body = b"<!DOCTYPE html><html><body>Log in</body></html>"
    assert handle(message(commit)) == ["message-0"]
    assert "sign-in page" in reason(said())
    assert aws.objects() == []


def test_a_redirect_is_not_followed_and_the_token_stays(handle, aws, bitbucket, clone, said, tmp_path):
    commit = clone.commit("One")
    clone.push()
    with BitbucketDataCenter(tmp_path / "elsewhere") as elsewhere:
        bitbucket.faults.sign_in_redirect = elsewhere.url + "/login"
        assert handle(message(commit)) == ["message-0"]
        assert elsewhere.requests == []
    assert "redirects (302)" in reason(said())


def test_an_archive_that_is_too_large_is_not_written(handle, aws, bitbucket, clone, said):
    commit = clone.commit("One")
    clone.push()
    bitbucket.faults.archive_bytes = 1_200_000
    assert handle(message(commit)) == ["message-0"]
    assert "larger than 1000000 bytes" in reason(said())
    bitbucket.faults.archive_bytes = 900_000
    assert handle(message(commit)) == []


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "expected a zip archive"),
        (b"\x1f\x8b not a zip", "expected a zip archive"),
        (zipped(), "no files"),
        (zipped(a="text of a file").replace(b"text of", b"xxxx of"), "damaged"),
    ],
)
def test_what_is_not_a_whole_zip_is_not_written(handle, aws, bitbucket, clone, said, body, words):
    commit = clone.commit("One")
    clone.push()
    bitbucket.faults.archive_body = body
    assert handle(message(commit)) == ["message-0"]
    assert words in reason(said())
    assert aws.objects() == []


def test_the_archive_of_another_commit_is_not_written(handle, aws, bitbucket, clone, said):
    first = clone.commit("First")
    second = clone.commit("Second")
    clone.push()
    bitbucket.faults.archive_of = first
    assert handle(message(second)) == ["message-0"]
    assert f"expected the archive of {second}" in reason(said())


@pytest.mark.parametrize("how", ["length", "chunks"])
def test_an_archive_that_breaks_off_is_not_written(handle, aws, bitbucket, clone, how):
    commit = clone.commit("One")
    clone.push()
    bitbucket.faults.break_off = how
    assert handle(message(commit)) == ["message-0"]
    assert aws.objects() == []


def test_a_bitbucket_that_is_slow_does_not_use_up_the_functions_time(handle, aws, bitbucket, clone, said):
    commit = clone.commit("One")
    clone.push()
    bitbucket.faults.slow_seconds, bitbucket.faults.where = 4.0, "archive"
    assert handle(message(commit), seconds=11.0) == ["message-0"]  # and not its archive, which comes later
    assert "too slow" in reason(said())


def test_an_archive_that_drips_does_not_use_up_the_functions_time(handle, aws, bitbucket, clone, said):
    commit = clone.commit("One")
    clone.push()
    bitbucket.faults.drip = 0.2
    assert handle(message(commit), seconds=11.0) == ["message-0"]  # and not its archive, which comes later
    assert "too slow" in reason(said())


def test_when_time_is_up_the_rest_of_the_batch_comes_again(handle, bitbucket, clone):
    commit = clone.commit("One")
    clone.push()
    asked = len(bitbucket.requests)
    assert handle(message(commit), message(commit, "other"), seconds=5.0) == ["message-0", "message-1"]
    assert len(bitbucket.requests) == asked


def test_a_bitbucket_that_is_not_there_fails_the_message(handle, fetch, monkeypatch, said):
    monkeypatch.setenv("BITBUCKET_URL", "https://localhost:9")
    assert handle(message("a" * 40)) == ["message-0"]
    assert "no connection to Bitbucket" in reason(said())


def test_a_certificate_of_an_unknown_authority_is_refused(handle, aws, bitbucket, clone, said):
    commit = clone.commit("One")
    clone.push()
    value = json.dumps({"token": bitbucket.add_token("READ")})
    aws.client("secretsmanager").put_secret_value(SecretId="mlops/bitbucket/token", SecretString=value)
    asked = len(bitbucket.requests)
    assert handle(message(commit)) == ["message-0"]
    assert "certificate is not trusted" in reason(said())
    assert len(bitbucket.requests) == asked


@pytest.mark.parametrize("url", ["http://localhost:1", "https://", "localhost", "https://user@localhost"])
def test_the_token_goes_to_an_https_address_only(handle, monkeypatch, said, url):
    monkeypatch.setenv("BITBUCKET_URL", url)
    assert handle(message("a" * 40)) == ["message-0"]
    assert "BITBUCKET_URL: expected https://" in reason(said())


def test_a_context_path_is_kept(fetch, handle, aws, clone, tmp_path, monkeypatch, context, sqs_event):
    with BitbucketDataCenter(tmp_path / "other", context_path="/bitbucket") as other:
        other.create_project("ML")
        repository = other.create_repository("ML", "email-router")
        commit = clone.commit("One")
        clone.environment |= other.git_environment()
        clone.git("push", "--quiet", repository.clone_url, "main")
        value = json.dumps({"token": other.token, "ca_pem": other.ca_pem})
        aws.client("secretsmanager").put_secret_value(SecretId="mlops/bitbucket/token", SecretString=value)
        monkeypatch.setenv("BITBUCKET_URL", other.url + "/")
        assert handle(message(commit)) == []
    assert commit_of(aws) == commit


@pytest.mark.parametrize(
    "value", [None, "token only: hush", '{"token": ""}', '{"token": 1}', '{"token": "a\\nb"}']
)
def test_a_token_that_nobody_has_put_in_is_asked_for(handle, aws, said, value):
    secrets = aws.client("secretsmanager")
    if value is None:
        secrets.delete_secret(SecretId="mlops/bitbucket/token", ForceDeleteWithoutRecovery=True)
        secrets.create_secret(Name="mlops/bitbucket/token")
    else:
        secrets.put_secret_value(SecretId="mlops/bitbucket/token", SecretString=value)
    assert handle(message("a" * 40)) == ["message-0"]
    assert "mlops/bitbucket/token: " in reason(lines := said())
    assert "hush" not in json.dumps(lines)


@pytest.mark.parametrize(
    "body", ["", "{", "[]", json.dumps(message("main")), json.dumps(message("a" * 40, repository="../x"))]
)
def test_a_message_that_cannot_be_read_fails_alone(handle, aws, clone, body):
    commit = clone.commit("One")
    clone.push()
    assert handle(body, message(commit)) == ["message-0"]
    assert commit_of(aws) == commit


def test_what_is_logged_is_without_the_token(handle, aws, bitbucket, clone, capsys):
    commit = clone.commit("One")
    clone.push()
    token = json.loads(
        aws.client("secretsmanager").get_secret_value(SecretId="mlops/bitbucket/token")["SecretString"]
    )["token"]
    handle(message(commit))
    bitbucket.faults.status = 401
    clone.commit("Two")
    clone.push()
    handle(message(clone.git("rev-parse", "HEAD")))
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [line["message"] for line in lines] == ["started", "written", "started", "failed"]
    assert token not in printed
