"""Telling the person whose command failed where the error went: "Reported as ERRBOT-3 (event 1f2e…)", once.

The report flow says who is to be told; a thread of our own asks the server for the short id, which takes a moment, and
answers the person's own message, so that the words come where they typed.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

from errbot_sentry.chat.asks import place_of
from errbot_sentry.chat.layout import Layout
from errbot_sentry.chat.templates import Templates
from errbot_sentry.clock import Clock
from errbot_sentry.errors import SentryReporterError
from errbot_sentry.model import Issue, Place

log = logging.getLogger(__name__)

_MOST_WAITING = 50
_LOOK_SECONDS = 6.0
_PAUSE = 0.5

FindIssue = Callable[[str, Place], Issue | None]
"""The issue of an event (32 hex digits) as far as this place may see it; None while the server does not show it."""


class Reported(Protocol):
    """An error that a person's command ran into: `message` is theirs, `sent` False while the server has not got it."""

    @property
    def event_id(self) -> str: ...

    @property
    def message(self) -> Any: ...

    @property
    def sent(self) -> bool: ...


class FollowUp:
    """Answers people about their errors, one after the other, in a thread of its own between `start` and `close`."""

    def __init__(self, bot: Any, templates: Templates, layout: Layout, find_issue: FindIssue, clock: Clock) -> None:
        self._bot = bot
        self._templates = templates
        self._layout = layout
        self._find_issue = find_issue
        self._clock = clock
        self._waiting: queue.Queue[Reported | None] = queue.Queue(_MOST_WAITING)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on people are told."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="sentry-followup", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Stop within the timeout (seconds); who has not been told by then is not told."""
        self._stopping.set()
        if self._thread is not None:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                log.debug("people are still waiting to be told")
            self._thread.join(timeout)
            self._thread = None

    def reported(self, reported: Reported) -> None:
        """Tell this person; returns at once, and drops the word (not the error) when too many wait."""
        if self._thread is None:
            return
        try:
            self._waiting.put_nowait(reported)
        except queue.Full:
            log.info("too many people wait to be told; event %s is told to nobody", reported.event_id)

    def _run(self) -> None:
        while not self._stopping.is_set():
            reported = self._waiting.get()
            if reported is None:
                continue
            try:
                self._tell(reported)
            except Exception as error:  # noqa: BLE001 - whatever the backend raises, the next person is to be told
                log.warning("the person could not be told about event %s: %s", reported.event_id, error)

    def _tell(self, reported: Reported) -> None:
        issue = self._look(reported) if reported.sent else None
        values = {
            "event": reported.event_id[:8],
            "sent": reported.sent,
            "id": issue.short_id or issue.id if issue else "",
            "link": issue.link if issue else "",
        }
        for text in self._layout.messages(self._templates.render("sentry_reported", values)):
            self._bot.send_simple_reply(reported.message, text)

    def _look(self, reported: Reported) -> Issue | None:
        """The issue, as soon as the server shows it, for a few seconds."""
        place = place_of(reported.message)
        end = self._clock.monotonic() + _LOOK_SECONDS
        try:
            issue = self._find_issue(reported.event_id, place)
            while issue is None and self._clock.monotonic() < end and not self._stopping.wait(_PAUSE):
                issue = self._find_issue(reported.event_id, place)
        except SentryReporterError as error:
            log.info("no issue for event %s: %s", reported.event_id, error)
            return None
        return issue
