"""A real Errbot with the real Discord backend and discord.py, against the stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.fakes.discord_server import TOKEN, DiscordServer
from tests.servers.network_bot import Backend, NetworkBot
from tests.system.plugin_copies import PLUGIN

DISCORD = Backend(
    "Discord",
    (
        "err-backend-discord==4.0.0",
        "discord.py==2.0.1",
        'audioop-lts==0.2.2; python_version >= "3.13"',  # discord.py imports audioop, which Python has no more
    ),
    {},
    "run_errbot_on_discord.py",
    "err-backend-discord",
)


class DiscordBot(NetworkBot):
    """Ann is its admin; `intents` are what the backend wants besides Discord's default ones."""

    def __init__(
        self,
        folder: Path,
        server: DiscordServer,
        plugins: Sequence[Path] = (PLUGIN,),
        intents: Sequence[str] = ("members", "message_content"),
        **settings: Any,
    ) -> None:
        super().__init__(
            folder,
            DISCORD,
            plugins,
            {"BOT_IDENTITY": {"token": TOKEN, "intents": list(intents)}, "BOT_ADMINS": ("ann#0",), **settings},
            {"DISCORD_API": server.api, "DISCORD_GATEWAY": server.gateway},
        )
