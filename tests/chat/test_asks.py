"""Who typed what where, out of Errbot's messages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from errbot.backends.base import Message
from errbot.backends.test import TestOccupant, TestPerson

from errbot_sentry.chat.asks import ask_of, is_command
from errbot_sentry.model import Place


class Room:
    """What Errbot's rooms are for us: a name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return self._name


def message(extras: dict[str, Any] | None = None, frm: Any = None) -> Message:
    room = Room("#ops")
    made = Message("!sentry", frm=frm or TestOccupant("bob", room), extras=extras)  # type: ignore[no-untyped-call]
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
    assert ask_of(message({"slack_event": {"ts": "1.2"}}), sent, "slackv3").words == typed
    assert ask_of(message(), sent, "irc").words == sent  # elsewhere people mean what they type


def test_places() -> None:
    assert ask_of(message({"slack_event": {"thread_ts": "1.2"}}), "", "slackv3").place == Place("#ops", "1.2")
    assert ask_of(message({"root_id": "abc"}), "", "mattermost").place == Place("#ops", "abc")
    assert ask_of(message(), "", "irc").place == Place("#ops", "")
    direct = Message("!sentry", frm=TestPerson("bob"), to=TestPerson("bot"))  # type: ignore[no-untyped-call]
    assert ask_of(direct, "", "irc").place.is_direct
    nameless = message()
    nameless.to = Room("")
    assert not ask_of(nameless, "", "irc").place.is_direct


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
    to = TestPerson("bot") if direct else Room("#ops")  # type: ignore[no-untyped-call]
    typed = Message(body, frm=TestPerson("bob"), to=to)  # type: ignore[no-untyped-call]
    assert is_command(typed, config) is expected
    config.BOT_ALT_PREFIX_CASEINSENSITIVE = config.BOT_PREFIX_OPTIONAL_ON_CHAT = False
    assert is_command(typed, config) is body.startswith("!")


def test_an_xmpp_occupant_is_not_the_whole_room() -> None:
    """Its `aclattr` is the room's address (errbot-facts, section 4): a rule for it would let in everybody there."""
    room = Room("ops@conf.example.org")
    occupant = TestOccupant("bob", room)
    occupant.__class__ = type("Occupant", (TestOccupant,), {"aclattr": str(room), "__str__": lambda _: f"{room}/bob"})
    asked = ask_of(message(frm=occupant), "", "xmpp")
    assert asked.person.acl == "ops@conf.example.org/bob"
