"""The local page of `finecomb annotate serve`: one session on 127.0.0.1, and nothing else on any other address.

A page of another site cannot use it: requests must name this host (so that a name that turns to 127.0.0.1 is refused), and but for the page
itself carry the token that only it holds; the page may load nothing from elsewhere.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from finecomb.core.errors import ConfigError, Problem
from finecomb.labeling.session import Session

HOST = "127.0.0.1"
LARGEST = 1 << 20  # bytes of a request's body
_SECONDS = 30  # a connection that says nothing for so long is closed
_PAGES = {"/": ("index.html", "text/html"), "/page.js": ("page.js", "text/javascript"), "/page.css": ("page.css", "text/css")}
_ROW = re.compile(r"/row/([0-9]{1,9})")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that is not answered: status and reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        self.status = status
        super().__init__(reason)


class Server(ThreadingHTTPServer):
    """Serves a session. port: 0 takes a free one.

    Raises:
        ConfigError: the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, session: Session, *, port: int = 0, suggestions: bool = True) -> None:
        self.session, self.suggestions = session, suggestions
        self.token = secrets.token_urlsafe(24)
        self.pages = {path: (_page(name, self.token), kind) for path, (name, kind) in _PAGES.items()}
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(Problem(f"port {port} cannot be had: {error}", "--port", "0 to 65535; 0 takes a free one")) from error
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that goes away is no error; anything else is shown as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def _page(name: str, token: str) -> bytes:
    return (files("finecomb.labeling") / "page" / name).read_text(encoding="utf-8").replace("{{token}}", token).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "finecomb", ""
    timeout = _SECONDS
    server: Server

    def do_GET(self) -> None:
        self._answered(self._get)

    def do_POST(self) -> None:
        self._answered(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the page says what was saved."""

    def _answered(self, how: Any) -> None:
        try:
            self._check_host()
            body, kind = how()
            status = HTTPStatus.OK
        except Refused as refused:
            body, kind, status = json.dumps({"error": str(refused)}).encode(), "application/json", refused.status
            # What is left of a refused body would be read as the next request.
            self.close_connection = True
        self.send_response(status)
        for name, value in {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body)), **_HEADERS}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _check_host(self) -> None:
        if self.headers.get("Host", "") not in self.server.hosts:
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "this is a page of 127.0.0.1 alone")
        origin = self.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc not in self.server.hosts:
            raise Refused(HTTPStatus.FORBIDDEN, "a page of another site may not ask")

    def _check_token(self) -> None:
        if not secrets.compare_digest(self.headers.get("X-Token", "").encode(), self.server.token.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "the page is of an earlier session: load it again")

    def _get(self) -> tuple[bytes, str]:
        path = urlsplit(self.path).path
        if path in self.server.pages:
            return self.server.pages[path]
        self._check_token()
        session = self.server.session
        if path == "/task":
            task = session.task
            asked = {"labels": list(task.labels), "spans": list(task.spans), "several": task.several, "annotator": session.annotator}
            return _json(asked | {"counts": session.counts(), "next": session.first_open()})
        if (match := _ROW.fullmatch(path)) and int(match[1]) < len(session.rows):
            return _json(self._row(int(match[1])))
        raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _row(self, number: int) -> dict[str, Any]:
        row = self.server.session.shown(number)
        return row if self.server.suggestions else row | {"suggestion": None}

    def _post(self) -> tuple[bytes, str]:
        self._check_token()
        given = self._body()
        session = self.server.session
        try:
            if self.path == "/answer":
                number = given.get("number")
                if isinstance(number, bool) or not isinstance(number, int):
                    raise ValueError("the number of a row is missing")
                session.answer(number, given)
                return _json({"counts": session.counts(), "next": session.first_open(number + 1)})
            if self.path == "/undo":
                return _json({"row": session.undo(), "counts": session.counts()})
        except (ValueError, AttributeError, TypeError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
        except ConfigError as error:
            raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, error.problems[0].what) from error
        except OSError as error:
            raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, f"{session.path} cannot be written: {error.strerror}") from error
        raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _body(self) -> Mapping[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "an answer is JSON")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "the length of the answer is missing")
        if len(length) > 9 or int(length) > LARGEST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an answer has at most {LARGEST:,} bytes")
        try:
            given = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "the answer is not JSON") from error
        if not isinstance(given, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "an answer is an object")
        return given


def _json(value: Any) -> tuple[bytes, str]:
    return json.dumps(value, ensure_ascii=False).encode(), "application/json"
