"""What routes ask for and alerts lack: fetched once before routing, remembered, and named where it is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.alerting.decide.routing import facts_to_fetch
from errbot_sentry.config.facts import SAYS, never_known
from errbot_sentry.config.matchers import read_matcher
from errbot_sentry.config.routes import read_route
from errbot_sentry.domain.alerts import NEW, RULE, Alert
from errbot_sentry.domain.errors import Unreachable
from errbot_sentry.domain.issues import Event, ExceptionInfo, Frame, Project
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY
from tests.alerting import bodies
from tests.alerting.world import SHOP, World

LAB = Project("3", "lab-app", "Lab App")
ERRBOT = Project("1", "errbot", "Errbot")
BUG = "5e1d4c1e-0000-4000-8000-000000000001"
TEMPLATE = [
    {
        "rooms": ["#ops"],
        "match": ["project=*", "level>=error", "environment=production", "tag.customer=acme"],
    }
]
FRAME = Frame("checkout", "/srv/shop/cart.py", 12, in_app=True, source=((12, "total / count"),))
EVENT = Event(
    "e" * 32,
    "KeyError",
    level="error",
    environment="production",
    release="shop@1.2.0",
    tags=(("customer", "acme"),),
    platform="python",
    exceptions=(ExceptionInfo("KeyError", "'x' `*@here*`", (FRAME,)),),
)
AT = datetime(2026, 1, 1, tzinfo=timezone.utc)
BARE = Alert("d", RULE, "webhook", AT, "1", "WEB-1", project="web")

# What the route asks for, what the alert says, the kind of server; what is fetched.
FETCHED: tuple[tuple[list[str], Alert, str, set[str]], ...] = (
    (["level>=error"], BARE, SENTRY, {"level"}),
    (["level>=error"], replace(BARE, level="info"), SENTRY, set()),
    (["project=api", "level>=error"], BARE, SENTRY, set()),
    (["project=api", "level>=error"], replace(BARE, project=""), SENTRY, {"project", "level"}),
    (["environment=production", "tag.a=b"], BARE, SENTRY, {"environment", "tag.a"}),
    (["environment=production"], replace(BARE, asked="event"), SENTRY, set()),
    (["level=fatal"], replace(BARE, asked="issue"), BUGSINK, {"level"}),
    (["level=fatal"], replace(BARE, asked="event"), BUGSINK, set()),
    (["events>=10"], replace(BARE, asked="issue"), SENTRY, {"events"}),
    (["age<1h"], replace(BARE, reason=NEW), SENTRY, set()),
    (["age<1h"], BARE, SENTRY, {"age"}),
    (["title=x", "age<1h"], BARE, SENTRY, set()),
    (["priority=high", "assignee=team:a"], BARE, SENTRY, {"priority", "assignee"}),
)


@pytest.mark.parametrize(("match", "alert", "kind", "expected"), FETCHED)
def test_what_is_fetched_before_routing(match: list[str], alert: Alert, kind: str, expected: set[str]) -> None:
    route = read_route({"rooms": ["#ops"], "match": match})
    assert facts_to_fetch(alert, [route], (), kind, notifies=False) == expected
    assert facts_to_fetch(alert, (), [route], kind, notifies=False) == expected


def test_a_route_behind_one_that_matches_asks_for_nothing() -> None:
    routes = [read_route({"rooms": ["#a"]}), read_route({"rooms": ["#b"], "match": ["level>=error"]})]
    assert facts_to_fetch(BARE, routes, (), SENTRY, notifies=False) == set()
    routes[0] = replace(routes[0], goes_on=True)
    assert facts_to_fetch(BARE, routes, (), SENTRY, notifies=False) == {"level"}


def test_what_a_route_shows_is_fetched_for_a_notification_only() -> None:
    route = read_route({"rooms": ["#a"], "show": ["release", "frame"], "trace": True})
    assert facts_to_fetch(BARE, [route], (), SENTRY, notifies=True) == {"release", "frame", "trace"}
    assert facts_to_fetch(BARE, [route], (), SENTRY, notifies=False) == set()


NEVER = (
    ("users>=5", (GLITCHTIP, BUGSINK)),
    ("priority=high", (GLITCHTIP, BUGSINK)),
    ("assignee=team:x", (BUGSINK,)),
    ("tag.customer=acme", ()),
    ("level>=error", ()),
    ("events>=10", ()),
    ("title=x", ()),
)


@pytest.mark.parametrize(("text", "kinds"), NEVER)
def test_which_server_can_never_answer_a_matcher(text: str, kinds: tuple[str, ...]) -> None:
    assert tuple(kind for kind in SAYS if [*never_known([read_matcher(text)], kind)]) == kinds


def polled(world: World, number: str, project: Project = SHOP, **fields: Any) -> None:
    world.server.event(number, project, **fields)
    world.server.latest[number] = EVENT


HOOKS = (
    (SENTRY, SHOP, "101", lambda world: world.hook(bodies.sentry_issue("101"))),
    (GLITCHTIP, LAB, "16", lambda world: world.plain_hook(bodies.glitchtip(16))),
    (BUGSINK, ERRBOT, BUG, lambda world: world.plain_hook(bodies.bugsink(BUG))),
    (SENTRY, SHOP, "7", None),
    (GLITCHTIP, LAB, "7", None),
    (BUGSINK, ERRBOT, "7", None),
)


@pytest.mark.parametrize(("kind", "project", "number", "hook"), HOOKS)
def test_our_own_example_works_on_each_server_by_hook_and_by_poll(
    tmp_path: Path, kind: str, project: Project, number: str, hook: Any
) -> None:
    world = World(tmp_path, TEMPLATE, kind=kind, projects=(project,), poll=0 if hook else 60)
    world.at(1)
    polled(world, number, project, **({"level": None} if kind == BUGSINK else {}))
    if hook:
        hook(world)
    (line,) = world.at(120).texts("#ops")
    assert "error" in line, line
    assert "production" in line, line
    assert world.server.events_asked == [number], "one request"


def test_glitchtips_fatal_is_fatal(tmp_path: Path) -> None:
    """Its colour is the same for error and fatal."""
    world = World(tmp_path, [{"rooms": ["#ops"], "match": ["level>=fatal"]}], kind=GLITCHTIP, projects=(LAB,), poll=0)
    world.server.event("16", LAB, level="fatal")
    world.server.event("17", LAB, level="error")
    world.plain_hook(bodies.glitchtip(16, 17))
    (line,) = world.at(10).texts("#ops")
    assert "LAB-APP-16" in line
    assert "fatal" in line


def test_a_burst_of_which_the_hook_carries_three_reaches_a_room_of_one_environment(tmp_path: Path) -> None:
    match = ["environment=production"]
    world = World(tmp_path, [{"rooms": ["#ops"], "match": match}], kind=GLITCHTIP, projects=(LAB,))
    world.at(1)
    for number in range(1, 13):
        polled(world, str(number), LAB)
    world.plain_hook(bodies.glitchtip(1, 2, 3, claimed=12))
    assert len(world.at(30).texts("#ops")) == 12


def test_what_was_fetched_is_remembered(tmp_path: Path) -> None:
    """Later alerts about the problem ask nobody."""
    world = World(tmp_path, TEMPLATE, poll=0)
    polled(world, "101")
    world.hook(bodies.sentry_issue("101"))
    world.at(2)
    for number in range(5):
        world.hook(bodies.sentry_issue("101", "unresolved", substatus="escalating", count=str(number)))
    world.at(20)
    assert len(world.texts("#ops")) >= 2
    assert world.server.events_asked == ["101"]


def test_what_comes_back_much_later_is_asked_about_again(tmp_path: Path) -> None:
    """It may come back in another release or environment."""
    world = World(tmp_path, [{"rooms": ["#ops"], "match": ["release=shop@2*"]}], poll=0)
    polled(world, "101")
    world.hook(bodies.sentry_issue("101"))
    assert world.at(2).texts("#ops") == []
    world.server.latest["101"] = replace(EVENT, release="shop@2.0")
    world.hook(bodies.sentry_issue("101", "unresolved", substatus="regressed"))
    assert world.at(4).texts("#ops") == []
    world.at(8000)
    world.hook(bodies.sentry_issue("101", "unresolved", substatus="regressed", count="9"))
    assert len(world.at(8010).texts("#ops")) == 1
    assert world.server.events_asked == ["101", "101"]


def test_an_alert_that_was_dropped_for_want_of_a_fact_names_it(tmp_path: Path) -> None:
    world = World(tmp_path, TEMPLATE, poll=0)
    world.server.event("101")
    world.server.event_failure = Unreachable("The server does not answer.")
    world.hook(bodies.sentry_issue("101"))
    assert world.at(10).texts("#ops") == []
    with world.store.read() as tx:
        (decided,) = tx.inbox.decided("#ops", 5)
    assert decided.name == "fact_missing"
    assert decided.detail.startswith("the server did not report its environment, tag.customer")


def test_a_fact_that_no_such_server_has_is_named_too(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["#ops"], "match": ["users>=5"]}], kind=BUGSINK, projects=(ERRBOT,), poll=0)
    world.server.event(BUG, ERRBOT)
    world.plain_hook(bodies.bugsink(BUG))
    world.at(10)
    with world.store.read() as tx:
        assert [each.detail for each in tx.inbox.decided("#ops", 5)] == ["Bugsink never reports users"]


def test_an_event_that_has_no_such_tag_is_simply_not_wanted(tmp_path: Path) -> None:
    world = World(tmp_path, TEMPLATE, poll=0)
    polled(world, "101")
    world.server.latest["101"] = replace(EVENT, tags=())
    world.hook(bodies.sentry_issue("101"))
    world.at(10)
    assert (world.reasons("#ops"), world.reasons("")) == ([], ["unrouted"])


def test_the_poller_makes_good_what_a_failing_server_did_not_say(tmp_path: Path) -> None:
    world = World(tmp_path, TEMPLATE)
    world.at(1)
    polled(world, "101")
    world.server.event_failure = Unreachable("The server does not answer.")
    world.at(100)
    assert world.texts("#ops") == []
    world.server.event_failure = None
    assert len(world.at(300).texts("#ops")) == 1
    assert len(world.at(900).texts("#ops")) == 0


def test_a_room_that_needs_no_fact_does_not_wait_for_ever(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["#all"], "continue": True}, *TEMPLATE], poll=0)
    world.server.failure = Unreachable("The server does not answer.")
    world.hook(bodies.sentry_issue("101"))
    assert len(world.at(6).texts("#all")) == 1


def test_what_is_only_counted_asks_nobody(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["#ops"], "show": ["frame"], "trace": True}], poll=0)
    polled(world, "101")
    world.hook(bodies.sentry_issue("101"))
    world.at(2)
    for number in range(10):
        world.hook(bodies.sentry_event_alert("101", event_id=f"{number:032x}"), "event_alert")
    world.at(200)
    assert world.server.events_asked == ["101"]


REACHED_ROUTE = [{"rooms": ["#all"], "continue": True}, {"rooms": ["#many"], "match": ["events>=3", "level>=error"]}]


def test_an_amount_that_is_reached_later_notifies_then_and_once(tmp_path: Path) -> None:
    world = World(tmp_path, REACHED_ROUTE)
    world.at(1)
    polled(world, "101")
    world.at(100)
    assert (len(world.texts("#all")), world.texts("#many")) == (1, [])
    polled(world, "101")
    assert world.at(200).texts("#many") == []
    polled(world, "101")
    (line,) = world.at(300).texts("#many")
    assert line.startswith("Many events in shop: SHOP-101")
    assert "3 events" in line
    for at in range(400, 1000, 100):
        polled(world, "101")
        world.at(at)
    assert [line for line in world.texts("#many") if "Many events" in line] == []
    assert world.reasons("#many") == ["reached"]


def test_a_later_hook_that_brings_the_amount_notifies_too(tmp_path: Path) -> None:
    world = World(tmp_path, REACHED_ROUTE, poll=0)
    world.hook(bodies.sentry_issue("101"))
    world.at(10)
    world.hook(bodies.sentry_issue("101", "unresolved", substatus="escalating", count="40"))
    world.at(20)
    assert world.reasons("#many") == ["reached"]


def test_an_amount_of_before_the_first_poll_is_no_news(tmp_path: Path) -> None:
    world = World(tmp_path, REACHED_ROUTE)
    for _ in range(5):
        polled(world, "101")
    world.at(100)
    polled(world, "101")
    assert world.at(300).texts() == []


def test_a_regression_that_is_known_by_tags_in_other_letters(tmp_path: Path) -> None:
    """GlitchTip capitalises the names of tags."""
    world = World(tmp_path, [{"rooms": ["#ops"], "match": ["tag.userId=42"]}], kind=GLITCHTIP, projects=(LAB,), poll=0)
    body = bodies.glitchtip(16)
    body["attachments"][0]["fields"].append({"title": "Userid", "value": "42", "short": False})
    world.plain_hook(body)
    assert len(world.at(10).texts("#ops")) == 1
    assert world.server.events_asked == []


@pytest.mark.parametrize(("environment", "told"), [("staging", 0), ("production", 1)])
def test_a_silence_asks_for_what_an_alert_lacks_too(tmp_path: Path, environment: str, told: int) -> None:
    """A silence of one environment missed every polled alert."""
    world = World(tmp_path, [{"rooms": ["#ops"]}])
    world.at(1)
    world.type("silence environment=staging -d 1d")
    polled(world, "101")
    world.server.latest["101"] = replace(EVENT, environment=environment)
    assert len(world.at(200).texts("#ops")) == told


def test_a_rule_without_a_count_asks_for_it_until_the_amount_is_reached(tmp_path: Path) -> None:
    """Sentry's alert rules name no number of events."""
    world = World(tmp_path, [{"rooms": ["#ops"], "match": ["events>=3"]}], poll=0)
    for number in range(6):
        polled(world, "101")
        world.hook(bodies.sentry_event_alert("101", event_id=f"{number:032x}"), "event_alert")
        world.at(200 * number + 100)
    assert world.reasons("#ops")[:1] == ["reached"]
    assert set(world.reasons("#ops")[1:]) <= {"counted", "merged"}
    assert len(world.server.looked_up) == 3
