"""Who said what where, and what is shown to them: people, conversations, what was typed, and views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from errbot_sentry.domain.typed_text import check_length

_DIRECT = "direct:"  # no network's rooms begin so (config/room_names.py)


def direct_room(address: str) -> str:
    """What stands for a room where alerts go to one person; "" where the network has no address of that person."""
    return f"{_DIRECT}{address}" if address else ""


def address_of(room: str) -> str:
    """The person's address in what `direct_room` made; "" for a room."""
    return room.removeprefix(_DIRECT) if room.startswith(_DIRECT) else ""


@dataclass(frozen=True)
class Conversation:
    """Where a conversation happens. `room` is the room's name as the backend writes it.

    Of a direct message it is what `direct_room` makes, or "" where the person has no address. `thread` is the
    backend's id of the thread, "" outside of threads.
    """

    room: str = ""
    thread: str = ""

    @property
    def is_direct(self) -> bool:
        """A direct message between the bot and one person."""
        return not self.room or self.room.startswith(_DIRECT)


@dataclass(frozen=True)
class Person:
    """Who typed. `acl` is the text that Errbot's own access rules match; `name` is what people read.

    `mention` is the Markdown that calls this person in the chat network, "" where it has no such thing. `address` is
    where direct messages reach this person and nobody else, also after a restart; "" where nothing is known to.
    """

    acl: str
    name: str
    mention: str = ""
    address: str = ""


@dataclass(frozen=True)
class Invocation:
    """One command as typed: by whom, where, and the words after the command's name.

    Raises:
        UsageError: the words are more than anybody types.
    """

    person: Person
    conversation: Conversation
    words: str = ""

    def __post_init__(self) -> None:
        check_length(self.words)


@dataclass(frozen=True)
class Upload:
    """A file that goes along with a view. `make` is called only where the backend takes files; it may take a second."""

    name: str
    media_type: str
    make: Callable[[], bytes]


@dataclass(frozen=True)
class Row:
    """One entry of a numbered list; the renderer puts it in columns, or on one line where columns are no use.

    `cells` mean the same at the same place in every row of a list, "" where nothing is known. `mark` is the level,
    `about` and `more` are facts that no other row need have; `link` is the page on the server, or "".
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

    A view with an `upload` has `uploaded=False` among its values; who could send the file renders it with True.
    """

    template: str
    values: dict[str, object] = field(default_factory=dict)
    upload: Upload | None = None
