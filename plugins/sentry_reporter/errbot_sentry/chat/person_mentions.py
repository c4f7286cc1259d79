"""How a person is mentioned in each chat network, as Markdown for Errbot's backend of it, and addressed directly.

Taken from the person's own identifier, at the moment when they prove who they are. A name is believed only where it has
the form that its network gives to names: whoever can choose a name freely must not be able to mention a whole room.
"""

from __future__ import annotations

import re
from typing import Any

from errbot.backends.base import RoomOccupant

_SLACK_ID = re.compile(r"[UW][A-Z0-9]{2,20}")
_DISCORD_ID = re.compile(r"\d{15,21}")
_MATRIX_ID = re.compile(r"@[a-z0-9._=/+-]{1,100}:[A-Za-z0-9.-]{1,200}(?::[0-9]{1,5})?")
_TELEGRAM_ID = re.compile(r"[1-9]\d{0,15}")
_FIRST_NAME = re.compile(r"[^\W_]+(?: [^\W_]+)*")
_NAME_AFTER_AT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,63}")
# What Zulip lets nobody have in a name (check_full_name in zerver/lib/users.py), and |, which an id follows.
_ZULIP_NAME = re.compile(r"[^\s*`\\>\"@|][^*`\\>\"@|]{0,98}")
_IRC_NICK = re.compile(r"[A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]{0,63}")
_XMPP_NICK = re.compile(r"[^\W_][\w.-]{0,63}")
# What mentions everybody, on one network or another.
_EVERYBODY = frozenset({"here", "channel", "all", "everyone", "group"})
_EVERYBODY_ON_ZULIP = _EVERYBODY | {"stream", "topic"}
_MATTERMOST_ID = re.compile(r"[a-z0-9]{26}")
_IRC_MASK = re.compile(r"[^\s!@:#,*?]+![^\s!@]+@[^\s!@]+")
_XMPP_ADDRESS = re.compile(r"[^\s@/]+@[^\s@/]+")
_OWN_ADDRESS = re.compile(r"[^\s#][^\s]*")
_NEVER = re.compile(r"(?!)")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()>#+\-.!])")


def mention_of(mode: str, person: Any) -> str:
    """The Markdown that mentions this person (Errbot's identifier) on the backend `mode`; "" where nothing would."""
    reader = _READERS.get(mode)
    return reader(person) if reader is not None else ""


def direct_address(mode: str, person: Any) -> str:
    """What `build_identifier` of the backend `mode` makes this same person of, also after a restart; "" for nothing.

    An id where there are ids: names are given away, and somebody else takes them. On IRC it is the whole mask, which
    the adapter compares before each message. Nobody is addressed through a room: who has a nick there is not known.
    """
    name, form = _ADDRESSES.get(mode, ("person", _NEVER))
    if isinstance(person, RoomOccupant) and mode == "xmpp":
        return ""
    found = _text(person, name) if name else str(person)
    return found if form.fullmatch(found) else ""


def _slack(person: Any) -> str:
    found = _text(person, "userid")
    return f"<@{found}>" if _SLACK_ID.fullmatch(found) else ""


def _discord(person: Any) -> str:
    found = _text(person, "id")
    return f"<@{found}>" if _DISCORD_ID.fullmatch(found) else ""


def _mattermost(person: Any) -> str:
    return _after_at(_text(person, "username"))


def _matrix(person: Any) -> str:
    found = _text(person, "userid")
    return _MARKDOWN.sub(r"\\\1", found) if _MATRIX_ID.fullmatch(found) else ""


def _telegram(person: Any) -> str:
    """Many people have no username: core.telegram.org/bots/api#formatting-options, "inline mention of a user"."""
    if username := _after_at(_text(person, "username")):
        return _MARKDOWN.sub(r"\\\1", username)
    number, name = _text(person, "id"), _text(person, "first_name")
    shown = name if _FIRST_NAME.fullmatch(name) else number
    return f"[{shown}](tg://user?id={number})" if _TELEGRAM_ID.fullmatch(number) else ""


def _zulip(person: Any) -> str:
    """By the name: the backend knows no id."""
    name = _text(person, "fullname")
    return f"@**{name}**" if _ZULIP_NAME.fullmatch(name) and name.casefold() not in _EVERYBODY_ON_ZULIP else ""


def _irc(person: Any) -> str:
    """A client notifies its person of the bare nick."""
    return _plain_nick(_text(person, "nick"), _IRC_NICK)


def _xmpp(person: Any) -> str:
    """In a room the nick is the resource of the occupant, whose `nick` is the room's name; outside of rooms `nick` is
    the first part of the address, which is the usual nick."""
    return _plain_nick(_text(person, "resource" if hasattr(person, "room") else "nick"), _XMPP_NICK)


def _own_word(person: Any) -> str:
    """Errbot's Text and Test backends, where a person is an @ and a name."""
    return _MARKDOWN.sub(r"\\\1", _after_at(_text(person, "person").removeprefix("@")))


def _plain_nick(nick: str, form: re.Pattern[str]) -> str:
    return _MARKDOWN.sub(r"\\\1", nick) if form.fullmatch(nick) and nick.casefold() not in _EVERYBODY else ""


def _after_at(name: str) -> str:
    return f"@{name}" if _NAME_AFTER_AT.fullmatch(name) and name.casefold() not in _EVERYBODY else ""


def _text(person: Any, name: str) -> str:
    return str(getattr(person, name, None) or "")


_READERS = {
    "slackv3": _slack,
    "discord": _discord,
    "mattermost": _mattermost,
    "matrix": _matrix,
    "telegram": _telegram,
    "zulip": _zulip,
    "irc": _irc,
    "xmpp": _xmpp,
    "text": _own_word,
    "test": _own_word,
}
# The attribute of Errbot's identifier that has the address ("": it prints it), and its form.
_ADDRESSES = {
    "slackv3": ("userid", _SLACK_ID),
    "discord": ("id", _DISCORD_ID),
    "mattermost": ("userid", _MATTERMOST_ID),
    "matrix": ("userid", _MATRIX_ID),
    "telegram": ("id", _TELEGRAM_ID),
    "irc": ("", _IRC_MASK),
    "xmpp": ("person", _XMPP_ADDRESS),
    "zulip": ("aclattr", _XMPP_ADDRESS),  # of a conversation of several people it has commas
    "text": ("person", _OWN_ADDRESS),
    "test": ("person", _OWN_ADDRESS),
}
