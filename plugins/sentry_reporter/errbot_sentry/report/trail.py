"""The breadcrumbs: the bot's last log records, kept in one bounded ring for the whole process.

The SDK keeps breadcrumbs per thread scope, so an error in one of Errbot's pool threads knows none of what led to it,
not even its own command. This ring knows all of them, and whose command each belongs to. Taking a record costs one
formatting and a walk up the stack; everything else (masking, dates) waits until an event wants it, and is done once.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from errbot_sentry.report.chatmask import CHAT, mask_of
from errbot_sentry.report.context import BotContext, of_stack
from errbot_sentry.report.scrub import Scrubber, cut

SEND, SCRUB, DROP = "send", "scrub", "drop"
_LONGEST = 2000
# Errbot's core.py, _process_command: an f-string, so the words are in the message itself.
_PROCESSING = re.compile(r'Processing command "(.*?)" with parameters ".*" from (.*)', re.DOTALL)
_CRASHED = "An error happened while processing a message ("
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
        self.command = where.command
        self.clean: dict[str, Any] | None = None


class Trail:
    """The ring. `chat_text` is SENTRY_CHAT_TEXT; `most` is how many breadcrumbs travel with an event."""

    def __init__(self, scrubber: Scrubber, chat_text: str, most: int = 100) -> None:
        self._scrubber = scrubber
        self._chat_text = chat_text
        self._most = most
        # Records of other people's commands are passed over, so the ring is longer than what travels.
        self._ring: deque[Crumb] = deque(maxlen=most * 4 if most else 1)

    def add(self, record: logging.LogRecord) -> None:
        """Take a log record; it is formatted now, because its arguments may change."""
        if self._most <= 0:
            return
        where = of_stack()
        self._ring.append(Crumb(record, _sentence(record, where, self._chat_text), where))

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
        masked = mask(clean["message"])
        return clean if masked is clean["message"] else {**clean, "message": masked}

    def _cleaned(self, crumb: Crumb) -> dict[str, Any]:
        text = self._scrubber.text(crumb.text)
        if self._chat_text != SEND and crumb.typed:
            text = mask_of(crumb.typed, (crumb.command,))(text)
        return {
            "type": "log",
            "level": level_name(crumb.level),
            "category": crumb.logger,
            "message": text,
            "timestamp": datetime.fromtimestamp(crumb.created, timezone.utc).isoformat(),
        }


def level_name(level: int) -> str:
    """Sentry's word for a level of the logging module, the one below it for levels in between."""
    return LEVELS.get(level) or LEVELS[max((known for known in LEVELS if known <= level), default=10)]


def _sentence(record: logging.LogRecord, where: BotContext, chat_text: str) -> str:
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - wrong arguments, or a __str__ that fails: logging itself prints and goes on
        text = str(record.msg)
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
