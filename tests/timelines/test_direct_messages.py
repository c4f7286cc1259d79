"""Alerts by direct message: a person's own subscriptions, and what a route sends to those whom it mentions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.domain.access import Access
from errbot_sentry.domain.conversation import Conversation, Person, direct_room
from errbot_sentry.domain.errors import BadReference, NotAllowed, UserError
from errbot_sentry.domain.issues import Project
from tests.alerting import bodies
from tests.alerting.world import SHOP, Chat, VirtualClock, World

WEB = Project("8", "web", "Web")
OPERATOR = Person("@op", "Op", address="U0OP")
ANN = Person("@ann", "Ann", "ann", "U0ANN")
BOB = Person("@bob", "Bob", "bob", "U0BOB")
TO_ANN, TO_BOB = direct_room(ANN.address), direct_room(BOB.address)
ANNS = {"type": "user", "id": "1", "name": "Ann Lee", "email": "Ann@example.org"}
BOBS = {"type": "user", "id": "2", "name": "Bob", "email": "bob@example.org"}
BACKEND = {"type": "team", "id": "5", "name": "backend"}
RULE = {"assignee": True, "teams": {"backend": "@backend-oncall"}, "else": "@oncall"}
ROUTE: dict[str, Any] = {"rooms": ["#ops"], "mention": RULE, "direct": True}
ACCESS = Access(writers=("@op",))


def make_world(folder: Path, *routes: dict[str, Any], access: Access = ACCESS, linked: bool = True) -> World:
    clock = VirtualClock()
    chat = Chat(clock, threads=True)
    world = World(folder, list(routes), poll=0, clock=clock, chat=chat, access=access, projects=(SHOP, WEB))
    for person, mail in ((ANN, "ann@example.org"), (BOB, "bob@example.org")) if linked else ():
        with world.store.write() as tx:
            tx.accounts.put(person.acl, mail, clock.now().timestamp(), person.mention, person.address)
    return world


def again(world: World, access: Access) -> None:
    """The bot restarts with other rights."""
    world.flow.close()
    world.access = access
    world.boot()


def rooms(world: World, second: float) -> list[str]:
    """Who got something until this second."""
    return [line.split()[1] for line in world.at(second).messages()]


def test_a_person_gets_what_is_assigned_to_them_and_what_becomes_of_it(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    assert world.type("subscribe assignee=me", "", ANN) == "Subscription 1: assignee=me"
    world.hook(bodies.sentry_issue("1", assignedTo=BOBS))
    world.hook(bodies.sentry_issue("2", assignedTo=ANNS))
    world.at(5)
    world.hook(bodies.sentry_issue("1", "assigned", assignedTo=ANNS))
    world.hook(bodies.sentry_issue("2", "resolved", assignedTo=ANNS))
    lines = world.at(10).messages()
    assert [line.split(" SHOP")[0] for line in lines] == [
        f"0 {TO_ANN} New in shop:",
        f"5 {TO_ANN} Assigned in shop:",
        f"5 {TO_ANN}/m1",
    ]


def test_my_teams_are_those_on_the_server(tmp_path: Path) -> None:
    """They are read when somebody subscribes, and again later: she has joined one meanwhile."""
    world = make_world(tmp_path)
    teams = world.server.teams
    with pytest.raises(UserError, match="in no team"):
        world.type("subscribe assignee=my-team", "", ANN)
    teams["ann@example.org"] = ("ops",)
    world.type("subscribe assignee=my-team", "", ANN)
    world.hook(bodies.sentry_issue("0", assignedTo=BACKEND))
    assert rooms(world, 5) == []
    teams["ann@example.org"] = ("backend", "ops")
    world.at(1000)
    world.hook(bodies.sentry_issue("1", assignedTo=BACKEND))
    world.hook(bodies.sentry_issue("2", assignedTo={**BACKEND, "name": "web"}))
    world.hook(bodies.sentry_issue("3", assignedTo=ANNS))
    assert rooms(world, 1005) == [TO_ANN]


def test_two_people_are_two_conversations_and_a_room_knows_of_neither(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.type("subscribe project=shop", "", ANN)
    world.type("subscribe project=web", "", BOB)
    world.hook(bodies.sentry_issue("1"))
    assert rooms(world, 5) == [TO_ANN]
    assert world.type("subscriptions", "", ANN) == "#1 project=shop for you"
    assert world.type("subscriptions", "", BOB) == "#2 project=web for you"
    for person, room in ((ANN, "#ops"), (OPERATOR, ""), (OPERATOR, "#ops")):
        assert world.type("subscriptions", room, person) == "No subscriptions here."
        assert "U0" not in world.type("route shop", room, OPERATOR)
    for person, number in ((BOB, 1), (OPERATOR, 1)):
        with pytest.raises(BadReference, match="no subscription 1 here"):
            world.type(f"unsubscribe {number}", "", person)
    with pytest.raises(NotAllowed):
        world.type("unsubscribe 1", "#ops", ANN)
    assert world.type("unsubscribe 1", "", ANN) == "Subscription 1 ended"
    world.hook(bodies.sentry_issue("2"))
    assert rooms(world, 10) == []


@pytest.mark.parametrize(
    ("line", "person", "room", "words"),
    [
        ("subscribe assignee=me", OPERATOR, "", "Link your server account first"),
        ("subscribe", Person("ops@muc/ann", "ann"), "", "can't address you"),
        ("subscribe assignee=me", OPERATOR, "#ops", "in a direct message"),
        ("silence assignee=me -d 1h", OPERATOR, "", "in a direct message"),
        ("subscribe assignee!=my-teams", ANN, "", "Use = in"),
        ("subscribe project=web", ANN, "", "Project 'web' not found here"),
    ],
    ids=["unlinked", "no-address", "in-a-room", "silence", "not", "hidden"],
)
def test_what_cannot_be_subscribed_to(tmp_path: Path, line: str, person: Person, room: str, words: str) -> None:
    narrow = replace(ACCESS, room_projects={"direct": ("shop",), "#ops": ("*",)})
    world = make_world(tmp_path, access=narrow)
    with pytest.raises(UserError, match=words):
        world.type(line, room, person)


def test_who_is_unlinked_gets_nothing_more_not_even_what_waits(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.type("subscribe", "", ANN)
    world.chat.drop()
    world.hook(bodies.sentry_issue("1"))
    world.at(5)
    world.type("unlink", "", ANN)
    world.chat.up = True
    world.hook(bodies.sentry_issue("2"))
    assert rooms(world, 20) == []
    assert "link your server account again" in world.type("subscriptions", "", ANN)


def test_who_has_another_name_by_now_is_unlinked_under_both(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    renamed = replace(ANN, acl="@anna")
    with world.store.write() as tx:
        tx.accounts.put(renamed.acl, "ann@example.org", world.clock.now().timestamp(), "anna", renamed.address)
    world.type("subscribe assignee=me", "", renamed)
    world.hook(bodies.sentry_issue("1", assignedTo=ANNS))
    assert rooms(world, 5) == [TO_ANN]
    world.type("unlink", "", renamed)
    world.hook(bodies.sentry_issue("2", assignedTo=ANNS))
    assert rooms(world, 10) == []


@pytest.mark.parametrize(
    ("access", "why"),
    [
        (replace(ACCESS, room_projects={"direct": ("web",)}), "its project may not be shown"),
        (replace(ACCESS, room_projects={"#ops": ("*",)}), "no project may be shown"),
        (replace(ACCESS, projects=("web",)), "its project may not be shown"),
    ],
    ids=["direct", "no-direct", "projects"],
)
def test_rights_are_those_of_the_moment_of_each_message(tmp_path: Path, access: Access, why: str) -> None:
    """Both what waits and what comes: the settings have changed over a restart."""
    world = make_world(tmp_path)
    world.type("subscribe project=shop", "", ANN)
    world.chat.drop()
    world.hook(bodies.sentry_issue("1"))
    world.at(5)
    again(world, access)
    world.chat.up = True
    world.hook(bodies.sentry_issue("2"))
    assert rooms(world, 20) == []
    assert why in world.type("subscriptions", "", ANN)


def test_a_restart_knows_the_person_and_a_reply_names_the_issue(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.type("subscribe", "", ANN)
    world.boot()
    world.hook(bodies.sentry_issue("1"))
    (sent,) = (each for each in world.at(5).chat.sent)
    assert (sent.room, world.flow.issue_of(Conversation(TO_ANN, "m1"))) == (TO_ANN, "1")
    assert world.flow.issue_of(Conversation(TO_BOB, "m1")) is None


def test_silences_and_storms_hold_in_a_direct_message(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.type("subscribe", "", ANN)
    world.type("silence title=*quiet* -d 1h", "", OPERATOR)
    world.hook(bodies.sentry_issue("0", title="quiet please"))
    for number in range(1, 26):
        world.hook(bodies.sentry_issue(str(number)))
    lines = world.at(100).texts()
    assert len(lines) == 21
    assert lines[-1].startswith("5 new problems in shop") or "5" in lines[-1]


def test_a_mentioned_person_gets_the_notification_too_once(tmp_path: Path) -> None:
    """Of two rooms that both mention her, too; and not what only mentions somebody else, or follows."""
    world = make_world(tmp_path, {**ROUTE, "continue": True}, {**ROUTE, "rooms": ["#web"]})
    world.hook(bodies.sentry_issue("1", assignedTo=ANNS))
    world.hook(bodies.sentry_issue("2", assignedTo=BACKEND))
    lines = world.at(5).messages()
    to_ann = [line for line in lines if TO_ANN in line]
    assert [line.split(" ZeroDivisionError")[0] for line in to_ann] == [f"0 {TO_ANN} New in shop: SHOP-1"]
    assert len(lines) == 5
    world.hook(bodies.sentry_issue("1", "resolved", assignedTo=ANNS))
    assert TO_ANN not in rooms(world, 10)


def test_an_assignment_reaches_the_new_owner(tmp_path: Path) -> None:
    world = make_world(tmp_path, ROUTE)
    world.hook(bodies.sentry_issue("1"))
    world.at(5).messages()
    world.hook(bodies.sentry_issue("1", "assigned", assignedTo=BOBS))
    lines = world.at(10).messages()
    assert [line.split(" SHOP")[0] for line in lines] == ["5 #ops/m1 bob", f"5 {TO_BOB} Assigned in shop:"]


@pytest.mark.parametrize("why", ["no-direct", "unlinked", "hidden"])
def test_no_copy_without_the_setting_the_link_or_the_right(tmp_path: Path, why: str) -> None:
    access = replace(ACCESS, room_projects={"direct": ("web",), "#ops": ("*",)}) if why == "hidden" else ACCESS
    world = make_world(tmp_path, {**ROUTE, "direct": why != "no-direct"}, access=access, linked=why != "unlinked")
    world.hook(bodies.sentry_issue("1", assignedTo=ANNS))
    assert rooms(world, 5) == ["#ops"]


def test_who_has_a_subscription_gets_it_by_that(tmp_path: Path) -> None:
    world = make_world(tmp_path, ROUTE)
    world.type("subscribe assignee=me", "", ANN)
    world.hook(bodies.sentry_issue("1", assignedTo=ANNS))
    assert rooms(world, 5) == ["#ops", TO_ANN]


def test_quiet_hours_of_the_room_hold_for_whom_it_mentions(tmp_path: Path) -> None:
    """In one list, with what is theirs alone."""
    world = make_world(tmp_path, {**ROUTE, "quiet": "12:00-13:00"})
    world.hook(bodies.sentry_issue("1", assignedTo=ANNS))
    world.hook(bodies.sentry_issue("2", assignedTo=BOBS))
    world.at(3500)
    assert world.messages() == []
    sent = world.at(3700).chat.sent
    assert [each.room for each in sent] == ["#ops", TO_ANN, TO_BOB]
    assert ["SHOP-1" in each.text and "SHOP-2" not in each.text for each in sent] == [False, True, False]


def test_a_storm_of_mentions_becomes_a_list(tmp_path: Path) -> None:
    many = [
        {**ROUTE, "rooms": [f"#r{number}"], "match": [f"project={slug}"]} for number, slug in ((1, "shop"), (2, "web"))
    ]
    world = make_world(tmp_path, *many)
    for number in range(1, 16):
        world.hook(bodies.sentry_issue(f"1{number}", assignedTo=ANNS))
        world.hook(bodies.sentry_issue(f"2{number}", project="web", assignedTo=ANNS))
    sent = [each for each in world.at(100).chat.sent if each.room == TO_ANN]
    assert len(sent) == 21
