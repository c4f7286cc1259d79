"""Alerts on XMPP, with a real prosody and Errbot's own backend: corrections, pictures, refusals, a reconnect."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from xml.etree.ElementTree import canonicalize

import pytest

from demo.processes import free_port, open_url
from tests.alerting import bodies
from tests.fakes.tracker import TrackedIssue
from tests.networks import GOLDEN, golden
from tests.servers.errbot_process import ErrbotProcess
from tests.servers.network_bot import XMPP
from tests.servers.prosody import Prosody
from tests.servers.xmpp_client import Stanza, XmppClient
from tests.system.network_world import OWNER, NetworkWorld, subscribe
from tests.system.plugin_copies import PLUGIN
from tests.system.xmpp_world import BOT, BOT_ADDRESS, ROOM, xmpp_settings

# slixmpp 1.8.6, the last that Errbot 6.2.1 works with, asks the resolver in its old way.
pytestmark = pytest.mark.filterwarnings("ignore:gethostbyname")


class World(NetworkWorld):
    """prosody, Sentry, and the bot between them. Alice owns the room, because she is there first.

    The settings name the room in another spelling.
    """

    def __init__(self, folder: Path, prosody: Prosody, ends: ExitStack) -> None:
        super().__init__(ends)
        self.prosody = prosody
        self.alice = ends.enter_context(XmppClient(prosody, "alice"))
        self.alice.join(ROOM)
        port = free_port()
        self.webhook = bodies.address(port)
        self.bot = ErrbotProcess(
            folder / "bot",
            [PLUGIN],
            {
                **xmpp_settings(prosody.port),
                **self.settings,
                **bodies.listening(port),
                "SENTRY_WRITERS": (f"{ROOM}/alice",),
                "SENTRY_ALERTS": [{"rooms": [ROOM.title()]}],
            },
            backend="XMPP",
            python=XMPP.python(),
        )
        ends.enter_context(self.bot)
        self.alice.wait_for_join(BOT, ROOM)

    def notification(self, issue: TrackedIssue, who: XmppClient | None = None) -> Stanza:
        self.hook(issue)
        return (who or self.alice).wait_for(rf"New in shop.*{issue.short_id}", room=ROOM, sender=BOT)

    def said(self, who: XmppClient, issue: TrackedIssue) -> list[str]:
        return [each.text for each in who.received(ROOM, BOT) if issue.short_id in each.text]


def _as_sent(stanza: Stanza) -> str:
    """The XML of a message without what the server adds to it."""
    return canonicalize(re.sub(r' to="[^"]*"|<(stanza|occupant)-id [^>]*>', "", stanza.raw))


@pytest.fixture
def world(tmp_path: Path, prosody: Prosody) -> Iterator[World]:
    with ExitStack() as ends:
        yield World(tmp_path, prosody, ends)


def test_an_alert_is_corrected_a_picture_is_uploaded_and_a_refusal_is_one(world: World) -> None:
    """An update is a line in the room and a mark on its notification; who resolves in the room gets the mark alone."""
    alice, issue = world.alice, world.issue("<b>it</b> *broke*\uffff [pay](https://evil.example)")
    first = world.notification(issue)
    world.hook(issue, "resolved")
    assert not alice.wait_for_correction("resolved by Carol$", first).markup
    alice.wait_for(f"^{issue.short_id} resolved by Carol", room=ROOM, sender=BOT)
    stanzas = [first, *alice.corrections_of(first), alice.received(ROOM, BOT)[-1]]
    replaced = {world.sentry.url: "https://sentry.example.com"}
    replaced |= {each.id: f"id-{number}" for number, each in enumerate(stanzas, start=1)}
    calls = [("send", {"stanza": _as_sent(each)}) for each in stanzas]
    golden(GOLDEN / "xmpp.json", calls, replaced)

    other = world.issue("another")
    second = world.notification(other)
    alice.say(ROOM, f"!sentry resolve {other.short_id}")
    alice.wait_for(rf"{other.short_id} resolved by alice", room=ROOM, sender=BOT)
    alice.wait_for_correction("resolved$", second)
    world.hook(other, "resolved")

    seen = alice.count()
    alice.say(ROOM, "!sentry graph -p shop")
    picture = alice.wait_for("^http://127.0.0.1:", room=ROOM, sender=BOT, after=seen)
    assert picture.url == picture.text
    with open_url(urllib.request.Request(picture.url), timeout=30) as answer:
        assert answer.read().startswith(b"\x89PNG")

    alice.set_role(ROOM, BOT, "visitor")
    refused = world.issue("refused")
    world.hook(refused)
    world.bot.wait_for_log("refused a message: forbidden")
    alice.set_role(ROOM, BOT, "participant")
    alice.wait_for(rf"New in shop.*{refused.short_id}", room=ROOM, sender=BOT)
    assert len(world.said(alice, refused)) == 1
    assert len(world.said(alice, other)) == 2, "the notification and the reply"
    _direct_messages(world)


def _direct_messages(world: World) -> None:
    """To Alice's own address, corrected like any other; who writes through the room has none."""
    alice = world.alice

    def read(pattern: str) -> str:
        return alice.wait_for(pattern, room="").text.replace("\u200b", "")

    alice.say(f"{ROOM}/{BOT}", "!sentry subscribe")
    read("can't address you by this conversation")
    subscribe(world.tracker, lambda line: alice.say(BOT_ADDRESS, line), read)
    mine = world.issue("for alice alone")
    world.hook(mine, assignedTo=OWNER)
    first = alice.wait_for(rf"New in shop.*{mine.short_id}", room="", sender=BOT_ADDRESS)
    world.hook(mine, "resolved")
    alice.wait_for_correction("resolved by Carol$", first)


def test_after_a_reconnect_nothing_is_lost_and_only_messages_of_the_new_connection_are_corrected(world: World) -> None:
    old = world.issue("of before")
    world.notification(old)
    broken = world.issue("in the middle")
    world.notification(broken)
    world.prosody.kill()
    world.prosody.start()
    with XmppClient(world.prosody, "bob") as bob:
        bob.join(ROOM)
        bob.wait_for_join(BOT, ROOM)
        late = world.notification(world.issue("of after"), bob)
        world.hook(old, "resolved")
        bob.wait_for(f"^{old.short_id} resolved by Carol", room=ROOM, sender=BOT)
        assert len([text for text in world.said(bob, broken) if text.startswith("New")]) <= 1
        assert [each.text for each in bob.received(ROOM, BOT) if each.text.startswith("New")].count(late.text) == 1


def test_a_bot_that_was_put_out_of_the_room_joins_it_again(world: World) -> None:
    """slixmpp goes on listing a room that the bot is no longer in: only the room's refusal says so."""
    world.notification(world.issue("of before"))
    world.alice.set_role(ROOM, BOT, "none")
    world.notification(world.issue("of after"))
