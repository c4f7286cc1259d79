"""Sends to rooms: the one place that gives our own messages to Errbot's backend.

What a backend reports about a message differs. Slack's gives a timestamp, or swallows the failure. Those of IRC and
XMPP lose messages silently. Telegram's raises. Only this module knows the differences.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.render.layout import Layout
from errbot_sentry.chat.uploads import MODES, send_file_to
from errbot_sentry.domain.conversation import Upload
from errbot_sentry.domain.errors import NotConnected, RoomUnknown, SendError

log = logging.getLogger(__name__)

_UNCONFIRMED = frozenset({"irc", "xmpp"})
_SETTLE = 5.0
_CHANNELS = ("#", "&", "+", "!")


class Rooms:
    """Sends text to rooms of one bot.

    Args:
        bot: Errbot's backend object.
        is_active: whether the plugin is active; Errbot deactivates all plugins when the chat network drops.
        background: runs what takes time and must not delay the messages.
    """

    def __init__(self, bot: Any, is_active: Callable[[], bool], background: BackgroundQueue) -> None:
        self._bot = bot
        self._background = background
        self._is_active = is_active
        self._name = uuid.uuid4().hex
        self._connections = 0
        self._slack_rooms: dict[str, Any] = {}
        self.mode = str(bot.mode)
        self._layout = Layout(self.mode, int(bot.message_size_limit))

    def connected(self) -> bool:
        """Whether the chat network takes messages, as far as the backend knows."""
        if not self._is_active():
            return False
        connection = getattr(getattr(self._bot, "conn", None), "connection", None)
        is_connected = getattr(connection, "is_connected", None)  # IRC
        return bool(is_connected()) if callable(is_connected) else True

    @property
    def settle(self) -> float:
        """Seconds for which the connection must outlive a message before it counts as arrived: IRC and XMPP write
        into a dying connection without an error."""
        return _SETTLE if self.mode in _UNCONFIRMED else 0.0

    def is_silent(self) -> bool:
        """Whether nothing has come from the chat server for longer than `settle`: then it is not known whether what
        was written lately arrived. False where nobody listens for that (chat/errbot_patches/irc_ping.py)."""
        silence = getattr(getattr(self._bot, "conn", None), "seconds_of_silence", None)
        return callable(silence) and silence() > self.settle

    def connection(self) -> str:
        """A name for the present connection, "" while there is none; a new one after each reconnect."""
        if not self.connected():
            return ""
        return f"{self._name}-{self._connections}"

    def renew(self) -> None:
        """Errbot has connected, perhaps again: what was written before may have been lost on the way."""
        self._connections += 1
        self._slack_rooms.clear()

    def send(self, room: str, text: str, thread: str = "") -> str:
        """Send rendered lines to a room, in a thread where one is given and the backend has threads.

        Returns:
            The backend's id of the (first) message, "" where it gives none.

        Raises:
            NotConnected: nothing was sent; try again later.
            RoomUnknown: the backend knows no such room.
            SendError: the backend refused, perhaps after a part.
        """
        if not self.connected():
            raise NotConnected("The bot is not connected to the chat network.")
        target = self._find(room)
        self._be_in(target, room)
        first = ""
        for body in self._layout.messages(text):
            sent = self._send_one(target, body, thread or first)
            first = first or sent
        return first

    def edit(self, room: str, sent_id: str, text: str) -> bool:
        """Replace the text of a message that `send` posted; False where the backend cannot edit (all but Slack).

        Raises:
            NotConnected, RoomUnknown, SendError: it was not taken.
        """
        if self.mode != "slackv3" or not hasattr(self._bot, "update_message"):
            return False
        if not self.connected():
            raise NotConnected("The bot is not connected to the chat network.")
        message = self._bot.build_message(self._layout.messages(text)[0])
        message.to = self._find(room)
        message.extras["ts"] = [sent_id]
        try:
            self._bot.update_message(message)
        except Exception as error:
            raise SendError("The chat network did not take the changed message.") from error
        return True

    def send_file(self, room: str, upload: Upload) -> None:
        """Have a file made and sent to a room, where the backend takes files; returns at once. A failure is logged."""
        if self.mode in MODES:
            self._background.do(lambda: self._send_file(room, upload))

    def _send_file(self, room: str, upload: Upload) -> None:
        send_file_to(self._bot, self._find(room), upload)

    def _find(self, room: str) -> Any:
        """Rooms by query_room; Telegram and others know them only as identifiers."""
        if self.mode == "slackv3":
            return self._find_on_slack(room)
        try:
            return self._bot.query_room(room)
        except Exception as first:  # noqa: BLE001 - each backend raises what it likes
            try:
                return self._bot.build_identifier(room)
            except Exception as second:
                log.warning("no room %r: %s; %s", room, first, second)
                raise RoomUnknown(f"The chat network knows no room {room!r}.") from second

    def _be_in(self, target: Any, room: str) -> None:
        """IRC and XMPP lose without an error what is said in a room that the bot is not in: it was kicked, it has just
        connected, or the room is missing in CHATROOM_PRESENCE. It joins the room, and the message is tried again."""
        if self.mode not in _UNCONFIRMED or (self.mode == "irc" and not room.startswith(_CHANNELS)) or target.joined:
            return
        log.warning("the bot is not in %s, and joins it", room)
        try:
            target.join(username=self._bot.bot_config.CHATROOM_FN)  # XMPP's nick in the room; IRC takes no notice
        except Exception as error:  # noqa: BLE001 - what a plugin's callback for joined rooms raises, too
            log.warning("the room %r could not be joined: %s", room, error)
        raise SendError(f"The bot is not in the room {room}, and tries to join it.")

    def _find_on_slack(self, room: str) -> Any:
        """Only build_identifier finds `#ops`: query_room looks for a channel with the # in its name, and gives an empty
        room without an error (slackv3 0.3.2). Each look-up is a request to Slack, so it is cached until a reconnect.
        """
        if room not in self._slack_rooms:
            find = self._bot.build_identifier if room[:1] in ("#", "<") else self._bot.query_room
            try:
                found = find(room)
                _ = found.id  # an empty room has none
            except Exception as error:
                log.warning("no room %r: %s", room, error)
                raise RoomUnknown(f"The chat network knows no room {room!r}.") from error
            self._slack_rooms[room] = found
        return self._slack_rooms[room]

    def _send_one(self, target: Any, body: str, thread: str) -> str:
        message = self._bot.build_message(body)
        message.to = target
        message.frm = self._bot.bot_identifier
        if thread:
            message.extras["thread_ts"] = thread
        try:
            self._bot.send_message(message)
        except Exception as error:
            raise SendError("The chat network did not take the message.") from error
        timestamp = message.extras.get("ts")
        if self.mode == "slackv3" and not timestamp:
            raise SendError("Slack did not take the message.")
        return str(timestamp[0] if isinstance(timestamp, list) and timestamp else timestamp or "")
