"""What people do without typing: they click a button under an alert, or react to it with an emoji.

Each stands for a command, which runs with the rights of the person who clicked.
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

if TYPE_CHECKING:  # the adapters import this module
    from errbot_sentry.chat.networks.errbot_network import ErrbotNetwork

log = logging.getLogger(__name__)

DIRECT_CHANNEL = "D"  # on Slack, the id of a direct conversation begins so

_SAME_CLICK = 10.0  # seconds in which the same click of the same person counts once
_LOOKS, _LOOK_PAUSE = 25, 0.2  # tries, and seconds between them, for a message whose id we do not have yet


def _no_whisper(_text: str) -> bool:
    return False


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Click:
    """A button that somebody clicked under one of our messages, or an emoji with which they reacted.

    `sender` and `room` are Errbot's identifiers; in a direct message the room is the person. `message_id` is the
    network's id of the message. `extras` are those of a typed message of this network. `whisper` shows Markdown to the
    person alone, and returns False if it cannot. `ended` is called when the click is done; it raises nothing. `named`
    is the name by which a route may have this conversation as a room, although it is a direct one.
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
        """Where they clicked: the message is the root of the thread."""
        if self._is_direct:
            return Conversation(direct_room(self.person(mode).address), self.message_id)
        return Conversation(room_name(self.room, mode), self.message_id)

    @property
    def _is_direct(self) -> bool:
        return isinstance(self.room, PersonIdentifier)

    def typing(self, text: str) -> Message:
        """A message as if the person had typed this text in the thread, for Errbot's command filters."""
        sender = self.sender if self._is_direct else _Occupant(self.sender, self.room)
        message: Message = Message(text, frm=sender, to=self.room, extras=dict(self.extras))
        return message


FindClick = Callable[[], Click | None]
"""Returns who clicked what and where; may raise anything. It may ask the chat network, so it must not be called in a
receiving thread."""

OnClick = Callable[[FindClick], None]
"""Takes a click and returns at once."""


class _Occupant(RoomOccupant):  # type: ignore[misc]  # Errbot ships no types
    """The person who clicked, as an occupant of the room; all other attributes are the backend's."""

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
    """The click that Errbot's own reaction stands for (only Slack's backend has them); None for other emoji.

    It may look up the room's name on the chat network, so it must not be called in the receiving thread.
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
    """Runs the command that a click stands for, if the person may run it, and sends the reply. One per activation.

    Args:
        bot: Errbot's backend object.
        queue: runs the clicks, and nothing else, because a person waits.
        alerts: knows which issue a message is about; None if the alert flow is switched off.
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
        # Used by the thread of `queue` alone.
        self._lately: TTLCache[tuple[str, Conversation, IssueAction], bool] = TTLCache(1000, _SAME_CLICK)

    def reacted(self, reaction: Any) -> None:
        """Handle a reaction; returns at once."""
        self.clicked(lambda: click_of_reaction(self._bot, reaction))

    def clicked(self, find: FindClick) -> None:
        """Handle a click; returns at once."""
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
        """Run the action as if the person had typed the command in the alert's thread.

        The alert shows the outcome to everybody. The reply goes to the person alone if the network can do that, else
        into the thread.
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
        """The action of a click, and the one of these places where the alert is known.

        Somebody may click before the network has told us the id of the message; this waits for it.
        """
        for look in range(_LOOKS):
            # Read first: a message that is sent in between is then found below.
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
        """The views; after the last one the alert is marked, unless an error came before or something was not done.

        Only an action that succeeded is remembered, so that a double click, or one delivered twice, does it once. What
        failed may be clicked again at once. So may what another action has undone: a new one ends the memory of all
        others on its message.
        """
        done = True
        for view in views:
            done = done and view.done
            yield view
        if not done:
            return
        for known in [each for each in self._lately if each[1] == conversation and each[2] != action]:
            self._lately.pop(known, None)
        self._lately[person.acl, conversation, action] = True
        if self._alerts is not None:
            self._alerts.mark(conversation, f"{action.options.done} by {person.name}")

    def _whispered(self, click: Click, message: str) -> bool:
        try:
            return click.whisper(message)
        except SendError as error:
            log.info("a reply to a click goes into the thread: %s", error)
            return False
