"""What the alert flow needs of the chat side. `chat/` meets these; the flow never sees Errbot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from errbot_sentry.domain.conversation import Upload
from errbot_sentry.domain.outgoing import Outgoing


class Network(Protocol):
    """One chat network. Called by one thread at a time."""

    @property
    def settle(self) -> float:
        """How many seconds a connection has to outlive a message until it counts as arrived.

        0 where the network confirms or refuses; a few where it loses silently what was written into a dying
        connection (IRC, XMPP).
        """
        ...

    @property
    def has_threads(self) -> bool:
        """Whether `post` puts a message under another one. Without threads `edit` may work all the same."""
        ...

    def is_silent(self) -> bool:
        """Whether the present connection may be dead: nothing came on it for longer than `settle`."""
        ...

    def connection(self) -> str:
        """A name for the present connection, another one after each reconnect; "" while there is none."""
        ...

    def post(self, room: str, message: Outgoing, thread: str = "") -> str:
        """Post into a room, or into a thread of it (an id that this returned); may take its time.

        Returns:
            The id of the message, "" where it has none (IRC). It proves that the message arrived only where `settle`
            is 0.

        Raises:
            NotConnected: nothing was posted; the message is kept without counting a try.
            SendLimited: nothing was posted; it may be after some seconds.
            MessageTooLong: it is never taken.
            RoomUnknown, NotAdmitted, SendError: it was not taken; tried again a bounded number of times.
        """
        ...

    def edit(self, room: str, sent_id: str, message: Outgoing) -> bool:
        """Replace a message that was posted before; False where the network has no such thing.

        Raises:
            SendError: it was not taken.
        """
        ...

    def send_file(self, room: str, upload: Upload) -> None:
        """Have a file sent to a room where the network takes files; returns at once, and raises nothing.

        It may come later than what is sent after it, or never: only extras such as charts can be sent like this.
        """
        ...


class Renderer(Protocol):
    """Templates to Markdown."""

    def render(self, template: str, values: Mapping[str, object]) -> str:
        """The text of a template (without folder and ending); each value is escaped, and cannot act or mention."""
        ...
