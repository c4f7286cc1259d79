"""Makes Discord work with new accounts, with threads, and with channels that have the same name.

Errbot 6.2.1: the backend tells Errbot who sent a message (errbot/core.py, line 268). err-backend-discord 4.0.0 accepts
only ids of exactly 18 digits (discordlib/person.py, `RE_DISCORD_ID`). Since July 2022 Discord gives out ids of 19
digits. So new people get no answer, and a new bot's own account is refused when it connects.

Errbot sends a reply to the room that the backend gives for the command (errbot/core.py, line 255). The backend forgets
the channel's id and looks for a text channel of the same name (discordlib/room.py, `DiscordRoom.from_id`). It finds
none for a thread, so nobody gets an answer in threads. If two channels have the same name, commands in one of them are
answered in the other.

Change: the expression accepts 15 to 20 digits, the lengths that Discord's 64-bit ids can have. The room keeps the
channel's own id.

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
    """Whether this bot's backend is the one for Discord, and has what this patch changes."""
    return (
        getattr(bot, "mode", "") == "discord"
        and hasattr(sys.modules.get(_PERSONS), "RE_DISCORD_ID")
        and hasattr(sys.modules.get(_ROOMS), "DiscordRoom")
    )


def go_by_ids(_bot: Any) -> Callable[[], None]:
    """Let the backend accept today's ids and find rooms by their ids. Returns a function that undoes the change."""
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
