"""From log records and raised exceptions to events: the gate, the context, the capture, the last hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from errbot_sentry.domain.clock import Clock
from errbot_sentry.reporting.collect import bot_context, load_errors
from errbot_sentry.reporting.collect.bot_context import NOWHERE, BotContext
from errbot_sentry.reporting.collect.breadcrumbs import level_name
from errbot_sentry.reporting.collect.command_scope import current
from errbot_sentry.reporting.collect.event_filter import (
    EventFilter,
    Intake,
    Summary,
    event_of,
    is_echo,
    is_load_errors,
    mark_seen,
)
from errbot_sentry.reporting.collect.event_processor import EventProcessor, bare
from errbot_sentry.reporting.collect.repeat_counter import Tally
from errbot_sentry.reporting.follow_ups import FollowUps
from errbot_sentry.reporting.redact.redaction import Event
from errbot_sentry.reporting.redact.scrubber import cut
from errbot_sentry.reporting.report_status import Counters
from errbot_sentry.reporting.sdk_client import Client, ExcInfo

log = logging.getLogger(__name__)

# The attributes that every record has; what else there is came from `extra=`.
_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "tags", "stack"}
_LONGEST = 8192
_MOST_PARAMS = 20


class ErrorCapture:
    """Makes events. `client` is set once it exists: it needs `finish` to come into being."""

    client: Client

    def __init__(
        self,
        event_filter: EventFilter,
        event_processor: EventProcessor,
        follow_ups: FollowUps,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._event_filter = event_filter
        self._event_processor = event_processor
        self._follow_ups = follow_ups
        self._counters = counters
        self._clock = clock
        self._finish_failed = False

    def take(self, record: logging.LogRecord) -> None:
        """An event of a log record, if it deserves one."""
        if is_echo(record):
            return
        if is_load_errors(record):
            self._take_load_errors(record)
            return
        exc_info = record.exc_info
        # A record that somebody has put together, or that came from another process, may have anything there.
        if isinstance(exc_info, tuple) and isinstance(exc_info[1], BaseException):
            self.take_exception(exc_info, record)
        else:
            self._take_sentence(record)

    def take_exception(
        self, exc_info: ExcInfo, record: logging.LogRecord | None = None, tags: Mapping[str, str] | None = None
    ) -> str | None:
        """An event of an exception; None when it is none: seen before, only counted, or told to stay in."""
        extra: Event = {"level": "error"}
        if record is not None:
            extra = {"level": level_name(record.levelno), "logger": record.name, "extra": _extra(record)}
        error = exc_info[1]
        crashed = record is not None and record.name == "errbot.core"
        taken, earlier = self._event_filter.exception(error, exc_info[2], lambda: self._summary(exc_info, extra))
        if not taken:
            if crashed:  # the plugin has logged it by itself before it let it go
                self._captured(event_of(error), bot_context.of_exception(exc_info[2]), crashed)
            return None
        where = self._with_words(bot_context.of_exception(exc_info[2]))
        if tags:
            extra["tags"] = dict(tags)
        event_id = self.client.capture_exception(exc_info, extra, Intake(where, earlier, _sentence(record)))
        mark_seen(error, self._clock.monotonic(), event_id)
        return self._captured(event_id, where, crashed)

    def _take_sentence(self, record: logging.LogRecord) -> None:
        where = self._with_words(bot_context.of_stack())
        taken, earlier = self._event_filter.record(record, lambda: Summary(_sentence_event(record), _nameless(where)))
        if taken:
            self.client.capture(_sentence_event(record), Intake(where, earlier))

    def _take_load_errors(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        chains = load_errors.exceptions_in(text)
        for chain in chains:
            frames = chain[-1]["stacktrace"]["frames"]
            positions = ((frame["abs_path"], frame["lineno"]) for frame in frames)
            taken, earlier = self._event_filter.key(hash((chain[-1]["type"], *positions)))
            if taken:
                event = {"level": "error", "logger": record.name, "exception": {"values": chain}}
                self.client.capture(event, Intake(BotContext("load"), earlier))
        if not chains:
            self._take_sentence(record)

    def take_message(
        self, text: str, level: str, tags: Mapping[str, str] | None = None, where: BotContext | None = None
    ) -> str | None:
        """An event of a sentence, by default from where it is said."""
        event: Event = {"level": level, "logentry": {"message": cut(text, _LONGEST)}, "tags": dict(tags or {})}
        return self.client.capture(event, Intake(self._with_words(bot_context.of_stack() if where is None else where)))

    def tell_tally(self, tally: Tally) -> None:
        """One event for errors that were only counted, when no captured one came to carry the count."""
        summary = tally.summary
        if isinstance(summary, Summary):
            event, where = dict(summary.event), summary.where
        else:
            event, where = {"level": "error", "logentry": {"message": "An error repeated"}}, NOWHERE
        for value in (event.get("exception") or {}).get("values", ()):
            for frame in (value.get("stacktrace") or {}).get("frames", ()):
                load_errors.add_source(frame)
        self.client.capture(event, Intake(where, tally))

    def finish(self, event: Event, intake: Intake | None, exc_info: ExcInfo | None) -> Event | None:
        """The SDK's last question before an event leaves; also for those that the SDK's own integrations made."""
        try:
            return self._finished(event, intake, exc_info)
        except Exception:
            if not self._finish_failed:
                log.exception("An event could not be completed; it leaves with nothing but its type")
            self._finish_failed = True
            return bare(event)

    def _finished(self, event: Event, intake: Intake | None, exc_info: ExcInfo | None) -> Event | None:
        kind = event.get("type")
        if kind == "transaction":
            return self._event_processor.dress_transaction(event, self._with_words(current()))
        if kind == "check_in":
            return self._event_processor.dress(event, self._with_words(current()))
        if intake is None:
            where, earlier = current(), None
            if exc_info is not None:
                taken, earlier = self._event_filter.exception(exc_info[1], exc_info[2])
                if not taken:
                    return None
                where = bot_context.of_exception(exc_info[2])
            else:
                where = bot_context.of_stack()
            intake = Intake(self._with_words(where if where.kind else current()), earlier)
        self._counters.add("captured")
        return self._event_processor.dress(event, intake.where, intake.earlier, intake.sentence)

    def clean(self, item: Any) -> Any:
        """A text, or a JSON-like value, without secrets and without the words of the command that runs here."""
        return self._event_processor.clean(item, self._with_words(bot_context.of_stack()))

    def _with_words(self, where: BotContext) -> BotContext:
        return where if where.typed else where.with_words_of(self.client.inherited())

    def _captured(self, event_id: str | None, where: BotContext, crashed: bool) -> str | None:
        if event_id is not None and where.kind == bot_context.COMMAND:
            self._follow_ups.captured(event_id, where, self._clock.monotonic(), tell=crashed)
        if crashed and where.kind == bot_context.COMMAND:
            self.client.mark_failed()
        return event_id

    def _summary(self, exc_info: ExcInfo, extra: Event) -> Summary | None:
        try:
            kept: Event = {key: extra[key] for key in ("level", "logger") if key in extra}
            where = self._with_words(bot_context.of_exception(exc_info[2]))
            return Summary({**self.client.summary(exc_info), **kept}, _nameless(where))
        except Exception:
            log.exception("An error that repeats could not be sketched")
            return None


def _nameless(where: BotContext) -> BotContext:
    """The place of an error without the people: many may stand behind a count, and no message is held on to."""
    return replace(where, room="", person="", nick="", acl="", message=None)


def _sentence(record: logging.LogRecord | None) -> str:
    """What was logged along with an exception; Errbot's own sentences say nothing that the event does not."""
    if record is None or (record.name.startswith("errbot.") and not record.name.startswith("errbot.plugins.")):
        return ""
    return _message(record)


def _message(record: logging.LogRecord) -> str:
    try:
        return cut(record.getMessage(), _LONGEST)
    except Exception:  # noqa: BLE001 - arguments that do not fit, or a __str__ that fails
        return _unformatted(record)


def _unformatted(record: logging.LogRecord) -> str:
    try:
        return cut(str(record.msg), _LONGEST)
    except Exception:  # noqa: BLE001 - a __str__ that fails
        return f"<{type(record.msg).__name__}>"


def _sentence_event(record: logging.LogRecord) -> Event:
    entry: dict[str, Any] = {"message": _unformatted(record), "formatted": _message(record)}
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
        key: held
        for key, held in vars(record).items()
        if isinstance(key, str) and key not in _RECORD and not key.startswith("_")
    }
