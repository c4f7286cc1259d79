"""The form of room names on each chat network.

Only the form is checked, as only sending shows whether a room exists. It has to be checked here, because backends
accept a wrong form: IRC's sends to the person of that name or to nobody, and Discord's to a room that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

# By Errbot's name of the backend (`bot.mode`): a pattern for the names of rooms, and an example. Slack's backend also
# accepts a channel's plain name. Names for other backends are not checked.
_FORMS = {
    "irc": (r"[#&+!][^\s,\x07]+", "#ops"),  # RFC 2812, section 2.3.1
    "text": (r"#.+", "#ops"),
    "xmpp": (r"[^@\s/]+@[^@\s/]+", "ops@conference.example.com"),  # ROOM/NICK is a person in the room
    # The number of a topic may follow that of its group. The general topic has no number here, as Telegram refuses
    # messages to topic 1.
    "telegram": (r"-?\d+|-\d+/(?!1$)[1-9]\d*", "-1001234567890"),
    "slackv3": (r"[^@~\s,][^\s,]*", "#ops"),
    "mattermost": (r"[~#@]?[^~#@\s,]+", "~ops"),
    "discord": (r"#.+|<#\d+>|\d{15,20}", "#ops"),
    "zulip": (r"#?[^#~@\s].{0,64}", "#ops"),
    "matrix": (r"#[^:\s]+:[^\s,]+|![^\s]+", "#ops:example.com"),
}
_MARKS = "#&+!@~"


def wrong_room(room: str, mode: str, known: Iterable[str] = ()) -> str:
    """Why this cannot be a room on the network, with the name that was probably meant; "" if it can be one.

    Args:
        mode: Errbot's name of the backend.
        known: the rooms that the bot joins (CHATROOM_PRESENCE).
    """
    form, example = _FORMS.get(mode, ("", ""))
    if not form or re.fullmatch(form, room, re.DOTALL):
        return ""
    near = _nearest(room, form, example, known)
    return f"{room!r} is not a room's name on this chat network; " + (
        f"did you mean {near!r}?" if near else f"expected one such as {example!r}"
    )


def may_match_room(glob: str, mode: str) -> bool:
    """Whether the glob can match a room's name on this network; a glob with a wildcard is not checked."""
    return glob[:1] in "*?[" or any(sign in glob for sign in "*?[") or not wrong_room(glob, mode)


def _nearest(room: str, form: str, example: str, known: Iterable[str]) -> str:
    rooms = {name.lstrip(_MARKS).partition("@")[0].casefold(): name for name in known if re.fullmatch(form, name)}
    plain = room.lstrip(_MARKS).strip()
    near = get_close_matches(plain.casefold(), rooms, n=1, cutoff=0.8)
    if near:
        return rooms[near[0]]
    marked = example[0] + plain
    return marked if plain and example[0] in _MARKS and re.fullmatch(form, marked) else ""
