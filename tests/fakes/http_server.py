"""A small HTTP server on loopback whose answers are a Python function; servers that cannot be had are made of it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """A request as it came: `path` still quoted, `query` as (name, value) pairs, headers by lower-case name."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def segments(self) -> list[str]:
        return [unquote(part) for part in self.path.split("/") if part]

    def value(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]


@dataclass
class Reply:
    """What to answer. `pieces` are written one by one (a generator may take its time between them)."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] | None = None
    raw: Callable[[socket.socket], None] | None = None  # instead of an HTTP answer


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; header names are given with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **named})


def as_html(text: str = "<html><title>Sign in</title></html>", status: int = 200) -> Reply:
    return Reply(status, text.encode(), {"Content-Type": "text/html; charset=utf-8"})


Answering = Callable[[Request], Reply]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class HttpServer:
    """Serves in threads from `with` to its end; `requests` is what was asked so far, `answer` may be replaced."""

    def __init__(self, answer: Answering, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.answer = answer
        self._scheme = "https" if tls else "http"
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self.hangs = False
        self._server = _Server(("127.0.0.1", port), _handler_of(self))
        if tls is not None:
            # The handshake is made in the request's own thread: one that fails must not stop the server.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> HttpServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> HttpServer:
        self._thread.start()
        return self

    def hang(self) -> None:
        """Take connections and requests from now on and answer none of them, without ending anything."""
        self.hangs = True

    def reply_to(self, request: Request) -> Reply:
        """The answer; nothing, and that at the end only, where the server hangs by now."""
        reply = Reply() if self.hangs else self.answer(request)
        if self.hangs:
            self.stopping.wait()
            return Reply(raw=lambda _connection: None)
        return reply

    def stop(self) -> None:
        self.stopping.set()
        if self._thread.is_alive():  # `shutdown` would wait for ever for a server that was never started
            self._server.shutdown()
        self._server.server_close()
        if self._thread.is_alive():
            self._thread.join(5)


def _handler_of(outer: HttpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # the client has gone: that is what some tests are about
                self.close_connection = True

        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            request = Request(
                self.command,
                parts.path,
                tuple(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): value for name, value in self.headers.items()},
                body,
            )
            outer.requests.append(request)
            self.reply(outer.reply_to(request))

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815 - http.server wants these names

        def reply(self, reply: Reply) -> None:
            if reply.raw is not None:
                reply.raw(self.connection)
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.pieces is None:
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
                return
            self.send_header("Connection", "close")
            self.end_headers()
            for piece in reply.pieces:
                self.wfile.write(piece)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            pass

    return Handler
