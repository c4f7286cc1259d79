"""Keeps messages from notifying people. On IRC and XMPP, a client notifies its user of each message with their nick."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

ZERO_WIDTH_SPACE = "\u200b"

Nicks = Callable[[], frozenset[str]]
"""Returns the nicks that would notify somebody at this moment, case-folded."""


def nicks_of(bot: Any) -> frozenset[str]:
    """The nicks in the bot's rooms, case-folded; empty on networks where only a nick after `@` notifies."""
    reader = _READERS.get(str(bot.mode))
    connection = getattr(bot, "conn", None)
    if reader is None or connection is None:
        return frozenset()
    return frozenset(str(nick).casefold() for nick in reader(connection))


def _in_channels(connection: Any) -> Iterator[str]:
    """IRC: the connection object has the channels and their users (irc.bot.SingleServerIRCBot)."""
    for channel in list((getattr(connection, "channels", None) or {}).values()):
        yield from list(channel.users())


def _in_groupchats(connection: Any) -> Iterator[str]:
    """XMPP: slixmpp's XEP-0045 plugin has each room's occupants by nick. Errbot's `XMPPRoom.occupants` reads it too."""
    plugins = getattr(getattr(connection, "client", None), "plugin", None)
    if plugins is None or "xep_0045" not in plugins:
        return
    for occupants in list(plugins["xep_0045"].rooms.values()):
        yield from list(occupants)


_READERS = {"irc": _in_channels, "xmpp": _in_groupchats}


# RFC 1459, section 2.2: on IRC, `{}|^` are the lower case of `[]\~`.
_IRC_SMALL = str.maketrans("[]\\~", "{}|^")


def _folded(text: str) -> str:
    return text.casefold().translate(_IRC_SMALL)


def without_nicks(text: str, nicks: Nicks) -> str:
    """The text with an invisible character inside each nick, so that the text looks the same and notifies nobody.

    Clients differ in which characters may be next to a nick: irssi and HexChat notify for `alice's`, `alice_` and
    `x-alice`. So every nick counts that has no letter or digit next to it. A nick of one letter cannot be broken.
    """
    present = nicks()
    if not present:  # saves time: folding a whole list takes as long as laying it out
        return text
    folded = _folded(text)
    here = [nick for nick in map(_folded, present) if len(nick) > 1 and nick in folded]
    # A break in one nick can isolate another: once `ii` is broken, `-i` stands by itself in `-ii`.
    while here and (breaks := _breaks(text, here)):
        pieces, last = [], 0
        for index in sorted(breaks):
            pieces.append(text[last:index])
            last = index
        text = ZERO_WIDTH_SPACE.join([*pieces, text[last:]])
    return text


def _breaks(text: str, nicks: Iterable[str]) -> set[int]:
    """The indexes at which to insert the invisible characters, each inside a nick."""
    folded = _folded(text)
    # Folding can turn one letter into two (`ß`, `İ`), so `positions` maps each folded letter to an index in the text.
    positions = range(len(text)) if len(folded) == len(text) else _positions(text)
    return {
        positions[start] + 1
        for nick in nicks
        for start in _starts(folded, nick)
        if positions[start] < positions[start + len(nick) - 1]  # a letter that folds into a whole nick cannot be split
    }


def _positions(text: str) -> list[int]:
    """For each letter of the folded text, the index of the letter in the text from which it was made."""
    return [index for index, letter in enumerate(text) for _ in letter.casefold()]


def _starts(folded: str, nick: str) -> Iterator[int]:
    """The indexes at which this nick is a word by itself. Nicks may overlap, as `a-b` and `b-c` do in `a-b-c`."""
    start = folded.find(nick)
    while start >= 0:
        end = start + len(nick)
        if not (folded[start - 1 : start].isalnum() or folded[end : end + 1].isalnum()):
            yield start
        start = folded.find(nick, start + 1)
