"""A chat network by way of Errbot's backend alone: text into rooms. The adapters of this folder build on it.

What such a backend reports about a message differs. Those of IRC and XMPP lose messages silently when the connection
dies. Others raise, or swallow the refusal: for these there is an adapter that posts by the backend's own client.
"""

from __future__ import annotations

import io
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from errbot.backends.base import Message

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.clicks import OnClick
from errbot_sentry.chat.incoming import may_run
from errbot_sentry.chat.networks.capabilities import CAPABILITIES, PLAIN
from errbot_sentry.chat.render.escaping import Escape, plain_file
from errbot_sentry.chat.render.layout import Layout
from errbot_sentry.domain.conversation import Upload, address_of
from errbot_sentry.domain.errors import NotAdmitted, NotConnected, RoomUnknown, SendError
from errbot_sentry.domain.outgoing import Outgoing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClickAnswer:
    """The HTTP answer to a click: a status, and a JSON text where the network wants one."""

    status: int
    json: str = ""


@dataclass(frozen=True)
class File:
    """A file to be sent."""

    name: str
    media_type: str
    content: bytes

    @classmethod
    def of(cls, upload: Upload) -> File:
        """The file of an upload, which is made now; a text carries no control codes. Raises what the making does."""
        content = upload.make()
        if upload.media_type.startswith("text/"):
            content = plain_file(content.decode("utf-8", "replace")).encode()
        return cls(upload.name, upload.media_type, content)


def taken_id(value: object, network: str) -> str:
    """The id that a network's answer gives to a message. Raises SendError: without one, nobody says that it has it."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not value:
        raise SendError(f"{network} did not take the message.")
    return str(value)


class ErrbotNetwork:
    """Sends to rooms of one bot; an adapter overrides what its network does better.

    Args:
        bot: Errbot's backend object.
        is_active: whether the plugin is active; Errbot deactivates all plugins when the chat network drops.
        background: runs what takes time and must not delay the messages.
    """

    settle = 0.0
    """Seconds for which the connection must outlive a message before it counts as arrived."""

    def __init__(self, bot: Any, is_active: Callable[[], bool], background: BackgroundQueue) -> None:
        self._bot = bot
        self._background = background
        self._is_active = is_active
        self._name = uuid.uuid4().hex
        self._connections = 0
        self._rooms: dict[str, Any] = {}
        self._on_click: OnClick | None = None
        self.mode = str(bot.mode)
        self.capabilities = CAPABILITIES.get(self.mode, PLAIN)
        self._layout = Layout(self.mode, self._limit())
        self._escape = Escape(self.mode)

    @property
    def has_threads(self) -> bool:
        """Whether updates can go under their notification."""
        return self.capabilities.threads

    @property
    def layout(self) -> Layout:
        """How lines are laid out for this network's messages."""
        return self._layout

    def is_silent(self) -> bool:
        """Whether nothing has come from the network for longer than `settle`; False where nobody watches that."""
        return False

    def connection(self) -> str:
        """A name for the present connection, "" while there is none; a new one after each reconnect."""
        return f"{self._name}-{self._connections}" if self._is_active() and self._is_up() else ""

    def renew(self) -> None:
        """Errbot has connected, perhaps again: what was written before may have been lost on the way."""
        self._connections += 1
        self._rooms.clear()

    def listen(self, on_click: OnClick) -> None:
        """Pass on what people click from now on; called after each connect, and harmless when called again."""
        self._on_click = on_click

    def close(self) -> None:
        """Undo what `listen` did."""
        self._on_click = None

    def offer_buttons(self, url: str, secret: Callable[[], str]) -> None:
        """Show buttons whose clicks the network sends to this URL; "" where it is not known. For networks that need it.

        `secret` returns what such clicks are signed with; it raises StoreError.
        """

    def room_named(self, name: str) -> str:
        """The one name of a room that people may write in several ways: as commands typed there have it."""
        return name

    def complete(self, msg: Any) -> None:
        """Add to a typed message what the backend leaves out of it: thread or topic. This may ask the network."""

    def reply(self, msg: Any, text: str) -> bool:  # noqa: ARG002 - for the adapters
        """Answer a typed message with Markdown in a better way than Errbot's; False: Errbot does it. Raises nothing."""
        return False

    def trouble(self) -> str:
        """What is wrong with the connection although the backend believes in it; "" for nothing."""
        return ""

    def status(self) -> tuple[str, ...]:
        """For `!sentry status`: the network, what our adapter shows there, and what is wrong."""
        trouble = self.trouble()
        return (self.mode, str(self.capabilities), *((trouble,) if trouble else ()))

    def take_click(self, headers: Mapping[str, str], body: bytes) -> ClickAnswer:  # noqa: ARG002 - for the adapters
        """A click that the network sends by HTTP to `/sentry/clicks`; it is checked, and answered before any work.

        404 where the network has no such thing, 401 where it is forged or replayed, 400 where it is none.
        """
        return ClickAnswer(404)

    def post(self, room: str, message: Outgoing, thread: str = "") -> str:
        """Post a message; the contract is that of `Network` in alerting/notify/ports.py."""
        self._check_connection()
        try:
            return self._post(self._target(room), message, thread)
        except SendError:
            self._rooms.pop(room, None)  # perhaps it has gone, and another one has its name
            raise

    def edit(self, room: str, sent_id: str, message: Outgoing) -> bool:
        """Replace a message that `post` posted; False where the network cannot edit, or we do not."""
        if not self.capabilities.edits:
            return False
        self._check_connection()
        self._edit(self._target(room), sent_id, message)
        return True

    def send_file(self, room: str, upload: Upload) -> None:
        """Have a file made and sent to a room, where the network takes files; returns at once. A failure is logged."""
        if self.capabilities.files:
            self._background.do(lambda: self._upload_to_room(room, upload))

    def _upload_to_room(self, room: str, upload: Upload) -> None:
        self.upload(self._target(room), upload)

    def upload(self, target: Any, upload: Upload, thread: str = "") -> bool:
        """Make a file and send it to a room or person (Errbot's identifier); False where it could not be."""
        if not self.capabilities.files:
            return False
        try:
            self._upload(target, File.of(upload), thread)
        except Exception as error:  # noqa: BLE001 - each backend raises what it likes
            # matplotlib is installed and yet cannot be imported, say, or the network refuses: the words are shown.
            log.warning("%s could not be made or sent: %r", upload.name, error)
            return False
        return True

    def _post(self, target: Any, message: Outgoing, thread: str) -> str:
        """Post a message to a room, in parts where it is long; the id of the first."""
        first = ""
        for body in self._layout.messages(message.whole):
            sent = self._post_text(target, body, thread or first)
            first = first or sent
        return first

    def _edit(self, target: Any, sent_id: str, message: Outgoing) -> None:
        """Replace a message; only called where `capabilities.edits`."""
        raise NotImplementedError

    def _upload(self, target: Any, file: File, _thread: str) -> None:
        """Send a file by Errbot's own way; raises whatever the backend does."""
        content = io.BytesIO(file.content)
        self._bot.send_stream_request(
            target, content, name=file.name, size=len(file.content), stream_type=file.media_type
        )

    def _limit(self) -> int:
        """Characters in one message."""
        return int(self._bot.message_size_limit)

    def _is_up(self) -> bool:
        """Whether the network takes messages, as far as the backend knows; the plugin is active."""
        return True

    def _check_connection(self) -> None:
        if not self.connection():
            raise NotConnected("The bot is not connected to the chat network.")

    def _target(self, room: str) -> Any:
        """What the backend addresses a room by; looked up once in a connection.

        Raises:
            RoomUnknown: the network knows no such room or person.
            NotAdmitted: Errbot lets this person see no issues.
        """
        address = address_of(room)
        if room not in self._rooms:
            try:
                self._rooms[room] = self._identifier(address) if address else self._find(room)
            except SendError:
                raise
            except Exception as error:  # each backend raises what it likes
                log.warning("no room %r: %s", room, error)
                raise RoomUnknown(f"The chat network has no room {room!r}.") from error
        found = self._rooms[room]
        if not address:
            return found
        # Whoever gets alerts by direct messages may type `!sentry issue` there.
        if not may_run(self._bot, Message("", frm=found, to=self._bot.bot_identifier), "issue", ""):
            raise NotAdmitted("Errbot's ACCESS_CONTROLS do not let this person see issues in direct messages.")
        return self._direct(found)

    def _identifier(self, address: str) -> Any:
        """Errbot's identifier of the person for whom `direct_address` gave this; raises whatever it likes."""
        return self._bot.build_identifier(address)

    def _direct(self, person: Any) -> Any:
        """What direct messages to this person go to; looked up before each message. Raises SendError."""
        return person

    def _find(self, room: str) -> Any:
        """Ask the backend for a room; raises whatever it likes. Some backends know rooms only as identifiers."""
        try:
            return self._bot.query_room(room)
        except Exception as first:  # noqa: BLE001 - each backend raises what it likes
            log.debug("query_room(%r): %s", room, first)
            return self._bot.build_identifier(room)

    def _post_text(self, target: Any, body: str, thread: str) -> str:
        """Post one Markdown text by Errbot's own way; its id, "" where there is none."""
        message = self._bot.build_message(body)
        message.to = target
        message.frm = self._bot.bot_identifier
        if thread:
            message.extras["thread_ts"] = thread
        try:
            self._bot.send_message(message)
        except Exception as error:  # each backend raises what it likes
            raise SendError("The chat network did not take the message.") from error
        return ""
