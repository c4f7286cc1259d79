"""People, conversations, the commands that people type, and the views that answer them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct

from errbot_sentry.domain.typed_text import check_length

_DIRECT = "direct:"  # no network's room names begin with this (config/room_names.py)


def direct_room(address: str) -> str:
    """The room name that stands for direct messages to one person; "" if the network has no address of theirs."""
    return f"{_DIRECT}{address}" if address else ""


def address_of(room: str) -> str:
    """The person's address in a name that `direct_room` made; "" for a real room."""
    return room.removeprefix(_DIRECT) if room.startswith(_DIRECT) else ""


@dataclass(frozen=True)
class Conversation:
    """Where a conversation happens: a room, a thread in it, or direct messages.

    `room` is the room's name as the backend writes it. For direct messages it is the name that `direct_room` makes, or
    "" if the person has no address. `thread` is the backend's id of the thread, "" outside of threads.
    """

    room: str = ""
    thread: str = ""

    @property
    def is_direct(self) -> bool:
        """Whether this is between the bot and one person."""
        return not self.room or self.room.startswith(_DIRECT)


@dataclass(frozen=True)
class Person:
    """A person in chat. `acl` is the text that Errbot's access rules match; `name` is what people read.

    `mention` is the Markdown that mentions this person on the chat network, "" if it has no mentions. `address` reaches
    this person and nobody else by direct message, also after a restart; "" if no such address is known.
    """

    acl: str
    name: str
    mention: str = ""
    address: str = ""


@dataclass(frozen=True)
class Invocation:
    """One command as typed: who typed it, where, and the words after the command's name.

    Raises:
        UsageError: the words are too long (`check_length`).
    """

    person: Person
    conversation: Conversation
    words: str = ""

    def __post_init__(self) -> None:
        check_length(self.words)


@dataclass(frozen=True)
class Upload:
    """A file that goes with a view. `make` is only called if the backend accepts files; it may take a second."""

    name: str
    media_type: str
    make: Callable[[], bytes]


class Row(Struct, frozen=True):
    """One entry of a numbered list. The renderer puts it in columns, or on one line if columns are of no use.

    The cells at one position of `cells` mean the same in all rows of a list, "" if unknown. `mark` is the level.
    `about` and `more` are facts that other rows need not have. `link` is the page on the server, or "".
    """

    number: int
    name: str
    title: str = ""
    mark: str = ""
    about: str = ""
    cells: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    link: str = ""


@dataclass(frozen=True)
class View:
    """What to show: a template's name (without folder and ending) and its values, all of them untrusted text.

    A view with an `upload` has `uploaded=False` among its values. After the file was sent, it is rendered with True.
    `done` is False if the view says that something was not done, or perhaps not.
    """

    template: str
    values: dict[str, object] = field(default_factory=dict)
    upload: Upload | None = None
    done: bool = True
