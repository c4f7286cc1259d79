"""The nicknames that a careless word could page: on IRC, a client calls its person for the bare nick in any line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

ZERO_WIDTH_SPACE = "\u200b"
_WORD = re.compile(r"[\w\[\]\\^{}|`-]+")


Nicks = Callable[[], frozenset[str]]
"""Whom a bare word would page at this moment, folded."""


def nicks_of(bot: Any) -> frozenset[str]:
    """The nicks in the bot's channels, folded; empty on other networks, where only an `@` in front pages.

    Errbot's IRC backend keeps the channels with their users at `conn.channels` (irc.bot.SingleServerIRCBot).
    """
    channels = getattr(getattr(bot, "conn", None), "channels", None)
    if not channels or str(bot.mode) != "irc":
        return frozenset()
    return frozenset(str(nick).casefold() for channel in list(channels.values()) for nick in list(channel.users()))


def without_nicks(text: str, nicks: Nicks) -> str:
    """The text with an unseen character in each word that is somebody's nick; it reads the same and calls nobody."""
    present = nicks()
    if not present:
        return text

    def broken(found: re.Match[str]) -> str:
        word = found.group()
        return word[0] + ZERO_WIDTH_SPACE + word[1:] if word.casefold() in present else word

    return _WORD.sub(broken, text)
