"""Reactions to alerts: what a person put under which of our messages (only Slack's backend reports them)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from errbot.backends.base import REACTION_ADDED, Message, RoomOccupant

from errbot_sentry.chat.incoming import person_of, room_name
from errbot_sentry.domain.conversation import Conversation, Person

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reacted:
    """Who reacted, where (`conversation.thread` is the id of the message reacted to), with what."""

    person: Person
    conversation: Conversation
    emoji: str
    sender: Any
    room: Any

    def typing(self, text: str) -> Message:
        """A message as if the person had typed this there, in the thread, for Errbot's command filters."""
        event = {"ts": self.conversation.thread, "thread_ts": self.conversation.thread}
        extras = {"slack_event": event, "thread_ts": self.conversation.thread}
        message: Message = Message(text, frm=_Occupant(self.sender, self.room), to=self.room, extras=extras)
        return message


class _Occupant(RoomOccupant):  # type: ignore[misc]
    """The person who reacted as somebody in the room; everything else about them is the backend's own."""

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


def reaction_of(bot: Any, reaction: Any) -> Reacted | None:
    """What was done with a reaction; None for what is no such thing.

    It may look up the room's name on the chat network: not to be called in the receiving thread.
    """
    target = reaction.reacted_to
    if reaction.action != REACTION_ADDED or not isinstance(target, Mapping) or not target.get("ts"):
        return None
    try:
        room = bot.query_room(str(target.get("channel", "")))
        conversation = Conversation(room_name(room, str(bot.mode)), str(target["ts"]))
    except Exception as error:  # noqa: BLE001 - each backend raises what it likes
        log.info("a reaction in an unknown room: %s", error)
        return None
    person = person_of(reaction.reactor, str(bot.mode))
    return Reacted(person, conversation, str(reaction.reaction_name or ""), reaction.reactor, room)
