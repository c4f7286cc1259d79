"""A local ingest endpoint that takes Sentry envelopes, remembers them, and fails in every way that a test asks for."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.http_server import HttpServer, Reply, Request

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
    """How to answer: a status, headers, after `delay` seconds."""

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
        self._over = threading.Event()  # nobody waits for a late answer any more
        self._server: HttpServer | None = None
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
        self._over.wait(behaviour.delay)
        with self._lock:
            (self.taken if ok else self.refused).append(taken)
        return behaviour

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def close(self) -> None:
        """Stop for ever, and end the delays of answers."""
        self._over.set()
        self.stop()

    def resume(self) -> None:
        """Listen (again, on the same port)."""
        self._server = HttpServer(self._reply, port=self.port).start()
        self.port = self._server.port

    def _reply(self, request: Request) -> Reply:
        if request.method != "POST":
            return Reply(405, b"Method not allowed")
        if request.path.rstrip("/").endswith("/store"):  # raven, in the benchmarks
            return Reply(200, b'{"id": ""}')
        behaviour = self.answer(
            gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        )
        if behaviour.hang_up:
            return Reply(raw=lambda connection: connection.shutdown(socket.SHUT_RDWR))
        endless = itertools.repeat(b"and so on " * 100) if behaviour.endless else None  # until the client hangs up
        return Reply(behaviour.status, b'{"id": ""}' if behaviour.status < 300 else b"no", behaviour.headers, endless)


@contextmanager
def ingest_server() -> Iterator[IngestServer]:
    """A server for one test."""
    server = IngestServer()
    try:
        yield server
    finally:
        server.close()
