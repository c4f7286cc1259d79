"""Reads Zulip's reactions from an event queue of our own (zulip.com/api/real-time-events); the backend has none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

log = logging.getLogger(__name__)

_WAIT = 100.0  # seconds; Zulip says something at least once a minute
_PAUSE = 5.0


class ReactionEvents:
    """Passes on events between `start` and `stop`, in a thread of its own.

    Args:
        client: a client of the package `zulip` that nobody else uses.
        take: called with each event; returns at once.
    """

    def __init__(self, client: Any, take: Callable[[Mapping[str, Any]], None]) -> None:
        self._client = client
        self._take = take
        self._stopping = threading.Event()
        self._queue, self._last = "", -1
        self.trouble = ""

    def start(self) -> None:
        """Begin to pass on events."""
        threading.Thread(target=self._run, name="sentry-zulip-events", daemon=True).start()

    def stop(self) -> None:
        """Pass on no more events; the thread ends with Zulip's next answer."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._wait()
                self.trouble = ""
            except Exception as error:  # noqa: BLE001 - the client raises what requests does, and its own
                log.info("no events from Zulip: %r", error)
                self.trouble = "no events come from Zulip: commands and reactions may not arrive"
                self._stopping.wait(_PAUSE)

    def _wait(self) -> None:
        """Wait once for events. The client's own function would begin again at each time-out, for ever."""
        if not self._queue:
            made = self._call("register", "POST", event_types=["reaction"])
            self._queue, self._last = str(made["queue_id"]), int(made["last_event_id"])
        try:
            events = self._call("events", "GET", queue_id=self._queue, last_event_id=self._last)["events"]
        except _QueueGone:  # after ten minutes without a connection, or a restart of Zulip
            self._queue = ""
            return
        for event in events:
            self._last = max(self._last, int(event["id"]))
            if event["type"] == "reaction" and not self._stopping.is_set():
                self._take(event)

    def _call(self, path: str, method: str, **values: Any) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._client.call_endpoint(url=path, method=method, request=values, timeout=_WAIT)
        if found.get("code") == "BAD_EVENT_QUEUE_ID":
            raise _QueueGone
        if found.get("result") != "success":
            raise ConnectionError(f"refused with {found.get('code') or found.get('status_code')}")
        return found


class _QueueGone(Exception):
    """Zulip has deleted the queue."""
