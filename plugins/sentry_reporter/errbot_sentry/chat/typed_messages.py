"""What people type: a command and its replies, or a message with links to issues, which is answered with a summary.

Errbot calls its command filters before it runs a typed command: `ACCESS_CONTROLS` (errbot/core_plugins/acls.py) and the
filters of other plugins (errbot/core.py, `_process_command_filters`). A link or a click is another way to a command, so
`may_run` calls the same filters, with a message as if the command had been typed. Our own rules (`SENTRY_WRITERS`,
`SENTRY_ROOM_PROJECTS`) are checked by `commands/`.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from errbot.backends.base import Identifier, Message, RoomOccupant

from errbot_sentry.chat import discord_channels
from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.person_mentions import direct_address, mention_of
from errbot_sentry.chat.render.templates import Replies
from errbot_sentry.commands.command_context import find_command
from errbot_sentry.commands.dispatch import Commands, meant_command
from errbot_sentry.commands.registry import COMMANDS
from errbot_sentry.commands.unfurl import COMMAND as UNFURLED
from errbot_sentry.domain.conversation import (
    Conversation,
    Invocation,
    Person,
    Upload,
    View,
    direct_room,
)
from errbot_sentry.domain.errors import UserError
from errbot_sentry.domain.locks import Lock

if TYPE_CHECKING:  # the adapters import this module
    from errbot_sentry.chat.networks.errbot_network import ErrbotNetwork

log = logging.getLogger(__name__)

_PLUGIN = "SentryReporter"
_LEFT_FOR_OTHERS = 2
_MOST_EACH = 4
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")  # by which settings name a person on Zulip


class ConcurrencyLimit:
    """Bounds how many of our commands run at once, because all plugins share a few threads of Errbot.

    A command waits for the server (at worst 15 s for each call), and on IRC for its lines to be sent, one a second.
    Without a bound, a server that does not answer would block the whole bot as soon as ten commands were typed.

    Args:
        threads: how many commands Errbot runs at once (`BOT_ASYNC_POOLSIZE`).
    """

    def __init__(self, threads: int) -> None:
        self._most = max(1, threads - _LEFT_FOR_OTHERS)
        self._lock = Lock()
        self._running: Counter[str] = Counter()

    @contextmanager
    def taken(self, who: str) -> Iterator[bool]:
        """A block in which the person's command counts as running; False if it must not run. Never waits."""
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
                    self._running += Counter()  # removes people without a running command


class MessageHandler:
    """Runs typed commands, if the person may run them, and sends the replies. One per activation.

    Args:
        bot: Errbot's backend object.
        background: makes the summaries of links, which must not be done in Errbot's receiving thread.
    """

    def __init__(
        self, bot: Any, commands: Commands, replies: Replies, network: ErrbotNetwork, background: BackgroundQueue
    ) -> None:
        self._bot = bot
        self._commands = commands
        self._replies = replies
        self._network = network
        self._background = background
        self._concurrency = ConcurrencyLimit(int(getattr(bot.bot_config, "BOT_ASYNC_POOLSIZE", 10)))

    def replies(self, command: str, msg: Any, words: str) -> Iterator[str]:
        """The replies to a command, in Markdown for this bot's backend; those that our adapter sends are left out."""
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
        """Have the issue URLs in a message summarized; returns at once."""
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

    def _send_file(self, msg: Any, upload: Upload) -> bool:
        """Send a file to where a message was typed; False if that failed."""
        return self._network.upload(msg.frm if msg.is_direct else msg.to, upload, thread_of(msg))

    def _views(self, command: str, msg: Any, words: str) -> Iterator[View]:
        """The views that answer a message; errors in the message itself are raised while they are read."""
        invocation = invocation_of(self._bot, msg, words)
        if invocation is not None:
            yield from self._commands.run(command, invocation)


def _busy() -> Iterator[View]:
    raise UserError("Too many of my commands are still running. Try again in a moment.")
    yield  # an iterator, like those of all commands


def invocation_of(bot: Any, msg: Message, words: str) -> Invocation | None:
    """The invocation in a command's message; `words` follow the command's name. None if the sender is a room."""
    sender, mode = sender_of(bot, msg), str(bot.mode)
    if sender is None:
        return None
    person = person_of(sender, mode)
    return Invocation(person, conversation_of(msg, mode, person), as_typed(msg, words))


def sender_of(bot: Any, msg: Message) -> Identifier | None:
    """Who wrote a message; None if the room itself did.

    On XMPP a private message can go through a room. It comes from ROOM/NICK, and Errbot 6.2.1 makes of that a person
    with the room's address, the same for everybody in the room (errbot/backends/xmpp.py, `incoming_message`). Here it
    becomes the occupant. An address is a room's if its host is that of a known room: services for rooms have hosts of
    their own (XEP-0045, section 3), and only a room that the bot is in can pass on messages.
    """
    sender = msg.frm
    if str(bot.mode) != "xmpp" or isinstance(sender, RoomOccupant) or sender.domain not in _hosts_of_rooms(bot):
        return sender
    if not sender.resource:
        return None
    room = bot.query_room(sender.person)
    return bot.roomoccupant_factory(sender.node, sender.domain, sender.resource, room)


def _hosts_of_rooms(bot: Any) -> set[str]:
    """The hosts of the rooms that the bot is in, or is to join; a setting may have a room with its password."""
    wanted = (room if isinstance(room, str) else str(room[0]) for room in bot.bot_config.CHATROOM_PRESENCE if room)
    joined = map(str, bot.rooms())
    return {room.partition("@")[2].partition("/")[0].lower() for room in (*wanted, *joined)}


def is_command(msg: Message, config: Any) -> bool:
    """Whether Errbot takes a message for a command, ours or another plugin's, by the prefixes in `config`."""
    text = str(msg.body or "")
    others = tuple(map(str, config.BOT_ALT_PREFIXES))
    if text.startswith((str(config.BOT_PREFIX), *others)):
        return True
    if config.BOT_ALT_PREFIX_CASEINSENSITIVE and text.lower().startswith(tuple(prefix.lower() for prefix in others)):
        return True
    return bool(msg.is_direct and config.BOT_PREFIX_OPTIONAL_ON_CHAT and text.split(maxsplit=1)[:1] == ["sentry"])


def as_typed(msg: Message, words: str) -> str:
    """The words as they were typed: Slack escapes `&`, `<` and `>`, and its backend for Errbot (0.3.2) leaves that.

    Otherwise `level>=error` and `times_seen:>100` would not work there. Source: Slack's page "Formatting text for app
    surfaces": these three characters and no others are escaped.
    """
    if "slack_event" not in (msg.extras or {}):
        return words
    return words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def person_of(frm: Identifier, mode: str) -> Person:
    """Who typed. SENTRY_WRITERS matches `aclattr`, as Errbot's own rules do.

    In an XMPP room `aclattr` is the room's address, the same for everybody in it (errbot/backends/xmpp.py,
    `XMPPRoomOccupant`). There the occupant's own address is used, so that no rule lets in a whole room by accident.
    """
    acl = str(getattr(frm, "aclattr", "") or frm)
    if isinstance(frm, RoomOccupant) and acl == str(getattr(frm, "room", "")):
        acl = str(frm)
    # On Telegram many people have no nick, and their `person` is a number; on Zulip nobody has one.
    full = getattr(frm, "fullname", None) if mode == "zulip" else None
    name = full or getattr(frm, "nick", None) or getattr(frm, "first_name", None) or getattr(frm, "person", None) or acl
    return Person(acl=acl, name=str(name), mention=mention_of(mode, frm), address=direct_address(mode, frm))


def conversation_of(msg: Message, mode: str, person: Person | None = None) -> Conversation:
    """Where the message was typed; `person` typed it, which matters in a direct message."""
    if msg.is_direct:
        return Conversation(direct_room(person.address) if person is not None else "", thread_of(msg))
    # An empty name would mean a direct message.
    return Conversation(room=room_name(msg.to, mode) or "?", thread=thread_of(msg))


def room_name(room: Any, mode: str) -> str:
    """A room as people write it in config.py.

    That is mostly how the backend prints it. On Slack and Discord it is `#ops`, not `<#C123|ops>`; on Telegram it has
    the topic, if there is one, and on Zulip it has none. A thread on Discord, which is a channel itself, has the name
    of the channel that it is in.

    On Zulip everybody may make a channel of any name. A name that stands for a person in the settings or in
    `direct_room` gets a `#`, so that nobody gets a person's rights and messages by making such a channel.
    """
    name = _printed_name(room, mode)
    stands_for_person = Conversation(name).is_direct or (mode == "zulip" and _ADDRESS.fullmatch(name))
    return f"#{name}" if name and stands_for_person else name


def _printed_name(room: Any, mode: str) -> str:
    if mode == "discord" and (channel := getattr(room, "discord_channel", None)) is not None:
        return discord_channels.name_of(room.client, channel)
    name = getattr(room, "name", None) if mode == "slackv3" else None
    topic = getattr(room, "message_thread_id", None) if mode == "telegram" else None
    if mode == "zulip":
        return str(getattr(room, "title", None) or room)
    return f"#{name}" if name else f"{room}/{topic}" if topic else str(room)


def thread_of(msg: Message) -> str:
    """The backend's id of the thread that a message belongs to, "" outside of threads.

    Slack's backend has `thread_ts` in the event. Mattermost's has `root_id` in the extras, which is the message's own
    `id` outside of threads (err-backend-mattermost 3.0.0, `_message_event_handler`). On Discord a thread is a channel
    with the id of its first message, and the extras are a list (err-backend-discord 4.0.0, `on_message`). On Telegram
    `complete` of our adapter adds `reply_to_message_id`.
    """
    channel: Any = getattr(msg.to, "discord_channel", None)
    if discord_channels.is_thread(channel):
        return str(channel.id)
    extras: Mapping[str, Any] = msg.extras if isinstance(msg.extras, Mapping) else {}
    event = extras.get("slack_event")
    if isinstance(event, Mapping) and event.get("thread_ts"):
        return str(event["thread_ts"])
    root = extras.get("root_id")
    found = extras.get("thread_ts") or (root if root != extras.get("id") else "") or extras.get("reply_to_message_id")
    return str(found or "")


def may_run(bot: Any, message: Message, command: str, words: str, *, passed: str = "", aloud: bool = False) -> bool:
    """Whether the sender of this message may run a command of ours in the conversation of the message.

    Args:
        command: its name in the registry (`issue`), not an alias, so that a rule for a command covers its aliases.
        words: what was typed after it, or would have been.
        passed: the name under which Errbot's filters have let it pass already, "" if it was not typed.
        aloud: whether filters may reply, ask back or count. If not, they do a dry run, and a refusal is silent. If
            so, the dry run comes first, and nobody gets a message about what they may not do.
    """
    if passed == command:
        return True
    name = _registered(bot, command)
    if name is None:
        return False
    if not passed and not _passes(bot, message, name, words, dry_run=True):
        log.info("%s may not run %s here; nothing is done", message.frm, name)
        return False
    return not aloud or _passes(bot, message, name, words, dry_run=False)


def _passes(bot: Any, message: Message, name: str, words: str, *, dry_run: bool) -> bool:
    """Whether all filters let exactly this command pass; one that a filter has changed does not count."""
    passed, command, arguments = bot._process_command_filters(message, name, words, dry_run)  # noqa: SLF001 - `!help` does
    return passed is not None and (command, arguments) == (name, words)


def _registered(bot: Any, command: str) -> str | None:
    """The name under which Errbot has a command of ours: it is another if another plugin has a command of that name."""
    method = "sentry" if command == "sentry" else f"sentry_{command}"
    for name, function in bot.all_commands.items():
        owner = getattr(function, "__self__", None)
        if getattr(function, "__name__", "") == method and getattr(owner, "name", "") == _PLUGIN:
            return str(name)
    return None
