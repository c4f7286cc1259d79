"""A bot on IRC or XMPP that gets signed webhooks, and a person in its room: what may go away and come back."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from demo.processes import free_port
from tests.alerting import bodies
from tests.servers.errbot_process import ErrbotProcess, irc_settings
from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.servers.prosody import Prosody
from tests.servers.tcp_proxy import TcpProxy
from tests.servers.xmpp_client import XmppClient
from tests.system import xmpp_world
from tests.system.plugin_copies import PLUGIN
from tests.system.xmpp_world import xmpp_settings

BOT = "sentrybot"
ROOM = {"irc": "#ops", "xmpp": xmpp_world.ROOM}


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
                    irc_settings(port or server.port, nick=BOT)
                    if self.network == "irc"
                    else xmpp_settings(port or server.port)
                ),
                "SENTRY_ALERTS": [{"rooms": [self.room]}],
                **bodies.listening(self._webhooks),
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

    def texts(self, person: IrcClient | XmppClient) -> str:
        """All that this person has read in the room from the bot."""
        if isinstance(person, IrcClient):
            return "\n".join(person.texts(self.room, BOT))
        return "\n".join(stanza.text for stanza in person.received(self.room, BOT))

    def hook(self, issue: str) -> None:
        """A signed webhook about a new issue, which is taken."""
        bodies.post(bodies.address(self._webhooks), bodies.sentry_issue(issue))


class ProxiedWorld(RecoveryWorld):
    """The bot reaches its server through `proxy`, and `alice` is in the room. All of them end with `ends`."""

    def __init__(self, folder: Path, server: Ngircd | Prosody, ends: ExitStack, **settings: object) -> None:
        self.proxy = ends.enter_context(TcpProxy(server.port))
        super().__init__(folder, server, port=self.proxy.port, **settings)
        self.alice = ends.enter_context(self.person())
        ends.callback(self.bot.stop)

    def start_without_server(self) -> None:
        """Start the bot, whose server refuses connections until `proxy.mend()`."""
        self.proxy.refuse()
        self.bot.start(wait=False)
