"""Enrichment: what an event says about the bot, the command, the room and the person, beside what the SDK found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from errbot_sentry.reporting.collect.bot_context import COMMAND, BotContext
from errbot_sentry.reporting.collect.repeat_counter import RepeatCount
from errbot_sentry.reporting.redact.chat_redaction import SEND
from errbot_sentry.reporting.redact.redaction import Event

_TAG_KEY = re.compile(r"[a-zA-Z0-9_.:-]{1,32}")
_LONGEST_TAG = 200


def _unknown(_command: str) -> str:
    return ""


@dataclass(frozen=True)
class BotFacts:
    """Facts about the bot for every event, and one look-up, so that nothing here imports Errbot.

    Args:
        backend: the bot's mode, "irc" or "slackv3" say.
        errbot_version: Errbot's own version.
        plugin_of: the name of the plugin that has this command (as in `cmd`, with underscores), "" when none has it.
    """

    backend: str = ""
    errbot_version: str = ""
    plugin_of: Callable[[str], str] = _unknown


class EventProcessor:
    """Adds context to events. Any thread may call it.

    Args:
        chat_text: SENTRY_CHAT_TEXT.
    """

    def __init__(self, facts: BotFacts, chat_text: str) -> None:
        self._facts = facts
        self._chat_text = chat_text

    def enrich(
        self, event: Event, context: BotContext, earlier: RepeatCount | None = None, sentence: str = ""
    ) -> frozenset[str]:
        """Add to the event what is known of its place; returns the names among it that stay readable, whatever was
        typed.

        Args:
            earlier: how often the same error was counted before without an event.
            sentence: what was logged along with an exception.
        """
        if event.get("type") == "transaction" and context.kind == COMMAND:
            taken = _milliseconds(event.get("start_timestamp"), event.get("timestamp"))
            if taken is not None:
                event.setdefault("measurements", {})["command.duration"] = {"value": taken, "unit": "millisecond"}
        names = self._add_place(event, context)
        if earlier is not None:
            _add_count(event, earlier)
        if sentence:
            event.setdefault("contexts", {})["log"] = {"sentence": sentence}
        return names

    def _add_place(self, event: Event, context: BotContext) -> frozenset[str]:
        """Who and where; returns what of it stays readable, whatever was typed."""
        plugin = context.plugin or (self._facts.plugin_of(context.command) if context.command else "")
        own = {
            "bot.backend": self._facts.backend,
            "errbot.version": self._facts.errbot_version,
            "bot.command": context.command,
            "bot.plugin": plugin,
            "bot.room": context.room,
            "bot.entry": context.entry,
        }
        tags = event.get("tags")
        event["tags"] = {
            **(tags if isinstance(tags, dict) else {}),
            **{key: value for key, value in own.items() if value},
        }
        if context.person:
            person = {"id": context.person, "username": context.nick or context.person}
            event["user"] = {**person, **(event.get("user") or {})}
        if context.transaction and event.get("type") != "transaction":
            event["transaction"] = context.transaction
            event["transaction_info"] = {"source": "task" if context.kind == COMMAND else "component"}
        contexts = event.setdefault("contexts", {})
        contexts["errbot"] = {"type": "errbot", "version": self._facts.errbot_version, "backend": self._facts.backend}
        if plugin:
            contexts["plugin"] = {"type": "plugin", "name": plugin, "module": context.module, "kind": context.kind}
        if self._chat_text == SEND and context.typed and not context.typed_to:
            contexts["chat"] = {"type": "chat", "message": context.typed[0]}
        return frozenset((*own.values(), context.person, context.nick, context.transaction)) - {""}


def _add_count(event: Event, earlier: RepeatCount) -> None:
    event["tags"]["repeated"] = str(earlier.count)
    event.setdefault("contexts", {})["repeats"] = {
        "type": "repeats",
        "count": earlier.count,
        "seconds": round(earlier.last - earlier.first, 3),
    }


def _milliseconds(start: object, end: object) -> float | None:
    try:
        began, ended = (datetime.fromisoformat(str(at).replace("Z", "+00:00")) for at in (start, end))
    except ValueError:
        return None
    return round((ended - began).total_seconds() * 1000, 3)


def tag_fault(key: object, value: object) -> str:
    """Why this tag cannot be set, "" if it can (https://docs.sentry.io/platforms/python/enriching-events/tags/)."""
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
