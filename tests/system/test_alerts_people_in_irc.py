"""On a real IRC network: the assignee's client is alerted by our mention, and nobody's by what an error says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.processes import free_port
from tests.alerting import bodies
from tests.networks import GOLDEN, golden
from tests.servers.errbot_process import ErrbotProcess, irc_settings
from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.system.network_world import MAIL, NetworkWorld
from tests.system.network_world import OWNER as ALICE
from tests.system.plugin_copies import PLUGIN
from tests.waiting import until

ROOM, BOT = "#ops", "sentrybot"
HOSTILE = "alice: bob's basket, carol_x |bob| www.evil.example evil.example/bob @alice"


def alerts_person(nick: str, line: str) -> bool:
    """Whether a line alerts a person: irssi and HexChat do so for a nick that no letter or digit touches."""
    return re.search(rf"(?<![^\W_]){re.escape(nick)}(?![^\W_])", line, re.IGNORECASE) is not None


class People(NetworkWorld):
    """A room with the bot and three people in it, and the server that the bot asks."""

    def __init__(self, folder: Path, ircd: Ngircd, ends: ExitStack) -> None:
        super().__init__(ends)
        self.alice, self.bob, self.carol = (
            ends.enter_context(IrcClient("127.0.0.1", ircd.port, nick)) for nick in ("alice", "bob", "carol_x")
        )
        for person in (self.alice, self.bob, self.carol):
            person.join(ROOM)
        port = free_port()
        self.webhook = bodies.address(port)
        settings = {
            **irc_settings(ircd.port, nick=BOT, rooms=(ROOM,)),
            **self.settings,
            **bodies.listening(port),
            "SENTRY_ALERTS": [{"rooms": [ROOM], "mention": {"assignee": True, "else": "!all"}}],
        }
        self.bot = ErrbotProcess(folder / "bot", [PLUGIN], settings, backend="IRC")
        ends.enter_context(self.bot)
        self.alice.wait_for_join(BOT, ROOM)

    def refusals(self) -> list[str]:
        """What the bot's log has of direct messages that reached nobody."""
        return [line for line in self.bot.log.splitlines() if "somebody else has the nick" in line]

    def ask(self, typed: str, pattern: str) -> str:
        """Alice types a command into the room and waits for the answer."""
        after = self.alice.count()
        self.alice.say(ROOM, typed)
        return self.alice.wait_for(pattern, 60, sender=BOT, after=after).text


@pytest.fixture
def people(tmp_path: Path, ngircd: Ngircd) -> Iterator[People]:
    with ExitStack() as ends:
        yield People(tmp_path, ngircd, ends)


def test_the_linked_assignee_is_mentioned_and_nobody_else_ever(people: People) -> None:
    alice, proof = people.alice, people.issue("for the proof")
    phrase = people.ask(f"!sentry link {MAIL}", r"I am .* in chat")
    assert not alerts_person("alice", phrase), "the phrase is for copying, not for alerting"
    proof.notes.append((phrase.strip(), people.tracker.now))  # copied as the client got it, unseen characters and all
    people.ask(f"!sentry link {MAIL} {proof.short_id}", "You are .* on the server")

    first = people.issue(HOSTILE)
    people.hook(first, assignedTo=ALICE)
    text = alice.wait_for(rf"New.*{first.short_id}", 60, target=ROOM, sender=BOT).text
    assert text.startswith("alice ")
    assert alerts_person("alice", text)
    assert not alerts_person("alice", text.removeprefix("alice "))

    unknown = people.issue("nobody has it")
    people.hook(unknown, assignedTo=None)
    assert alice.wait_for(rf"New.*{unknown.short_id}", 60, sender=BOT).text.startswith("!all ")
    people.hook(unknown, "assigned", assignedTo=ALICE)
    assert alice.wait_for(rf"{unknown.short_id}.* assigned to", 60, sender=BOT).text.startswith("alice ")

    people.ask("!sentry issues", re.escape(first.short_id))
    people.ask(f"!sentry issue {first.short_id}", "basket")
    people.ask("!sentry alerts", re.escape(first.short_id))
    people.ask(f"!sentry resolve {first.short_id}", "resolved by")
    people.ask("!sentry issue alice:bob", ".")

    until(lambda: people.bob.texts(ROOM, BOT)[-1:] == alice.texts(ROOM, BOT)[-1:], 30, "bob has seen what alice has")
    lines = alice.texts(ROOM, BOT)
    assert any("basket" in line for line in lines), "hostile text was shown"
    for line in lines:
        text = line.removeprefix("alice ")
        for nick in ("alice", "bob", "carol_x"):
            assert not alerts_person(nick, text), f"{nick} is alerted by {line!r}"
        assert not re.search(r"www\.|evil\.example/", text)
    alerts = [line for line in lines if re.search("New.* in shop|assigned to", line)]
    sent = [("send", {"line": f"PRIVMSG {ROOM} :{line}"}) for line in alerts]
    golden(GOLDEN / "irc.json", sent, {people.sentry.url: "https://sentry.example.com"})
    _direct_messages_reach_alice_and_nobody_who_takes_her_nick(people)


def _direct_messages_reach_alice_and_nobody_who_takes_her_nick(people: People) -> None:
    alice, bob = people.alice, people.bob
    bob.say(BOT, "!sentry subscribe")
    bob.wait_for("Link your server account first", 60, target="bob")
    alice.say(BOT, "!sentry subscribe assignee=me")
    alice.wait_for(r"Subscription \d+: assignee=me", 60, target="alice")
    bob.say(BOT, "!sentry subscriptions")
    bob.wait_for("No subscriptions here", 60, target="bob")

    mine = people.issue("for alice alone")
    people.hook(mine, assignedTo=ALICE)
    alice.wait_for(rf"{mine.short_id} KeyError", 60, target="alice", sender=BOT)
    alice.wait_for(rf"{mine.short_id} KeyError", 60, target=ROOM, sender=BOT)

    bob.raw("NICK bobby")
    alice.raw("NICK alice_")
    alice.wait_for_nick("alice_")
    bob.raw("NICK alice")
    bob.wait_for_nick("alice")
    later = people.issue("for nobody here")
    people.hook(later, assignedTo=ALICE)
    bob.wait_for(rf"{later.short_id} KeyError", 60, target=ROOM, sender=BOT)
    until(lambda: people.refusals(), 60, "the bot has asked who has the nick")
    bob.raw("NICK bobby")
    bob.wait_for_nick("bobby")
    alice.raw("NICK alice")
    alice.wait_for(rf"{later.short_id} KeyError", 120, target="alice", sender=BOT)
    assert [line for line in bob.all_lines() if "KeyError" in line.text and line.target != ROOM] == []
