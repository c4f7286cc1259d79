"""Look-ups run beside the decisions: nobody waits for them who needs none, and nobody for longer than the budget."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from errbot_sentry.alerting.decide.look_ups import BUDGET, MOST, SENTENCES
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.issues import Issue
from tests.alerting import bodies
from tests.alerting.world import IssueServer, VirtualClock, World
from tests.waiting import until

ROUTES = [{"rooms": ["#ops"]}]


class SlowServer(IssueServer):
    """One that answers when it is let, and counts those who wait."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.let = threading.Event()

    def issue(self, issue_id: str) -> Issue:
        found = super().issue(issue_id)
        self.let.wait(60)
        return found

    def issues_by_id(self, ids: tuple[str, ...]) -> tuple[Issue, ...]:
        found = super().issues_by_id(ids)
        self.let.wait(60)
        return found


@pytest.fixture
def running(tmp_path: Path) -> Iterator[World]:
    """The flow with its own threads and clock, and a server that does not answer."""
    world = World(tmp_path, ROUTES, poll=0, clock=SystemClock(), server=SlowServer(VirtualClock()), threads=True)
    world.flow.start()
    yield world
    world.server.let.set()
    world.flow.close()


def hang(world: World) -> None:
    """No look-up comes back from now on."""
    world.workers["alert look-ups"].stop()


def test_an_alert_that_needs_nothing_waits_for_no_look_up(running: World) -> None:
    """Ten that needed a server of six seconds delayed a complete one for a minute."""
    server, chat = running.server, running.chat
    for number in range(10):
        server.event(str(number))
        running.hook(bodies.sentry_event_alert(str(number)), "event_alert", f"slow {number}")
    until(lambda: len(server.looked_up) == 1, 20, "the first look-up")
    running.hook(bodies.sentry_issue("101"), "issue", "complete")
    until(lambda: ["101" in each.text for each in chat.sent] == [True], 20, "the complete one, before all others")
    assert not server.let.is_set()
    assert len(server.looked_up) == 1
    server.let.set()
    until(lambda: len(chat.sent) == 11, 30, "all of them")


def test_what_is_about_one_problem_is_decided_in_its_order(running: World) -> None:
    """The second is complete; it waits behind the first, which is not."""
    server, chat = running.server, running.chat
    server.event("7")
    running.hook(bodies.sentry_event_alert("7"), "event_alert", "first")
    until(lambda: len(server.looked_up) == 1, 20, "the look-up")
    running.hook(bodies.sentry_issue("7", "resolved"), "issue", "second")
    running.hook(bodies.sentry_issue("101"), "issue", "other")
    until(lambda: len(chat.sent) == 1, 20, "the other problem")
    server.let.set()
    until(lambda: len(chat.sent) == 3, 20, "both")
    assert ["101" in chat.sent[0].text, "Alert" in chat.sent[1].text, "resolved" in chat.sent[2].text] == [True] * 3


def test_what_the_server_has_not_answered_in_time_is_decided_without_it(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, poll=0)
    hang(world)
    for number in range(3):
        world.hook(bodies.sentry_event_alert(str(number)), "event_alert")
    assert world.at(BUDGET - 1).texts() == []
    assert len(world.at(BUDGET + 1).texts()) == 3
    with world.store.read() as tx:
        assert {each.detail for each in tx.inbox.decided("#ops", 9)} == {f"route 1; {SENTENCES['slow']}"}
    assert world.flow.status().without == {"slow": 3}


def test_a_flood_of_alerts_to_look_up_is_bounded(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, poll=0)
    hang(world)
    for number in range(MOST + 5):
        world.hook(bodies.sentry_event_alert(str(number)), "event_alert")
    world.at(1)
    assert world.flow.status().without == {"busy": 5}
    world.at(BUDGET + 60)
    assert world.flow.status().without == {"busy": 5, "slow": MOST}
    assert world.flow.status().waiting == 0


def test_the_order_stays_over_a_restart_and_between_bots(tmp_path: Path) -> None:
    """Nothing of it is kept in memory only."""
    world = World(tmp_path, ROUTES, poll=0)
    hang(world)
    world.hook(bodies.sentry_event_alert("7"), "event_alert")
    world.at(1)
    world.store.close()
    world.boot()
    hang(world)
    world.hook(bodies.sentry_issue("7", "resolved"), request_id="second")
    assert world.at(2).texts() == []
    alert, update = world.at(3 * BUDGET + 2).texts()
    assert alert.startswith("Alert")
    assert "resolved" in update
