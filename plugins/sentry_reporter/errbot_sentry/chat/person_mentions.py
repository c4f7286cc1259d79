"""How each chat network mentions a person, as Markdown for Errbot's backend, and how it addresses them directly.

Both come from Errbot's identifier of the person. A name is used only if it has the form that its network requires,
because people choose their names, and nobody may choose one that mentions a whole room.
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
# Zulip forbids these characters in names (check_full_name in zerver/lib/users.py). In a mention, | begins an id.
_ZULIP_NAME = re.compile(r"[^\s*`\\>\"@|][^*`\\>\"@|]{0,98}")
_IRC_NICK = re.compile(r"[A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]{0,63}")
_XMPP_NICK = re.compile(r"[^\W_][\w.-]{0,63}")
# Names that mention everybody on some network.
_EVERYBODY = frozenset({"here", "channel", "all", "everyone", "group"})
_EVERYBODY_ON_ZULIP = _EVERYBODY | {"stream", "topic"}
_MATTERMOST_ID = re.compile(r"[a-z0-9]{26}")
_IRC_MASK = re.compile(r"[^\s!@:#,*?]+![^\s!@]+@[^\s!@]+")
_XMPP_ADDRESS = re.compile(r"[^\s@/]+@[^\s@/]+")
_OWN_ADDRESS = re.compile(r"[^\s#][^\s]*")
_NEVER = re.compile(r"(?!)")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()>#+\-.!])")


def mention_of(mode: str, person: Any) -> str:
    """The Markdown that mentions this person (Errbot's identifier) on the backend `mode`; "" if nothing does."""
    reader = _READERS.get(mode)
    return reader(person) if reader is not None else ""


def direct_address(mode: str, person: Any) -> str:
    """The address from which the backend's `build_identifier` makes this person again; "" if there is none.

    The address is an id if the network has ids, because a name may later belong to somebody else. On IRC it is the
    whole mask, which the adapter compares before each message. An occupant of an XMPP room has no address, because
    somebody else may use the nick later.
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
    """By the username; without one, by the id (core.telegram.org/bots/api#formatting-options, "inline mention")."""
    if username := _after_at(_text(person, "username")):
        return _MARKDOWN.sub(r"\\\1", username)
    number, name = _text(person, "id"), _text(person, "first_name")
    shown = name if _FIRST_NAME.fullmatch(name) else number
    return f"[{shown}](tg://user?id={number})" if _TELEGRAM_ID.fullmatch(number) else ""


def _zulip(person: Any) -> str:
    """By the name, because the backend does not know the id."""
    name = _text(person, "fullname")
    return f"@**{name}**" if _ZULIP_NAME.fullmatch(name) and name.casefold() not in _EVERYBODY_ON_ZULIP else ""


def _irc(person: Any) -> str:
    """By the bare nick: clients notify a person when a message contains their nick."""
    return _plain_nick(_text(person, "nick"), _IRC_NICK)


def _xmpp(person: Any) -> str:
    """By the nick, the first part of the address. For a room's occupant `nick` is the room, and `resource` the nick."""
    return _plain_nick(_text(person, "resource" if hasattr(person, "room") else "nick"), _XMPP_NICK)


def _own_word(person: Any) -> str:
    """On Errbot's Text and Test backends, where a person is written as `@` and a name."""
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
# The attribute of Errbot's identifier that holds the address ("": its `str`), and the form that an address must have.
_ADDRESSES = {
    "slackv3": ("userid", _SLACK_ID),
    "discord": ("id", _DISCORD_ID),
    "mattermost": ("userid", _MATTERMOST_ID),
    "matrix": ("userid", _MATRIX_ID),
    "telegram": ("id", _TELEGRAM_ID),
    "irc": ("", _IRC_MASK),
    "xmpp": ("person", _XMPP_ADDRESS),
    "zulip": ("aclattr", _XMPP_ADDRESS),  # a conversation of several people has several, with commas
    "text": ("person", _OWN_ADDRESS),
    "test": ("person", _OWN_ADDRESS),
}
