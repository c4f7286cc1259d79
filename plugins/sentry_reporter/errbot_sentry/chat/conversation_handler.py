"""What people do in chat: a typed command, a message with issue links, a click or a reaction on an alert."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cachetools import TTLCache

from errbot_sentry.alerting.service import AlertService
from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.clicks import Click, FindClick, click_of_reaction
from errbot_sentry.chat.incoming import invocation_of, is_command, may_run, person_of, sender_of, thread_of
from errbot_sentry.chat.networks.errbot_network import ErrbotNetwork
from errbot_sentry.chat.render.templates import Replies
from errbot_sentry.commands.command_context import find_command
from errbot_sentry.commands.dispatch import Commands, meant_command
from errbot_sentry.commands.registry import COMMANDS
from errbot_sentry.commands.unfurl import COMMAND as UNFURLED
from errbot_sentry.domain.conversation import Conversation, Invocation, Person, Upload, View
from errbot_sentry.domain.errors import SendError, UserError
from errbot_sentry.domain.issue_actions import IssueAction
from errbot_sentry.domain.locks import Lock
from errbot_sentry.domain.outgoing import Outgoing

log = logging.getLogger(__name__)

_LEFT_FOR_OTHERS = 2
_MOST_EACH = 4

_SAME_CLICK = 10.0  # seconds in which the same click of the same person counts once
_LOOKS, _LOOK_PAUSE = 25, 0.2  # at a message that is shown, but whose id the network has not told us yet; seconds


class ConcurrencyLimit:
    """A bound on the commands that run at once: all plugins share a few threads of Errbot, and ours never take all.

    A command waits for the server (15 s at worst for each call), and on IRC for its lines to be sent, one a second.
    Without a bound, a server that does not answer would stop the whole bot as soon as ten commands have been typed.

    Args:
        threads: how many commands Errbot runs at once (`BOT_ASYNC_POOLSIZE`).
    """

    def __init__(self, threads: int) -> None:
        self._most = max(1, threads - _LEFT_FOR_OTHERS)
        self._lock = Lock()
        self._running: Counter[str] = Counter()

    @contextmanager
    def taken(self, who: str) -> Iterator[bool]:
        """A block in which the person's command counts as running; it gets False if it must not run. Never waits."""
        with self._lock:
            free = self._running.total() < self._most and self._running[who] < _MOST_EACH
            if free:
                self._running[who] += 1
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._running[who] -= 1
                    self._running += Counter()  # drops who has nothing running


class ConversationHandler:
    """Checks who may do what, has it done, and sends the replies. One per activation of the plugin.

    Args:
        bot: Errbot's backend object.
        background: summarises links, which must not be done in Errbot's receiving thread.
        clicks: does what buttons and reactions stand for. A person waits for it, so nothing else goes into this queue.
        alerts: knows what a message is about; None while the alert flow is switched off.
    """

    def __init__(
        self,
        bot: Any,
        commands: Commands,
        replies: Replies,
        network: ErrbotNetwork,
        background: BackgroundQueue,
        clicks: BackgroundQueue,
        alerts: AlertService | None,
    ) -> None:
        self._bot = bot
        self._commands = commands
        self._replies = replies
        self._network = network
        self._background = background
        self._clicks = clicks
        self._alerts = alerts
        self._lately: TTLCache[object, bool] = TTLCache(1000, _SAME_CLICK)  # used by the thread of `clicks` alone
        self._concurrency = ConcurrencyLimit(int(getattr(bot.bot_config, "BOT_ASYNC_POOLSIZE", 10)))

    def replies(self, command: str, msg: Any, words: str) -> Iterator[str]:
        """The messages that answer a command, in Markdown for this bot's backend, if our adapter does not send them."""
        entry = find_command(meant_command(command, words), COMMANDS)
        if entry is None or not may_run(self._bot, msg, entry.name, words, passed=command, aloud=True):
            return
        self._network.complete(msg)
        sender = sender_of(self._bot, msg)
        if sender is None:
            log.info("a command without a sender: %s is a room", msg.frm)
            return
        with self._concurrency.taken(person_of(sender, str(self._bot.mode)).acl) as free:
            views = self._views(command, msg, words) if free else _busy()
            for message in self._replies.of(command, views, lambda upload: self._send_file(msg, upload)):
                if not self._network.reply(msg, message):
                    yield message

    def overheard(self, msg: Any) -> None:
        """Summarise the issue URLs in a message of a room, or of a direct conversation. Returns at once."""
        text = str(msg.body or "")
        unfurl = self._commands.unfurl
        if not unfurl.wanted(text) or is_command(msg, self._bot.bot_config):
            return

        def may_look(address: str) -> bool:
            return may_run(self._bot, msg, UNFURLED, address)

        def summarise() -> None:
            self._network.complete(msg)
            invocation = invocation_of(self._bot, msg, "")
            if invocation is None:
                return
            for message in self._replies.of("unfurl", unfurl.views(text, invocation, may_look)):
                if not self._network.reply(msg, message):
                    self._bot.send_simple_reply(msg, message)

        self._background.do(summarise)

    def reacted(self, reaction: Any) -> None:
        """Do what a reaction under an alert stands for, if it stands for a command. Returns at once."""
        self.clicked(lambda: click_of_reaction(self._bot, reaction))

    def clicked(self, find: FindClick) -> None:
        """Do what a click on an alert stands for. Returns at once."""
        self._clicks.do(lambda: self._act_on(find()))

    def _act_on(self, click: Click | None) -> None:
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
            if self._clicks.pause(_LOOK_PAUSE):
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

    def _send_file(self, msg: Any, upload: Upload) -> bool:
        """Send a file to where a message was typed; False where it could not be."""
        return self._network.upload(msg.frm if msg.is_direct else msg.to, upload, thread_of(msg))

    def _views(self, command: str, msg: Any, words: str) -> Iterator[View]:
        """What answers a message; what is wrong with the message itself is an answer too."""
        invocation = invocation_of(self._bot, msg, words)
        if invocation is not None:
            yield from self._commands.run(command, invocation)


def _busy() -> Iterator[View]:
    raise UserError("Too many of my commands are still running. Try again in a moment.")
    yield  # an iterator, like those of all commands
