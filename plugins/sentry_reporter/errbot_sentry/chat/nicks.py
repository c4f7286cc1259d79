"""The nicknames that a careless word could page: on IRC and XMPP a client calls its person for the bare nick."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

ZERO_WIDTH_SPACE = "\u200b"

Nicks = Callable[[], frozenset[str]]
"""Whom a bare word would page at this moment, folded."""


def nicks_of(bot: Any) -> frozenset[str]:
    """The nicks in the bot's rooms, folded; empty on other networks, where only an `@` in front pages."""
    reader = _READERS.get(str(bot.mode))
    connection = getattr(bot, "conn", None)
    if reader is None or connection is None:
        return frozenset()
    return frozenset(str(nick).casefold() for nick in reader(connection))


def _in_channels(connection: Any) -> Iterator[str]:
    """IRC: the connection keeps its channels with their users (irc.bot.SingleServerIRCBot)."""
    for channel in list((getattr(connection, "channels", None) or {}).values()):
        yield from list(channel.users())


def _in_groupchats(connection: Any) -> Iterator[str]:
    """XMPP: slixmpp's XEP-0045 keeps who is in which room, by nick, as Errbot's own `XMPPRoom.occupants` reads it."""
    plugins = getattr(getattr(connection, "client", None), "plugin", None)
    if plugins is None or "xep_0045" not in plugins:
        return
    for occupants in list(plugins["xep_0045"].rooms.values()):
        yield from list(occupants)


_READERS = {"irc": _in_channels, "xmpp": _in_groupchats}


def without_nicks(text: str, nicks: Nicks) -> str:
    """The text with an unseen character in each nick; it reads the same and calls nobody.

    Clients differ in what may stand beside a nick: irssi and HexChat call for `alice's`, `alice_` and `x-alice`, so
    everything but a letter or digit beside it makes a nick of it. A nick of one letter cannot be broken.
    """
    present = nicks()
    if not present:  # folding a whole list takes as long as laying it out
        return text
    folded = text.casefold()
    for nick in sorted((nick for nick in present if nick in folded), key=len, reverse=True):
        # One nick after the other: in `a-b-c` both `a-b` and `b-c` may be somebody.
        text = re.sub(rf"(?<![^\W_]){re.escape(nick)}(?![^\W_])", _broken, text, flags=re.IGNORECASE)
    return text


def _broken(found: re.Match[str]) -> str:
    return found[0][:1] + ZERO_WIDTH_SPACE + found[0][1:]
