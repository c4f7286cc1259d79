"""Discord's accounts of today, its threads, and channels that share a name.

Errbot 6.2.1: who sent a message is what the backend makes of it (errbot/core.py, line 268). That of
err-backend-discord 4.0.0 takes ids of exactly 18 digits (discordlib/person.py, `RE_DISCORD_ID`). Since July 2022
Discord gives ids of 19 digits. So new people get no answer, and a new bot's own account is refused when it connects.

A reply goes to the room that the backend says a command was typed in (errbot/core.py, line 255). That backend forgets
the channel's id and looks for a text channel of the same name (discordlib/room.py, `DiscordRoom.from_id`). For a thread
there is none: nobody gets an answer in threads. Where two channels have one name, what is typed in the one is answered
in the other.

Change: the expression takes 15 to 20 digits, as many as Discord's 64-bit ids can have; the room keeps the channel's own
id.

Undone: the expression and the class's own method are put back.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

_PERSONS, _ROOMS = "discordlib.person", "discordlib.room"
_ID = re.compile(r"^[0-9]{15,20}$")


def is_discord(bot: Any) -> bool:
    """Whether this bot's backend is the one for Discord, with what is changed here."""
    return (
        getattr(bot, "mode", "") == "discord"
        and hasattr(sys.modules.get(_PERSONS), "RE_DISCORD_ID")
        and hasattr(sys.modules.get(_ROOMS), "DiscordRoom")
    )


def go_by_ids(_bot: Any) -> Callable[[], None]:
    """Let the backend take ids of today, and its class of rooms go by them; returns what undoes that."""
    persons: Any = sys.modules[_PERSONS]
    room_class: Any = sys.modules[_ROOMS].DiscordRoom
    expression, by_name = persons.RE_DISCORD_ID, vars(room_class)["from_id"]

    def from_id(cls: Any, channel_id: int) -> Any:
        channel = cls.client.get_channel(int(channel_id))
        if channel is None:
            raise ValueError(f"Channel id:{channel_id} doesn't exist!")
        room = cls(channel_id=channel.id)
        room._guild_id, room._channel_name = channel.guild.id, channel.name
        return room

    persons.RE_DISCORD_ID, room_class.from_id = _ID, classmethod(from_id)

    def undo() -> None:
        persons.RE_DISCORD_ID, room_class.from_id = expression, by_name

    return undo
