"""A real Errbot with its own Telegram backend and python-telegram-bot 13.15, against the stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.fakes.telegram_server import ANN, TOKEN, TelegramServer
from tests.servers.network_bot import Backend, NetworkBot
from tests.system.plugin_copies import PLUGIN

TELEGRAM = Backend(
    "Telegram",
    ("python-telegram-bot==13.15",),  # the pin of errbot[telegram]
    {
        (3, 12): "python-telegram-bot 13.15 carries a urllib3 that cannot be imported",
        (3, 13): "python-telegram-bot 13.15 needs imghdr, which Python has no more",
    },
    "run_errbot_on_telegram.py",
)


class TelegramBot(NetworkBot):
    """Ann is its admin."""

    def __init__(
        self, folder: Path, server: TelegramServer, plugins: Sequence[Path] = (PLUGIN,), **settings: Any
    ) -> None:
        identity = {"BOT_IDENTITY": {"token": TOKEN}, "BOT_ADMINS": (str(ANN),)}
        super().__init__(folder, TELEGRAM, plugins, {**identity, **settings}, {"TELEGRAM_API": server.base_url})
