"""The nicknames in the bot's rooms: on IRC and XMPP a client notifies its person of every bare nick."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

ZERO_WIDTH_SPACE = "\u200b"

Nicks = Callable[[], frozenset[str]]
"""Returns the nicks that would page somebody at this moment, case-folded."""


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


# RFC 1459, section 2.2: on IRC the one are the small letters of the other.
_IRC_SMALL = str.maketrans("[]\\~", "{}|^")


def _folded(text: str) -> str:
    return text.casefold().translate(_IRC_SMALL)


def without_nicks(text: str, nicks: Nicks) -> str:
    """The text with an unseen character in each nick; it reads the same and notifies nobody.

    Clients differ in what may stand beside a nick: irssi and HexChat notify for `alice's`, `alice_` and `x-alice`, so
    everything but a letter or digit beside it makes a nick of it. A nick of one letter cannot be broken.
    """
    present = nicks()
    if not present:  # folding a whole list takes as long as laying it out
        return text
    folded = _folded(text)
    here = [nick for nick in map(_folded, present) if len(nick) > 1 and nick in folded]
    # A break in one nick can be the end of another: with `ii` broken, `-i` stands by itself in `-ii`.
    while here and (breaks := _breaks(text, here)):
        pieces, last = [], 0
        for index in sorted(breaks):
            pieces.append(text[last:index])
            last = index
        text = ZERO_WIDTH_SPACE.join([*pieces, text[last:]])
    return text


def _breaks(text: str, nicks: Iterable[str]) -> set[int]:
    """The indexes at which the nicks in the text are to be broken, each inside of one."""
    folded = _folded(text)
    # Folding can make two letters of one (`ß`, `İ`): `positions` then has each folded letter's index in the text.
    positions = range(len(text)) if len(folded) == len(text) else _positions(text)
    return {
        positions[start] + 1
        for nick in nicks
        for start in _starts(folded, nick)
        if positions[start] < positions[start + len(nick) - 1]  # a letter that folds into a whole nick has no inside
    }


def _positions(text: str) -> list[int]:
    """For each letter of the folded text, the index in the text of the one that it was made of."""
    return [index for index, letter in enumerate(text) for _ in letter.casefold()]


def _starts(folded: str, nick: str) -> Iterator[int]:
    """Where this nick stands by itself: also where two overlap, as `a-b` and `b-c` do in `a-b-c`."""
    start = folded.find(nick)
    while start >= 0:
        end = start + len(nick)
        if not (folded[start - 1 : start].isalnum() or folded[end : end + 1].isalnum()):
            yield start
        start = folded.find(nick, start + 1)
