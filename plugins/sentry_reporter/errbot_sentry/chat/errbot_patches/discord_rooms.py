"""Discord's threads, and channels that share a name.

Errbot 6.2.1: a reply goes to the room that the backend says a command was typed in (errbot/core.py, line 255). That of
err-backend-discord 4.0.0 forgets the channel's id and looks for a text channel of the same name
(discordlib/room.py, `DiscordRoom.from_id`). For a thread there is none: nobody gets an answer in threads. Where two
channels have one name, what is typed in the one is answered in the other.

Change: the room keeps the channel's own id.

Undone: the class gets its own method back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

_MODULE = "discordlib.room"


def looks_for_names(bot: Any) -> bool:
    """Whether this bot's backend is the one for Discord."""
    return getattr(bot, "mode", "") == "discord" and hasattr(sys.modules.get(_MODULE), "DiscordRoom")


def keep_ids(bot: Any) -> Callable[[], None]:
    """Let the backend's class of rooms go by ids; returns what undoes that."""
    del bot
    room_class: Any = sys.modules[_MODULE].DiscordRoom
    original = vars(room_class)["from_id"]

    def from_id(cls: Any, channel_id: int) -> Any:
        channel = cls.client.get_channel(int(channel_id))
        if channel is None:
            raise ValueError(f"Channel id:{channel_id} doesn't exist!")
        room = cls(channel_id=channel.id)
        room._guild_id, room._channel_name = channel.guild.id, channel.name
        return room

    room_class.from_id = classmethod(from_id)

    def undo() -> None:
        room_class.from_id = original

    return undo
