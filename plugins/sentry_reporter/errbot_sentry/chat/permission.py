"""Whether Errbot lets this person run this command here: one answer for typed commands, pasted links and reactions.

Errbot calls its command filters before it runs what was typed: `ACCESS_CONTROLS` (errbot/core_plugins/acls.py) and the
filters of other plugins (errbot/core.py, `_process_command_filters`). What is done for a link or a reaction is the
same command by another way, so the same filters are called for it, with a message as if it had been typed there.
The commands themselves check our own rules (`SENTRY_WRITERS`, `SENTRY_ROOM_PROJECTS`), whoever runs them.
"""

from __future__ import annotations

import logging
from typing import Any

from errbot.backends.base import Message

log = logging.getLogger(__name__)

PLUGIN = "SentryReporter"


def may_run(bot: Any, message: Message, command: str, words: str, *, passed: str = "", aloud: bool = False) -> bool:
    """Whether the sender of this message may run a command of ours in the conversation of the message.

    Args:
        command: the name in the catalogue, `issue`; not an alias, so that a rule for a command covers its aliases.
        words: what is, or would have been, typed behind it.
        passed: the name under which Errbot has let it pass already, "" where it was not typed.
        aloud: whether filters may reply, ask back or count; else this is a dry run for them and the refusal is
            silent. Where they may, the dry run comes first: nobody gets a message about what they may not do.
    """
    if passed == command:
        return True
    name = _registered(bot, command)
    if name is None:
        return False
    if not passed and not _passes(bot, message, name, words, dry_run=True):
        log.info("%s may not run %s here; nothing is done", message.frm, name)
        return False
    return not aloud or _passes(bot, message, name, words, dry_run=False)


def _passes(bot: Any, message: Message, name: str, words: str, *, dry_run: bool) -> bool:
    """Whether all filters let exactly this command pass; what a filter changes on the way was not typed."""
    passed, command, arguments = bot._process_command_filters(message, name, words, dry_run)  # noqa: SLF001 - `!help` does
    return passed is not None and (command, arguments) == (name, words)


def _registered(bot: Any, command: str) -> str | None:
    """The name under which Errbot knows a command; another plugin with the same one makes it rename ours."""
    method = "sentry" if command == "sentry" else f"sentry_{command}"
    for name, function in bot.all_commands.items():
        owner = getattr(function, "__self__", None)
        if getattr(function, "__name__", "") == method and getattr(owner, "name", "") == PLUGIN:
            return str(name)
    return None
