"""A whole world for scenarios: a real Bugsink, a real IRC server, a real bot between them, a person in the room."""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.processes import free_port
from tests.servers.bugsink import BugsinkProject
from tests.servers.errbot_process import ErrbotProcess
from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.servers.tcp_proxy import TcpProxy
from tests.servers.tiny_plugin import write_plugin
from tests.system.plugin_copies import PLUGIN

ROOM = "#ops"
BOT = "sentrybot"

SHOP = '''
from errbot import BotPlugin, botcmd


def share_of(total, people):
    return total / people


class Shop(BotPlugin):
    """A command with a bug."""

    @botcmd
    def checkout(self, msg, args):
        """Crashes."""
        return share_of(12, 0)
'''


def shop(folder: Path) -> Path:
    """A plugin that crashes, in a folder of its own."""
    return write_plugin(folder, SHOP, "Shop")


class IrcWorld:
    """`bot` is not started yet; `webhook` is the address for the server's alerts."""

    def __init__(
        self,
        folder: Path,
        ircd: Ngircd | TcpProxy,
        project: BugsinkProject,
        python: Path | str = sys.executable,
        **settings: object,
    ) -> None:
        self.port, self.token = free_port(), secrets.token_urlsafe(24)
        self.webhook = f"http://127.0.0.1:{self.port}/sentry/webhook/{self.token}"
        self.project = project
        self.bot = ErrbotProcess(
            folder / "bot",
            [PLUGIN, shop(folder / "shop")],
            {
                "BOT_IDENTITY": {"nickname": BOT, "server": "127.0.0.1", "port": ircd.port},
                "BOT_ADMINS": ("alice!*@*",),
                "CHATROOM_PRESENCE": (ROOM,),
                "BOT_LOG_SENTRY": True,
                "SENTRY_DSN": project.dsn,
                "SENTRY_LOGLEVEL": logging.INFO,
                "SENTRY_EVENTLEVEL": logging.ERROR,
                "SENTRY_URL": project.url,
                "SENTRY_AUTH_TOKEN": project.token,
                "SENTRY_PROJECTS": (project.slug,),
                "SENTRY_ALERTS": [{"rooms": [ROOM]}],
                "SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", self.port),
                "SENTRY_WEBHOOK_TOKENS": (self.token,),
                **settings,
            },
            backend="IRC",
            python=python,
        )


@contextmanager
def person_in_room(ircd: Ngircd, nick: str = "alice") -> Iterator[IrcClient]:
    """Somebody who sits in the room before the bot comes."""
    with IrcClient("127.0.0.1", ircd.port, nick) as person:
        person.join(ROOM)
        yield person
