"""The interface of the report flow: start, close, status, and the functions that other plugins may call."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from errbot_sentry.config.secrets import mask_url
from errbot_sentry.config.settings import ReportSettings
from errbot_sentry.domain.alerts import CANARY_TITLE
from errbot_sentry.domain.clock import Clock, SystemClock
from errbot_sentry.domain.conversation import Person
from errbot_sentry.domain.errors import UserError
from errbot_sentry.domain.issues import LEVELS
from errbot_sentry.domain.locks import afterwards, condition, held
from errbot_sentry.reporting.collect.bot_context import NOWHERE, BotFacts
from errbot_sentry.reporting.collect.event_filter import asks_to_exit, exc_info_of
from errbot_sentry.reporting.follow_ups import FollowUps, Notify
from errbot_sentry.reporting.redact.scrubber import Scrubber, cut
from errbot_sentry.reporting.report_status import Counters, ReportStatus

if TYPE_CHECKING:
    from errbot_sentry.reporting.report_flow import ReportFlow

log = logging.getLogger(__name__)

# Sentry silently drops a `user_report` about an older event or with a longer name (getsentry/sentry
# `src/sentry/feedback/usecases/ingest/userreport.py`). GlitchTip and Bugsink ignore these items.
_LATEST_REPORT, _LONGEST_NAME = 30 * 60.0, 128
_SENTRY = "sentry"
_LONGEST_FEEDBACK = 4000
_LONGEST_CLOSE = 30.0
_TAG_KEY = re.compile(r"[a-zA-Z0-9_.:-]{1,32}")
_LONGEST_TAG = 200
_CANARY = "sentry-reporter-canary"


class Reporter:
    """Reports the bot's errors. No method raises into the bot, except `feedback`; all do nothing if reporting is off.

    Args:
        settings: the settings of reporting.
        facts: facts about the bot.
        data_dir: the bot's data directory; the spool is in its folder `sentry_spool`.
        clock: the clock; by default the machine's.
        notify: informs a person how their error was reported.
        secrets: further texts that must never be sent, such as the API token.
    """

    def __init__(
        self,
        settings: ReportSettings,
        facts: BotFacts,
        data_dir: Path,
        clock: Clock | None = None,
        notify: Notify | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        self._settings = settings
        self._facts = facts
        self._data_dir = data_dir
        self._clock = clock or SystemClock()
        self._counters = Counters()
        self._follow_ups = FollowUps(notify)
        self._scrubber = Scrubber((*_keys_of(settings.dsn.reveal()), *secrets))
        self._life = condition()
        self._closing = False
        self._flow: ReportFlow | None = None
        self._unwatch: Callable[[], None] | None = None
        self._trouble = ""

    def start(self) -> bool:
        """Start to report if the settings switch it on; returns whether it runs. A second start does nothing.

        If another thread is just closing, this waits for its end.
        """
        if not self._settings.enabled or not self._settings.dsn:
            return False
        with self._life:
            self._life.wait_for(lambda: not self._closing, _LONGEST_CLOSE)
            if self._flow is None:
                try:
                    # sentry-sdk is slow to import, so it is only imported if reporting is on.
                    from errbot_sentry.reporting.report_flow import ReportFlow

                    flow = ReportFlow(self._settings, self._facts, self._data_dir, self._clock, self._counters,
                        self._follow_ups, self._scrubber)  # fmt: skip
                    flow.start()
                except Exception as error:  # the bot runs without reporting, and its status gives the reason
                    self._trouble = f"reporting could not start: {self._scrubber.text(str(error))}"
                    log.exception("Reporting to Sentry could not start")
                    return False
                self._flow = flow
                self._trouble = ""
            return True

    def close(self, timeout: float = 5.0) -> None:
        """Stop within `timeout` seconds; what could not be sent stays in the spool for the next start."""
        with self._life:
            self._life.wait_for(lambda: not self._closing, timeout)
            flow, self._flow = self._flow, None
            if flow is None:
                return
            self._closing = True
            if self._unwatch is not None:
                self._unwatch()
                self._unwatch = None
        try:
            flow.close(timeout)
        finally:
            with self._life:
                self._closing = False
                self._life.notify_all()

    def watch_commands(self, bot: Any) -> None:
        """Give every command of this bot object its own scope, and a transaction if tracing is on."""
        with self._life:
            if self._flow is not None and self._unwatch is None:
                self._unwatch = self._flow.watch_commands(bot)

    def status(self) -> ReportStatus:
        """The present status."""
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
            dropped=counters.dropped() | (flow.lost() if flow is not None else {}),
            last_sent=counters.last_sent,
            last_failure=counters.last_failure,
            notes=tuple(notes),
        )

    def capture_canary(self) -> str | None:
        """Send a test event, which always belongs to the same issue; returns its id, None if it was not captured."""
        flow = self._flow
        if flow is None:
            return None
        tags = {"sentry_reporter.canary": "yes"}
        return flow.capture.capture_message(CANARY_TITLE, "info", tags, NOWHERE, (_CANARY, self._facts.name))

    def unsent_reason(self, event_id: str) -> str | None:
        """Why an event has not reached the server; None if the server has confirmed it, or we cannot know."""
        flow = self._flow
        if flow is None or not flow.own_transport or self._follow_ups.is_sent(event_id):
            return None
        return self._counters.last_failure or "it is still waiting to be sent"

    def capture_exception(self, exc: BaseException | None = None, **tags: object) -> str | None:
        """Report an exception, by default the one being handled; returns the event's id.

        Returns None if there is no new event: reporting is off, the exception was reported before or is a repeat that
        is only counted, or it has `skip_sentry`. Also None if a finaliser or a signal handler that interrupts this
        package calls this; then the event is made afterwards.
        """
        flow = self._flow
        error = exc if exc is not None else sys.exc_info()[1]
        if flow is None or error is None:
            return None
        return _unless_interrupting(
            lambda: flow.capture.capture_exception(exc_info_of(error), tags=self._good_tags(tags))
        )

    def capture_message(self, text: str, level: str = "info", **tags: object) -> str | None:
        """Report a sentence; `level` is one of debug, info, warning, error, fatal. Returns the event's id, or None."""
        flow = self._flow
        if flow is None:
            return None
        if level not in LEVELS:
            log.warning("capture_message: %r is not a level; use one of %s. Using info", level, ", ".join(LEVELS))
            level = "info"
        return _unless_interrupting(lambda: flow.capture.capture_message(str(text), level, self._good_tags(tags)))

    def set_tag(self, key: str, value: object) -> None:
        """Set a tag on all later reports: of this command if one runs, else of this thread."""
        flow = self._flow
        if flow is None:
            return
        for good, text in self._good_tags({key: value}).items():
            flow.client.set_tag(good, text)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set several tags; the valid ones are set even if others are not valid."""
        if not isinstance(tags, Mapping):
            log.warning("set_tags: expected a dict of tags, got %s", type(tags).__name__)
            return
        for key, value in tags.items():
            self.set_tag(key, value)

    def transaction(self, op: str, name: str) -> AbstractContextManager[None]:
        """Measure the body as a transaction, if `traces_sample_rate` in SENTRY_OPTIONS selects it."""
        return self._measured(lambda flow: flow.client.transaction(op, name))

    def span(self, op: str, name: str) -> AbstractContextManager[None]:
        """Measure the body as a part of the running transaction."""
        return self._measured(lambda flow: flow.client.span(op, name))

    @contextmanager
    def _measured(self, begin: Callable[[ReportFlow], AbstractContextManager[Any]]) -> Iterator[None]:
        flow = self._flow
        with ExitStack() as stack:
            if flow is not None:
                try:
                    stack.enter_context(begin(flow))
                except Exception:  # the body runs in any case
                    log.exception("A transaction or span could not be started")
            yield

    def feedback(self, person: Person, text: str, kind: str = "") -> str | None:
        """Send a person's comment on their last error; returns that error's event id, None if there is none.

        Args:
            kind: the kind of server, "" if unknown. Unless it is Sentry, the older form of feedback is sent. Every
                Sentry accepts that form, but only for an event of the last 30 minutes.

        Raises:
            UserError: the server would drop the comment.
        """
        flow = self._flow
        last = self._follow_ups.last_of(person.acl)
        if flow is None or last is None:
            return None
        event_id, at = last
        if kind != _SENTRY and self._clock.monotonic() - at > _LATEST_REPORT:
            raise UserError(
                "Your last error is more than 30 minutes old, and the server takes no feedback about it any more."
            )
        words = self._scrubber.text(cut(text, _LONGEST_FEEDBACK))
        flow.client.send_feedback(event_id, cut(person.name, _LONGEST_NAME), words, modern=kind == _SENTRY)
        return event_id

    def _good_tags(self, tags: Mapping[str, object]) -> dict[str, str]:
        good = {}
        for key, value in tags.items():
            try:
                fault = tag_fault(key, value)
                if not fault:
                    good[key] = str(value)
            except Exception as error:  # noqa: BLE001 - the value's __str__ is foreign code
                fault = f"its value cannot be read ({type(error).__name__})"
            if fault:
                log.warning("The tag %.40r is not set: %s", key, fault)
        return good


def _unless_interrupting(capture: Callable[[], str | None]) -> str | None:
    """Run `capture` and return its result; None if it fails.

    If this thread holds a lock of ours, `capture` runs after its release, and this returns None.
    """
    if held():
        afterwards(capture)
        return None
    try:
        return capture()
    except (Exception, SystemExit) as error:
        if asks_to_exit(error):
            raise
        log.exception("Something could not be reported")
        return None


def tag_fault(key: object, value: object) -> str:
    """Why this tag cannot be set, "" if it can.

    The limits are Sentry's (https://docs.sentry.io/platforms/python/enriching-events/tags/).
    """
    if not isinstance(key, str) or not _TAG_KEY.fullmatch(key):
        return "its key must be 1 to 32 of a-z A-Z 0-9 _ . : -"
    text = str(value)
    if len(text) > _LONGEST_TAG:
        return f"its value is longer than {_LONGEST_TAG} characters"
    if "\n" in text or "\r" in text:
        return "its value has more than one line"
    if key.startswith("bot.") or key == "errbot.version":
        return "that key is set by SentryReporter itself"
    return ""


def _keys_of(dsn: str) -> tuple[str, ...]:
    """The secret parts of a DSN."""
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return (dsn,)
    return tuple(part for part in (parts.username, parts.password) if part)
