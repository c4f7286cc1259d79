"""Who typed what where, out of Errbot's messages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from errbot.backends.base import Message, RoomOccupant
from errbot.backends.test import TestOccupant, TestPerson

from errbot_sentry.chat.typed_messages import conversation_of, invocation_of, is_command
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.conversation import Conversation, Person, address_of, direct_room


class Room:
    """What Errbot's rooms are for us: a name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return self._name


def bot(mode: str) -> Any:
    """The little that is needed of Errbot's backend object."""
    return SimpleNamespace(mode=mode)


def message(extras: dict[str, Any] | None = None, frm: Any = None) -> Message:
    room = Room("#ops")
    made = Message("!sentry", frm=frm or TestOccupant("bob", room), extras=extras)
    made.to = room
    return made


@pytest.mark.parametrize(
    ("sent", "typed"),
    [
        ("issues times_seen:&gt;=100 -t 24h", "issues times_seen:>=100 -t 24h"),
        ("subscribe level&gt;=error tag.a=b&amp;c", "subscribe level>=error tag.a=b&c"),
        ("note #1 &lt;div&gt; came as &amp;lt;div&amp;gt;", "note #1 <div> came as &lt;div&gt;"),
    ],
)
def test_slack_escapes_three_characters(sent: str, typed: str) -> None:
    assert invocation_of(bot("slackv3"), message({"slack_event": {"ts": "1.2"}}), sent).words == typed
    assert invocation_of(bot("irc"), message(), sent).words == sent  # elsewhere people mean what they type


def test_places() -> None:
    assert invocation_of(
        bot("slackv3"), message({"slack_event": {"thread_ts": "1.2"}}), ""
    ).conversation == Conversation("#ops", "1.2")
    threads = {"abc": "abc", "own": ""}  # outside of threads, Mattermost's root is the message itself
    for root, thread in threads.items():
        typed = message({"root_id": root, "id": "own"})
        assert invocation_of(bot("mattermost"), typed, "").conversation == Conversation("#ops", thread)
    assert invocation_of(bot("irc"), message(), "").conversation == Conversation("#ops", "")
    direct = Message("!sentry", frm=TestPerson("bob"), to=TestPerson("bot"))
    assert invocation_of(bot("irc"), direct, "").conversation.is_direct
    nameless = message()
    nameless.to = Room("")
    assert not invocation_of(bot("irc"), nameless, "").conversation.is_direct


@pytest.mark.parametrize(
    ("body", "direct", "expected"),
    [
        ("!sentry issue https://x/issues/1", False, True),
        ("see https://x/issues/1", False, False),
        ("Sentrybot: sentry issue https://x/issues/1", False, True),
        ("sentry issue https://x/issues/1", True, True),
        ("sentry issue https://x/issues/1", False, False),
        ("see https://x/issues/1", True, False),
    ],
)
def test_what_is_a_command_gets_no_summary_beside_its_answer(body: str, direct: bool, expected: bool) -> None:
    config = SimpleNamespace(
        BOT_PREFIX="!",
        BOT_ALT_PREFIXES=("sentrybot",),
        BOT_ALT_PREFIX_CASEINSENSITIVE=True,
        BOT_PREFIX_OPTIONAL_ON_CHAT=True,
    )
    to = TestPerson("bot") if direct else Room("#ops")
    typed = Message(body, frm=TestPerson("bob"), to=to)
    assert is_command(typed, config) is expected
    config.BOT_ALT_PREFIX_CASEINSENSITIVE = config.BOT_PREFIX_OPTIONAL_ON_CHAT = False
    assert is_command(typed, config) is body.startswith("!")


def test_an_xmpp_occupant_is_not_the_whole_room() -> None:
    """Its `aclattr` is the room's address (errbot/backends/xmpp.py): a rule for it would let in everybody there."""
    room = Room("ops@conf.example.org")
    occupant = TestOccupant("bob", room)
    occupant.__class__ = type("Occupant", (TestOccupant,), {"aclattr": str(room), "__str__": lambda _: f"{room}/bob"})
    invocation = invocation_of(bot("xmpp"), message(frm=occupant), "")
    assert invocation.person.acl == "ops@conf.example.org/bob"


class Jid(TestPerson):
    """An address as Errbot's XMPP backend takes it apart."""

    def __init__(self, node: str, domain: str, resource: str) -> None:
        super().__init__(f"{node}@{domain}")
        self.node, self.domain, self.resource = node, domain, resource


class Occupant(Jid, RoomOccupant):
    """Somebody in a room; `aclattr` is the room's, as Errbot has it."""

    def __init__(self, node: str, domain: str, resource: str, room: Room) -> None:
        super().__init__(node, domain, resource)
        self._room = room

    @property
    def room(self) -> Room:
        return self._room

    def __str__(self) -> str:
        return f"{self._room}/{self.resource}"


@pytest.mark.parametrize(
    ("sender", "acl"),
    [
        (("ops", "rooms.chat.test", "ann"), "ops@rooms.chat.test/ann"),
        (("other", "rooms.chat.test", "ann"), "other@rooms.chat.test/ann"),
        (("late", "talk.test", "ann"), "late@talk.test/ann"),
        (("ops", "rooms.chat.test", ""), None),
        (("ann", "chat.test", "phone"), "ann@chat.test"),
    ],
)
def test_who_writes_through_a_room_on_xmpp_is_its_occupant_or_nobody(
    sender: tuple[str, str, str], acl: str | None
) -> None:
    """The room itself writes too, of its settings; it is nobody, and may nothing."""
    xmpp = SimpleNamespace(
        mode="xmpp",
        bot_config=SimpleNamespace(CHATROOM_PRESENCE=("ops@rooms.chat.test", ("late@Talk.test", "password"))),
        rooms=lambda: [Room("ops@rooms.chat.test")],
        query_room=Room,
        roomoccupant_factory=Occupant,
    )
    direct = Message("!sentry", frm=Jid(*sender), to=TestPerson("bot"))
    invocation = invocation_of(xmpp, direct, "")
    assert (invocation and invocation.person.acl) == acl
    assert invocation is None or invocation.conversation.is_direct


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("zulip", "direct:ann@zulip.test"),
        ("zulip", "direct:"),
        ("zulip", "ann@zulip.test"),
        ("gitter", "direct:ann"),
    ],
)
def test_no_name_that_somebody_gives_a_room_makes_it_a_conversation_with_a_person(mode: str, name: str) -> None:
    """On Zulip everybody may make a channel, of any name; other backends print what they like."""

    class Room(SimpleNamespace):
        def __str__(self) -> str:
            return name

    eve = Person("eve@zulip.test", "Eve", address="eve@zulip.test")
    msg: Any = SimpleNamespace(is_direct=False, to=Room(title=name), extras={})
    found = conversation_of(msg, mode, eve)
    assert not found.is_direct
    assert address_of(found.room) == ""
    assert found.room not in (name, direct_room("ann@zulip.test"))
    # What a setting gives to direct messages, or to Ann by her address, is not given to the room.
    access = Access(room_projects={"direct": ("*",), "ann@zulip.test": ("*",)})
    assert not access.sees_anything(found)
