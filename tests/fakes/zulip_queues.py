"""Zulip's event queues and uploads, for the stand-in: zulip.com/api/real-time-events."""

from __future__ import annotations

import threading
import time
import uuid
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.fakes.http_server import Request

HEARTBEAT_SECONDS = 45.0


class EventQueues:
    """Every queue has the events of its types since it was registered; a client waits at one (long polling)."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._changed = threading.Condition()
        self._queues: dict[str, tuple[list[str] | None, list[dict[str, Any]]]] = {}

    @property
    def count(self) -> int:
        """How many queues are registered now: 0 until a client listens."""
        return len(self._queues)

    def register(self, types: list[str] | None) -> str:
        """A new queue for these types of events (None: all); its id."""
        queue = uuid.uuid4().hex
        with self._changed:
            self._queues[queue] = (types, [])
        return queue

    def forget(self) -> None:
        """Every queue is gone, as after ten minutes of silence; what happens meanwhile is lost to the clients."""
        with self._changed:
            self._queues.clear()
            self._changed.notify_all()

    def put(self, event: dict[str, Any]) -> None:
        """Something happened."""
        with self._changed:
            for types, events in self._queues.values():
                if types is None or event["type"] in types:
                    events.append({**event, "id": len(events)})
            self._changed.notify_all()

    def wait(self, queue: str, last: int, *, block: bool = True) -> list[dict[str, Any]] | None:
        """Events behind `last`, waiting for one; a heartbeat after a while; None where there is no such queue."""
        deadline = time.monotonic() + (HEARTBEAT_SECONDS if block else 0)
        with self._changed:
            while not self._stopping.is_set():
                if queue not in self._queues:
                    return None
                _, events = self._queues[queue]
                if found := [event for event in events if event["id"] > last]:
                    return found
                if time.monotonic() >= deadline:
                    break
                self._changed.wait(0.1)
            # Its number must not be one that an event will have.
            return [{"type": "heartbeat", "id": last}]


def uploaded(request: Request) -> tuple[str, bytes]:
    """The name and the content of the file in a multipart body."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parts = BytesParser(policy=HTTP).parsebytes(head + request.body)
    (part,) = parts.iter_parts()
    content = part.get_payload(decode=True)
    return part.get_filename() or "file", bytes(content)
