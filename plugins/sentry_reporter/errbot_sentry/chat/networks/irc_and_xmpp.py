"""IRC and XMPP: lines into rooms, over a connection that loses silently what was written while it dies."""

from __future__ import annotations

import logging
from typing import Any

from errbot_sentry.chat.networks.errbot_network import ErrbotNetwork
from errbot_sentry.domain.errors import NotAdmitted

log = logging.getLogger(__name__)

_CHANNELS = ("#", "&", "+", "!")


class XmppNetwork(ErrbotNetwork):
    """XMPP by Errbot's backend."""

    settle = 5.0


class IrcNetwork(ErrbotNetwork):
    """IRC by Errbot's backend."""

    settle = 5.0

    def _is_up(self) -> bool:
        connection = getattr(getattr(self._bot, "conn", None), "connection", None)
        is_connected = getattr(connection, "is_connected", None)
        return bool(is_connected()) if callable(is_connected) else True

    def _target(self, room: str) -> Any:
        """IRC loses without an error what is said in a channel that the bot is not in: it was kicked, or the channel is
        missing in CHATROOM_PRESENCE. It joins the channel, and the message is tried again."""
        target = super()._target(room)
        if not room.startswith(_CHANNELS) or target.joined:
            return target
        log.warning("the bot is not in %s, and joins it", room)
        try:
            target.join()
        except Exception as error:  # noqa: BLE001 - what a plugin's callback for joined rooms raises, too
            log.warning("the room %r could not be joined: %s", room, error)
        raise NotAdmitted(f"The bot is not in the room {room}, and tries to join it.")
