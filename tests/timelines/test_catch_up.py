"""What a poll finds after the bot was away, or the server did not answer: one list for each room, oldest first."""

from __future__ import annotations

from pathlib import Path

import pytest

from errbot_sentry.domain.errors import ServerFailed
from errbot_sentry.domain.issues import Project
from errbot_sentry.server.protocol import BUGSINK, SENTRY
from tests.alerting import bodies
from tests.alerting.world import World

ROUTES = [{"rooms": ["#ops"]}]
WEB, API = Project("1", "web", "Web"), Project("2", "api", "Api")


def outage(world: World, problems: int, *, restart: bool) -> None:
    """New problems, one a minute; meanwhile the server does not answer or the bot is stopped."""
    projects = world.server.known_projects
    for project in projects:
        world.server.event(f"old-{project.slug}", project)
    world.at(1)
    if restart:
        world.flow.close()
    world.server.failure = ServerFailed("The server failed.")
    for number in range(problems):
        world.clock.advance(60)
        world.server.event(f"n{number}", projects[number % len(projects)])
    world.clock.advance(120)
    world.server.failure = None
    if restart:
        world.boot()


@pytest.mark.parametrize("restart", [False, True], ids=["server away", "bot away"])
def test_the_problems_of_an_outage_come_as_one_list_oldest_first(tmp_path: Path, restart: bool) -> None:
    world = World(tmp_path, [{"rooms": ["#ops", "#web"]}])
    outage(world, 27, restart=restart)
    world.at(3700)
    for room in ("#ops", "#web"):
        (text,) = world.texts(room) if room == "#web" else [world.shown(world.chat.sent[0].text)]
        lines = text.splitlines()
        assert lines[0] == "27 problems in shop since 2026-03-02 12:00 UTC, while I was away"
        assert [line.split()[1] for line in lines[1:21]] == [f"SHOP-n{number}" for number in range(20)]
        assert lines[21].startswith("…and 7 more")
    assert world.reasons("#ops") == ["away"] * 27
    assert "SHOP-n26" in world.type("alerts -n 30")


@pytest.mark.parametrize("kind", [SENTRY, BUGSINK])
@pytest.mark.parametrize(("problems", "messages"), [(1, 1), (3, 3), (4, 1)])
def test_few_problems_come_singly(tmp_path: Path, kind: str, problems: int, messages: int) -> None:
    world = World(tmp_path, ROUTES, kind=kind, projects=(WEB, API))
    outage(world, problems, restart=False)
    texts = world.at(1000).texts()
    assert len(texts) == messages
    assert [line for line in "\n".join(texts).split() if "-n" in line] == [
        f"{'WEB' if number % 2 == 0 else 'API'}-n{number}" for number in range(problems)
    ]


def test_the_list_of_an_outage_is_no_storm(tmp_path: Path) -> None:
    """What happens right afterwards is notified at once, and also what happens before the list is sent."""
    world = World(tmp_path, ROUTES)
    outage(world, 60, restart=False)
    world.step("poller")
    world.hook(bodies.sentry_issue("101"))
    world.at(3700 + 120)
    assert [line.split(" since ")[0] for line in world.texts()][-1:] == ["60 problems in shop"]
    world.hook(bodies.sentry_issue("102"))
    before = world.seconds
    assert [line.split()[0] for line in world.at(before + 2).messages()] == [str(round(before))]
