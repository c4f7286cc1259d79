"""The last hand on an event before it leaves: who and where, breadcrumbs, counts, and then the redaction of it all."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Any

from errbot_sentry.reporting.bot_facts import About
from errbot_sentry.reporting.collect.bot_context import COMMAND, BotContext
from errbot_sentry.reporting.collect.breadcrumbs import SEND, Breadcrumbs
from errbot_sentry.reporting.collect.repeat_counter import Tally
from errbot_sentry.reporting.redact.chat_redaction import CHAT, ChatMask, mask_of
from errbot_sentry.reporting.redact.redaction import Event, Redaction
from errbot_sentry.reporting.redact.scrubber import Scrubber

# Attached texts of up to a megabyte are masked, with the words of a long message too.
_MOST_STEPS_BESIDE = 6_000_000


class EventProcessor:
    """Knows the bot, the rules and the trail; `dress` is given one event at a time and may be called by any thread."""

    def __init__(self, about: About, scrubber: Scrubber, chat_text: str, breadcrumbs: Breadcrumbs) -> None:
        self._about = about
        self._scrubber = scrubber
        self._chat_text = chat_text
        self._breadcrumbs = breadcrumbs

    def dress(self, event: Event, where: BotContext, earlier: Tally | None = None, sentence: str = "") -> Event:
        """The event complete and scrubbed. `sentence` is what was logged along with an exception."""
        own = self._add_place(event, where)
        self._add_tally(event, earlier)
        if sentence:
            event.setdefault("contexts", {})["log"] = {"sentence": sentence}
        redaction = Redaction(self._scrubber, self._mask(where), self._chat_text, own)
        clean = redaction.event(event)
        if event.get("type") not in ("transaction", "check_in"):
            self._add_trail(clean, where, redaction)
        return clean

    def dress_transaction(self, event: Event, where: BotContext) -> Event:
        """A transaction complete and scrubbed; the time a command took is also a measurement of its own."""
        if where.kind == COMMAND:
            taken = _milliseconds(event.get("start_timestamp"), event.get("timestamp"))
            if taken is not None:
                event.setdefault("measurements", {})["command.duration"] = {"value": taken, "unit": "millisecond"}
        return self.dress(event, where)

    def _mask(self, where: BotContext) -> ChatMask | None:
        if self._chat_text == SEND or not where.typed:
            return None
        return mask_of(where.typed, (where.asked or where.command, where.plugin)) or None

    def clean(self, item: Any, where: BotContext) -> Any:
        """What is no event (a log, a metric, an attached text): a text or JSON-like value, scrubbed."""
        mask = self._mask(where)
        return Redaction(self._scrubber, mask, self._chat_text, most_steps=_MOST_STEPS_BESIDE).value(item)

    def _add_place(self, event: Event, where: BotContext) -> frozenset[str]:
        """Who and where; returns what of it stays readable, whatever was typed."""
        plugin = where.plugin or (self._about.plugin_of(where.command) if where.command else "")
        own = {
            "bot.backend": self._about.backend,
            "errbot.version": self._about.errbot_version,
            "bot.command": where.command,
            "bot.plugin": plugin,
            "bot.room": where.room,
            "bot.entry": where.entry,
        }
        tags = event.get("tags")
        event["tags"] = {**(tags if isinstance(tags, dict) else {}), **{key: held for key, held in own.items() if held}}
        if where.person:
            person = {"id": where.person, "username": where.nick or where.person}
            event["user"] = {**person, **(event.get("user") or {})}
        if where.transaction and event.get("type") != "transaction":
            event["transaction"] = where.transaction
            event["transaction_info"] = {"source": "task" if where.kind == COMMAND else "component"}
        contexts = event.setdefault("contexts", {})
        contexts["errbot"] = {"type": "errbot", "version": self._about.errbot_version, "backend": self._about.backend}
        if plugin:
            contexts["plugin"] = {"type": "plugin", "name": plugin, "module": where.module, "kind": where.kind}
        if self._chat_text == SEND and where.typed and not where.asked:
            contexts["chat"] = {"type": "chat", "message": where.typed[0]}
        return frozenset((*own.values(), where.person, where.nick, where.transaction)) - {""}

    @staticmethod
    def _add_tally(event: Event, earlier: Tally | None) -> None:
        if earlier is None:
            return
        event["tags"]["repeated"] = str(earlier.count)
        event.setdefault("contexts", {})["repeats"] = {
            "type": "repeats",
            "count": earlier.count,
            "seconds": round(earlier.last - earlier.first, 3),
        }

    def _add_trail(self, event: Event, where: BotContext, redaction: Redaction) -> None:
        ours = self._breadcrumbs.of(where.person, redaction.without_words)
        crumbs = event.get("breadcrumbs")
        theirs = crumbs.get("values") if isinstance(crumbs, dict) else None
        if theirs:
            ours = sorted([*ours, *theirs], key=lambda crumb: str(crumb.get("timestamp", "")))[-max(len(ours), 100) :]
        event["breadcrumbs"] = {"values": ours}


def _milliseconds(start: object, end: object) -> float | None:
    try:
        began, ended = (datetime.fromisoformat(str(at).replace("Z", "+00:00")) for at in (start, end))
    except ValueError:
        return None
    return round((ended - began).total_seconds() * 1000, 3)


def bare(event: Event) -> Event:
    """What may leave of an event that could not be dressed: that it happened, and the types of its exceptions, as far
    as they are Python's own (a plugin may have made the name of one from what somebody typed)."""
    values = (event.get("exception") or {}).get("values") or []
    kept: Event = {key: event[key] for key in ("event_id", "timestamp", "platform", "level", "sdk") if key in event}
    kept["exception"] = {
        "values": [{"type": _own_type(value.get("type")), "value": CHAT} for value in values if isinstance(value, dict)]
    }
    return kept


def _own_type(name: object) -> str:
    return name if isinstance(name, str) and isinstance(getattr(builtins, name, None), type) else "Exception"
