"""IRC, and what it has in common with XMPP: the connection loses silently what was written while it dies."""

from __future__ import annotations

import logging
from typing import Any

from errbot_sentry.chat.networks.errbot_network import ErrbotNetwork
from errbot_sentry.domain.errors import NotAdmitted

log = logging.getLogger(__name__)

_CHANNELS = ("#", "&", "+", "!")


class UnconfirmedNetwork(ErrbotNetwork):
    """A network that confirms nothing: a message has arrived when the connection has outlived it by `settle`."""

    settle = 5.0

    def is_silent(self) -> bool:
        """As chat/errbot_patches/irc_ping.py and xmpp_reconnect.py measure it; False without them."""
        silence = getattr(getattr(self._bot, "conn", None), "seconds_of_silence", None)
        return callable(silence) and silence() > self.settle

    def _target(self, room: str) -> Any:
        """Both lose without an error what is said in a room that the bot is not in: it was kicked, it just connected,
        or the room is missing in CHATROOM_PRESENCE. It joins the room, and the message is tried again."""
        target = super()._target(room)
        if not self._is_to_join(room) or target.joined:
            return target
        log.warning("the bot is not in %s, and joins it", room)
        try:
            target.join(username=self._bot.bot_config.CHATROOM_FN)  # the nick there; IRC takes no notice
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
