"""One problem that webhook and poller report is one message."""

from __future__ import annotations

from pathlib import Path

import pytest

from errbot_sentry.domain.issues import RESOLVED, UNRESOLVED
from tests.alerting import bodies
from tests.alerting.world import World
from tests.stores import outbox_of

ROUTES = [{"rooms": ["#ops"]}]


def kinds(lines: list[str]) -> list[str]:
    """The kind of each message and the short id."""
    return [f"{line.split(' in ')[0]} {line.split(': ')[1].split(' ')[0]}" for line in lines]


def test_webhook_and_poller_make_one_message(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    world.at(10)
    world.server.event("101")
    world.hook(bodies.sentry_issue("101"))
    assert kinds(world.at(11).texts()) == ["New SHOP-101"]
    assert world.at(3600).texts() == []


def test_the_poller_first_and_the_webhook_late(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    world.at(10)
    world.server.event("101")
    assert kinds(world.at(100).texts()) == ["New SHOP-101"]
    world.hook(bodies.sentry_issue("101"))
    assert world.at(3600).texts() == []
    assert world.reasons("#ops") == ["first", "merged"]


def test_both_before_either_is_decided(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    world.at(10)
    world.server.event("101")
    world.clock.advance(70)
    world.step("poller")
    world.hook(bodies.sentry_issue("101"))
    assert len(world.at(100).texts()) == 1
    assert world.reasons("#ops") == ["first", "merged"]


def test_a_rule_and_a_new_issue_are_one_problem(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    world.at(10)
    world.server.event("101")
    world.hook(bodies.sentry_issue("101"))
    world.hook(bodies.sentry_event_alert("101"), "event_alert")
    assert kinds(world.at(600).texts()) == ["New SHOP-101"]


def test_each_room_is_notified_by_the_alert_that_its_route_wants(tmp_path: Path) -> None:
    """The issue webhook has no tags, the rule's webhook has: the second room must not lose it to the first."""
    routes = [{"rooms": ["#prod"], "match": ["environment=production"]}, {"rooms": ["#all"]}]
    world = World(tmp_path, routes)
    world.at(10)
    world.server.event("101")
    world.hook(bodies.sentry_issue("101"))
    world.hook(bodies.sentry_event_alert("101"), "event_alert")
    world.at(600)
    assert kinds(world.texts("#prod")) == ["Alert SHOP-101"]


def test_a_missed_webhook_is_found_at_the_next_poll(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    world.at(10)
    world.server.event("101")
    assert kinds(world.at(75).texts()) == ["New SHOP-101"]


def test_a_regression_is_one_notification_whoever_reports_it(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    world.at(10)
    world.server.event("101")
    world.hook(bodies.sentry_issue("101"))
    world.at(200)
    world.server.change("101", status=RESOLVED)
    world.hook(bodies.sentry_issue("101", "resolved"))
    world.at(4000)
    world.texts()
    world.server.event("101", status=UNRESOLVED)
    world.hook(bodies.sentry_issue("101", "unresolved", substatus="regressed", count="2"))
    assert kinds(world.at(4500).texts()) == ["Regressed SHOP-101"]


def test_replays_send_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, poll=0)
    for second in range(0, 50_000, 5000):
        world.hook(bodies.sentry_issue("101"), request_id="same")
        world.at(second)
    assert len(world.texts()) == 1


def test_an_issue_is_new_once_however_often_a_webhook_says_so(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, poll=0)
    for day in range(3):
        world.hook(bodies.sentry_issue("101", count=str(day)))
        world.at((day + 1) * 86_400)
    assert kinds(world.texts()) == ["New SHOP-101"]
    assert world.reasons("#ops") == ["first", "merged", "merged"]


def test_an_alert_that_another_bot_has_decided_meanwhile_is_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, poll=0)
    world.hook(bodies.sentry_event_alert("101"), "event_alert")
    look_up = world.server.issue

    def other_bot_first(issue_id: str) -> object:
        world.server.issue = look_up
        world.step("alert pipeline")
        return look_up(issue_id)

    world.server.issue = other_bot_first
    assert len(world.at(10).texts()) == 1
    assert world.reasons("#ops") == ["first"]


def test_an_unrouted_alert_is_stored_with_its_decision(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["#ops"], "match": ["level>=fatal"]}])
    world.hook(bodies.sentry_issue("101"))
    assert world.at(10).texts() == []
    assert world.reasons("") == ["unrouted"]


def test_the_room_is_offline_for_ten_minutes(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, poll=0)
    world.at(1)
    world.chat.drop()
    for number in range(5):
        world.hook(bodies.sentry_issue(str(number)))
    assert world.at(600).texts() == []
    world.chat.up = True
    assert len(world.at(605).texts()) == 5


def test_a_rule_on_a_resolved_issue_and_its_regression_are_one_notification(tmp_path: Path) -> None:
    """Sentry sends both in the same second, the rule first; the room got two notifications."""
    world = World(tmp_path, ROUTES, poll=0)
    world.hook(bodies.sentry_issue("1"))
    world.at(10)
    world.hook(bodies.sentry_issue("1", "resolved"))
    world.at(6 * 3600)
    world.texts()
    world.hook(bodies.sentry_event_alert("1"), "event_alert")
    world.at(6 * 3600 + 1)
    world.hook(bodies.sentry_issue("1", "unresolved", substatus="regressed"))
    world.at(6 * 3600 + 2)
    assert [row.message.placement.value for row in outbox_of(world.store, "#ops")] == ["channel", "thread"] * 2


@pytest.mark.parametrize("blank", ["\u2800", "\u3164 \u3164", "\u00ad"])
def test_a_title_that_shows_nothing_reads_as_a_missing_one(tmp_path: Path, blank: str) -> None:
    """A room saw the short id, and nothing after it."""
    world = World(tmp_path, ROUTES)
    world.hook(bodies.sentry_issue("101", title=blank, metadata={}))
    hook = bodies.glitchtip(7)
    hook["attachments"][0]["title"] = blank
    world.plain_hook(hook)
    shown = world.at(11).texts()
    assert ["(no title)" in line for line in shown] == [True, True], shown
