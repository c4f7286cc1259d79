"""How rooms are written on each chat network.

Only the form is checked: whether the room exists is known when the bot sends to it. Backends do not refuse a wrong
form: IRC's delivers to the person of that name, or to nobody, and Discord's into a room that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

# Errbot's name of the backend (`bot.mode`): what a room's name looks like, and an example. Slack's takes a channel's
# plain name, too. Other backends take what they like.
_FORMS = {
    "irc": (r"[#&+!].+", "#ops"),
    "text": (r"#.+", "#ops"),
    "xmpp": (r"[^@\s]+@[^@\s]+", "ops@conference.example.com"),
    # A group's topic may follow its number. The general topic has none: Telegram refuses messages to topic 1.
    "telegram": (r"-?\d+|-\d+/(?!1$)[1-9]\d*", "-1001234567890"),
    "slackv3": (r"[^@~].*", "#ops"),
    "mattermost": (r"[~#@]?[^~#@\s]+", "~ops"),
    "discord": (r"#.+|<#\d+>|\d{15,20}", "#ops"),
    "zulip": (r"#?[^#~@\s].{0,64}", "#ops"),
    "matrix": (r"#[^:\s]+:.+|![^\s]+", "#ops:example.com"),
}
_MARKS = "#&+!@~"


def wrong_room(room: str, mode: str, known: Iterable[str] = ()) -> str:
    """Why this cannot be a room on the network, with the name that was probably meant; "" where it can.

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
    """Whether a room's name on this network can match the glob; one that begins with a wildcard always may."""
    return glob[:1] in "*?[" or any(sign in glob for sign in "*?[") or not wrong_room(glob, mode)


def _nearest(room: str, form: str, example: str, known: Iterable[str]) -> str:
    rooms = {each.lstrip(_MARKS).partition("@")[0].casefold(): each for each in known if re.fullmatch(form, each)}
    plain = room.lstrip(_MARKS).strip()
    found = get_close_matches(plain.casefold(), rooms, n=1, cutoff=0.8)
    if found:
        return rooms[found[0]]
    marked = example[0] + plain
    return marked if plain and example[0] in _MARKS and re.fullmatch(form, marked) else ""
