"""What a route shows, the stack trace in the thread, and words that must be true: again, away, still noisy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.alerting.decide.alert_wording import facts_of
from errbot_sentry.config.routes import read_route
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import CANARY_TITLE, RULE, Alert
from errbot_sentry.domain.issues import Event, ExceptionInfo, Frame
from errbot_sentry.domain.outgoing import Outgoing
from tests.alerting import bodies
from tests.alerting.world import START, VirtualClock, World
from tests.alerting.world import Chat as ChatNetwork

LIBRARY = Frame("get", "/usr/lib/python3/json.py", 3)
OWN = Frame(
    "checkout", "cart.py", 12, in_app=True, variables=(("card", "4111"),), source=((12, "total / <b>@here</b>"),)
)
ERROR = ExceptionInfo("KeyError", "'x' ``` @everyone", (LIBRARY, OWN))
EVENT = Event("e" * 32, "KeyError", environment="production", release="shop@1.2", tags=(("customer", "acme"),),
              exceptions=(ERROR,))  # fmt: skip
ALL = Alert("d", RULE, "webhook", START, "1", "SHOP-1", project="shop", level="error", events=12, users=3,
            environment="production", release="shop@1.2", tags=(("customer", "acme"),), priority="high",
            platform="python", assignee="Ann", first_seen=START.timestamp() - 7200,
            frame="cart.py:12 in checkout")  # fmt: skip

SHOWN: tuple[tuple[list[str], str], ...] = (
    (["tag.customer", "release"], "customer acme, shop@1.2"),
    (["users", "environment", "frame"], "3 users, production, cart.py:12 in checkout"),
    (["priority", "platform", "assignee"], "high priority, python, assigned to Ann"),
    (["age", "level", "events"], "first seen 2h ago, error, 12 events"),
    (["tag.absent"], ""),
)


@pytest.mark.parametrize(("show", "expected"), SHOWN)
def test_the_facts_that_a_route_shows(show: list[str], expected: str) -> None:
    assert ", ".join(facts_of(ALL, show)) == expected


MISTAKES = (
    ({"rooms": ["#a"], "match": ["levl>=x", "age=3"], "wait": "soon", "shwo": []},
     ["'levl'", "use a duration", '"wait"', "did you mean 'show'"]),
    ({"match": []}, ['"rooms" is missing']),
    ({"rooms": ["#a"], "quiet": "22:00-07:00 Europe/Pariss"}, ["isn't a time zone; did you mean Europe/Paris?"]),
    ({"rooms": ["#a"], "quiet": "22:00 Europe/Paris"}, ["is not a span"]),
    ({"rooms": ["#a"], "show": ["releas"]}, ["'releas' is not one of level"]),
    ({"rooms": ["#a"], "trace": "yes"}, ["neither True nor False"]),
)  # fmt: skip


@pytest.mark.parametrize(("raw", "parts"), MISTAKES)
def test_every_mistake_in_a_route_is_named(raw: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"\w") as error:
        read_route(raw)
    assert [part for part in parts if part not in str(error.value)] == []


def in_threads(folder: Path, route: dict[str, Any], **more: Any) -> World:
    clock = VirtualClock()
    return World(folder, [route], poll=0, clock=clock, chat=ChatNetwork(clock, threads=True), **more)


def test_a_notification_shows_what_its_route_chose_and_the_trace_is_in_its_thread(tmp_path: Path) -> None:
    world = in_threads(tmp_path, {"rooms": ["#ops"], "show": ["tag.customer", "frame"], "trace": True})
    world.server.event("101")
    world.server.latest["101"] = EVENT
    world.hook(bodies.sentry_issue("101"))
    world.at(10)
    first, trace = world.chat.sent
    assert "customer acme, cart.py:12 in checkout" in first.text.replace("\\", "")
    assert (first.thread, trace.thread) == ("", "m1")
    lines = trace.text.replace("\u200b", "").split("\n")
    assert lines[0] == lines[-1] == "```"
    assert "cart.py:12 in checkout" in trace.text.replace("\u200b", "")
    assert "@here" not in trace.text
    assert "4111" not in trace.text, "nobody has asked for the values of variables"
    assert "@everyone" not in trace.text
    assert trace.text.count("```") == 2
    assert len(lines) <= 10


def test_a_room_reads_no_credentials_of_an_error(tmp_path: Path) -> None:
    """Neither in the notification and its card, nor in the trace, a comment, a list, a digest or the list of alerts."""
    secret = "postgres://bob:hunter2@db/shop?token=hunter2"
    frame = Frame("f", "a.py", 7, in_app=True, source=((7, f"connect({secret!r})"),))
    route = {"rooms": ["#ops"], "trace": True, "show": ["tag.dsn", "frame"]}
    posted: list[Outgoing] = []

    class Chat(ChatNetwork):
        def post(self, room: str, message: Outgoing, thread: str = "") -> str:
            posted.append(message)
            return super().post(room, message, thread)

    clock = VirtualClock()
    world = World(tmp_path, [route], poll=0, clock=clock, chat=Chat(clock, threads=True))
    world.server.event("101")
    world.server.latest["101"] = replace(EVENT, exceptions=(ExceptionInfo("OSError", f"no {secret}", (frame,)),))
    titled = {"title": f"InvalidTokenError: no {secret}", "culprit": secret, "count": "9"}
    world.hook(bodies.sentry_issue("101", **titled))
    for number in range(200, 230):
        world.hook(bodies.sentry_issue(str(number), **titled))
    world.at(100)
    comment = {"comment": f"try {secret}", "issue_id": 101, "project_slug": "shop"}
    world.hook({"action": "created", "data": comment, "actor": {"type": "user", "name": "Ann"}}, "comment")
    world.at(200)
    read = [*map(str, posted), world.type("alerts"), world.type("digest now")]
    assert not [each for each in read if "hunter2" in each]
    assert "InvalidTokenError: no postgres" in read[0]
    assert "31 new" in read[-1]
    assert sum("[Filtered]" in each.replace("\\", "") for each in read) >= 5


@pytest.mark.parametrize("before", [80, 85, 90, 95, 180, 185, 190, 195])
def test_a_title_that_is_cut_ends_with_no_half_of_a_secret(tmp_path: Path, before: int) -> None:
    world = in_threads(tmp_path, {"rooms": ["#ops"]})
    title = f"{'x ' * (before // 2 - 9)}postgres://bob:{'hunter2' * 20}@db"
    for number in range(25):
        world.hook(bodies.sentry_issue(str(number), title=title, culprit=title, count="9"))
    read = [*world.at(100).texts(), world.type("alerts"), world.type("digest now")]
    assert len(read) > 20
    assert not [each for each in read if "hunt" in each]


def test_a_trace_goes_no_further_than_its_notification(tmp_path: Path) -> None:
    """The room lost its right between the two."""
    world = in_threads(tmp_path, {"rooms": ["#ops"], "trace": True})
    world.server.event("101")
    world.server.latest["101"] = EVENT
    world.chat.up = False
    world.hook(bodies.sentry_issue("101"))
    world.at(10)
    world.store.close()
    world.restart(Access(room_projects={"#ops": ("other",)}))
    world.chat.up = True
    assert world.at(60).texts() == []


def test_without_a_trace_there_is_no_empty_one(tmp_path: Path) -> None:
    world = in_threads(tmp_path, {"rooms": ["#ops"], "trace": True})
    world.server.event("101")
    world.server.latest["101"] = replace(EVENT, exceptions=())
    world.hook(bodies.sentry_issue("101"))
    assert len(world.at(10).texts()) == 1


def test_the_first_regression_is_not_again(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["#ops"]}], poll=0)
    world.hook(bodies.sentry_issue("101"))
    world.at(10)
    for number in (1, 2):
        world.hook(bodies.sentry_issue("101", "resolved", count=str(number)))
        world.at(20 * number)
        world.hook(bodies.sentry_issue("101", "unresolved", substatus="regressed", count=str(number)))
        world.at(20 * number + 10)
    told = [line for line in world.texts() if "regressed" in line]
    assert told == ["SHOP-101 regressed", "SHOP-101 regressed again"]


def test_a_digest_calls_nothing_noisy_that_happened_once_nor_our_own_test(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["#ops"]}])
    world.at(1)
    for _ in range(3):
        world.server.event("loud")
        world.server.event("ours", title=CANARY_TITLE, level="info")
    world.server.event("once")
    world.at(100)
    world.texts()
    digest = world.type("digest now")
    assert [name for name in ("loud", "ours", "once") if f"SHOP-{name}" in digest] == ["loud"]
    assert "2 new" in digest
