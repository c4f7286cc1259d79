"""Who is mentioned, and when: the assignee, a team, or somebody else; by notifications and assignments only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.domain.clock import Clock, SystemClock
from errbot_sentry.domain.issues import Assignee
from tests.alerting import bodies
from tests.alerting.world import Chat, VirtualClock, World

ANN = {"type": "user", "id": "1", "name": "Ann Lee", "email": "Ann@example.org"}
BOB = {"type": "user", "id": "2", "name": "Bob", "email": "bob@example.org"}
BACKEND = {"type": "team", "id": "5", "name": "backend"}
RULE = {"assignee": True, "teams": {"backend": "@backend-oncall"}, "else": "@oncall"}
ROUTE = {"rooms": ["#ops"], "mention": RULE}


def link(world: World, acl: str, mail: str, mention: str = "", clock: Clock | None = None) -> None:
    with world.store.write() as tx:
        tx.accounts.put(acl, mail, (clock or world.clock).now().timestamp(), mention)


def make_world(folder: Path, route: dict[str, Any] | None = None, **more: Any) -> World:
    world = World(folder, [route or ROUTE], poll=more.pop("poll", 0), **more)
    link(world, "ann!a@host", "ann@example.org", "ann")
    link(world, "bob!b@host", "bob@example.org", "bob")
    return world


def threaded(folder: Path, route: dict[str, Any] | None = None) -> World:
    clock = VirtualClock()
    return make_world(folder, route, clock=clock, chat=Chat(clock, threads=True))


def assigned(world: World, second: float, owner: dict[str, str] | None, actor: str = "Carol", issue: str = "1") -> None:
    """Somebody on the server assigns the issue."""
    world.at(second)
    body = bodies.sentry_issue(issue, "assigned", assignedTo=owner, userCount=int(second))  # no delivery seen before
    world.hook({**body, "actor": {"type": "user", "id": 3, "name": actor}})


@pytest.mark.parametrize(
    ("owner", "mentioned"),
    [(ANN, "ann"), (BACKEND, "@backend-oncall"), ({**BACKEND, "name": "web"}, "@oncall"), (None, "@oncall")],
    ids=["person", "team", "another-team", "nobody"],
)
def test_a_notification_mentions_whom_the_issue_belongs_to(tmp_path: Path, owner: Any, mentioned: str) -> None:
    world = make_world(tmp_path)
    world.hook(bodies.sentry_issue("1", assignedTo=owner))
    (line,) = world.at(1).texts()
    assert line.startswith(f"{mentioned} New in shop: SHOP-1")


def test_who_is_not_linked_is_not_mentioned_by_name(tmp_path: Path) -> None:
    """The name on the server is no name in chat."""
    world = make_world(tmp_path)
    with world.store.write() as tx:
        tx.accounts.drop("ann!a@host")
    world.hook(bodies.sentry_issue("1", assignedTo=ANN))
    assert world.at(1).texts()[0].startswith("@oncall New in shop")


def test_of_two_names_of_one_person_the_one_linked_last_is_mentioned(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.clock.advance(1)
    link(world, "ann_!a@home", "ann@example.org", "ann\\_")
    world.hook(bodies.sentry_issue("1", assignedTo=ANN))
    assert world.at(2).texts()[0].startswith("ann_ New in shop")


def test_counts_and_other_activities_mention_nobody(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.hook(bodies.sentry_issue("1", assignedTo=ANN))
    for second in (100, 200):
        world.at(second)
        world.hook(bodies.sentry_event_alert("1", event_id=str(second)), "event_alert")
    world.at(400)
    world.hook(bodies.sentry_issue("1", "resolved", assignedTo=ANN))
    first, count, resolved = world.at(500).texts()
    assert first.startswith("ann New")
    assert count.startswith("SHOP-1 2 more alerts")
    assert resolved.startswith("SHOP-1 resolved")


def test_what_comes_back_mentions_the_assignee_by_then_though_the_alert_does_not_name_one(tmp_path: Path) -> None:
    """A rule's webhook carries no assignee: its last known one is mentioned, without asking the server."""
    world = make_world(tmp_path, {**ROUTE, "repeat": "1h"})
    world.hook(bodies.sentry_issue("1", assignedTo=None))
    assigned(world, 50, BOB)
    world.at(20_000)
    world.hook(bodies.sentry_event_alert("1", event_id="x"), "event_alert")
    first, news, again = world.at(20_001).texts()
    assert first.startswith("@oncall New")
    assert news.startswith("bob SHOP-1 assigned to Bob")
    assert again.startswith("bob Alert in shop")
    assert world.server.looked_up == []


def test_a_former_assignee_is_not_mentioned_when_it_comes_back(tmp_path: Path) -> None:
    """Taking an issue from somebody sends no webhook; a later one says that nobody has it."""
    world = make_world(tmp_path)
    world.hook(bodies.sentry_issue("1", assignedTo=ANN))
    world.at(10)
    world.hook(bodies.sentry_issue("1", "resolved", assignedTo=None))
    world.at(20_000)
    world.hook(bodies.sentry_event_alert("1", event_id="x"), "event_alert")
    assert [line.split(" SHOP")[0] for line in world.at(20_010).texts()][2:] == ["@oncall Alert in shop:"]


def test_the_poller_knows_the_assignee_too(tmp_path: Path) -> None:
    world = make_world(tmp_path, poll=60)
    world.at(1)
    world.server.event("1", assignee=Assignee("user", "Ann Lee", "ann@example.org"))
    assert world.at(100).texts()[0].startswith("ann New in shop")
    world.server.change("1", assignee=Assignee("team", "backend"))
    assert [line.split(" SHOP")[0] for line in world.at(200).texts()] == ["@backend-oncall"]
    world.server.event("1", assignee=None)
    world.at(300)
    world.server.change("1", assignee=Assignee("user", "Bob", "bob@example.org"))
    assert [line.split(" SHOP")[0] for line in world.at(400).texts()] == ["bob"]


def test_an_assignment_is_an_update_and_mentions_the_new_owner_once(tmp_path: Path) -> None:
    world = threaded(tmp_path)
    world.hook(bodies.sentry_issue("1"))
    assigned(world, 10, ANN)
    assigned(world, 20, ANN)
    assigned(world, 30, BACKEND)
    assigned(world, 40, ANN)
    lines = world.at(50).messages()
    assert [line.partition(" SHOP-1")[0] for line in lines[1:]] == [
        "10 #ops/m1 ann", "20 #ops/m1", "30 #ops/m1 @backend-oncall", "40 #ops/m1 ann",
    ]  # fmt: skip


def test_who_was_mentioned_by_the_notification_is_not_mentioned_again_for_the_assignment(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.hook(bodies.sentry_issue("1", assignedTo=ANN))
    assigned(world, 10, ANN)
    assert [line.split(" ")[0] for line in world.at(20).texts()] == ["ann", "SHOP-1"]


def test_their_own_change_mentions_nobody(tmp_path: Path) -> None:
    """Neither on the server's page, nor with `!sentry assign REF me`, whose webhook comes from the bot's account."""
    world = make_world(tmp_path)
    world.hook(bodies.sentry_issue("1"))
    world.hook(bodies.sentry_issue("2"))
    assigned(world, 10, ANN, actor="Ann Lee")
    with world.store.write() as tx:
        tx.groups.set_mentioned_everywhere("2", "ann@example.org")
    assigned(world, 20, ANN, actor="Sentry bot", issue="2")
    assert not [line for line in world.at(30).texts() if line.startswith("ann")]


def test_with_both_thread_and_channel_they_are_mentioned_once(tmp_path: Path) -> None:
    world = threaded(tmp_path, {**ROUTE, "threads": "both"})
    world.hook(bodies.sentry_issue("1"))
    assigned(world, 10, ANN)
    _, in_thread, in_room = world.at(20).messages()
    assert in_thread.startswith("10 #ops/m1 ann SHOP-1")
    assert in_room.startswith("10 #ops SHOP-1")


def test_a_route_with_a_fixed_text_mentions_nobody_for_an_assignment(tmp_path: Path) -> None:
    world = make_world(tmp_path, {"rooms": ["#ops"], "mention": "@oncall"})
    world.hook(bodies.sentry_issue("1"))
    assigned(world, 10, ANN)
    assert [line.split(" ")[0] for line in world.at(20).texts()] == ["@oncall", "SHOP-1"]


def test_a_batch_mentions_each_owner_once_and_the_assignees_by_then(tmp_path: Path) -> None:
    world = make_world(tmp_path, {**ROUTE, "wait": "1m"})
    for issue, owner in (("1", ANN), ("2", ANN), ("3", None), ("4", BACKEND)):
        world.hook(bodies.sentry_issue(issue, assignedTo=owner))
    assigned(world, 30, BOB, issue="3")
    (message,) = world.at(100).texts()
    assert message.startswith("ann bob @backend-oncall 4 problems at once")
    assigned(world, 110, BOB, issue="3")
    assert [line.split(" ")[0] for line in world.at(120).texts()] == ["SHOP-3"]


def test_whom_a_room_mentions_survives_a_restart(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.hook(bodies.sentry_issue("1", assignedTo=ANN))
    world.at(1)
    world.texts()
    world.boot()
    assigned(world, 10, ANN)
    assigned(world, 20, BOB)
    assert [line.split(" ")[0] for line in world.at(30).texts()] == ["SHOP-1", "bob"]


def test_a_subscription_mentions_nobody(tmp_path: Path) -> None:
    world = make_world(tmp_path, {"rooms": ["#else"], "match": ["project=none"]})
    world.type("subscribe")
    world.hook(bodies.sentry_issue("1", assignedTo=ANN))
    assert world.at(1).texts()[0].startswith("New in shop")


def test_the_clock_of_links_is_the_systems(tmp_path: Path) -> None:
    """A link made with the real clock is found as well: only the order of links matters."""
    world = make_world(tmp_path)
    link(world, "ann2", "ann@example.org", "ann2", SystemClock())
    with world.store.read() as tx:
        assert tx.accounts.mention_of("ANN@example.org") == "ann2"
        assert tx.accounts.mention_of("nobody@example.org") == ""
