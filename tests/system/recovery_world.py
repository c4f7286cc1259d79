"""A bot on IRC or XMPP that gets signed webhooks, and a person in its room: what may go away and come back."""

from __future__ import annotations

from pathlib import Path
from urllib.request import Request

from demo.processes import free_port, open_url
from tests.alerting import bodies
from tests.servers.errbot_process import ErrbotProcess, irc_settings
from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.servers.prosody import DOMAIN, PASSWORD, ROOMS, Prosody
from tests.servers.xmpp_client import XmppClient
from tests.system.plugin_copies import PLUGIN

BOT = "sentrybot"
ROOM = {"irc": "#ops", "xmpp": f"ops@{ROOMS}"}


class RecoveryWorld:
    """`bot` is not started yet. It reaches `server` on `port`, the server's own where none is given."""

    def __init__(self, folder: Path, server: Ngircd | Prosody, *, port: int = 0, **settings: object) -> None:
        self.server = server
        self.network = "irc" if isinstance(server, Ngircd) else "xmpp"
        self.room = ROOM[self.network]
        self._webhooks = free_port()
        self.bot = ErrbotProcess(
            folder / "bot",
            PLUGIN,
            {
                **(
                    irc_settings(port or server.port, nick=BOT) if self.network == "irc" else _xmpp(port or server.port)
                ),
                "SENTRY_ALERTS": [{"rooms": [self.room]}],
                "SENTRY_POLL_SECONDS": 0,
                "SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", self._webhooks),
                "SENTRY_WEBHOOK_SECRET": bodies.SECRET.reveal(),
                **settings,
            },
            backend=self.network.upper(),
        )

    def person(self) -> IrcClient | XmppClient:
        """Somebody in the room, to be closed by who asked."""
        person: IrcClient | XmppClient
        if isinstance(self.server, Ngircd):
            person = IrcClient(self.server.host, self.server.port, "alice")
        else:
            person = XmppClient(self.server, "alice")
        person.join(self.room)
        return person

    def hook(self, issue: str) -> None:
        """A signed webhook about a new issue, which is taken."""
        body = bodies.encode(bodies.sentry_issue(issue))
        url = f"http://127.0.0.1:{self._webhooks}/sentry/webhook"
        with open_url(Request(url, body, bodies.signed(body)), timeout=30) as answer:
            assert answer.status == 202


def _xmpp(port: int) -> dict[str, object]:
    return {
        "BOT_IDENTITY": {"username": f"{BOT}@{DOMAIN}", "password": PASSWORD, "server": ("127.0.0.1", port)},
        "XMPP_FEATURE_MECHANISMS": {"unencrypted_plain": True, "unencrypted_scram": True},
        "BOT_ADMINS": (f"alice@{DOMAIN}",),
        "CHATROOM_PRESENCE": (ROOM["xmpp"],),
        "CHATROOM_FN": BOT,
    }
