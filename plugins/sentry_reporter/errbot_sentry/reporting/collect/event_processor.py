"""The SDK's hooks `before_send` and `before_send_transaction`, through which every event passes before it is sent.

It filters the events that the SDK's integrations made, adds the bot, command, room and person to every event, and then
redacts it.
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

# Enough to mask the typed words of a long message in an attached text of a megabyte.
_MOST_STEPS_FOR_ITEMS = 6_000_000
_NO_ERRORS = ("transaction", "check_in")


@dataclass(frozen=True)
class CaptureContext:
    """The context of an event that we made.

    `place` is where it happened, `earlier` the count of the same error before, and `sentence` the message that was
    logged with an exception.
    """

    place: BotContext
    earlier: RepeatCount | None = None
    sentence: str = ""


class EventProcessor:
    """Filters, enriches and redacts. Any thread may call it.

    Args:
        chat_text: SENTRY_CHAT_TEXT.
        on_captured: called for each error or message that is sent.
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
        """The event to send, None to drop it. `context` is None for events that we did not make."""
        try:
            return self._finished(event, context, exc_info)
        except Exception:  # a plugin's objects may be in any state; what is perhaps not masked is not sent
            if not self._failed:
                log.exception("An event could not be completed; only its types of exceptions are sent")
            self._failed = True
            return types_only(event)

    def redact(self, item: Any) -> Any:
        """Redact a text or JSON-like value that is not an event (a log, a metric, an attachment).

        Secrets and the typed words of the running command are removed.
        """
        place = with_words(bot_context.of_stack())
        return self._redaction(place, most_steps=_MOST_STEPS_FOR_ITEMS).value(item)

    def redact_summary(self, summary: ErrorSummary) -> Event:
        """The event of a count for the disk, without secrets and typed words."""
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
        """The context of an event that the SDK made; None to drop the event."""
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
        """The redaction for this place. It masks the typed words, but not the names of the command and plugin."""
        spared = (place.typed_to or place.command, place.plugin)
        mask = mask_of(place.typed, spared) if place.typed and self._chat_text != SEND else None
        return Redaction(self._scrubber, mask or None, self._chat_text, names, most_steps)

    def enrich(self, event: Event, context: CaptureContext) -> frozenset[str]:
        """Add the context to the event; returns the added names, which are not masked even if somebody typed them."""
        if event.get("type") == "transaction" and context.place.kind == COMMAND:
            duration = _milliseconds(event.get("start_timestamp"), event.get("timestamp"))
            if duration is not None:
                event.setdefault("measurements", {})["command.duration"] = {"value": duration, "unit": "millisecond"}
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
    """The parts of an event that may be sent if it could not be completed: its time and the types of its exceptions.

    Only the names of Python's own types are sent, since a plugin may name a type after what somebody typed.
    """
    values = (event.get("exception") or {}).get("values") or []
    safe: Event = {key: event[key] for key in ("event_id", "timestamp", "platform", "level", "sdk") if key in event}
    safe["exception"] = {
        "values": [
            {"type": _builtin_type(value.get("type")), "value": CHAT} for value in values if isinstance(value, dict)
        ]
    }
    return safe


def _builtin_type(name: object) -> str:
    return name if isinstance(name, str) and isinstance(getattr(builtins, name, None), type) else "Exception"
