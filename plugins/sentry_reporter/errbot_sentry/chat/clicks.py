"""What people do to our messages without typing: they click a button, or react with an emoji.

Both are the same as a typed command: `ConversationHandler` runs it with the rights of the person who clicked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from errbot.backends.base import REACTION_ADDED, Message, RoomOccupant
from errbot.backends.base import Person as PersonIdentifier

from errbot_sentry.chat.incoming import person_of, room_name
from errbot_sentry.domain.conversation import Conversation, Person, direct_room
from errbot_sentry.domain.issue_actions import Options, options_of_emoji

log = logging.getLogger(__name__)

DIRECT_CHANNEL = "D"  # on Slack, the id of a direct conversation begins so


def _no_whisper(_text: str) -> bool:
    return False


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Click:
    """A button that somebody clicked under one of our messages, or an emoji that they put there.

    `sender` and `room` are Errbot's identifiers; in a direct message the room is the person. `message_id` is the
    network's id of the message. `extras` are what a typed message of this network would have. `whisper` shows Markdown
    to the person alone, and returns False where it could not. `ended` is called when nothing more comes of the click;
    it raises nothing. `named` is how a route can name this conversation as a room, though it is a direct one.
    """

    sender: Any
    room: Any
    message_id: str
    options: Options
    extras: Mapping[str, Any] = field(default_factory=dict)
    whisper: Callable[[str], bool] = _no_whisper
    ended: Callable[[], None] = _nothing
    named: str = ""

    def person(self, mode: str) -> Person:
        """Who clicked."""
        return person_of(self.sender, mode)

    def conversation(self, mode: str) -> Conversation:
        """Where: the thread is that of the message."""
        if self._is_direct:
            return Conversation(direct_room(self.person(mode).address), self.message_id)
        return Conversation(room_name(self.room, mode), self.message_id)

    @property
    def _is_direct(self) -> bool:
        return isinstance(self.room, PersonIdentifier)

    def typing(self, text: str) -> Message:
        """A message as if the person had typed this in the thread, for Errbot's command filters."""
        sender = self.sender if self._is_direct else _Occupant(self.sender, self.room)
        message: Message = Message(text, frm=sender, to=self.room, extras=dict(self.extras))
        return message


FindClick = Callable[[], Click | None]
"""Finds out who clicked what where. It may ask the chat network: not to be called in a receiving thread."""

OnClick = Callable[[FindClick], None]
"""Takes a click and returns at once."""


class _Occupant(RoomOccupant):  # type: ignore[misc]  # Errbot ships no types
    """The person who clicked as somebody in the room; everything else about them is the backend's own."""

    def __init__(self, person: Any, room: Any) -> None:
        self._person = person
        self._room = room

    @property
    def room(self) -> Any:
        return self._room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._person, name)

    def __str__(self) -> str:
        return str(self._person)


def click_of_reaction(bot: Any, reaction: Any) -> Click | None:
    """What Errbot's own reaction (only Slack's backend has them) stands for; None for any other emoji or message.

    It may look up the room's name on the chat network: not to be called in the receiving thread.
    """
    target, options = reaction.reacted_to, options_of_emoji(str(reaction.reaction_name or ""))
    if options is None or reaction.action != REACTION_ADDED or not isinstance(target, Mapping) or not target.get("ts"):
        return None
    try:
        channel = str(target.get("channel", ""))
        room = reaction.reactor if channel.startswith(DIRECT_CHANNEL) else bot.query_room(channel)
        _ = room_name(room, str(bot.mode))  # of an unknown room it cannot be found
    except Exception as error:  # noqa: BLE001 - each backend raises what it likes
        log.info("a reaction in an unknown room: %s", error)
        return None
    ts = str(target["ts"])
    extras = {"slack_event": {"ts": ts, "thread_ts": ts}, "thread_ts": ts}
    return Click(reaction.reactor, room, ts, options, extras)
