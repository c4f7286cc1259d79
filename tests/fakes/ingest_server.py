"""A local ingest endpoint that takes Sentry envelopes, remembers them, and fails in every way that a test asks for."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Taken:
    """One envelope as it arrived: its raw (uncompressed) bytes, its header, and (item header, payload) pairs."""

    raw: bytes
    header: dict[str, Any]
    items: tuple[tuple[dict[str, Any], Any], ...]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The error events in it."""
        return [payload for header, payload in self.items if header.get("type") == "event"]


def read_envelope(raw: bytes) -> Taken:
    """Parse an envelope (https://develop.sentry.dev/sdk/data-model/envelopes/)."""
    head, _, rest = raw.partition(b"\n")
    items = []
    while rest:
        line, _, rest = rest.partition(b"\n")
        if not line.strip():
            continue
        header = json.loads(line)
        length = header.get("length")
        if length is None:
            payload, _, rest = rest.partition(b"\n")
        else:
            payload, rest = rest[:length], rest[length:]
        try:
            items.append((header, json.loads(payload)))
        except ValueError:
            items.append((header, payload))
    return Taken(raw, json.loads(head), tuple(items))


@dataclass
class Behaviour:
    """How to answer: a status, headers, after `delay` seconds; `after` an envelope was taken or instead of it."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang_up: bool = False
    endless: bool = False  # the body goes on until the client has had enough


class IngestServer:
    """Listens on loopback from the start; `stop` and `resume` make it unreachable and reachable on the same port."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.refused: list[Taken] = []
        self.requests = 0
        self.behaviour = Behaviour()
        self.decide: Callable[[Taken], Behaviour | None] | None = None  # for one envelope; None: as ever
        self._once: list[Behaviour] = []
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.resume()

    @property
    def dsn(self) -> str:
        return f"http://{KEY}@127.0.0.1:{self.port}/42"

    def events(self) -> list[dict[str, Any]]:
        """All error events that were answered with a success, in the order of arrival."""
        with self._lock:
            return [event for taken in self.taken for event in taken.events]

    def items(self, kind: str) -> list[Any]:
        """The payloads of all items of a type."""
        with self._lock:
            return [payload for taken in self.taken for header, payload in taken.items if header.get("type") == kind]

    def bytes(self) -> bytes:
        """Everything that ever arrived, taken or not."""
        with self._lock:
            return b"\n".join(taken.raw for taken in (*self.taken, *self.refused))

    def next_answers(self, *behaviours: Behaviour) -> None:
        """How the next requests are answered, before `behaviour` applies again."""
        with self._lock:
            self._once.extend(behaviours)

    def answer(self, raw: bytes) -> Behaviour:
        """Note an envelope and say how to answer it."""
        taken = read_envelope(raw)
        with self._lock:
            self.requests += 1
            decided = self.decide(taken) if self.decide is not None else None
            behaviour = decided or (self._once.pop(0) if self._once else self.behaviour)
            ok = 200 <= behaviour.status < 300 and not behaviour.hang_up
        if behaviour.delay:
            time.sleep(behaviour.delay)
        with self._lock:
            (self.taken if ok else self.refused).append(taken)
        return behaviour

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def resume(self) -> None:
        """Listen (again, on the same port)."""
        server = _Server(("127.0.0.1", self.port), _handler(self))
        self.port = server.server_address[1]
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.02,), name="ingest-server", daemon=True).start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about."""


def _handler(owner: IngestServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.rstrip("/").endswith("/store"):  # raven, in the benchmarks
                self.reply(Behaviour())
                return
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            behaviour = owner.answer(body)
            if behaviour.hang_up:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.reply(behaviour)

        def reply(self, behaviour: Behaviour) -> None:
            answer = b'{"id": ""}' if behaviour.status < 300 else b"no"
            self.send_response(behaviour.status)
            for name, value in behaviour.headers.items():
                self.send_header(name, value)
            if not behaviour.endless:
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            self.close_connection = self.close_connection or behaviour.endless
            while behaviour.endless:  # until the client hangs up, which raises
                self.wfile.write(b"and so on " * 100)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class says so
            """Quiet."""

    return Handler


@contextmanager
def ingest_server() -> Iterator[IngestServer]:
    """A server for one test."""
    server = IngestServer()
    try:
        yield server
    finally:
        server.stop()
