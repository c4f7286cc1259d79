"""The breadcrumbs: the bot's last log records, kept in one bounded ring for the whole process.

The SDK keeps breadcrumbs per thread scope, so an error in one of Errbot's pool threads knows none of what led to it,
not even its own command. This ring knows all of them, and whose command each belongs to. Taking a record costs one
formatting and a walk up the stack; everything else (masking, dates) waits until an event wants it, and is done once.
"""

from __future__ import annotations

import json
import logging
import re
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from errbot_sentry.reporting.collect.bot_context import NOWHERE, BotContext, of_stack
from errbot_sentry.reporting.redact.chat_redaction import CHAT, mask_of
from errbot_sentry.reporting.redact.scrubber import Scrubber, cut

log = logging.getLogger(__name__)

SEND, SCRUB, DROP = "send", "scrub", "drop"
_LONGEST = 2000
# Errbot's core.py, _process_command: an f-string, so the words are in the message itself.
_PROCESSING = re.compile(r'Processing command "(.*?)" with parameters ".*" from (.*)', re.DOTALL)
_CRASHED = "An error happened while processing a message ("
# Their DEBUG lines are what comes over the wire: everybody's messages, raw.
_WIRE = ("errbot.backends", "irc", "slixmpp", "slack", "telegram", "discord", "mattermost", "websocket")
LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal"}


class Crumb:
    """One record, formatted; `clean` is its breadcrumb once an event asked for it."""

    __slots__ = ("clean", "command", "created", "level", "logger", "owner", "text", "typed")

    def __init__(self, record: logging.LogRecord, text: str, where: BotContext) -> None:
        self.created = record.created
        self.level = record.levelno
        self.logger = record.name
        self.text = text
        self.owner = where.person
        self.typed = where.typed
        self.command = where.asked or where.command
        self.clean: dict[str, Any] | None = None


Hook = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any] | None]


def _nowhere() -> BotContext:
    return NOWHERE


class Breadcrumbs:
    """The ring.

    Args:
        chat_text: SENTRY_CHAT_TEXT.
        most: how many breadcrumbs travel with an event.
        inherited: the command that started the thread that asks.
        hook: the operator's `before_breadcrumb`, asked about each scrubbed breadcrumb.
    """

    def __init__(
        self,
        scrubber: Scrubber,
        chat_text: str,
        most: int = 100,
        inherited: Callable[[], BotContext] = _nowhere,
        hook: Hook | None = None,
    ) -> None:
        self._scrubber = scrubber
        self._chat_text = chat_text
        self._most = most
        self._inherited = inherited
        self._hook = hook
        self._hook_failed = False
        # Records of other people's commands are passed over, so the ring is longer than what travels.
        self._ring: deque[Crumb] = deque(maxlen=most * 4 if most else 1)

    def add(self, record: logging.LogRecord) -> None:
        """Take a log record; it is formatted now, because its arguments may change."""
        if self._most <= 0:
            return
        if record.levelno < logging.INFO and self._chat_text != SEND and record.name.startswith(_WIRE):
            return
        where = of_stack()
        if not where.typed:
            where = where.with_words_of(self._inherited())
        crumb = Crumb(record, _sentence(record, where, self._chat_text), where)
        if self._hook is None or self._approved(crumb, record, self._hook):
            self._ring.append(crumb)

    def _approved(self, crumb: Crumb, record: logging.LogRecord, hook: Hook) -> bool:
        """What the operator's hook makes of it, as JSON can tell it. If it fails, it may have been about to say no."""
        try:
            answer = hook(self._cleaned(crumb), {"log_record": record})
            crumb.clean = None if answer is None else json.loads(json.dumps(answer, default=str))
        except Exception:
            if not self._hook_failed:
                log.exception("before_breadcrumb in SENTRY_OPTIONS failed, its breadcrumbs are dropped")
            self._hook_failed = True
            return False
        return crumb.clean is not None

    def of(self, person: str, mask: Callable[[str], str] | None) -> list[dict[str, Any]]:
        """The breadcrumbs for an event of this person ("" for nobody): theirs and nobody's, oldest first.

        `mask` hides the words of the command that failed.
        """
        chosen: list[Crumb] = []
        for crumb in reversed(self._ring.copy()):
            if not crumb.owner or crumb.owner == person:
                chosen.append(crumb)
                if len(chosen) >= self._most:
                    break
        return [self._breadcrumb(crumb, mask) for crumb in reversed(chosen)]

    def _breadcrumb(self, crumb: Crumb, mask: Callable[[str], str] | None) -> dict[str, Any]:
        clean = crumb.clean
        if clean is None:
            clean = crumb.clean = self._cleaned(crumb)
        if mask is None:
            return clean
        text = str(clean.get("message", ""))
        masked = mask(text)
        return clean if masked is text else {**clean, "message": masked}

    def _cleaned(self, crumb: Crumb) -> dict[str, Any]:
        text = self._scrubber.text(crumb.text)
        if self._chat_text != SEND and crumb.typed:
            text = mask_of(crumb.typed, (crumb.command,))(text)
        return {
            "type": "log",
            "level": level_name(crumb.level),
            "category": crumb.logger,
            "message": text,
            "timestamp": _time_of(crumb.created).isoformat(),
        }


def _time_of(created: float) -> datetime:
    """When a record was logged; now, where whoever has put it together gave it no such time."""
    try:
        return datetime.fromtimestamp(created, timezone.utc)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.now(timezone.utc)


def level_name(level: int) -> str:
    """Sentry's word for a level of the logging module, the one below it for levels in between."""
    return LEVELS.get(level) or LEVELS[max((known for known in LEVELS if known <= level), default=10)]


def _sentence(record: logging.LogRecord, where: BotContext, chat_text: str) -> str:
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - wrong arguments, or a __str__ that fails: logging itself prints and goes on
        text = record.msg if isinstance(record.msg, str) else f"<{type(record.msg).__name__}>"
    if record.name == "errbot.core":
        text = core_sentence(text, record, where, chat_text)
    return cut(text, _LONGEST)


def core_sentence(text: str, record: logging.LogRecord, where: BotContext, chat_text: str) -> str:
    """Errbot's own sentences, without the message that it puts into two of them."""
    if text.startswith(_CRASHED):
        kind = record.exc_info[0] if record.exc_info else None
        return f'Command "{where.command}" failed: {kind.__name__ if kind else "an error"}'
    if chat_text != SEND and text.startswith("Processing command "):
        found = _PROCESSING.match(text)
        if found:
            return f'Processing command "{found[1]}" with parameters "{CHAT}" from {found[2]}'
    return text
