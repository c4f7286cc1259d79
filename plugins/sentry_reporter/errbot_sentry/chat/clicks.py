"""What people do to our messages without typing: they click a button, or react with an emoji.

Both are the same as a typed command: it runs with the rights of the person who clicked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cachetools import TTLCache
from errbot.backends.base import REACTION_ADDED, Message, RoomOccupant
from errbot.backends.base import Person as PersonIdentifier

from errbot_sentry.alerting.service import AlertService
from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.render.templates import Replies
from errbot_sentry.chat.typed_messages import may_run, person_of, room_name
from errbot_sentry.commands.dispatch import Commands
from errbot_sentry.domain.conversation import Conversation, Invocation, Person, View, direct_room
from errbot_sentry.domain.errors import SendError
from errbot_sentry.domain.issue_actions import IssueAction, Options, options_of_emoji
from errbot_sentry.domain.outgoing import Outgoing

if TYPE_CHECKING:  # the adapters make the clicks
    from errbot_sentry.chat.networks.errbot_network import ErrbotNetwork

log = logging.getLogger(__name__)

DIRECT_CHANNEL = "D"  # on Slack, the id of a direct conversation begins so

_SAME_CLICK = 10.0  # seconds in which the same click of the same person counts once
_LOOKS, _LOOK_PAUSE = 25, 0.2  # at a message that is shown, but whose id the network has not told us yet; seconds


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
"""Finds out who clicked what where, or raises whatever the backend does. It may ask the chat network: not to be called
in a receiving thread."""

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
    channel = str(target.get("channel", ""))
    room = reaction.reactor if channel.startswith(DIRECT_CHANNEL) else bot.query_room(channel)
    _ = room_name(room, str(bot.mode))  # raises for an unknown room
    ts = str(target["ts"])
    extras = {"slack_event": {"ts": ts, "thread_ts": ts}, "thread_ts": ts}
    return Click(reaction.reactor, room, ts, options, extras)


class ClickHandler:
    """Has done what a click stands for, if the person may, and sends the reply. One per activation of the plugin.

    Args:
        bot: Errbot's backend object.
        queue: runs the clicks. A person waits for it, so nothing else goes into this queue.
        alerts: knows what a message is about; None while the alert flow is switched off.
    """

    def __init__(
        self,
        bot: Any,
        commands: Commands,
        replies: Replies,
        network: ErrbotNetwork,
        queue: BackgroundQueue,
        alerts: AlertService | None,
    ) -> None:
        self._bot = bot
        self._commands = commands
        self._replies = replies
        self._network = network
        self._queue = queue
        self._alerts = alerts
        self._lately: TTLCache[object, bool] = TTLCache(1000, _SAME_CLICK)  # used by the thread of `queue` alone

    def reacted(self, reaction: Any) -> None:
        """Do what a reaction under an alert stands for, if it stands for a command. Returns at once."""
        self.clicked(lambda: click_of_reaction(self._bot, reaction))

    def clicked(self, find: FindClick) -> None:
        """Do what a click on an alert stands for. Returns at once."""
        self._queue.do(lambda: self._act_on(find))

    def _act_on(self, find: FindClick) -> None:
        try:
            click = find()
        except Exception as error:  # noqa: BLE001 - backends raise what they like, and networks send what they like
            log.warning("a click or a reaction leads nowhere: %r", error)
            return
        if click is not None:
            try:
                self._act(click)
            finally:
                click.ended()

    def _act(self, click: Click) -> None:
        """Have the action done as if the person had typed the command in the alert's thread.

        What comes of it is written onto the alert for all; the person alone reads the reply, where the network can
        show something to one person, else it goes into the thread.
        """
        if self._alerts is None:
            return
        mode = str(self._bot.mode)
        person, conversation = click.person(mode), click.conversation(mode)
        places = [conversation, *([replace(conversation, room=click.named)] if click.named else [])]
        action, conversation = self._action(self._alerts, click, places)
        if action is None or (person.acl, conversation, action) in self._lately:
            return
        typed = click.typing(f"{self._bot.prefix}sentry {action.command} {action.as_typed}")
        if not may_run(self._bot, typed, action.command, action.as_typed, aloud=True):
            return
        views = self._marking(
            self._commands.act(action, Invocation(person, conversation)), action, person, conversation
        )
        for message in self._replies.of(action.command, views):
            if not self._whispered(click, message):
                self._network.post(conversation.room, Outgoing(message), conversation.thread)

    def _action(
        self, alerts: AlertService, click: Click, places: Sequence[Conversation]
    ) -> tuple[IssueAction | None, Conversation]:
        """What a click does, and in which of the places that the room may be known as.

        Somebody may click before the network has answered us with the id of the message.
        """
        for look in range(_LOOKS):
            # Before the look, or what ends in between is missed.
            is_sending = any(alerts.is_sending_to(place) for place in places)
            for place in places:
                if (action := alerts.action_on(place, click.options)) is not None:
                    return action, place
            if not is_sending:
                break
            if not look:
                log.info("a click waits for the id of its message")
            if self._queue.pause(_LOOK_PAUSE):
                break
        return None, places[0]

    def _marking(
        self, views: Iterator[View], action: IssueAction, person: Person, conversation: Conversation
    ) -> Iterator[View]:
        """The views; after the last one the alert is marked, so not where an error ended them.

        Only what was done is not done twice (a double click, a network that delivers at least once): what failed may be
        clicked again at once.
        """
        yield from views
        self._lately[person.acl, conversation, action] = True
        if self._alerts is not None:
            self._alerts.mark(conversation, f"{action.options.done} by {person.name}")

    def _whispered(self, click: Click, message: str) -> bool:
        try:
            return click.whisper(message)
        except SendError as error:
            log.info("a reply to a click goes into the thread: %s", error)
            return False
