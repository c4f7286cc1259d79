"""IRC, and the base that it shares with XMPP: messages that are written while a connection dies are lost silently."""

from __future__ import annotations

import logging
from threading import Event
from typing import Any

from errbot_sentry.chat.networks.errbot_network import ErrbotNetwork
from errbot_sentry.domain.conversation import address_of
from errbot_sentry.domain.errors import NotAdmitted, SendError

log = logging.getLogger(__name__)

_CHANNELS = ("#", "&", "+", "!")
_WHOIS = ("whoisuser", "endofwhois", "nosuchnick")  # RFC 2812: 311, 318, 401
_WHOIS_SECONDS = 10.0


class UnconfirmedNetwork(ErrbotNetwork):
    """A network that confirms nothing: a message has arrived when the connection has outlived it by `settle`."""

    settle = 5.0

    def is_silent(self) -> bool:
        """As measured by chat/errbot_patches/irc_ping.py and xmpp_reconnect.py; False without them."""
        silence = getattr(getattr(self._bot, "conn", None), "seconds_of_silence", None)
        return callable(silence) and silence() > self.settle

    def _target(self, room: str) -> Any:
        """The backend's room. If the bot is not in it, it joins, and NotAdmitted has the message tried again.

        Both networks lose such a message without an error. The bot may have been kicked, may have just connected, or
        the room is not in CHATROOM_PRESENCE.
        """
        target = super()._target(room)
        if address_of(room) or not self._is_to_join(room) or target.joined:
            return target
        log.warning("the bot is not in %s, and joins it", room)
        try:
            target.join(username=self._bot.bot_config.CHATROOM_FN)  # the nick in the room; IRC ignores it
        except Exception as error:  # noqa: BLE001 - what a plugin's callback for joined rooms raises, too
            log.warning("the room %r could not be joined: %s", room, error)
        raise NotAdmitted(f"The bot is not in the room {room}, and tries to join it.")

    def _is_to_join(self, _room: str) -> bool:
        return True


class IrcNetwork(UnconfirmedNetwork):
    """IRC by Errbot's backend."""

    def _is_up(self) -> bool:
        connection = getattr(getattr(self._bot, "conn", None), "connection", None)
        is_connected = getattr(connection, "is_connected", None)
        return bool(is_connected()) if callable(is_connected) else True

    def _is_to_join(self, room: str) -> bool:
        return room.startswith(_CHANNELS)

    def _direct(self, person: Any) -> Any:
        """The person, if they still have the nick: the server is asked for its whole mask (WHOIS) each time."""
        found: list[str] = []
        ended = Event()

        def answered(_connection: Any, event: Any) -> None:
            nick, *others = map(str, event.arguments)
            if nick.lower() == person.nick.lower():
                if event.type == "whoisuser":
                    found.append(f"{person.nick}!{others[0]}@{others[1]}")
                else:
                    ended.set()

        connection = self._bot.conn.connection
        for name in _WHOIS:
            connection.add_global_handler(name, answered)
        try:
            connection.whois([person.nick])
            if not ended.wait(_WHOIS_SECONDS):
                raise SendError("The IRC server does not say who has the nick.")
        finally:
            for name in _WHOIS:
                connection.remove_global_handler(name, answered)
        if str(person) not in found:
            raise NotAdmitted("The person is not there, or somebody else has the nick.")
        return person
