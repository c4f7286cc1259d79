"""All parts of the report flow, put together for one life: from a start to the next close."""

from __future__ import annotations

import logging
import os
import sys
import weakref
from pathlib import Path
from urllib.parse import urlsplit

from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import Unreachable
from errbot_sentry.reporting.bot_facts import About
from errbot_sentry.reporting.collect.breadcrumbs import Breadcrumbs
from errbot_sentry.reporting.collect.capture import ErrorCapture
from errbot_sentry.reporting.collect.event_filter import EventFilter
from errbot_sentry.reporting.collect.event_processor import EventProcessor
from errbot_sentry.reporting.collect.log_handler import ReportHandler, attach, detach
from errbot_sentry.reporting.collect.repeat_counter import Repeats, Tally, summed
from errbot_sentry.reporting.deliver.envelope_sender import Answer, Sender
from errbot_sentry.reporting.deliver.envelope_writer import bound
from errbot_sentry.reporting.deliver.spool import Spool
from errbot_sentry.reporting.follow_ups import FollowUps
from errbot_sentry.reporting.redact.scrubber import Scrubber
from errbot_sentry.reporting.report_status import Counters
from errbot_sentry.reporting.sdk_client import Client

_MEGABYTE = 1024 * 1024
_LOOK_FOR_CHILDREN_SECONDS = 5.0
_CHILDS_END_SECONDS = 2.0  # as long as the SDK waits when a process ends

# The flows that run in this process. (A function that is registered for forks stays so for ever.)
_running: weakref.WeakSet[Flow] = weakref.WeakSet()


class Flow:
    """What the Reporter starts and closes. `start` raises what the SDK raises for options that it does not take."""

    def __init__(
        self,
        settings: ReportSettings,
        about: About,
        data_dir: Path,
        clock: Clock,
        counters: Counters,
        follow_ups: FollowUps,
        scrubber: Scrubber,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._counters = counters
        self._follow_ups = follow_ups
        self._own_transport = "transport" not in settings.options
        spooling = settings.spool_mb and self._own_transport  # a foreign transport could not send what is in there
        folder = data_dir / "sentry_spool" / _project_of(settings.dsn.reveal()) if spooling else None
        self.spool = Spool(folder, int(settings.spool_mb * _MEGABYTE), counters.drop)
        self.sender = Sender(self.spool, self._post, counters, clock, follow_ups.sent, self._tick, self._hurry)
        self._repeats = Repeats(settings.repeat_seconds)
        breadcrumbs = Breadcrumbs(
            scrubber,
            settings.chat_text,
            int(settings.options.get("max_breadcrumbs", 100)),
            inherited=Client.inherited,
            hook=settings.options.get("before_breadcrumb"),
        )
        event_processor = EventProcessor(about, scrubber, settings.chat_text, breadcrumbs)
        event_filter = EventFilter(self._repeats, clock, lambda: counters.add("repeated"))
        self.collector = ErrorCapture(event_filter, event_processor, follow_ups, counters, clock)
        self.client = Client(settings, self.collector.finish, self.collector.clean, counters.drop)
        self.collector.client = self.client
        self._children = False  # whether this process has ever forked
        self._looked_for_children = 0.0
        self._handler = ReportHandler(self.collector, breadcrumbs, settings.breadcrumb_level, settings.event_level)

    def start(self) -> None:
        self.spool.open()
        try:
            self.client.start(bound(self.spool, self.sender, self._counters.drop, self.collector.clean))
        except BaseException:
            self.spool.close()
            raise
        self.sender.start()
        attach(self._handler)
        _running.add(self)

    def close(self, timeout: float) -> None:
        detach(self._handler)
        _running.discard(self)
        self.client.settle(timeout / 4)
        self._tell_all(self._repeats.drain(), timeout / 4)
        self.client.flush()
        # What may still go out, then a request that does not want to end.
        self.sender.flush(min(2.0, timeout / 4))
        self.sender.stop(timeout / 4)
        self.client.close()
        self.spool.close()

    def _tell_all(self, tallies: list[Tally], seconds: float) -> None:
        """Tell each count by an event of its own, as many as the time allows, and the sum of the rest by one."""
        end = self._clock.monotonic() + seconds
        for number, tally in enumerate(tallies):
            if self._clock.monotonic() > end:
                self.collector.tell_tally(summed(tallies[number:]))
                return
            self.collector.tell_tally(tally)

    def lost(self) -> dict[str, int]:
        """Records that came while others were reported which had come like that: reason to count."""
        return {"while_reporting": self._handler.lost} if self._handler.lost else {}

    def notes(self) -> list[str]:
        notes = []
        root = logging.getLogger()
        if self._handler not in root.handlers:
            notes.append("another part of the bot has replaced the root logger's handlers: what is logged goes nowhere")
        elif not root.isEnabledFor(self._settings.event_level) or self._handler.level > self._settings.event_level:
            notes.append("the root logger lets no error through (BOT_LOG_LEVEL, or logging.disable): none is reported")
        if self._handler.failed:
            notes.append("some errors could not be reported: the bot's log says why")
        if self.client.closed_by_others:
            notes.append("another part of the bot has closed the client of sentry_sdk: nothing is sent until a reload")
        elif not self.client.active:
            notes.append("another part of the bot has called sentry_sdk.init: errors go to its client, not to ours")
        if not self._own_transport:
            notes.append("SENTRY_OPTIONS has a transport of its own: no spool, and what it sends is not known here")
        if self.spool.trouble:
            notes.append(f"the spool cannot be written ({self.spool.trouble}): events wait in memory")
        return notes

    def _post(self, data: bytes) -> Answer:
        transport = self.client.transport
        if transport is None:
            raise Unreachable("reporting is being stopped")
        answer: Answer = transport.post(data)
        return answer

    def _hurry(self) -> None:
        transport = self.client.transport
        if transport is not None and hasattr(transport, "hurry"):
            transport.hurry()

    def in_parent(self) -> None:
        """This process has forked: what a child cannot send any more is taken over while the bot runs."""
        self._children = True

    def in_child(self) -> None:
        """This process is a fork's child: it reports what fails here, with nothing that is the parent's."""
        self._children = False
        self._repeats.drain()
        self._follow_ups.leave_to_parent()
        self.spool.leave_to_parent()
        self.sender.leave_to_parent()
        if hasattr(self.client.transport, "leave_to_parent"):
            self.client.transport.leave_to_parent()
        self._flush_at_the_end()

    def _flush_at_the_end(self) -> None:
        """A child of multiprocessing ends without `atexit`; it has a list of its own, which it empties after the fork
        and before its work begins."""
        processes = sys.modules.get("multiprocessing.util")
        if processes is not None:
            processes.register_after_fork(self, Flow._flush_later)

    def _flush_later(self) -> None:
        sys.modules["multiprocessing.util"].Finalize(
            None, self.sender.flush, args=(_CHILDS_END_SECONDS,), exitpriority=0
        )

    def _tick(self) -> float | None:
        now = self._clock.monotonic()
        if self._children and now - self._looked_for_children > _LOOK_FOR_CHILDREN_SECONDS:
            self._looked_for_children = now
            self.spool.take_over()
        for tally in self._repeats.due(now):
            self.collector.tell_tally(tally)
        waits = [self._follow_ups.overdue(now)]
        due = self._repeats.next_due()
        waits.append(None if due is None else due - now)
        return min((wait for wait in waits if wait is not None), default=None)


def _project_of(dsn: str) -> str:
    """A folder name for the server and project of a DSN: what was spooled for one project never goes to another."""
    parts = urlsplit(dsn)
    text = f"{parts.hostname or ''}{f'-{parts.port}' if parts.port else ''}{parts.path}"
    return "".join(ch if ch.isalnum() or ch in ".-" else "_" for ch in text).strip("._") or "project"


def _in_parent() -> None:
    for flow in list(_running):
        flow.in_parent()


def _in_child() -> None:
    for flow in list(_running):
        flow.in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_in_parent, after_in_child=_in_child)
