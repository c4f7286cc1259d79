"""A whole world on XMPP: a real Bugsink, a real prosody, a real bot between them."""

from __future__ import annotations

import secrets
from pathlib import Path

from demo.processes import free_port
from tests.servers.bugsink import BugsinkProject
from tests.servers.errbot_process import ErrbotProcess
from tests.servers.prosody import DOMAIN, PASSWORD, ROOMS, Prosody
from tests.servers.tcp_proxy import TcpProxy
from tests.system.plugin_copies import PLUGIN

ROOM = f"ops@{ROOMS}"
BOT = "sentrybot"
BOT_ADDRESS = f"{BOT}@{DOMAIN}"
ADMIN = f"alice@{DOMAIN}"


def xmpp_settings(port: int) -> dict[str, object]:
    """The settings that put the bot on a prosody on loopback; Alice is its admin."""
    return {
        "BOT_IDENTITY": {"username": BOT_ADDRESS, "password": PASSWORD, "server": ("127.0.0.1", port)},
        "XMPP_FEATURE_MECHANISMS": {"unencrypted_plain": True, "unencrypted_scram": True},
        "BOT_ADMINS": (ADMIN,),
        "CHATROOM_PRESENCE": (ROOM,),
        "CHATROOM_FN": BOT,
    }


class XmppWorld:
    """`bot` is not started yet; `webhook` is the address for the server's alerts."""

    def __init__(self, folder: Path, server: Prosody | TcpProxy, project: BugsinkProject, **settings: object) -> None:
        self.port, self.token = free_port(), secrets.token_urlsafe(24)
        self.webhook = f"http://127.0.0.1:{self.port}/sentry/webhook/{self.token}"
        self.bot = ErrbotProcess(
            folder / "bot",
            [PLUGIN],
            {
                **xmpp_settings(server.port),
                "SENTRY_URL": project.url,
                "SENTRY_AUTH_TOKEN": project.token,
                "SENTRY_PROJECTS": (project.slug,),
                "SENTRY_ALERTS": [{"rooms": [ROOM]}],
                "SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", self.port),
                "SENTRY_WEBHOOK_TOKENS": (self.token,),
                **settings,
            },
            backend="XMPP",
        )
