"""The handler of Python's root logger, which gets every log record of the bot, and the capture of errors as events."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.locks import afterwards
from errbot_sentry.reporting.collect import bot_context, load_errors
from errbot_sentry.reporting.collect.bot_context import NOWHERE, BotContext
from errbot_sentry.reporting.collect.breadcrumbs import Breadcrumbs, level_name, message_of, unformatted
from errbot_sentry.reporting.collect.command_scope import mark_failed, with_words
from errbot_sentry.reporting.collect.event_filter import (
    ErrorSummary,
    EventFilter,
    ExcInfo,
    RepeatCount,
    asks_to_exit,
    event_id_of,
    is_echo,
    is_load_errors,
    key_of_record,
    mark_seen,
)
from errbot_sentry.reporting.collect.event_processor import CaptureContext
from errbot_sentry.reporting.follow_ups import FollowUps
from errbot_sentry.reporting.redact.redaction import Event
from errbot_sentry.reporting.redact.scrubber import cut
from errbot_sentry.reporting.sdk_client import SdkClient

log = logging.getLogger(__name__)

# The attributes that every record has. All others came from `extra=`.
_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "tags", "stack"}
_LONGEST = 8192
_MOST_PARAMS = 20


class ErrorCapture:
    """Makes events of log records, and of what other plugins report. Any thread may call it."""

    def __init__(self, client: SdkClient, event_filter: EventFilter, follow_ups: FollowUps, clock: Clock) -> None:
        self._client = client
        self._event_filter = event_filter
        self._follow_ups = follow_ups
        self._clock = clock

    def capture_record(self, record: logging.LogRecord) -> None:
        """Capture an event of a log record, unless the filter refuses it."""
        if is_echo(record):
            return
        if is_load_errors(record):
            self._capture_load_errors(record)
            return
        exc_info = record.exc_info
        # In a record that was built by hand or came from another process, `exc_info` may be anything.
        if isinstance(exc_info, tuple) and isinstance(exc_info[1], BaseException):
            self.capture_exception(exc_info, record)
        else:
            self._capture_sentence(record)

    def capture_exception(
        self, exc_info: ExcInfo, record: logging.LogRecord | None = None, tags: Mapping[str, str] | None = None
    ) -> str | None:
        """Capture an event of an exception; returns its id.

        None if it was captured before, is only counted, or has `skip_sentry`.
        """
        extra: Event = {"level": "error"}
        if record is not None:
            extra = {"level": level_name(record.levelno), "logger": record.name, "extra": _extra(record)}
        error = exc_info[1]
        crashed = record is not None and record.name == "errbot.core"
        admitted, earlier = self._event_filter.admit_exception(
            error, exc_info[2], lambda: self._summarize(exc_info, extra)
        )
        if not admitted:
            if crashed:  # the plugin has logged the exception before it raised it
                self._after_capture(event_id_of(error), bot_context.of_exception(exc_info[2]), crashed)
            return None
        place = with_words(bot_context.of_exception(exc_info[2]))
        if tags:
            extra["tags"] = dict(tags)
        event_id = self._client.capture_exception(exc_info, extra, CaptureContext(place, earlier, _sentence(record)))
        mark_seen(error, self._clock.monotonic(), event_id)
        self._after_capture(event_id, place, crashed)
        return event_id

    def _capture_sentence(self, record: logging.LogRecord) -> None:
        place = with_words(bot_context.of_stack())
        admitted, earlier = self._event_filter.admit_key(
            key_of_record(record), lambda: ErrorSummary(_sentence_event(record), _without_person(place))
        )
        if admitted:
            self._client.capture(_sentence_event(record), CaptureContext(place, earlier))

    def _capture_load_errors(self, record: logging.LogRecord) -> None:
        chains = load_errors.exceptions_in(record.getMessage())
        for chain in chains:
            frames = chain[-1]["stacktrace"]["frames"]
            positions = ((frame["abs_path"], frame["lineno"]) for frame in frames)
            admitted, earlier = self._event_filter.admit_key(hash((chain[-1]["type"], *positions)))
            if admitted:
                event = {"level": "error", "logger": record.name, "exception": {"values": chain}}
                self._client.capture(event, CaptureContext(BotContext("load"), earlier))
        if not chains:
            self._capture_sentence(record)

    def capture_message(
        self,
        text: str,
        level: str,
        tags: Mapping[str, str] | None = None,
        place: BotContext | None = None,
        fingerprint: Sequence[str] = (),
    ) -> str | None:
        """Capture an event of a sentence, by default with the caller's context; returns its id, or None."""
        event: Event = {"level": level, "logentry": {"message": cut(text, _LONGEST)}, "tags": dict(tags or {})}
        if fingerprint:
            event["fingerprint"] = list(fingerprint)
        return self._client.capture(
            event, CaptureContext(with_words(bot_context.of_stack() if place is None else place))
        )

    def capture_count(self, count: RepeatCount) -> None:
        """Capture an event for repeats of an error, if no later error was captured that could report their count."""
        summary = count.summary
        if isinstance(summary, ErrorSummary):
            event, place = dict(summary.event), summary.place
        else:
            event, place = {"level": "error", "logentry": {"message": "An error repeated"}}, NOWHERE
        for value in (event.get("exception") or {}).get("values", ()):
            for frame in (value.get("stacktrace") or {}).get("frames", ()):
                load_errors.add_source(frame)
        self._client.capture(event, CaptureContext(place, count))

    def _after_capture(self, event_id: str | None, place: BotContext, crashed: bool) -> None:
        if place.kind != bot_context.COMMAND:
            return
        if event_id is not None:
            self._follow_ups.captured(event_id, place, self._clock.monotonic(), notify=crashed)
        if crashed:
            mark_failed()

    def _summarize(self, exc_info: ExcInfo, extra: Event) -> ErrorSummary | None:
        try:
            source: Event = {key: extra[key] for key in ("level", "logger") if key in extra}
            place = with_words(bot_context.of_exception(exc_info[2]))
            return ErrorSummary({**self._client.event_without_details(exc_info), **source}, _without_person(place))
        except Exception:  # the report then has less in it, but the code that logs gets no error
            log.exception("A repeated error could not be summarized")
            return None


def _without_person(place: BotContext) -> BotContext:
    """The context without person and message: a count is about many people, and must not keep a message in memory."""
    return replace(place, room="", person="", nick="", acl="", message=None)


def _sentence(record: logging.LogRecord | None) -> str:
    """The message that was logged with an exception; "" for Errbot's own messages, which say nothing new."""
    if record is None or (record.name.startswith("errbot.") and not record.name.startswith("errbot.plugins.")):
        return ""
    return cut(message_of(record), _LONGEST)


def _sentence_event(record: logging.LogRecord) -> Event:
    entry: dict[str, Any] = {
        "message": cut(unformatted(record), _LONGEST),
        "formatted": cut(message_of(record), _LONGEST),
    }
    if isinstance(record.args, tuple) and record.args:
        entry["params"] = [bot_context.printed(arg) for arg in record.args[:_MOST_PARAMS]]
    return {
        "level": level_name(record.levelno),
        "logger": record.name,
        "logentry": entry,
        "extra": _extra(record),
    }


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {
        key: value
        for key, value in vars(record).items()
        if isinstance(key, str) and key not in _RECORD and not key.startswith("_")
    }


# The loggers of errors that happen while we report. Reporting these too would never end.
_OURS = ("errbot_sentry.", "sentry_sdk.", "urllib3.")


class _Here(threading.local):
    """The state of one thread. The defaults are class attributes, so that no set-up code can be interrupted."""

    busy = False
    handling_nested = False


class ErrorLogHandler(logging.Handler):
    """Makes breadcrumbs of records from one level on, and events from another. Never raises, waits or calls itself.

    A record may be logged while its thread is inside this package: by a finaliser, a signal handler, or a `__repr__`.
    If the thread holds a lock of ours, the record is handled after the lock's release. If the thread is handling
    another record, the new one is handled after that. Records that are logged while such a nested record is handled are
    dropped and counted in `lost`; otherwise this could go on for ever.
    """

    def __init__(
        self, capture: ErrorCapture, breadcrumbs: Breadcrumbs, breadcrumb_level: int, event_level: int
    ) -> None:
        super().__init__(level=min(breadcrumb_level, event_level))
        self._capture = capture
        self._breadcrumbs = breadcrumbs
        self._breadcrumb_level = breadcrumb_level
        self._event_level = event_level
        self._here = _Here()
        self.failed = False  # whether any record could not be reported
        self.lost = 0

    def handle(self, record: logging.LogRecord) -> bool:
        """Handle a record without the lock of the logging module, so that a slow capture does not block all threads.

        Breadcrumbs and spool have their own locks.
        """
        filtered = self._filtered(record) if self.filters else record
        if filtered is not None:
            self.emit(filtered)
        return filtered is not None

    def _filtered(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """The record after the filters that other code put on this handler; None if one of them drops it.

        (Some code adds a filter to every handler of the root logger.) If a filter fails, the record is dropped, since
        the filter may have been about to drop it or to remove something.
        """
        try:
            answer: object = self.filter(record)
        except Exception:  # noqa: BLE001 - foreign code; it is logged
            self._note_failure("A filter on our log handler failed; its records are not reported")
            return None
        return answer if isinstance(answer, logging.LogRecord) else record if answer else None

    def _note_failure(self, sentence: str) -> None:
        logged, self.failed = self.failed, True  # set before logging, because this handler gets our own records too
        if not logged:
            log.exception(sentence)

    def emit(self, record: logging.LogRecord) -> None:
        """Handle a record, unless it is about reporting itself."""
        if not isinstance(record.name, str):  # changed in the record, because the SDK gets it after us and needs a text
            record.name = "root"
        if f"{record.name}.".startswith(_OURS):
            return
        if self._here.busy:
            self._add_nested(record)
        else:
            afterwards(lambda: self._handle_in_order(record))

    def _add_nested(self, record: logging.LogRecord) -> None:
        if self._here.handling_nested:
            self.lost += record.levelno >= self._event_level
        else:
            self._nested().append(record)

    def _nested(self) -> deque[logging.LogRecord]:
        nested: deque[logging.LogRecord] = self._here.__dict__.setdefault("nested", deque())
        return nested

    def _handle_in_order(self, record: logging.LogRecord) -> None:
        nested = self._nested()
        self._handle(record)
        while nested and not self._here.handling_nested:
            self._here.handling_nested = True
            try:
                self._handle(nested.popleft())
            except IndexError:  # code that interrupted us after the check has handled it
                return
            finally:
                self._here.handling_nested = False

    def _handle(self, record: logging.LogRecord) -> None:
        self._here.busy = True
        try:
            if record.levelno >= self._event_level:
                self._capture.capture_record(record)
            if record.levelno >= self._breadcrumb_level:
                self._breadcrumbs.add(record)
        except (Exception, SystemExit) as error:
            if asks_to_exit(error):
                raise
            self._note_failure("A log record could not be reported; further failures are not logged")
        finally:
            self._here.busy = False
