"""Who said what where, and what is shown to them: people, conversations, what was typed, and views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from errbot_sentry.domain.typed_text import check_length


@dataclass(frozen=True)
class Conversation:
    """Where a conversation happens. `room` is the room's name as the backend writes it, or "" for a direct message.

    `thread` is the backend's id of the thread, "" outside of threads.
    """

    room: str = ""
    thread: str = ""

    @property
    def is_direct(self) -> bool:
        """A direct message between the bot and one person."""
        return not self.room


@dataclass(frozen=True)
class Person:
    """Who typed. `acl` is the text that Errbot's own access rules match; `name` is what people read.

    `mention` is the Markdown that calls this person in the chat network, "" where it has no such thing.
    """

    acl: str
    name: str
    mention: str = ""


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
