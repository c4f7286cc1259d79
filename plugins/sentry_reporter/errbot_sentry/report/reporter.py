"""The report flow as the rest of the product sees it: start, close, status, and what other plugins may call."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from errbot_sentry.clock import Clock, SystemClock
from errbot_sentry.errors import Unreachable
from errbot_sentry.model import LEVELS, Person, Place
from errbot_sentry.report import commands
from errbot_sentry.report.about import About
from errbot_sentry.report.collector import Collector, exc_info_of
from errbot_sentry.report.context import DIRECT, BotContext
from errbot_sentry.report.dress import Dresser
from errbot_sentry.report.followup import Follower, FollowUps
from errbot_sentry.report.gate import Gate
from errbot_sentry.report.handler import ReportHandler, attach, detach
from errbot_sentry.report.repeats import Repeats
from errbot_sentry.report.scrub import Scrubber
from errbot_sentry.report.sdk import Client
from errbot_sentry.report.sdk_transport import bound
from errbot_sentry.report.sender import Answer, Sender
from errbot_sentry.report.spool import Spool
from errbot_sentry.report.status import Counters, ReportStatus
from errbot_sentry.report.tags import fault_of
from errbot_sentry.report.trail import Trail
from errbot_sentry.secret import mask_url
from errbot_sentry.settings import ReportSettings

log = logging.getLogger(__name__)

_MEGABYTE = 1024 * 1024
_LONGEST_FEEDBACK = 4000


class Reporter:
    """Reports the bot's errors. Nothing here raises into the bot; switched off, everything is a no-op.

    Args:
        settings: what the operator decided.
        about: facts about the bot.
        data_dir: the bot's data directory; the spool goes into `sentry_spool` there.
        clock: time.
        follower: who tells people where their error went.
        secrets: further texts that must never leave (the API token, say).
    """

    def __init__(
        self,
        settings: ReportSettings,
        about: About,
        data_dir: Path,
        clock: Clock | None = None,
        follower: Follower | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        self._settings = settings
        self._about = about
        self._data_dir = data_dir
        self._clock = clock or SystemClock()
        self._counters = Counters()
        self._follow_ups = FollowUps(follower)
        self._scrubber = Scrubber((*_keys_of(settings.dsn.reveal()), *secrets))
        self._lock = threading.RLock()
        self._flow: _Flow | None = None
        self._unwatch: Callable[[], None] | None = None
        self._trouble = ""

    @property
    def running(self) -> bool:
        """Whether errors are reported now."""
        return self._flow is not None

    def start(self) -> bool:
        """Begin to report, if the settings want it; True when it runs. Starting twice is starting once."""
        if not self._settings.enabled or not self._settings.dsn:
            return False
        with self._lock:
            if self._flow is None:
                try:
                    flow = _Flow(self._settings, self._about, self._data_dir, self._clock, self._counters,
                        self._follow_ups, self._scrubber)  # fmt: skip
                    flow.start()
                except Exception as error:
                    self._trouble = f"reporting could not start: {self._scrubber.text(str(error))}"
                    log.exception("Reporting to Sentry could not start")
                    return False
                self._flow = flow
                self._trouble = ""
            return True

    def close(self, timeout: float = 5.0) -> None:
        """Stop within `timeout` seconds; what could not be sent stays in the spool for the next start."""
        with self._lock:
            flow, self._flow = self._flow, None
            if self._unwatch is not None:
                self._unwatch()
                self._unwatch = None
        if flow is not None:
            flow.close(timeout)

    def watch_commands(self, bot: Any) -> None:
        """Give every command of this bot object its own scope, and a transaction where tracing is on."""
        with self._lock:
            if self._flow is not None and self._unwatch is None:
                self._unwatch = commands.watch(bot, self._around_command)

    def flush(self, timeout: float) -> bool:
        """Wait until everything is sent, at most `timeout` seconds; True when it is."""
        flow = self._flow
        return flow is None or flow.sender.flush(timeout)

    def status(self) -> ReportStatus:
        """What was done so far."""
        counters, flow = self._counters, self._flow
        notes = [self._trouble] if self._trouble else []
        if flow is not None:
            notes += flow.notes()
        return ReportStatus(
            enabled=self._settings.enabled,
            running=flow is not None,
            dsn=mask_url(self._settings.dsn.reveal()) if self._settings.dsn else "",
            captured=counters.get("captured"),
            sent=counters.get("sent"),
            spooled=len(flow.spool) if flow is not None else 0,
            spool_bytes=flow.spool.size if flow is not None else 0,
            repeated=counters.get("repeated"),
            others_sent=counters.get("others_sent"),
            dropped=counters.dropped(),
            last_sent=counters.last_sent,
            last_failure=counters.last_failure,
            notes=tuple(notes),
        )

    def capture_test(self, person: Person, place: Place) -> str | None:
        """Send a test event through the whole way; its id, or None when reporting is off."""
        flow = self._flow
        if flow is None:
            return None
        where = BotContext("test", room=place.room or DIRECT, person=person.acl, nick=person.name)
        return flow.collector.take_message("A test by SentryReporter", "info", {"test": "yes"}, where)

    def waits(self, event_id: str) -> bool:
        """Whether this event still waits for the server."""
        flow = self._flow
        return flow is not None and flow.spool.holds(event_id)

    def capture_exception(self, exc: BaseException | None = None, **tags: object) -> str | None:
        """Report an exception, by default the one being handled; the event's id, or None when there is no new event
        (reporting is off, the exception was reported before, it is one of many identical ones, `skip_sentry`)."""
        flow = self._flow
        error = exc if exc is not None else sys.exc_info()[1]
        if flow is None or error is None:
            return None
        try:
            return flow.collector.take_exception(exc_info_of(error), tags=self._good_tags(tags))
        except Exception:
            log.exception("An exception could not be reported")
            return None

    def capture_message(self, text: str, level: str = "info", **tags: object) -> str | None:
        """Report a sentence; `level` is one of debug, info, warning, error, fatal."""
        flow = self._flow
        if flow is None:
            return None
        if level not in LEVELS:
            log.warning("capture_message: %r is no level, wanted is one of %s; taken as info", level, ", ".join(LEVELS))
            level = "info"
        try:
            return flow.collector.take_message(str(text), level, self._good_tags(tags))
        except Exception:
            log.exception("A message could not be reported")
            return None

    def set_tag(self, key: str, value: object) -> None:
        """A tag on what is reported from here on: inside a command until it ends, else for this thread."""
        flow = self._flow
        if flow is None:
            return
        for good, text in self._good_tags({key: value}).items():
            flow.client.set_tag(good, text)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Several tags at once; a bad one does not keep the others from being set."""
        for key, value in tags.items():
            self.set_tag(key, value)

    @contextmanager
    def transaction(self, op: str, name: str) -> Iterator[None]:
        """Measure the body as a transaction, where `traces_sample_rate` in SENTRY_OPTIONS lets it."""
        flow = self._flow
        if flow is None:
            yield
            return
        with flow.client.transaction(op, name):
            yield

    @contextmanager
    def span(self, op: str, name: str) -> Iterator[None]:
        """Measure the body as a part of the running transaction."""
        flow = self._flow
        if flow is None:
            yield
            return
        with flow.client.span(op, name):
            yield

    def feedback(self, person: Person, text: str) -> str | None:
        """Attach a person's words to the error that they last ran into; its event id, None when there is none."""
        flow = self._flow
        event_id = self._follow_ups.last_of(person.acl) or self._follow_ups.last_of(person.name)
        if flow is None or event_id is None:
            return None
        flow.client.send_feedback(event_id, person.name, self._scrubber.text(text[:_LONGEST_FEEDBACK]))
        return event_id

    def _good_tags(self, tags: Mapping[str, object]) -> dict[str, str]:
        good = {}
        for key, value in tags.items():
            fault = fault_of(key, value)
            if fault:
                log.warning("The tag %.40r is not set: %s", key, fault)
            else:
                good[key] = str(value)
        return good

    @contextmanager
    def _around_command(self, where: BotContext) -> Iterator[None]:
        flow = self._flow
        if flow is None:
            yield
            return
        with flow.client.own_scope():
            if not flow.client.tracing:
                yield
                return
            with flow.client.transaction("bot.command", where.command or "command"):
                yield


class _Flow:
    """Everything that lives from one start to the next close."""

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
        folder = data_dir / "sentry_spool" / _project_of(settings.dsn.reveal()) if settings.spool_mb else None
        self.spool = Spool(folder, int(settings.spool_mb * _MEGABYTE), counters.drop)
        self.sender = Sender(self.spool, self._post, counters, clock, follow_ups.sent, self._tick, self._hurry)
        self._repeats = Repeats(settings.repeat_seconds)
        trail = Trail(scrubber, settings.chat_text, int(settings.options.get("max_breadcrumbs", 100)))
        dresser = Dresser(about, scrubber, settings.chat_text, trail)
        gate = Gate(self._repeats, clock, lambda: counters.add("repeated"))
        self.collector = Collector(gate, dresser, follow_ups, counters, clock)
        self.client = Client(settings, self.collector.finish, scrubber.value, counters.drop)
        self.collector.client = self.client
        self._handler = ReportHandler(self.collector, trail, settings.breadcrumb_level, settings.event_level)

    def start(self) -> None:
        self.spool.open()
        try:
            self.client.start(bound(self.spool, self.sender, self._counters.drop))
        except BaseException:
            self.spool.close()
            raise
        self.sender.start()
        attach(self._handler)

    def close(self, timeout: float) -> None:
        detach(self._handler)
        for tally in self._repeats.drain():
            self.collector.tell_tally(tally)
        self.client.flush()
        # Half of the time for what may still go out, the rest for a request that does not want to end.
        self.sender.flush(min(2.0, timeout / 2))
        self.sender.stop(timeout / 2)
        self.client.close()
        self.spool.close()

    def notes(self) -> list[str]:
        notes = []
        if not self.client.active:
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

    def _tick(self) -> float | None:
        now = self._clock.monotonic()
        for tally in self._repeats.due(now):
            self.collector.tell_tally(tally)
        waits = [self._follow_ups.overdue(now)]
        due = self._repeats.next_due()
        waits.append(None if due is None else due - now)
        return min((wait for wait in waits if wait is not None), default=None)


def _keys_of(dsn: str) -> tuple[str, ...]:
    """The secret parts of a DSN."""
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return (dsn,)
    return tuple(part for part in (parts.username, parts.password) if part)


def _project_of(dsn: str) -> str:
    """A folder name for the server and project of a DSN: what was spooled for one project never goes to another."""
    parts = urlsplit(dsn)
    text = f"{parts.hostname or ''}{f'-{parts.port}' if parts.port else ''}{parts.path}"
    return "".join(ch if ch.isalnum() or ch in ".-" else "_" for ch in text).strip("._") or "project"
