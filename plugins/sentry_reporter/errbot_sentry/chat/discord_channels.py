"""Names of Discord's channels, as people write them and as we show them. Reads discord.py's objects, without a request.

`#ops` is the channel of that name in the guild (Discord's word for a server) that the bot joined first; if there are
two, the older one. All others are called `<#id>`. So nobody can get the alerts for `#ops` by making another `#ops`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from errbot_sentry.domain.identifiers import small

_ID = re.compile(r"(?:<#)?(\d{15,20})(>?)")


def id_in(name: str) -> int | None:
    """The id of a channel that is written as `<#id>` or `id`; None for any other name."""
    found = _ID.fullmatch(name)
    return int(found[1]) if found and name.startswith("<") == bool(found[2]) else None


def channel_named(client: Any, name: str) -> Any:
    """The channel that `#name` stands for; None if there is none."""
    folded = small(name.removeprefix("#"))
    found = [channel for channel in _named_channels(client) if small(channel.name) == folded]
    return min(found, key=lambda channel: channel.id, default=None)


def name_of(client: Any, channel: Any) -> str:
    """`#ops` if that stands for this channel, else `<#id>`; for a thread, the name of the channel that it is in."""
    room = getattr(channel, "parent", None) or channel
    named = channel_named(client, str(room.name))
    return f"#{room.name}" if named is not None and named.id == room.id else f"<#{room.id}>"


def is_thread(channel: Any) -> bool:
    """Whether this is a thread in a channel. discord.py 2.0.1: only a Thread has `parent_id`."""
    return getattr(channel, "parent_id", None) is not None


def _named_channels(client: Any) -> Iterator[Any]:
    """The channels of the guild that the bot joined first."""
    guilds = [(guild.me.joined_at, guild.id, guild) for guild in client.guilds if guild.me and guild.me.joined_at]
    if guilds:
        yield from min(guilds, key=lambda each: each[:2])[2].text_channels
