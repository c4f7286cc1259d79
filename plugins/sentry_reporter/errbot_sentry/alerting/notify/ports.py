"""The interfaces that the alert flow needs from chat. `chat/` implements them, so that the flow never sees Errbot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from errbot_sentry.domain.conversation import Upload
from errbot_sentry.domain.outgoing import Outgoing


class Network(Protocol):
    """One chat network. Called by one thread at a time."""

    @property
    def settle(self) -> float:
        """How many seconds the connection must last after a message until the message counts as arrived.

        0 if the network confirms or refuses each message. A few seconds if it silently loses messages that were written
        to a dying connection (IRC, XMPP).
        """
        ...

    @property
    def has_threads(self) -> bool:
        """Whether `post` can put a message under another one. A network without threads may still support `edit`."""
        ...

    def is_silent(self) -> bool:
        """Whether the connection may be dead, because nothing was received on it for longer than `settle`."""
        ...

    def connection(self) -> str:
        """A name for the current connection, which changes with each reconnect; "" while there is no connection."""
        ...

    def post(self, room: str, message: Outgoing, thread: str = "") -> str:
        """Post to a room, or into a thread of it (`thread` is an id that `post` returned). The call may block.

        Returns:
            The id of the message; "" if the network gives it none (IRC). If `settle` is not 0, returning does not prove
            that the message arrived.

        Raises:
            NotConnected: nothing was posted; the message is kept, and this does not count as a try.
            SendLimited: nothing was posted; the message can be posted after some seconds.
            MessageTooLong: the network never accepts this message.
            RoomUnknown, NotAdmitted, SendError: the message was refused; the sender tries it a bounded number of times.
        """
        ...

    def edit(self, room: str, sent_id: str, message: Outgoing) -> bool:
        """Replace a message that was posted before; False if the network cannot edit messages.

        Raises:
            SendError: the edit was refused.
        """
        ...

    def send_file(self, room: str, upload: Upload) -> None:
        """Send a file to a room in the background, if the network accepts files. Returns at once and raises nothing.

        The file may arrive after later messages, or never. So use this only for extras such as charts.
        """
        ...


class Renderer(Protocol):
    """Renders templates to text."""

    def render(self, template: str, values: Mapping[str, object]) -> str:
        """Render a template, named without folder and suffix. Values are escaped: they cannot act or mention people."""
        ...
