"""The nicknames that a careless word could page: on IRC, a client calls its person for the bare nick in any line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

ZERO_WIDTH_SPACE = "\u200b"

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
    """The text with an unseen character in each nick; it reads the same and calls nobody.

    Clients differ in what may stand beside a nick: irssi and HexChat call for `alice's`, `alice_` and `x-alice`, so
    everything but a letter or digit beside it makes a nick of it. A nick of one letter cannot be broken.
    """
    folded = text.casefold()
    for nick in sorted((nick for nick in nicks() if nick in folded), key=len, reverse=True):
        # One nick after the other: in `a-b-c` both `a-b` and `b-c` may be somebody.
        text = re.sub(rf"(?<![^\W_]){re.escape(nick)}(?![^\W_])", _broken, text, flags=re.IGNORECASE)
    return text


def _broken(found: re.Match[str]) -> str:
    return found[0][:1] + ZERO_WIDTH_SPACE + found[0][1:]
