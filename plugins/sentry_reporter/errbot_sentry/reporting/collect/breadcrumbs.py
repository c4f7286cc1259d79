"""Breadcrumbs: the bot's last log records, in one bounded ring for the whole process.

The SDK stores breadcrumbs by scope, and each thread has its own. So an error in one of Errbot's pool threads would have
no breadcrumbs, not even the line about its own command. This ring has the records of all threads, each with the person
whose command it belongs to. Adding a record only formats it and looks at the stack. Masking and dates follow when the
first event needs the record.
"""

from __future__ import annotations

import json
import logging
import re
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from errbot_sentry.reporting.collect.bot_context import BotContext, of_stack
from errbot_sentry.reporting.collect.command_scope import with_words
from errbot_sentry.reporting.redact.chat_redaction import CHAT, SEND, mask_of
from errbot_sentry.reporting.redact.redaction import Event
from errbot_sentry.reporting.redact.scrubber import Scrubber, cut

log = logging.getLogger(__name__)

_LONGEST = 2000
# Errbot's core.py, _process_command, logs an f-string, so the typed words are part of the message.
_PROCESSING = re.compile(r'Processing command "(.*?)" with parameters ".*" from (.*)', re.DOTALL)
_CRASHED = "An error happened while processing a message ("
# These libraries log everything that they receive on level DEBUG, including everybody's messages.
_RAW_MESSAGES = (
    "errbot.backends",
    "irc",
    "slixmpp",
    "slack",
    "telegram",
    "discord",
    "mattermost",
    "websocket",
    "zulip",
)
LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal"}


class _LogLine:
    """One formatted log record. `clean` is its masked breadcrumb, made when an event first needs it."""

    __slots__ = ("clean", "command", "created", "level", "logger", "owner", "text", "typed")

    def __init__(self, record: logging.LogRecord, text: str, context: BotContext) -> None:
        self.created = record.created
        self.level = record.levelno
        self.logger = record.name
        self.text = text
        self.owner = context.person
        self.typed = context.typed
        self.command = context.typed_to or context.command
        self.clean: dict[str, Any] | None = None


Hook = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any] | None]


class Breadcrumbs:
    """The ring of breadcrumbs.

    Args:
        chat_text: SENTRY_CHAT_TEXT.
        most: how many breadcrumbs an event gets.
        hook: the operator's `before_breadcrumb`, called with each scrubbed breadcrumb.
    """

    def __init__(
        self,
        scrubber: Scrubber,
        chat_text: str,
        most: int = 100,
        hook: Hook | None = None,
    ) -> None:
        self._scrubber = scrubber
        self._chat_text = chat_text
        self._most = most
        self._hook = hook
        self._hook_failed = False
        # An event does not get the records of other people's commands, so the ring has more than an event needs.
        self._ring: deque[_LogLine] = deque(maxlen=most * 4 if most else 1)

    def add(self, record: logging.LogRecord) -> None:
        """Add a log record. It is formatted now, because its arguments may change later."""
        if self._most <= 0:
            return
        if record.levelno < logging.INFO and self._chat_text != SEND and record.name.startswith(_RAW_MESSAGES):
            return
        context = with_words(of_stack())
        line = _LogLine(record, _sentence(record, context, self._chat_text), context)
        if self._hook is None or self._approved(line, record, self._hook):
            self._ring.append(line)

    def _approved(self, line: _LogLine, record: logging.LogRecord, hook: Hook) -> bool:
        """Whether the operator's hook accepts the breadcrumb. The hook may change it.

        If the hook fails, the breadcrumb is dropped, since the hook may have been about to drop it.
        """
        try:
            answer = hook(self._cleaned(line), {"log_record": record})
            line.clean = None if answer is None else json.loads(json.dumps(answer, default=str))
        except Exception:  # the operator's code
            if not self._hook_failed:
                log.exception("before_breadcrumb in SENTRY_OPTIONS failed; its breadcrumbs are dropped")
            self._hook_failed = True
            return False
        return line.clean is not None

    def add_to(self, event: Event, person: str, mask: Callable[[str], str]) -> None:
        """Add breadcrumbs to an event, in the order of time with those that the SDK has put there.

        They are those of this person's commands ("" for nobody), and those that belong to no person. `mask` hides the
        typed words of the failed command.
        """
        ours = self._of(person, mask)
        present = event.get("breadcrumbs")
        theirs = present.get("values") if isinstance(present, dict) else None
        if theirs:
            ours = sorted([*ours, *theirs], key=lambda line: str(line.get("timestamp", "")))[-max(len(ours), 100) :]
        event["breadcrumbs"] = {"values": ours}

    def _of(self, person: str, mask: Callable[[str], str]) -> list[dict[str, Any]]:
        chosen: list[_LogLine] = []
        for line in reversed(self._ring.copy()):
            if not line.owner or line.owner == person:
                chosen.append(line)
                if len(chosen) >= self._most:
                    break
        return [self._breadcrumb(line, mask) for line in reversed(chosen)]

    def _breadcrumb(self, line: _LogLine, mask: Callable[[str], str]) -> dict[str, Any]:
        clean = line.clean
        if clean is None:
            clean = line.clean = self._cleaned(line)
        text = str(clean.get("message", ""))
        masked = mask(text)
        return clean if masked is text else {**clean, "message": masked}

    def _cleaned(self, line: _LogLine) -> dict[str, Any]:
        text = self._scrubber.text(line.text)
        if self._chat_text != SEND and line.typed:
            text = mask_of(line.typed, (line.command,))(text)
        return {
            "type": "log",
            "level": level_name(line.level),
            "category": line.logger,
            "message": text,
            "timestamp": _time_of(line.created).isoformat(),
        }


def _time_of(created: float) -> datetime:
    """When a record was logged; the present time if the record has no valid time because somebody built it by hand."""
    try:
        return datetime.fromtimestamp(created, timezone.utc)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.now(timezone.utc)


def level_name(level: int) -> str:
    """Sentry's name for a level of the logging module; a level in between gets the name of the next lower one."""
    return LEVELS.get(level) or LEVELS[max((known for known in LEVELS if known <= level), default=10)]


def message_of(record: logging.LogRecord) -> str:
    """A record's message. If its arguments do not fit, it is the message without them."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - wrong arguments, or a __str__ that fails; logging too continues after these
        return unformatted(record)


def unformatted(record: logging.LogRecord) -> str:
    """A record's message without its arguments; the type of the message if its text cannot be read."""
    try:
        return str(record.msg)
    except Exception:  # noqa: BLE001 - a __str__ that fails
        return f"<{type(record.msg).__name__}>"


def _sentence(record: logging.LogRecord, context: BotContext, chat_text: str) -> str:
    text = message_of(record)
    if record.name == "errbot.core":
        text = core_sentence(text, record, context, chat_text)
    return cut(text, _LONGEST)


def core_sentence(text: str, record: logging.LogRecord, context: BotContext, chat_text: str) -> str:
    """The text of a record of Errbot's core. Two of its messages quote the person's message, which is removed."""
    if text.startswith(_CRASHED):
        kind = record.exc_info[0] if record.exc_info else None
        return f'Command "{context.command}" failed: {kind.__name__ if kind else "an error"}'
    if chat_text != SEND and text.startswith("Processing command "):
        parts = _PROCESSING.match(text)
        if parts:
            return f'Processing command "{parts[1]}" with parameters "{CHAT}" from {parts[2]}'
    return text
