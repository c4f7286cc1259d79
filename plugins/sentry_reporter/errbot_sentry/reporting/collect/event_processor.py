"""The SDK's last question before an event leaves (`before_send`): does it count, what belongs to it, what must go.

Every event passes here, also those that the SDK's own integrations made: the filter, then enrichment with the bot, the
command, the room and the person, then redaction.
"""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from errbot_sentry.reporting.collect import bot_context
from errbot_sentry.reporting.collect.bot_context import COMMAND, BotContext, BotFacts
from errbot_sentry.reporting.collect.breadcrumbs import Breadcrumbs
from errbot_sentry.reporting.collect.command_scope import current_command, with_words
from errbot_sentry.reporting.collect.event_filter import ErrorSummary, EventFilter, ExcInfo, RepeatCount
from errbot_sentry.reporting.redact.chat_redaction import CHAT, SEND, mask_of
from errbot_sentry.reporting.redact.redaction import MOST_STEPS, Event, Redaction
from errbot_sentry.reporting.redact.scrubber import Scrubber

log = logging.getLogger(__name__)

# Attached texts of up to a megabyte are masked, with the words of a long message too.
_MOST_STEPS_BESIDE = 6_000_000
_NO_ERRORS = ("transaction", "check_in")


@dataclass(frozen=True)
class CaptureContext:
    """What goes with an event that we made: its place, how often the same error was counted before, and the sentence
    that was logged along with an exception."""

    place: BotContext
    earlier: RepeatCount | None = None
    sentence: str = ""


class EventProcessor:
    """Filters, enriches and redacts. Any thread may call it.

    Args:
        chat_text: SENTRY_CHAT_TEXT.
        on_captured: called for each error or message that leaves.
    """

    def __init__(
        self,
        event_filter: EventFilter,
        facts: BotFacts,
        scrubber: Scrubber,
        chat_text: str,
        breadcrumbs: Breadcrumbs,
        on_captured: Callable[[], None],
    ) -> None:
        self._event_filter = event_filter
        self._facts = facts
        self._scrubber = scrubber
        self._chat_text = chat_text
        self._breadcrumbs = breadcrumbs
        self._on_captured = on_captured
        self._failed = False

    def __call__(self, event: Event, context: CaptureContext | None, exc_info: ExcInfo | None) -> Event | None:
        """The event as it may leave, None where it must not. `context` is None for events that we did not make."""
        try:
            return self._finished(event, context, exc_info)
        except Exception:  # objects of any plugin, in any state: what is uncertain does not leave
            if not self._failed:
                log.exception("An event could not be completed; it leaves with nothing but its type")
            self._failed = True
            return types_only(event)

    def redact(self, item: Any) -> Any:
        """What is no event (a log, a metric, an attached text): a text or JSON-like value, without secrets and without
        the words of the command that runs here."""
        place = with_words(bot_context.of_stack())
        return self._redaction(place, most_steps=_MOST_STEPS_BESIDE).value(item)

    def redact_summary(self, summary: ErrorSummary) -> Event:
        """The event of a count as it may wait on the disk, without secrets and typed words."""
        return self._redaction(summary.place).event(dict(summary.event))

    def _finished(self, event: Event, context: CaptureContext | None, exc_info: ExcInfo | None) -> Event | None:
        if event.get("type") in _NO_ERRORS:
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
        names = self.enrich(event, context)
        redaction = self._redaction(place, names)
        redacted = redaction.event(event)
        if event.get("type") not in _NO_ERRORS:
            self._breadcrumbs.add_to(redacted, place.person, redaction.without_words)
        return redacted

    def _redaction(
        self, place: BotContext, names: frozenset[str] = frozenset(), most_steps: int = MOST_STEPS
    ) -> Redaction:
        """The masking of the words of this place; the names of its command and plugin stay readable."""
        spared = (place.typed_to or place.command, place.plugin)
        mask = mask_of(place.typed, spared) if place.typed and self._chat_text != SEND else None
        return Redaction(self._scrubber, mask or None, self._chat_text, names, most_steps)

    def enrich(self, event: Event, context: CaptureContext) -> frozenset[str]:
        """Add to the event what is known of its place; returns the names among it that stay readable, whatever was
        typed."""
        if event.get("type") == "transaction" and context.place.kind == COMMAND:
            taken = _milliseconds(event.get("start_timestamp"), event.get("timestamp"))
            if taken is not None:
                event.setdefault("measurements", {})["command.duration"] = {"value": taken, "unit": "millisecond"}
        names = self._add_place(event, context.place)
        earlier = context.earlier
        if earlier is not None:
            event["tags"]["repeated"] = str(earlier.count)
            seconds = round(earlier.last - earlier.first, 3)
            event["contexts"]["repeats"] = {"type": "repeats", "count": earlier.count, "seconds": seconds}
        if context.sentence:
            event["contexts"]["log"] = {"sentence": context.sentence}
        return names

    def _add_place(self, event: Event, place: BotContext) -> frozenset[str]:
        facts = self._facts
        plugin = place.plugin or (facts.plugin_of(place.command) if place.command else "")
        own = {
            "bot.backend": facts.backend,
            "errbot.version": facts.errbot_version,
            "bot.command": place.command,
            "bot.plugin": plugin,
            "bot.room": place.room,
            "bot.entry": place.entry,
        }
        tags = event.get("tags")
        event["tags"] = {
            **(tags if isinstance(tags, dict) else {}),
            **{key: value for key, value in own.items() if value},
        }
        if place.person:
            person = {"id": place.person, "username": place.nick or place.person}
            event["user"] = {**person, **(event.get("user") or {})}
        if place.transaction and event.get("type") != "transaction":
            event["transaction"] = place.transaction
            event["transaction_info"] = {"source": "task" if place.kind == COMMAND else "component"}
        contexts = event.setdefault("contexts", {})
        contexts["errbot"] = {"type": "errbot", "version": facts.errbot_version, "backend": facts.backend}
        if plugin:
            contexts["plugin"] = {"type": "plugin", "name": plugin, "module": place.module, "kind": place.kind}
        if self._chat_text == SEND and place.typed and not place.typed_to:
            contexts["chat"] = {"type": "chat", "message": place.typed[0]}
        return frozenset((*own.values(), place.person, place.nick, place.transaction)) - {""}


def _milliseconds(start: object, end: object) -> float | None:
    try:
        began, ended = (datetime.fromisoformat(str(at).replace("Z", "+00:00")) for at in (start, end))
    except ValueError:
        return None
    return round((ended - began).total_seconds() * 1000, 3)


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
