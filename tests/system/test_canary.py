"""The canary with a real Bugsink: the whole way by hand on IRC, and what the admins are sent when webhooks stop."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from errbot_sentry.app import App
from errbot_sentry.canary import Canary
from errbot_sentry.domain.conversation import Person
from tests.clocks import ShiftedClock
from tests.servers.bugsink import BugsinkProject
from tests.servers.ngircd import Ngircd
from tests.system.irc_world import BOT, ROOM, IrcWorld, person_in_room
from tests.waiting import until


def test_a_round_by_hand_goes_the_whole_way_and_no_room_sees_an_alert(
    tmp_path: Path, ngircd: Ngircd, bugsink_project: BugsinkProject
) -> None:
    world = IrcWorld(tmp_path, ngircd, bugsink_project, SENTRY_POLL_SECONDS=2, SENTRY_CANARY="15m")
    bugsink_project.add_alert(world.webhook)
    with person_in_room(ngircd) as alice, world.bot:
        alice.wait_for_join(BOT, ROOM)
        alice.say(ROOM, "!sentry test")
        links = alice.wait_for("decision after", sender=BOT, target=ROOM).text
        for link in ("sent", "shown", "webhook", "poller", "decision"):
            assert f"{link} after " in links
        refusal = "already running"  # the round ends a moment after its last words
        while "already running" in refusal:
            alice.say(ROOM, "!sentry test")
            refusal = alice.wait_for("test is already running|You ran a test", sender=BOT, target=ROOM).text
        assert "You ran a test less than a minute ago" in refusal
        (issue,) = bugsink_project.issues()
        until(lambda: bugsink_project.issue(issue["id"])["is_resolved"], timeout=30, what="the issue is resolved")
        alice.say(ROOM, "!sentry issues is:resolved")
        alice.wait_for("No resolved issues", sender=BOT, target=ROOM)
        alice.say(ROOM, "!sentry status")
        alice.wait_for(r"canary.*ok.*webhook after", sender=BOT, target=ROOM)
        alice.say(ROOM, "!sentry alerts")
        alice.wait_for("(?i)no alert", sender=BOT, target=ROOM)
        assert not [text for text in alice.texts(ROOM, BOT) if "New in" in text]


class Bot:
    """The app on a real Bugsink, with a listener of its own; Errbot's backend object takes no message."""

    mode = "text"
    prefix = "!"
    message_size_limit = 10_000

    def __init__(self, folder: Path, project: BugsinkProject) -> None:
        self.bot_config = SimpleNamespace(
            BOT_DATA_DIR=str(folder),
            BOT_IDENTITY={"username": "bot"},
            BOT_PREFIX="!",
            BOT_ADMINS=("@admin",),
            BOT_LOG_SENTRY=True,
            SENTRY_DSN=project.dsn,
            SENTRY_EVENTLEVEL=logging.ERROR,
            SENTRY_URL=project.url,
            SENTRY_AUTH_TOKEN=project.token,
            SENTRY_PROJECTS=(project.slug,),
            SENTRY_ALERTS=[{"rooms": ["#ops"]}],
            SENTRY_WEBHOOK_LISTEN=("127.0.0.1", 0),
            SENTRY_WEBHOOK_TOKENS=("a-long-random-word",),
            SENTRY_POLL_SECONDS=1,
            SENTRY_CANARY="2h",
            SENTRY_PATCH_ERRBOT=False,
        )
        self.all_commands: dict[str, Any] = {}
        self.clock = ShiftedClock()
        self.warnings: list[str] = []
        self.app = App(self, lambda: True, self.warnings.append, self.clock)
        self.project = project

    @property
    def canary(self) -> Canary:
        assert self.app._canary is not None
        return self.app._canary

    def round_of(self, person: str, skip: float = 0) -> dict[str, str]:
        """A round by hand, whose poller has found the issue before `skip` seconds pass; the states of its links."""
        self.clock.ahead += 20  # after the resolution of the round before
        event_id = self.canary.begin(Person(person, person))

        def states() -> dict[str, str]:
            return {link.name: link.state.value for link in self.canary.progress(event_id).links}

        until(lambda: states().get("decision") == "ok", timeout=60, what="the poller brings it")
        self.clock.ahead += skip
        until(lambda: not {"waiting", "late"} & {*states().values()}, timeout=60, what="the round is over")
        until(lambda: dict(states()) == self._ended(), timeout=30, what="its end is noted")
        return states()

    def _ended(self) -> dict[str, str]:
        return {link.name: link.state.value for link in self.canary.status().links}


@pytest.fixture
def bot(tmp_path: Path, bugsink_project: BugsinkProject) -> Iterator[Bot]:
    made = Bot(tmp_path, bugsink_project)
    made.app.prepare()
    made.app.start()
    yield made
    made.app.close()


def test_webhooks_that_stop_are_named_once_and_once_when_they_arrive_again(bot: Bot) -> None:
    assert bot.app._listener is not None
    webhook = f"http://127.0.0.1:{bot.app._listener.port}/sentry/webhook/a-long-random-word"
    bot.project.add_alert(webhook)
    well = dict.fromkeys(("sent", "shown", "webhook", "poller", "decision"), "ok")
    assert bot.round_of("@ann") == well
    assert bot.warnings == []

    bot.project.server.shell(
        f"from alerts.models import MessagingServiceConfig as M\nM.objects.filter(project_id={bot.project.id}).delete()"
    )
    assert bot.round_of("@bob", skip=200) == {**well, "webhook": "broken"}
    (warning,) = until(lambda: bot.warnings, timeout=30, what="the warning")
    assert "Events reach the server, but no webhook has arrived since" in warning
    assert "Alerts still arrive by polling" in warning
    assert bot.round_of("@cem", skip=200)["webhook"] == "broken"
    assert len(bot.warnings) == 1

    bot.project.add_alert(webhook)
    assert bot.round_of("@dan") == well
    until(lambda: len(bot.warnings) == 2, timeout=30, what="the second message")
    assert "Webhooks arrive again" in bot.warnings[1]
    (issue,) = bot.project.issues()
    assert issue["digested_event_count"] == 4
