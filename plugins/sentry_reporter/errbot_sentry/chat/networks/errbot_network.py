"""The base of all adapters, and the adapter for networks without one of their own: sends text by Errbot's backend.

Backends differ in what they report about a message. Those of IRC and XMPP lose messages silently when the connection
dies. Others raise an error, or swallow the refusal; for these an adapter posts by the client that the backend uses.
"""

from __future__ import annotations

import io
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from errbot.backends.base import Message

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.clicks import OnClick
from errbot_sentry.chat.render.escaping import Escape, plain_file
from errbot_sentry.chat.render.layout import Layout
from errbot_sentry.chat.typed_messages import may_run
from errbot_sentry.domain.conversation import Upload, address_of
from errbot_sentry.domain.errors import (
    MessageTooLong,
    NotAdmitted,
    NotConnected,
    RoomUnknown,
    SendError,
    TokenRefused,
)
from errbot_sentry.domain.outgoing import Outgoing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Capabilities:
    """What our adapter can do on a network; shown by `!sentry status` and in docs/networks.md.

    `confirms`: the network answers each message with an id, or refuses it. `threads`: updates go under their
    notification. `edits`: the notification is edited to show what became of the problem. `cards`: it has a title, a
    colour and facts instead of a line. `buttons`, `reactions`: people act with a click. `files`: charts and traces.
    """

    confirms: bool = False
    threads: bool = False
    edits: bool = False
    cards: bool = False
    buttons: bool = False
    reactions: bool = False
    files: bool = False

    def __str__(self) -> str:
        """`threads, edits, buttons`."""
        return ", ".join(field.name for field in fields(self) if getattr(self, field.name)) or "messages only"


@dataclass(frozen=True)
class ClickAnswer:
    """The HTTP answer to a click: a status, and a JSON text if the network wants one."""

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
        """Make the file of an upload now, without control codes in a text. Raises whatever the making raises."""
        content = upload.make()
        if upload.media_type.startswith("text/"):
            content = plain_file(content.decode("utf-8", "replace")).encode()
        return cls(upload.name, upload.media_type, content)


def taken_id(value: object, network: str) -> str:
    """The id of a message in a network's answer. Raises SendError if there is none: then the message was not taken."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not value:
        raise SendError(f"{network} did not take the message.")
    return str(value)


def channel_of(target: Any) -> str:
    """The channel of Errbot's identifier of a room, or of a person (their direct one), on Slack and Mattermost."""
    return str(getattr(target, "id", None) or target.channelid)


class ErrbotNetwork:
    """Sends to rooms of one bot; an adapter overrides what its network does better.

    Args:
        bot: Errbot's backend object.
        is_active: whether the plugin is active; Errbot deactivates all plugins when the chat network drops.
        background: runs what takes time and must not delay the messages.
    """

    capabilities = Capabilities()
    """By default none: a network without an adapter gets plain text."""

    settle = 0.0
    """Seconds for which the connection must outlive a message before it counts as arrived."""

    token_pause = 10.0
    """Seconds until a network that refuses the bot's token is asked again."""

    def __init__(self, bot: Any, is_active: Callable[[], bool], background: BackgroundQueue) -> None:
        self._bot = bot
        self._background = background
        self._is_active = is_active
        self._name = uuid.uuid4().hex
        self._connections = 0
        self._rooms: dict[str, Any] = {}
        self._token_refused: TokenRefused | None = None
        self._ask_again = 0.0
        self._on_click: OnClick | None = None
        self.mode = str(bot.mode)
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
        """Whether nothing came from the network for longer than `settle`; False if that is not measured."""
        return False

    def connection(self) -> str:
        """A name for the present connection, new after each reconnect; "" if there is none."""
        return f"{self._name}-{self._connections}" if self._is_active() and self._is_up() else ""

    def renew(self) -> None:
        """Note that Errbot has connected, perhaps again: what was written just before may be lost."""
        self._connections += 1
        self._rooms.clear()
        self._ask_again = 0.0

    def listen(self, on_click: OnClick) -> None:
        """Pass clicks on from now on; called after each connect, perhaps more than once."""
        self._on_click = on_click

    def close(self) -> None:
        """Undo what `listen` did."""
        self._on_click = None

    def offer_buttons(self, url: str, secret: Callable[[], str]) -> None:
        """Show buttons whose clicks the network sends to this URL, if it needs one; "" if the URL is not known.

        `secret` returns the secret that signs such clicks; it raises StoreError.
        """

    def room_named(self, name: str) -> str:
        """The one name of a room that people may write in several ways: the name that commands typed there have."""
        return name

    def complete(self, msg: Any) -> None:
        """Add the thread or topic to a typed message if the backend leaves it out. This may ask the network."""

    def reply(self, msg: Any, text: str) -> bool:  # noqa: ARG002 - for the adapters
        """Reply to a typed message in a better way than Errbot does; False: Errbot has to reply. Raises nothing."""
        return False

    def trouble(self) -> str:
        """What is wrong with a connection that the backend takes for working; "" for nothing."""
        return str(self._token_refused or "") or self._trouble()

    def token_refused(self) -> str:
        """The network's code for why it refuses the bot's token; "" while it accepts it."""
        return self._token_refused.code if self._token_refused else ""

    def _trouble(self) -> str:
        """What else can be wrong on this network."""
        return ""

    def status(self) -> tuple[str, ...]:
        """For `!sentry status`: the network, what our adapter shows there, and what is wrong."""
        trouble = self.trouble()
        return (self.mode, str(self.capabilities), *((trouble,) if trouble else ()))

    def take_click(self, headers: Mapping[str, str], body: bytes) -> ClickAnswer:  # noqa: ARG002 - for the adapters
        """Answer a click that the network sends by HTTP to `/sentry/clicks`: it is checked now, and handled later.

        404 if this network sends none, 401 if it is forged or replayed, 400 if it is not a click.
        """
        return ClickAnswer(404)

    def post(self, room: str, message: Outgoing, thread: str = "") -> str:
        """Post a message; the contract is that of `Network` in alerting/notify/ports.py."""
        with self._calling(room):
            return self._post(self._target(room), message, thread)

    def edit(self, room: str, sent_id: str, message: Outgoing) -> bool:
        """Replace a message that `post` posted; False if this cannot be done on this network."""
        if not self.capabilities.edits:
            return False
        with self._calling(room):
            self._edit(self._target(room), sent_id, message)
        return True

    @contextmanager
    def _calling(self, room: str) -> Iterator[None]:
        """The library's errors as ours, and a note of whether the network accepts the bot's token.

        One that refuses it is not asked again for `token_pause`: Discord shuts out an address with too many such calls
        (docs.discord.com/developers/topics/rate-limits, "Invalid Request Limit").
        """
        if not self.connection():
            raise NotConnected("The bot is not connected to the chat network.")
        if self._token_refused is not None and time.monotonic() < self._ask_again:
            raise NotConnected(str(self._token_refused))
        try:
            yield
        except Exception as error:  # ours, or the library's
            refusal = error if isinstance(error, SendError) else self._refusal_of(error)
            if refusal is None:
                raise
            self._rooms.pop(room, None)  # perhaps it has gone, and another one has its name
            if isinstance(refusal, TokenRefused):
                self._note_token_refused(refusal)
            elif isinstance(refusal, (RoomUnknown, NotAdmitted, MessageTooLong)):
                self._note_token_accepted()
            if refusal is error:
                raise
            raise refusal from error
        self._note_token_accepted()

    def _note_token_refused(self, refusal: TokenRefused) -> None:
        if self._token_refused is None:
            log.error("%s", refusal)
        self._token_refused, self._ask_again = refusal, time.monotonic() + self.token_pause

    def _note_token_accepted(self) -> None:
        if self._token_refused is not None:
            log.warning("the chat network accepts the bot's token again")
            self._token_refused = None

    def _refusal_of(self, error: Exception) -> SendError | None:  # noqa: ARG002 - for the adapters
        """What an error of the network's library means, for those that a look-up of a room or person can raise."""
        return None

    def send_file(self, room: str, upload: Upload) -> None:
        """Have a file made and sent to a room, if the network takes files; returns at once. A failure is logged."""
        if self.capabilities.files:
            self._background.do(lambda: self._upload_to_room(room, upload))

    def _upload_to_room(self, room: str, upload: Upload) -> None:
        self.upload(self._target(room), upload)

    def upload(self, target: Any, upload: Upload, thread: str = "") -> bool:
        """Make a file and send it to a room or person (Errbot's identifier); False if that failed."""
        if not self.capabilities.files:
            return False
        try:
            self._upload(target, File.of(upload), thread)
        except Exception as error:  # noqa: BLE001 - each backend raises what it likes
            # Perhaps matplotlib cannot be imported, or the network refuses the file: then the text alone is shown.
            log.warning("%s could not be made or sent: %r", upload.name, error)
            return False
        return True

    def _post(self, target: Any, message: Outgoing, thread: str) -> str:
        """Post a message to a room, in parts if it is long; returns the id of the first part."""
        first = ""
        for body in self._layout.messages(message.whole):
            sent = self._post_text(target, body, thread or first)
            first = first or sent
        return first

    def _edit(self, target: Any, sent_id: str, message: Outgoing) -> None:
        """Replace a message; only called if `capabilities.edits`."""
        raise NotImplementedError

    def _upload(self, target: Any, file: File, _thread: str) -> None:
        """Send a file as Errbot does; raises whatever the backend raises."""
        content = io.BytesIO(file.content)
        self._bot.send_stream_request(
            target, content, name=file.name, size=len(file.content), stream_type=file.media_type
        )

    def _limit(self) -> int:
        """How many characters one message may have."""
        return int(self._bot.message_size_limit)

    def _is_up(self) -> bool:
        """Whether the backend is connected; only called while the plugin is active."""
        return True

    def _target(self, room: str) -> Any:
        """The backend's identifier of a room or person; looked up once in a connection.

        Raises:
            RoomUnknown: the network knows no such room or person.
            NotAdmitted: Errbot's rules let this person see no issues.
        """
        address = address_of(room)
        if room not in self._rooms:
            try:
                self._rooms[room] = self._identifier(address) if address else self._find(room)
            except SendError:
                raise
            except Exception as error:  # each backend raises what it likes
                if (refusal := self._refusal_of(error)) is not None:
                    raise refusal from error
                log.warning("no room %r: %s", room, error)
                raise RoomUnknown(f"The chat network has no room {room!r}.") from error
        found = self._rooms[room]
        if not address:
            return found
        # Only a person who may type `!sentry issue` in a direct message gets alerts there.
        if not may_run(self._bot, Message("", frm=found, to=self._bot.bot_identifier), "issue", ""):
            raise NotAdmitted("Errbot's ACCESS_CONTROLS do not let this person see issues in direct messages.")
        return self._direct(found)

    def _identifier(self, address: str) -> Any:
        """The person with this address (see `direct_address`); raises whatever the backend raises."""
        return self._bot.build_identifier(address)

    def _direct(self, person: Any) -> Any:
        """The identifier for direct messages to this person; looked up before each message. Raises SendError."""
        return person

    def _find(self, room: str) -> Any:
        """Ask the backend for a room; raises whatever it raises. Some backends know rooms only as identifiers."""
        try:
            return self._bot.query_room(room)
        except Exception as first:  # noqa: BLE001 - each backend raises what it likes
            log.debug("query_room(%r): %s", room, first)
            return self._bot.build_identifier(room)

    def _post_text(self, target: Any, body: str, thread: str) -> str:
        """Post one Markdown text as Errbot does; returns its id, "" if it has none."""
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
