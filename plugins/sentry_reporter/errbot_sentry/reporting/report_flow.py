"""Builds all parts of the report flow, and runs them from one start to the next close."""

from __future__ import annotations

import logging
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.domain.clock import Clock
from errbot_sentry.reporting.collect import command_scope
from errbot_sentry.reporting.collect.bot_context import BotContext, BotFacts
from errbot_sentry.reporting.collect.breadcrumbs import Breadcrumbs
from errbot_sentry.reporting.collect.event_filter import EventFilter, RepeatCount, RepeatCounter, sum_of
from errbot_sentry.reporting.collect.event_processor import EventProcessor
from errbot_sentry.reporting.collect.log_handler import ErrorCapture, ErrorLogHandler
from errbot_sentry.reporting.deliver.envelope_sender import EnvelopeSender
from errbot_sentry.reporting.deliver.envelope_writer import EnvelopeWriter
from errbot_sentry.reporting.deliver.http_poster import HttpPoster
from errbot_sentry.reporting.deliver.repeat_journal import RepeatJournal
from errbot_sentry.reporting.deliver.spool import Spool
from errbot_sentry.reporting.deliver.spool_folder import DiskWriter
from errbot_sentry.reporting.follow_ups import FollowUps
from errbot_sentry.reporting.redact.scrubber import Scrubber
from errbot_sentry.reporting.report_status import Counters
from errbot_sentry.reporting.sdk_client import SdkClient
from errbot_sentry.reporting.sdk_internals import SdkHttp

_MEGABYTE = 1024 * 1024
_LOOK_FOR_CHILDREN_SECONDS = 5.0
_CHILDS_END_SECONDS = 2.0  # the SDK waits as long when a process ends

# The flows that run in this process. The functions registered for forks use this set, since they cannot be removed.
_running: weakref.WeakSet[ReportFlow] = weakref.WeakSet()


class ReportFlow:
    """The report flow, which the Reporter starts and closes.

    The constructor raises the SDK's BadDsn for an invalid DSN. `start` raises the SDK's errors about wrong options.
    """

    def __init__(
        self,
        settings: ReportSettings,
        facts: BotFacts,
        data_dir: Path,
        clock: Clock,
        counters: Counters,
        follow_ups: FollowUps,
        scrubber: Scrubber,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._follow_ups = follow_ups
        self.own_transport = "transport" not in settings.options
        spooling = settings.spool_mb and self.own_transport  # another transport could not send what is in the spool
        folder = data_dir / "sentry_spool" / _project_of(settings.dsn.reveal()) if spooling else None

        # Onto the disk and to the server.
        sdk_http = SdkHttp({**settings.options, "dsn": settings.dsn.reveal()})
        self.spool = Spool(
            folder,
            int(settings.spool_mb * _MEGABYTE),
            counters.drop,
            DiskWriter(),
            lambda: self._journal.take_reported(),
        )
        self._poster = HttpPoster(sdk_http)
        self._sender = EnvelopeSender(
            self.spool, self._poster.post, counters, clock, follow_ups.sent, self._tick, self._poster.interrupt
        )

        # From an error to an event.
        self._repeats = RepeatCounter(settings.repeat_seconds)
        event_filter = EventFilter(self._repeats, clock, lambda: counters.add("repeated"))
        breadcrumbs = Breadcrumbs(
            scrubber,
            settings.chat_text,
            int(settings.options.get("max_breadcrumbs", 100)),
            hook=settings.options.get("before_breadcrumb"),
        )
        processor = EventProcessor(
            event_filter, facts, scrubber, settings.chat_text, breadcrumbs, lambda: counters.add("captured")
        )

        self._journal = RepeatJournal(self._repeats, processor.redact_summary)

        def lost_in_capture(category: str, reason: str) -> None:
            self.client.lost(category, reason)

        envelope_writer = EnvelopeWriter(self.spool, self._sender, sdk_http, lost_in_capture, processor.redact)
        self.client = SdkClient(settings, processor, envelope_writer, counters.drop)
        self.capture = ErrorCapture(self.client, event_filter, follow_ups, clock)
        self._handler = ErrorLogHandler(self.capture, breadcrumbs, settings.breadcrumb_level, settings.event_level)
        self._has_forked = False
        self._looked_for_children = 0.0

    def start(self) -> None:
        """Start to report."""
        self.spool.open()
        try:
            self.client.start()
        except BaseException:
            self.spool.close()
            raise
        self._journal.open(self.spool.own_folder)
        self._journal.start()
        self._sender.start()
        logging.getLogger().addHandler(self._handler)
        _running.add(self)

    def close(self, timeout: float) -> None:
        """Stop within `timeout` seconds."""
        logging.getLogger().removeHandler(self._handler)
        _running.discard(self)
        self.client.settle(timeout / 4)
        self._capture_counts(self._repeats.drain(), timeout / 4)
        self.client.flush()
        # First send what can still be sent, then break a request that does not end.
        self._sender.flush(min(2.0, timeout / 4))
        self._sender.stop(timeout / 4)
        self.client.close()
        self._poster.close()
        self._journal.close()
        self.spool.close()

    def watch_commands(self, bot: Any) -> Callable[[], None]:
        """Give every command of this bot object its own scope, and a transaction if tracing is on.

        Returns a function that undoes this.
        """
        return command_scope.watch(bot, self._around_command)

    @contextmanager
    def _around_command(self, command: BotContext) -> Iterator[None]:
        if not self.client.active:
            yield
            return
        with command_scope.command_scope(command), ExitStack() as measured:
            if self.client.tracing:
                measured.enter_context(self.client.transaction("bot.command", command.command or "command"))
            yield

    def _capture_counts(self, counts: list[RepeatCount], seconds: float) -> None:
        """Capture each count as an event. When the time is over, capture the sum of the remaining ones as one event."""
        end = self._clock.monotonic() + seconds
        for number, count in enumerate(counts):
            if self._clock.monotonic() > end:
                self._capture_count(sum_of(counts[number:]), *counts[number:])
                return
            self._capture_count(count)

    def _capture_count(self, count: RepeatCount, *summands: RepeatCount) -> None:
        """Capture a count as an event. If it is a sum, `summands` are the counts in it."""
        for reported in (count, *summands):
            self._repeats.report(reported)
        self.capture.capture_count(count)

    def lost(self) -> dict[str, int]:
        """Log records that were dropped, by reason: those logged while a nested record was handled."""
        return {"while_reporting": self._handler.lost} if self._handler.lost else {}

    def notes(self) -> list[str]:
        """Sentences about problems that an operator should know."""
        notes = []
        root = logging.getLogger()
        if self._handler not in root.handlers:
            notes.append("another part of the bot has replaced the root logger's handlers: no error is reported")
        elif not root.isEnabledFor(self._settings.event_level) or self._handler.level > self._settings.event_level:
            notes.append("the root logger lets no error through (BOT_LOG_LEVEL, or logging.disable): none is reported")
        if self._handler.failed:
            notes.append("some errors could not be reported: the bot's log says why")
        if self.client.sdk_failed:
            notes.append("sentry-sdk failed with some events: the bot's log has the cause, perhaps SENTRY_OPTIONS")
        if self.client.closed_by_others:
            notes.append("another part of the bot has closed the client of sentry_sdk: nothing is sent until a reload")
        elif not self.client.active:
            notes.append("another part of the bot has called sentry_sdk.init: errors go to its client, not to ours")
        if not self.own_transport:
            notes.append("SENTRY_OPTIONS has its own transport: there is no spool, and what it sends is not known")
        if self.spool.trouble:
            notes.append(f"the spool cannot be written ({self.spool.trouble}): events wait in memory")
        return notes

    def in_parent(self) -> None:
        """Note that this process has forked: from now on, take over what a dead child has left in its spool."""
        self._has_forked = True

    def in_child(self) -> None:
        """Make this flow the child's own after a fork: it reports the child's errors, and nothing of the parent's."""
        self._has_forked = False
        self._journal.leave_to_parent()
        self._repeats.drain()
        self._follow_ups.leave_to_parent()
        self.spool.leave_to_parent()
        self._sender.leave_to_parent()
        self._poster.leave_to_parent()
        self._flush_at_the_end()

    def _flush_at_the_end(self) -> None:
        """Send the last events when a child of multiprocessing ends.

        Such a child does not run `atexit`, but its own list of finalisers. It empties that list after the fork and
        before its work begins, so ours is added after that.
        """
        processes = sys.modules.get("multiprocessing.util")
        if processes is not None:
            processes.register_after_fork(self, ReportFlow._flush_later)

    def _flush_later(self) -> None:
        sys.modules["multiprocessing.util"].Finalize(
            None, self._sender.flush, args=(_CHILDS_END_SECONDS,), exitpriority=0
        )

    def _tick(self) -> float | None:
        """Do what is due, in the sender's thread. Returns the seconds until something is due again."""
        now = self._clock.monotonic()
        if self._has_forked and now - self._looked_for_children > _LOOK_FOR_CHILDREN_SECONDS:
            self._looked_for_children = now
            self.spool.take_over()
        for count in self._repeats.due(now):
            self._capture_count(count)
        waits = [self._follow_ups.notify_overdue(now)]
        due = self._repeats.next_due()
        waits.append(None if due is None else due - now)
        return min((wait for wait in waits if wait is not None), default=None)


def _project_of(dsn: str) -> str:
    """A folder name for the DSN's server and project, so that events for one project never go to another one."""
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
