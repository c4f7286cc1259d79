"""The chat of a fault run: a real server behind a proxy, and somebody in the room who writes down what it receives."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from tests.servers.bugsink import BugsinkProject
from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.servers.prosody import Prosody
from tests.servers.tcp_proxy import TcpProxy
from tests.servers.xmpp_client import XmppClient
from tests.system import xmpp_world
from tests.system.irc_world import BOT, ROOM, IrcWorld
from tests.waiting import until


class FaultChat:
    """The bot connects through the proxy: after a restart of the server it comes into the room behind the writer."""

    def __init__(self, server: Ngircd | Prosody) -> None:
        self.server = server
        self.proxy = TcpProxy(server.port)
        self.room = ROOM if isinstance(server, Ngircd) else xmpp_world.ROOM
        self.received: list[tuple[float, str]] = []
        self.unseen = 0
        """How often the bot was in the room before the writer."""
        self._person: IrcClient | XmppClient | None = None
        self._ghost: IrcClient | None = None

    @property
    def has_nicks(self) -> bool:
        """Whether the bot's nick can be taken."""
        return isinstance(self.server, Ngircd)

    def world(self, folder: Path, project: BugsinkProject, **settings: object) -> IrcWorld | xmpp_world.XmppWorld:
        """The bot of this chat; not started yet."""
        if isinstance(self.server, Ngircd):
            return IrcWorld(folder, self.proxy, project, BOT_LOG_SENTRY=False, IRC_CHANNEL_RATE=None, **settings)
        return xmpp_world.XmppWorld(folder, self.proxy, project, **settings)

    def wait_for_bot(self) -> None:
        """Until the bot is in the room."""
        assert self._person is not None
        self._person.wait_for_join(BOT, self.room)

    def wait_for_no_bot(self) -> None:
        """Until the bot has left the room, where anybody is there to see it; also its silenced connections."""
        self.proxy.end()
        until(lambda: not self._is_bot_there(), 30, "the bot has left")

    def watch(self) -> None:
        """The writer is in the room."""
        if isinstance(self.server, Ngircd):
            self._person = IrcClient(self.server.host, self.server.port, "alice")
        else:
            self._person = XmppClient(self.server, "alice")
        self._person.join(self.room)
        self.unseen += self._is_bot_there()

    def unwatch(self) -> None:
        """The writer leaves; what the room received so far is written down."""
        person, self._person = self._person, None
        if person is None:
            return
        person.close()
        if isinstance(person, IrcClient):
            said = [(line.at, line.text) for line in person.lines(self.room) if line.sender.startswith(BOT)]
        else:
            said = [(each.at, each.text) for each in person.received(self.room, BOT)]
        self.received += [(at, tidy(line)) for at, text in said for line in text.split("\n") if tidy(line)]

    def listen(self) -> None:
        """Notice a connection that ended by itself."""
        assert self._person is None or self._person.connected, "the chat server ended by itself"

    def kill(self) -> None:
        """`kill -9` for the server."""
        self.listen()
        self.proxy.refuse()
        self.server.kill()
        self.unwatch()

    def start(self) -> None:
        """The server is back, and the writer is the first in the room."""
        self.server.start()
        self.watch()
        self.proxy.mend()

    def take_nick(self) -> None:
        """Somebody else has the bot's nick, if the server lets them."""
        with suppress(OSError, AssertionError):
            self._ghost = IrcClient(self.server.host, self.server.port, BOT)

    def free_nick(self) -> None:
        """They have left."""
        if self._ghost is not None:
            self._ghost.close()
            self._ghost = None

    def _is_bot_there(self) -> bool:
        return self._person is not None and any(name.startswith(BOT) for name in self._person.names(self.room))


def tidy(text: str) -> str:
    """Words and single spaces, without IRC's codes."""
    return " ".join(re.sub("[\x02\x03\x0f\x1d\x1f\u200b]", "", text).split())
