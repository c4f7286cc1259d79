"""What people do in chat: a typed command, a message with issue links, a reaction under an alert."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.incoming import invocation_of, is_command, may_run, person_of, sender_of
from errbot_sentry.chat.reactions import reaction_of
from errbot_sentry.chat.replies import Replies
from errbot_sentry.chat.rooms import Rooms
from errbot_sentry.chat.uploads import send_file
from errbot_sentry.commands.command_context import find_command
from errbot_sentry.commands.dispatch import Commands, meant_command
from errbot_sentry.commands.registry import COMMANDS
from errbot_sentry.commands.unfurl import COMMAND as UNFURLED
from errbot_sentry.domain.conversation import Conversation, Invocation, View
from errbot_sentry.domain.errors import UserError
from errbot_sentry.domain.issue_actions import IssueAction
from errbot_sentry.domain.locks import Lock

log = logging.getLogger(__name__)

_LEFT_FOR_OTHERS = 2
_MOST_EACH = 4

ActionOf = Callable[[Conversation, str], IssueAction | None]
"""The action on an issue that an emoji under a message stands for; the conversation's thread is that message's id."""


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
        """Inside: whether this person's command may run; nobody has to wait."""
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
        reactions: does what reactions stand for. A person waits for it, so nothing else goes into this queue.
        action_of: what a reaction under an alert stands for.
    """

    def __init__(
        self,
        bot: Any,
        commands: Commands,
        replies: Replies,
        rooms: Rooms,
        background: BackgroundQueue,
        reactions: BackgroundQueue,
        action_of: ActionOf,
    ) -> None:
        self._bot = bot
        self._commands = commands
        self._replies = replies
        self._rooms = rooms
        self._background = background
        self._reactions = reactions
        self._action_of = action_of
        self._concurrency = ConcurrencyLimit(int(getattr(bot.bot_config, "BOT_ASYNC_POOLSIZE", 10)))

    def replies(self, command: str, msg: Any, words: str) -> Iterator[str]:
        """The messages that answer a command, in Markdown for this bot's backend."""
        entry = find_command(meant_command(command, words), COMMANDS)
        if entry is None or not may_run(self._bot, msg, entry.name, words, passed=command, aloud=True):
            return
        sender = sender_of(self._bot, msg)
        if sender is None:
            log.info("a command without a sender: %s is a room", msg.frm)
            return
        with self._concurrency.taken(person_of(sender, str(self._bot.mode)).acl) as free:
            views = self._views(command, msg, words) if free else _busy()
            yield from self._replies.of(command, views, lambda upload: send_file(self._bot, msg, upload))

    def overheard(self, msg: Any) -> None:
        """Summarise the issue URLs in a message of a room, or of a direct conversation. Returns at once."""
        text = str(msg.body or "")
        unfurl = self._commands.unfurl
        if not unfurl.wanted(text) or is_command(msg, self._bot.bot_config):
            return
        invocation = invocation_of(self._bot, msg, "")
        if invocation is None:
            return

        def may_look(address: str) -> bool:
            return may_run(self._bot, msg, UNFURLED, address)

        def summarise() -> None:
            for message in self._replies.of("unfurl", unfurl.views(text, invocation, may_look)):
                self._bot.send_simple_reply(msg, message)

        self._background.do(summarise)

    def reacted(self, reaction: Any) -> None:
        """Do what a reaction under an alert stands for, if it stands for a command. Returns at once."""
        self._reactions.do(lambda: self._act(reaction))

    def _act(self, reaction: Any) -> None:
        found = reaction_of(self._bot, reaction)
        action = self._action_of(found.conversation, found.emoji) if found is not None else None
        if found is None or action is None:
            return
        typed = found.typing(f"{self._bot.prefix}sentry {action.command} {action.as_typed}")
        if not may_run(self._bot, typed, action.command, action.as_typed, aloud=True):
            return
        conversation = found.conversation
        for message in self._replies.of(
            action.command, self._commands.act(action, Invocation(found.person, conversation))
        ):
            self._rooms.send(conversation.room, message, conversation.thread)

    def _views(self, command: str, msg: Any, words: str) -> Iterator[View]:
        """What answers a message; what is wrong with the message itself is an answer too."""
        invocation = invocation_of(self._bot, msg, words)
        if invocation is not None:
            yield from self._commands.run(command, invocation)


def _busy() -> Iterator[View]:
    raise UserError("Too many of my commands are still running. Try again in a moment.")
    yield  # an iterator, like those of all commands
