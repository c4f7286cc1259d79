"""Bursts, windows, storms, quiet hours, silences, threads: what each room receives at which second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.issues import RESOLVED, UNRESOLVED, Project
from tests.alerting import bodies
from tests.alerting.world import SHOP, Chat, VirtualClock, World

OPS = {"rooms": ["#ops"], "window": "5m", "repeat": "4h"}
TITLE = "ZeroDivisionError: division by zero {} in checkout in shop.py — error, 1 event"


def first(second: int, room: str, issue: str, prefix: str = "New", events: str = "1 event") -> str:
    """The notification about an issue, as a line of the time line."""
    title = f"ZeroDivisionError: division by zero {issue} in checkout in shop.py — error, {events}"
    return f"{second} {room} {prefix} in shop: SHOP-{issue} {title}"


def rule_again(world: World, second: float, issue: str = "1") -> None:
    """A rule fires for an issue."""
    world.at(second)
    world.hook(bodies.sentry_event_alert(issue, event_id=f"{issue}-{second}"), "event_alert")


def test_what_follows_is_counted_and_the_count_is_sent_when_the_window_closes(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS], poll=0)
    world.hook(bodies.sentry_issue("1"))
    for second in (100, 150, 200, 250):
        rule_again(world, second)
    assert world.at(299).messages() == [first(0, "#ops", "1")]
    assert world.at(400).messages() == ["300 #ops SHOP-1 4 more alerts in 5m"]
    for second in (450, 500):
        rule_again(world, second)
    assert world.at(899).messages() == [], "the second window is twice as long"
    assert world.at(1199).messages() == ["900 #ops SHOP-1 2 more alerts in 10m"]
    rule_again(world, 1200)
    assert world.at(3600).messages() == ["2100 #ops SHOP-1 1 more alert in 20m"]
    assert world.reasons("#ops") == ["first", *["counted"] * 7]


def test_events_that_the_poller_sees_are_counted_too_and_reported_ever_more_rarely(tmp_path: Path) -> None:
    """Bugsink sends one webhook per issue; only the poller sees that it goes on."""
    world = World(tmp_path, [OPS], poll=120)
    world.at(10)
    for second in range(20, 86_400, 100):
        world.at(second)
        world.server.event("1")
    lines = world.messages()
    assert "New in shop: SHOP-1" in lines[0]
    assert [line for line in lines[1:] if "New in" in line] == []
    assert 8 <= len(lines) <= 14, lines
    assert "more events in" in lines[1]
    assert "is still going on" in lines[-1]


def test_a_problem_that_is_over_gets_no_second_message(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS])
    world.at(10)
    world.server.event("1")
    assert len(world.at(86_400).messages()) == 1


def test_it_comes_back_after_the_repeat_time(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS], poll=0)
    world.hook(bodies.sentry_issue("1"))
    rule_again(world, 30_000)
    assert [line.split(":")[0] for line in world.at(40_000).messages()] == [
        "0 #ops New in shop",
        "30000 #ops Alert in shop",
    ]
    assert world.reasons("#ops") == ["first", "repeat"]


def test_activities_are_updates_under_the_notification_and_mark_it(tmp_path: Path) -> None:
    clock = VirtualClock()
    world = World(tmp_path, [OPS], poll=0, clock=clock, chat=Chat(clock, threads=True))
    world.hook(bodies.sentry_issue("1"))
    world.at(10)
    assigned = bodies.sentry_issue("1", "assigned", assignedTo={"type": "user", "name": "Bob", "id": "3"})
    world.hook({**assigned, "actor": {"type": "user", "id": 1, "name": "Ann"}})
    world.at(20)
    comment = {"comment": "the *proxy* again", "issue_id": 1, "project_slug": "shop"}
    said = {"action": "created", "data": comment, "actor": {"type": "user", "id": 1, "name": "Ann"}}
    world.hook(said, "comment")
    world.at(30)
    world.hook(bodies.sentry_issue("1", "resolved"))
    world.at(40)
    world.hook(bodies.sentry_issue("1", "resolved", count="9"))
    assert world.at(600).messages() == [
        first(0, "#ops", "1"),
        "10 #ops/m1 SHOP-1 assigned to Bob by Ann",
        "20 #ops/m1 SHOP-1 comment by Ann: the *proxy* again",
        "30 #ops/m1 SHOP-1 resolved",
    ]
    assert [edit.thread for edit in world.chat.edited] == ["m1", "m1"]
    assert world.chat.edited[-1].text.endswith("· resolved")


def resolve_in_ops(world: World) -> None:
    """Somebody resolves an issue with a command in #ops, ten seconds after its notification."""
    world.server.event("1")
    world.hook(bodies.sentry_issue("1"))
    world.at(10)
    world.messages()
    world.server.change("1", status=RESOLVED)
    world.flow.note_change(world.server.by_id["1"], Conversation("#ops"))


def test_a_room_in_which_somebody_resolves_gets_no_update_about_it(tmp_path: Path) -> None:
    """The answer to the command was the update. Other rooms get one."""
    world = World(tmp_path, [{**OPS, "rooms": ["#ops", "#web"]}])
    resolve_in_ops(world)
    assert [line.split(" ", 1)[1] for line in world.at(200).messages()] == ["#web SHOP-1 resolved"]
    assert world.reasons("#ops") == ["first", "merged"]


def test_where_messages_have_ids_the_notification_is_marked_all_the_same(tmp_path: Path) -> None:
    clock = VirtualClock()
    world = World(tmp_path, [OPS], clock=clock, chat=Chat(clock, threads=True))
    resolve_in_ops(world)
    assert [line.split(" ", 1)[1] for line in world.at(200).messages()] == ["#ops/m1 SHOP-1 resolved"]


def test_where_messages_are_edited_without_threads_who_resolves_sees_the_mark_and_no_update(tmp_path: Path) -> None:
    clock = VirtualClock()
    world = World(tmp_path, [OPS], clock=clock, chat=Chat(clock, edits=True, settle=5.0))
    resolve_in_ops(world)
    assert world.at(200).messages() == []
    assert [edit.text.rpartition(" · ")[2] for edit in world.chat.edited] == ["resolved"]


@pytest.mark.parametrize("mode", ["thread", "both"])
def test_where_messages_are_edited_without_threads_an_update_is_one_line(tmp_path: Path, mode: str) -> None:
    clock = VirtualClock()
    chat = Chat(clock, edits=True, settle=5.0)
    world = World(tmp_path, [{**OPS, "threads": mode}], poll=0, clock=clock, chat=chat)
    world.hook(bodies.sentry_issue("1"))
    world.at(10)
    world.messages()
    world.hook(bodies.sentry_issue("1", "resolved"))
    assert world.at(20).messages() == ["10 #ops SHOP-1 resolved"]
    assert [edit.text.rpartition(" · ")[2] for edit in chat.edited] == ["resolved"]


@pytest.mark.parametrize(("mode", "lines"), [("thread", ["/m1"]), ("channel", [""]), ("both", ["/m1", ""])])
def test_each_room_chooses_where_updates_go(tmp_path: Path, mode: str, lines: list[str]) -> None:
    clock = VirtualClock()
    world = World(tmp_path, [{**OPS, "threads": mode}], poll=0, clock=clock, chat=Chat(clock, threads=True))
    world.hook(bodies.sentry_issue("1"))
    world.at(10)
    world.messages()
    world.hook(bodies.sentry_issue("1", "resolved"))
    assert world.at(20).messages() == [f"10 #ops{thread} SHOP-1 resolved" for thread in lines]


def test_flapping_is_an_update_and_a_real_regression_is_a_notification(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS], poll=0)
    world.hook(bodies.sentry_issue("1"))
    for second in range(30, 270, 60):
        world.at(second)
        world.hook(bodies.sentry_issue("1", "resolved", count=str(second)))
        world.at(second + 30)
        world.hook(bodies.sentry_issue("1", "unresolved", substatus="regressed", count=str(second)))
    notifications = [line for line in world.at(290).messages() if " in shop: " in line]
    assert notifications == [first(0, "#ops", "1")]
    world.at(3600)
    world.hook(bodies.sentry_issue("1", "resolved", count="x"))
    world.at(7200)
    world.messages()
    world.hook(bodies.sentry_issue("1", "unresolved", substatus="regressed", count="1000"))
    assert world.at(7210).messages() == [first(7200, "#ops", "1", "Regressed", "1,000 events")]


def test_two_rooms_with_different_windows(tmp_path: Path) -> None:
    routes = [
        {**OPS, "rooms": ["#fast"], "window": "1m", "continue": True},
        {**OPS, "rooms": ["#slow"], "window": "30m"},
    ]
    world = World(tmp_path, routes, poll=0)
    world.hook(bodies.sentry_issue("1"))
    rule_again(world, 95)
    assert world.at(3600).messages() == [
        first(0, "#fast", "1"),
        first(0, "#slow", "1"),
        "155 #fast SHOP-1 1 more alert in 2m35s",
        "1800 #slow SHOP-1 1 more alert in 30m",
    ]


def test_wait_batches_a_burst_and_a_blip_sends_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, [{**OPS, "wait": "30s"}], poll=0)
    for second in range(5):
        world.at(second)
        world.hook(bodies.sentry_issue(str(second)))
    world.hook(bodies.sentry_issue("3", "resolved"))
    (line,) = world.at(100).messages()
    assert line.startswith("30 #ops 4 problems at once in shop\n")
    assert [word in line for word in ("SHOP-0", "SHOP-1", "SHOP-2", "SHOP-3", "SHOP-4")] == [True] * 3 + [False, True]
    assert world.reasons("#ops")[-1] == "resolved_early"


def test_a_storm_is_one_list_and_nothing_is_lost(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS], poll=0)
    for number in range(500):
        world.hook(bodies.sentry_issue(str(number)))
    lines = world.at(59).messages()
    assert len(lines) == 20, "twenty notifications a minute, then a list"
    (message,) = world.at(3600).messages()
    assert message.startswith("60 #ops 480 more problems in a minute in shop\n")
    assert "…and 460 more: !sentry alerts" in message
    assert sorted(set(world.reasons("#ops"))) == ["storm"], "the last hundred"
    assert world.flow.status().decided == {"first": 20, "storm": 480}
    world.hook(bodies.sentry_issue("999"))
    assert len(world.at(3610).messages()) == 1, "afterwards a notification goes out at once again"


def test_a_storm_that_goes_on_stays_one_message_a_minute(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS], poll=0)
    for number in range(150):
        world.at(number * 2)
        world.hook(bodies.sentry_issue(str(number)))
    lines = world.at(400).messages()
    assert len(lines) <= 20 + 6
    assert world.flow.status().decided["storm"] == 150 - 20


def test_quiet_hours_over_midnight_give_one_summary_in_the_morning(tmp_path: Path) -> None:
    world = World(tmp_path, [{**OPS, "quiet": "22:00-07:00 UTC"}], poll=0)
    hour = 3600
    world.hook(bodies.sentry_issue("1"))
    world.at(9 * hour)  # 21:00
    world.hook(bodies.sentry_issue("2"))
    assert len(world.at(10 * hour).messages()) == 2
    for number in (3, 4):
        world.at((10 + number) * hour)
        world.hook(bodies.sentry_issue(str(number)))
    world.hook(bodies.sentry_issue("3", "resolved"))
    rule_again(world, 15 * hour, "4")
    rule_again(world, 15 * hour, "1")
    lines = world.at(30 * hour).messages()
    assert lines[0].split("\n")[0] == f"{19 * hour} #ops 3 problems in the quiet hours in shop"
    assert "SHOP-3 ZeroDivisionError: division by zero 3 (resolved by now)" in lines[0]
    assert all(int(line.split()[0]) >= 19 * hour for line in lines)
    world.hook(bodies.sentry_issue("5"))
    assert world.at(31 * hour).messages() == [first(30 * hour, "#ops", "5")]


NIGHT = {**OPS, "quiet": "22:00-07:00 UTC"}


@pytest.mark.parametrize(
    ("routes", "ends"),
    [
        ([NIGHT], 7),
        ([{**OPS, "match": ["project=shop"]}, NIGHT], 7),
        ([NIGHT, {**OPS, "match": ["project=shop"], "quiet": "06:30-08:00 UTC"}], 8),
    ],
    ids=["its only route", "another route than the one that matches", "hours that overlap"],
)
def test_a_room_is_quiet_while_any_of_its_routes_is(tmp_path: Path, routes: list[dict[str, Any]], ends: int) -> None:
    world = World(tmp_path, routes, poll=0, projects=(SHOP, Project("8", "web", "Web")))
    world.type("subscribe project=web")
    hour = 3600
    world.hook(bodies.sentry_issue("1"))
    world.at(10 * hour)  # 22:00
    world.messages()
    rule_again(world, 11 * hour, "1")
    world.hook(bodies.sentry_issue("2"))
    world.hook(bodies.sentry_issue("3", project="web"))
    morning = (12 + ends) * hour
    assert world.at(morning - 1).messages() == []
    (message,) = world.at(morning + 1).messages()
    assert message.startswith(f"{morning} #ops 3 problems in the quiet hours in shop, web\n")


def test_a_silence_defers_reports_the_number_and_what_goes_on_is_a_notification(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS], poll=0)
    world.hook(bodies.sentry_issue("1"))
    world.at(10)
    world.messages()
    world.type("silence project=shop -d 2h")
    for number in (1, 2, 2, 3):
        world.at(world.seconds + 100)
        world.hook(bodies.sentry_event_alert(str(number), event_id=f"{world.seconds}"), "event_alert")
    world.boot()  # a restart in the middle
    lines = world.at(7300).messages()
    deferred = "ZeroDivisionError: division by zero 2 (2), SHOP-1, ZeroDivisionError: division by zero 3"
    assert lines == [
        "6490 #ops Silence 1 (project=shop) ends in 12m; so far it silenced 4 alerts",
        "7210 #ops Silence 1 (project=shop) ended; it silenced 4 alerts about 3 problems: " + deferred,
    ]
    rule_again(world, 7400, "3")
    (line,) = world.at(7410).messages()
    assert line.startswith("7400 #ops Alert in shop")
    assert world.reasons("#ops") == ["first", *["silenced"] * 4, "first"]


def test_a_silence_of_one_issue_lets_the_others_through(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS], poll=0)
    world.server.event("1")
    world.type("silence SHOP-1 -d 10m")
    world.hook(bodies.sentry_issue("1"))
    world.hook(bodies.sentry_issue("2"))
    lines = world.at(700).messages()
    assert [line.split(" ")[1:3] for line in lines] == [["#ops", "New"], ["#ops", "Silence"]]


def test_no_count_is_sent_during_a_silence(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS])
    world.at(10)
    world.server.event("1")
    world.at(100)
    world.messages()
    world.type("silence project=shop -d 30m")
    for second in range(120, 1800, 60):
        world.at(second)
        world.server.event("1")
    assert [line for line in world.at(1850).messages() if "more event" in line] == []


def test_a_metric_alert_goes_up_and_down_in_one_thread(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS], poll=0)
    for second, action in enumerate(("warning", "critical", "critical", "resolved"), 1):
        world.at(second * 10)
        world.hook(bodies.metric_alert(action), "metric_alert", f"m{second}")
    world.at(9000)
    world.hook(bodies.metric_alert("critical"), "metric_alert", "m9")
    words = [line.split(" ", 2)[2] for line in world.at(9010).messages()]
    assert [word.split(":")[0] for word in words] == [
        "Warning in shop",
        "Error rate is now critical",
        "Error rate resolved",
        "Critical in shop",
    ]


def test_subscriptions_are_routes_of_their_own(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS], poll=0)
    world.type("subscribe project=shop level>=error", "#web")
    world.hook(bodies.sentry_issue("1"))
    assert world.at(1).messages() == [first(0, "#ops", "1"), first(0, "#web", "1")]


def test_a_daily_report(tmp_path: Path) -> None:
    world = World(tmp_path, [OPS])
    world.type("digest daily 18:00")
    world.at(10)
    for number in range(3):
        world.server.event(str(number))
    world.at(200)
    world.server.change("0", status=RESOLVED)
    world.at(4000)
    world.server.event("0", status=UNRESOLVED)
    world.at(6 * 3600 - 10)
    world.messages()
    (line,) = world.at(6 * 3600 + 10).messages()
    assert line.startswith("21600 #ops Digest, daily 18:00: 3 new (+3), 1 regressed (+1), 1 resolved (+1); ")
    assert "SHOP-0 KeyError: 0 — 2 events" in line
    assert len(world.at(30 * 3600 + 10).messages()) == 1
