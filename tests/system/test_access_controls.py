"""Errbot's own rules apply on every way in: what is typed, an alias of it, a pasted link, a reaction."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.system.irc_world import BOT, ROOM, IrcWorld, person_in_room
from tests.system.test_alerts_on_slack import ANN, BOB, OPS
from tests.system.test_alerts_on_slack import World as SlackWorld

ONLY_ALICE = {"allowusers": ("alice!*@*",)}


def test_a_link_and_an_alias_are_the_command_with_its_access_controls(tmp_path, ngircd, bugsink_project):
    """Title and counts of any issue, number by number, were for everybody who pasted its address."""
    bugsink_project.send_event("ZeroDivisionError", "division by zero")
    bugsink_project.send_event("KeyError", "another")
    first, second = bugsink_project.issues()
    url = f"{bugsink_project.url}/issues/issue/%s/event/last/"
    rules = {
        "SentryReporter:sentry_issue": ONLY_ALICE,
        "sentry_reopen": ONLY_ALICE,
        "sentry_whoami": {"allowmuc": False},
    }
    world = IrcWorld(
        tmp_path, ngircd, bugsink_project, ACCESS_CONTROLS=rules, SENTRY_ALERTS=[], SENTRY_WRITERS=("*",),
        HIDE_RESTRICTED_ACCESS=False,
    )  # fmt: skip
    with person_in_room(ngircd) as alice, person_in_room(ngircd, "mallory") as mallory, world.bot:
        mallory.wait_for_join(BOT, ROOM)
        mallory.say(ROOM, f"look: {url % first['id']} and {url % second['id']}")
        mallory.say(ROOM, "!sentry whoami")
        mallory.wait_for("not allowed", sender=BOT)
        mallory.say(ROOM, f"!sentry unresolve {first['friendly_id']}")
        mallory.wait_for("not allowed to access this command from this user", sender=BOT)
        seen = mallory.count()
        mallory.say(ROOM, f"!sentry {first['friendly_id']}")
        mallory.wait_for("not allowed to access this command from this user", sender=BOT, after=seen)
        seen = alice.count()
        alice.say(ROOM, f"look: {url % first['id']}")
        alice.wait_for(first["friendly_id"], sender=BOT, after=seen)
        alice.say(ROOM, f"!sentry unresolve {first['friendly_id']}")
        alice.wait_for("open", sender=BOT, after=seen)
        alice.say(BOT, f"{url % second['id']}")
        alice.wait_for(second["friendly_id"], after=seen)
    shown = mallory.texts(ROOM, BOT)
    assert not [line for line in shown if second["friendly_id"] in line], shown
    assert len([line for line in shown if "not allowed" in line]) == 3, "a link is refused in silence"


def test_a_reaction_is_the_command_with_its_access_controls(tmp_path: Path) -> None:
    """A refusal is silent; rules for arguments see what would have been typed."""
    rules = {
        "sentry_resolve": {"denyusers": (ANN,)},
        "sentry_silence": {"denyargs": ("* -d 1h",)},
        "sentry_status": {"denyrooms": ("*",)},
    }
    with ExitStack() as ends:
        world = SlackWorld(tmp_path, ends, ACCESS_CONTROLS=rules, SENTRY_WRITERS=("*",))
        issue = world.issue()
        said = world.notification(issue)
        world.bot.react(ANN, "white_check_mark", OPS, said.ts)
        world.bot.react(ANN, "mute", OPS, said.ts)
        world.bot.react(ANN, "eyes", OPS, said.ts)
        world.wait_for("You haven't linked a server account", said.ts)  # reactions are acted on in turn
        assert issue.status == "unresolved"
        assert [each for each in world.slack.in_channel(OPS) if "Silence" in each.text or "allowed" in each.text] == []
        world.bot.react(BOB, "white_check_mark", OPS, said.ts)
        world.wait_for("resolved by bob", said.ts)
        assert issue.status == "resolved"


@pytest.mark.parametrize("wrong", ["1005 1006 --in @next", "metric-9"])
def test_what_stands_in_an_alert_is_never_part_of_a_command(tmp_path: Path, wrong: str) -> None:
    """A ✅ resolves the one issue that the alert is about; a state from before this was so resolves none."""
    with ExitStack() as ends:
        world = SlackWorld(tmp_path, ends)
        issue, other = world.issue(), world.issue("another")
        said, later = world.notification(issue), world.notification(other)
        world.bot.process.stop()
        with closing(sqlite3.connect(world.bot.process.data / "sentry_reporter.sqlite3")) as state, state:
            changed = state.execute("UPDATE outbox SET issue = ? WHERE issue = ?", (wrong, issue.id))
            assert changed.rowcount == 1
        world.bot.process.start()
        world.bot.react(ANN, "white_check_mark", OPS, said.ts)
        world.bot.react(ANN, "white_check_mark", OPS, later.ts)
        world.wait_for("resolved by ann", later.ts)
        assert (issue.status, other.status) == ("unresolved", "resolved")
