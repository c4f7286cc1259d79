"""The SDK's last question before an event leaves (`before_send`): does it count, what belongs to it, what must go.

Every event passes here, also those that the SDK's own integrations made: the filter, then enrichment, then redaction.
"""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from errbot_sentry.reporting.collect import bot_context
from errbot_sentry.reporting.collect.bot_context import BotContext
from errbot_sentry.reporting.collect.breadcrumbs import Breadcrumbs
from errbot_sentry.reporting.collect.command_scope import current_command, with_words
from errbot_sentry.reporting.collect.event_filter import EventFilter
from errbot_sentry.reporting.collect.event_processor import EventProcessor
from errbot_sentry.reporting.collect.repeat_counter import RepeatCount
from errbot_sentry.reporting.redact.chat_redaction import CHAT
from errbot_sentry.reporting.redact.redaction import Event, Redactor

log = logging.getLogger(__name__)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

# Attached texts of up to a megabyte are masked, with the words of a long message too.
_MOST_STEPS_BESIDE = 6_000_000


@dataclass(frozen=True)
class CaptureContext:
    """What goes with an event that we made: its place, how often the same error was counted before, and the sentence
    that was logged along with an exception."""

    place: BotContext
    earlier: RepeatCount | None = None
    sentence: str = ""


class BeforeSend:
    """Filters, enriches and redacts. Any thread may call it.

    Args:
        on_captured: called for each error or message that leaves.
    """

    def __init__(
        self,
        event_filter: EventFilter,
        event_processor: EventProcessor,
        redactor: Redactor,
        breadcrumbs: Breadcrumbs,
        on_captured: Callable[[], None],
    ) -> None:
        self._event_filter = event_filter
        self._event_processor = event_processor
        self._redactor = redactor
        self._breadcrumbs = breadcrumbs
        self._on_captured = on_captured
        self._failed = False

    def __call__(self, event: Event, context: CaptureContext | None, exc_info: ExcInfo | None) -> Event | None:
        """The event as it may leave, None where it must not. `context` is None for events that we did not make."""
        try:
            return self._finished(event, context, exc_info)
        except Exception:
            if not self._failed:
                log.exception("An event could not be completed; it leaves with nothing but its type")
            self._failed = True
            return types_only(event)

    def _finished(self, event: Event, context: CaptureContext | None, exc_info: ExcInfo | None) -> Event | None:
        if event.get("type") in ("transaction", "check_in"):
            return self._complete(event, CaptureContext(current_command()))
        if context is None:
            context = self._context_of(exc_info)
            if context is None:
                return None
        self._on_captured()
        return self._complete(event, context)

    def _context_of(self, exc_info: ExcInfo | None) -> CaptureContext | None:
        """The context of an event that the SDK made; None where it must not leave."""
        earlier = None
        if exc_info is None:
            place = bot_context.of_stack()
        else:
            admitted, earlier = self._event_filter.admit_exception(exc_info[1], exc_info[2])
            if not admitted:
                return None
            place = bot_context.of_exception(exc_info[2])
        return CaptureContext(with_words(place if place.kind else current_command()), earlier)

    def _complete(self, event: Event, context: CaptureContext) -> Event:
        place = context.place
        names = self._event_processor.enrich(event, place, context.earlier, context.sentence)
        redaction = self._redactor.redaction(place.typed, (place.typed_to or place.command, place.plugin), names)
        redacted = redaction.event(event)
        if event.get("type") not in ("transaction", "check_in"):
            self._breadcrumbs.add_to(redacted, place.person, redaction.without_words)
        return redacted

    def redact(self, item: Any) -> Any:
        """What is no event (a log, a metric, an attached text): a text or JSON-like value, without secrets and without
        the words of the command that runs here."""
        place = with_words(bot_context.of_stack())
        spared = (place.typed_to or place.command, place.plugin)
        return self._redactor.redaction(place.typed, spared, most_steps=_MOST_STEPS_BESIDE).value(item)


def types_only(event: Event) -> Event:
    """What may leave of an event that could not be completed: that it happened, and the types of its exceptions, as far
    as they are Python's own (a plugin may have made the name of one from what somebody typed)."""
    values = (event.get("exception") or {}).get("values") or []
    kept: Event = {key: event[key] for key in ("event_id", "timestamp", "platform", "level", "sdk") if key in event}
    kept["exception"] = {
        "values": [{"type": _own_type(value.get("type")), "value": CHAT} for value in values if isinstance(value, dict)]
    }
    return kept


def _own_type(name: object) -> str:
    return name if isinstance(name, str) and isinstance(getattr(builtins, name, None), type) else "Exception"
