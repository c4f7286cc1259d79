"""What the report flow knows about the bot: plain facts and one look-up, so that nothing here imports Errbot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _unknown(_command: str) -> str:
    return ""


@dataclass(frozen=True)
class About:
    """Facts for the tags and contexts of every event.

    Args:
        backend: the bot's mode, "irc" or "slackv3" say.
        errbot_version: Errbot's own version.
        plugin_of: the name of the plugin that has this command (as in `cmd`, with underscores), "" when nobody has it.
    """

    backend: str = ""
    errbot_version: str = ""
    plugin_of: Callable[[str], str] = _unknown
