"""The server: TLS on loopback, tokens, and which request goes where."""

import json
import os
import re
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qsl, unquote, urlsplit

from bitbucket_data_center import certificates, git, payloads
from bitbucket_data_center.faults import Faults
from bitbucket_data_center.rest import PERMISSIONS, Answer, Request, RestApi, demand
from bitbucket_data_center.store import Project, Refusal, Repository, Store, changes
from bitbucket_data_center.webhooks import Delivery, Sender

SIGN_IN = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>Please sign in</body></html>\n"
TOKEN = "admin-token-of-the-double"


class BitbucketDataCenter:
    """A Bitbucket on loopback, from entering to leaving a `with` statement.

    Args:
        folder: for its git repositories and ca.pem; made if it is not there.
        resolve: where hosts of webhooks really are, e.g.
            {"abc.execute-api.ca-central-1.amazonaws.com": "http://127.0.0.1:5000"}.
        context_path: what the addresses begin with, e.g. "/bitbucket".

    Attributes:
        url: https://localhost:PORT and the context path.
        ca_file: the authority that signed its certificate, for AWS_CA_BUNDLE's and git's likes.
        token: an HTTP access token that may do everything.
        faults: what goes wrong.
    """

    def __init__(
        self, folder: str | os.PathLike[str], resolve: Mapping[str, str] | None = None, context_path: str = ""
    ) -> None:
        self.folder = Path(folder).absolute()
        self.context_path = context_path.rstrip("/")
        self.faults = Faults()
        self.token = TOKEN
        self.requests: list[tuple[str, str]] = []
        self._tokens = {TOKEN: "ADMIN"}
        self._resolve = dict(resolve or {})
        self._store = Store(self.folder)

    def __enter__(self) -> "BitbucketDataCenter":
        """Start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        made = certificates.make()
        self.ca_pem = made.authority
        self.ca_file = self.folder / "ca.pem"
        self.ca_file.write_text(made.authority)
        chain = self.folder / "server.pem"
        chain.touch(mode=0o600)
        chain.write_text(made.server_key + made.server)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(chain)
        self._sender = Sender(self._resolve)
        self._api = RestApi(self._store, self._sender, self.faults)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.bitbucket = self
        self._store.base_url = self.url
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="bitbucket", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; the folder stays."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._sender.stop()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://localhost:{self._server.server_address[1]}{self.context_path}"

    @property
    def deliveries(self) -> list[Delivery]:
        """The webhooks that were sent and answered, oldest first."""
        return list(self._sender.deliveries)

    def settle(self) -> list[Delivery]:
        """Wait until the webhooks of all pushes have been answered, and return the deliveries."""
        self._sender.settle()
        return self.deliveries

    def resolve(self, host: str, to: str) -> None:
        """Say where a host of webhooks really is, e.g. when the sandbox has started."""
        self._sender.resolve[host] = to

    def add_token(self, permission: str) -> str:
        """Make a token that may READ, WRITE or ADMIN every repository."""
        if permission not in PERMISSIONS:
            raise ValueError(f"permission: expected one of {', '.join(PERMISSIONS)}, got {permission!r}")
        token = f"{permission.lower()}-token-{len(self._tokens)}"
        self._tokens[token] = permission
        return token

    def revoke(self, token: str) -> None:
        """Take a token out of use."""
        del self._tokens[token]

    def create_project(self, key: str, name: str | None = None) -> Project:
        """Make a project."""
        return self._store.create_project(key, name)

    def create_repository(self, project: str, name: str, default_branch: str = "main") -> Repository:
        """Make an empty repository."""
        return self._store.create_repository(project, name, default_branch)

    def repository(self, project: str, slug: str) -> Repository:
        """Return a repository."""
        return self._store.repository(project, slug)

    def git_environment(self, token: str | None = None) -> dict[str, str]:
        """Return the variables with which git trusts this server and signs in, without asking anybody."""
        return {
            "GIT_SSL_CAINFO": str(self.ca_file),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.url}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Bearer {token or self.token}",
        }

    def permission(self, authorization: str | None) -> str | None:
        """Return what a request's token permits; a token works as Bearer only."""
        scheme, _, token = (authorization or "").partition(" ")
        return self._tokens.get(token) if scheme == "Bearer" else None

    def pushed(self, repository: Repository, done: Iterable[dict[str, object]]) -> None:
        """Tell the repository's webhooks of a push."""
        entries = list(done)
        if not entries:
            return
        payload = payloads.refs_changed(repository, entries)
        for webhook in list(repository.webhooks.values()):
            if webhook["active"] and "repo:refs_changed" in webhook["events"]:
                self._sender.post(webhook, "repo:refs_changed", payload)


class _Server(ThreadingHTTPServer):
    """A thread for each connection, in which the TLS handshake is made too."""

    daemon_threads = True
    bitbucket: BitbucketDataCenter

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that end a connection: tests do it on purpose."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: _Server

    def setup(self) -> None:
        self.request.settimeout(self.timeout)
        self.request = self.server.bitbucket._tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep quiet."""

    def handle_request(self) -> None:
        bitbucket = self.server.bitbucket
        parts = urlsplit(self.path)
        body = self._body()
        bitbucket.requests.append((self.command, self.path))
        if not parts.path.startswith(bitbucket.context_path + "/"):
            return self._answer(Answer(404, payloads.error("not found", None)))
        path = parts.path.removeprefix(bitbucket.context_path)
        if path.startswith("/rest/"):
            return self._rest(path, parts.query, body)
        found = re.fullmatch(r"/scm/([^/]+)/([^/]+?)\.git(/.*)", path)
        if found:
            return self._git(unquote(found[1]), unquote(found[2]), found[3], parts.query, body)
        return self._page(200, {})

    do_GET = do_POST = do_PUT = do_DELETE = handle_request

    def _rest(self, path: str, query: str, body: bytes) -> None:
        bitbucket, faults = self.server.bitbucket, self.server.bitbucket.faults
        if faults.strike("archive" if path.endswith("/archive") else "api"):
            time.sleep(faults.slow_seconds)
            if faults.sign_in_redirect:
                return self._page(302, {"Location": faults.sign_in_redirect})
            if faults.sign_in_page:
                return self._page(200, {})
            if faults.status:
                return self._answer(Answer(faults.status, payloads.error("A fault of this test", None)))
        permission = bitbucket.permission(self.headers.get("Authorization"))
        fields = dict(reversed(parse_qsl(query, keep_blank_values=True)))
        asked = Request(self.command, unquote(path), fields, body, permission)
        return self._answer(bitbucket._api.answer(asked))

    def _git(self, project: str, slug: str, path: str, query: str, body: bytes) -> None:
        bitbucket = self.server.bitbucket
        push = git.is_push(path, query)
        try:
            demand(bitbucket.permission(self.headers.get("Authorization")), "WRITE" if push else "READ")
            repository = bitbucket.repository(project, slug)
        except Refusal as refusal:
            headers = (
                {"WWW-Authenticate": 'Basic realm="Atlassian Bitbucket"'} if refusal.status == 401 else {}
            )
            return self._answer(
                Answer(refusal.status, payloads.error(refusal.message, refusal.exception), headers=headers)
            )
        with repository.lock:
            before = repository.refs() if push else {}
            answer = git.http_backend(repository, self.command, path, query, dict(self.headers.items()), body)
            done = list(changes(before, repository.refs())) if push else []
        # Before the answer, so that whoever pushed can wait for the webhooks; another thread sends them.
        bitbucket.pushed(repository, done)
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self._end(answer.body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _page(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/html;charset=UTF-8", **headers}.items():
            self.send_header(name, value)
        self._end(SIGN_IN)

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if answer.chunks is None:
            self.send_header("Content-Type", "application/json;charset=UTF-8")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.chunks is None:
            return self._end(b"" if answer.document is None else json.dumps(answer.document).encode())
        if answer.length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(answer.length))
        self.end_headers()
        try:
            for chunk in answer.chunks:
                self.wfile.write(
                    chunk if answer.length is not None else b"%x\r\n%s\r\n" % (len(chunk), chunk)
                )
                self.wfile.flush()
            if answer.length is None:
                self.wfile.write(b"0\r\n\r\n")
        except git.BrokenOff:
            self.close_connection = True

    def _end(self, body: bytes) -> None:
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
