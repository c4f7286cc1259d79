"""From Errbot's message to our `Invocation`: who typed, in which conversation, and what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errbot.backends.base import Identifier, Message, RoomOccupant

from errbot_sentry.chat.person_mentions import mention_of
from errbot_sentry.domain.conversation import Conversation, Invocation, Person


def invocation_of(bot: Any, msg: Message, words: str) -> Invocation | None:
    """The invocation in a command's message; `words` follow the command's name. None where nobody is its sender."""
    sender, mode = sender_of(bot, msg), str(bot.mode)
    return (
        None
        if sender is None
        else Invocation(person_of(sender, mode), conversation_of(msg, mode), as_typed(msg, words))
    )


def sender_of(bot: Any, msg: Message) -> Identifier | None:
    """Who wrote a message; None where it is a room that wrote, and so nobody.

    On XMPP a private message can go through a room. It comes from ROOM/NICK, and Errbot 6.2.1 takes that for a person
    with the room's address, who is then everybody in it (errbot/backends/xmpp.py, `incoming_message`). It is the
    occupant's. An address belongs to a room when its host is one of rooms: services for rooms have hosts of their own
    (XEP-0045, section 3), and only a room that the bot is in can pass on what somebody says there.
    """
    sender = msg.frm
    if str(bot.mode) != "xmpp" or isinstance(sender, RoomOccupant) or sender.domain not in _hosts_of_rooms(bot):
        return sender
    if not sender.resource:
        return None
    room = bot.query_room(sender.person)
    return bot.roomoccupant_factory(sender.node, sender.domain, sender.resource, room)


def _hosts_of_rooms(bot: Any) -> set[str]:
    """Where the bot's rooms are, and those that it is to join; a room may be given with its password."""
    wanted = (room if isinstance(room, str) else str(room[0]) for room in bot.bot_config.CHATROOM_PRESENCE if room)
    joined = map(str, bot.rooms())
    return {room.partition("@")[2].partition("/")[0].lower() for room in (*wanted, *joined)}


def is_command(msg: Message, config: Any) -> bool:
    """Whether Errbot takes a message for a command of ours or of others, by its prefixes as `config` has them."""
    text = str(msg.body or "")
    others = tuple(map(str, config.BOT_ALT_PREFIXES))
    if text.startswith((str(config.BOT_PREFIX), *others)):
        return True
    if config.BOT_ALT_PREFIX_CASEINSENSITIVE and text.lower().startswith(tuple(prefix.lower() for prefix in others)):
        return True
    return bool(msg.is_direct and config.BOT_PREFIX_OPTIONAL_ON_CHAT and text.split(maxsplit=1)[:1] == ["sentry"])


def as_typed(msg: Message, words: str) -> str:
    """The words with what Slack makes of `&`, `<` and `>` undone; its backend for Errbot (0.3.2) passes it on as it is.

    Without this, `level>=error` and `times_seen:>100` would mean nothing there. Source: Slack's page "Formatting text
    for app surfaces": these three characters and no others are escaped.
    """
    if "slack_event" not in (msg.extras or {}):
        return words
    return words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def person_of(frm: Identifier, mode: str) -> Person:
    """Who typed. `aclattr` is what Errbot's own rules match, and so what SENTRY_WRITERS matches.

    In an XMPP room `aclattr` is the room's address, the same for everybody in it (errbot/backends/xmpp.py,
    `XMPPRoomOccupant`). There the occupant's own address stands for the person, so that no rule can let in a whole room
    by accident.
    """
    acl = str(getattr(frm, "aclattr", "") or frm)
    if isinstance(frm, RoomOccupant) and acl == str(getattr(frm, "room", "")):
        acl = str(frm)
    # On Telegram many people have no nick, and their `person` is a number.
    name = getattr(frm, "nick", None) or getattr(frm, "first_name", None) or getattr(frm, "person", None) or acl
    return Person(acl=acl, name=str(name), mention=mention_of(mode, frm))


def conversation_of(msg: Message, mode: str) -> Conversation:
    """Where the message was typed."""
    if msg.is_direct:
        return Conversation(room="", thread="")
    # A room without a name is no direct message.
    return Conversation(room=room_name(msg.to, mode) or "?", thread=thread_of(msg))


def room_name(room: Any, mode: str) -> str:
    """A room as people write it in config.py: as the backend prints it, but on Slack `#ops`, not `<#C123|ops>`, and on
    Telegram with the topic, where there is one."""
    name = getattr(room, "name", None) if mode == "slackv3" else None
    topic = getattr(room, "message_thread_id", None) if mode == "telegram" else None
    return f"#{name}" if name else f"{room}/{topic}" if topic else str(room)


def thread_of(msg: Message) -> str:
    """The backend's id of the thread that a message belongs to, "" outside of threads.

    Slack puts `thread_ts` into the event, Mattermost `root_id` into the extras; on Telegram `complete` of our adapter
    adds `reply_to_message_id`.
    """
    extras: Mapping[str, Any] = msg.extras or {}
    event = extras.get("slack_event")
    if isinstance(event, Mapping) and event.get("thread_ts"):
        return str(event["thread_ts"])
    return str(extras.get("thread_ts") or extras.get("root_id") or extras.get("reply_to_message_id") or "")
