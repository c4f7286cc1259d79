"""A chat network that takes everything and answers nothing, and a bot that has to end in time all the same.

Real backends and clients, each of which waits for its network in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.fakes.discord_guild import OPS as DISCORD_OPS
from tests.fakes.discord_server import DiscordServer
from tests.fakes.http_server import HttpServer
from tests.fakes.mattermost_server import MattermostServer
from tests.fakes.slack_server import SlackServer
from tests.fakes.telegram_server import OPS as TELEGRAM_OPS
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.zulip_server import ZulipServer
from tests.servers.discord_bot import DiscordBot
from tests.servers.errbot_process import ErrbotProcess
from tests.servers.mattermost_bot import OURS, MattermostBot
from tests.servers.slack_bot import SlackBot
from tests.servers.telegram_bot import TelegramBot
from tests.servers.zulip_bot import ZulipBot
from tests.system.network_world import NetworkWorld

# The bot itself takes at most five. This is what a machine under load needs for the same; without our watch
# Mattermost's backend takes twenty.
END_SECONDS = 12.0

Make = Callable[..., Any]
NETWORKS: dict[str, tuple[Callable[[], HttpServer], Make, dict[str, Any]]] = {
    "mattermost": (MattermostServer, MattermostBot, {"room": "ops", "shims": OURS}),
    "discord": (DiscordServer, DiscordBot, {"room": f"<#{DISCORD_OPS}>"}),
    "telegram": (TelegramServer, TelegramBot, {"room": str(TELEGRAM_OPS)}),
    "zulip": (ZulipServer, ZulipBot, {"room": "ops"}),
    "slack": (SlackServer, SlackBot, {"room": "#ops"}),
    "slack by socket": (SlackServer, SlackBot, {"room": "#ops", "socket_mode": True}),
}


class HangingWorld(NetworkWorld):
    """A network by its name, Sentry, and the bot between them, which is started by the test.

    `serves` says whether the network answers already; else it hangs until `chat.start()`.
    """

    def __init__(self, folder: Path, ends: ExitStack, network: str, *, serves: bool = True, **settings: Any) -> None:
        super().__init__(ends)
        server, make, more = NETWORKS[network]
        options = dict(more)
        room = options.pop("room")
        self.chat = server()
        if serves:
            self.chat.start()
        ends.callback(self.chat.stop)
        self.bot = make(folder, self.chat, **options, **self.settings, **settings, SENTRY_ALERTS=[{"rooms": [room]}])
        self.webhook = self.bot.webhook
        ends.callback(self.bot.process.stop)


def wait_for_end(process: ErrbotProcess, number: int) -> None:
    """Signal the bot, and wait until the process has ended by itself, in time and as the backend would end it."""
    process.send_signal(number)
    assert process.wait_for_exit(END_SECONDS) == 0
    assert "Traceback" not in process.log + process.output
