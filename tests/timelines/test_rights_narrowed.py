"""What a place may not see, or not any more, is in no list of silences and in no digest of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from errbot_sentry.domain.access import Access
from errbot_sentry.domain.conversation import Person
from errbot_sentry.domain.errors import UserError
from errbot_sentry.domain.issues import Project
from errbot_sentry.store.records import DigestPlan
from tests.alerting import bodies
from tests.alerting.world import ANN, SHOP, World

EVE = Person("@eve", "Eve")
SECRET = Project("8", "secret", "Secret")


def typed(world: World, line: str, room: str = "", person: Person = EVE) -> str:
    return world.type(line, room, person)


@pytest.fixture
def hidden_room(tmp_path: Path) -> World:
    """A direct message may see the shop, only #vault may see the other project."""
    rooms = {"#vault": ("secret",), "#all": ("*",), "direct": ("shop",)}
    return World(tmp_path, [{"rooms": ["#vault"]}], access=Access(room_projects=rooms, writers=("@ann",)), poll=0)


def test_comment_author_and_room_of_a_silence_are_shown_only_where_it_was_made(hidden_room: World) -> None:
    typed(hidden_room, "silence tag.x=y -d 2h -c secret-project is moved", "#vault", ANN)
    everything = "#1 tag.x=y in #vault for another 2 hours, by Ann: secret-project is moved"
    assert typed(hidden_room, "silences", "#vault") == everything
    assert typed(hidden_room, "silences", "", ANN) == everything
    assert typed(hidden_room, "silences") == "#1 tag.x=y in another room for another 2 hours"


def test_a_route_that_names_a_hidden_project_is_shown_without_its_matchers(tmp_path: Path) -> None:
    routes = [{"rooms": ["#all"], "match": ["project!=secret"]}, {"rooms": ["#shop"], "match": ["project=shop"]}]
    rooms = {"#all": ("*",), "#shop": ("shop",), "direct": ("shop",)}
    world = World(tmp_path, [{**each, "continue": True} for each in routes], access=Access(room_projects=rooms), poll=0)
    assert typed(world, "route shop", "#shop").split("\n") == ["#all by route 1", "#shop by route 2: project=shop"]
    assert typed(world, "route shop", "#all").split("\n")[0] == "#all by route 1: project!=secret"


def test_the_comment_of_a_silence_for_every_room_is_shown_where_everything_may_be_seen(hidden_room: World) -> None:
    typed(hidden_room, "silence tag.x=y -d 2h -c secret-project is moved", "", ANN)
    everything = "#1 tag.x=y in every room for another 2 hours, by Ann: secret-project is moved"
    assert typed(hidden_room, "silences", "#all") == everything
    assert typed(hidden_room, "silences", "", ANN) == everything
    for room in ("#vault", ""):
        assert typed(hidden_room, "silences", room) == "#1 tag.x=y in every room for another 2 hours"


def test_the_room_of_a_subscription_is_shown_only_there(hidden_room: World) -> None:
    typed(hidden_room, "subscribe level>=error", "#vault", ANN)
    assert typed(hidden_room, "subscriptions", "#vault") == "#1 level>=error, by Ann"
    assert typed(hidden_room, "subscriptions", "", ANN) == "#1 level>=error for #vault, by Ann"
    assert typed(hidden_room, "subscriptions") == "#1 level>=error for another room"


def test_alerts_of_a_renamed_project_are_listed_by_its_present_name(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["#ops"]}], access=Access(room_projects={"#ops": ("shop",)}), poll=0)
    world.hook(bodies.sentry_issue("1"))
    world.at(1)
    assert "SHOP-1" in typed(world, "alerts", "#ops")
    with world.store.write() as tx:
        known = tx.issues.get("1")
        assert known is not None
        tx.issues.put([replace(known, project="renamed")])
    assert typed(world, "alerts", "#ops") == "No alerts for this room yet."


def test_a_digest_counts_and_lists_nothing_of_a_project_that_is_hidden_now(tmp_path: Path) -> None:
    """Six noisier problems of the hidden project must not take the places of those that may be seen."""
    both = Access(room_projects={"#ops": ("shop", "secret")})
    world = World(tmp_path, [{"rooms": ["#ops"]}], access=both, projects=(SHOP, SECRET), poll=0)
    for number in range(1, 7):
        world.hook(bodies.sentry_issue(str(number), project="secret", count="9"))
    for number in range(11, 14):
        world.hook(bodies.sentry_issue(str(number), count="2"))
    world.at(10)
    assert "9 new" in typed(world, "digest now", "#ops")

    world.restart(Access(room_projects={"#ops": ("shop",)}))

    world.at(20)
    report = typed(world, "digest now", "#ops")
    assert "3 new" in report
    assert "3 alerts" in report
    assert [number for number in range(11, 14) if f"SHOP-{number}" in report] == [11, 12, 13]
    assert "SECRET" not in report
    with world.store.write() as tx:
        now = world.clock.now().timestamp()
        tx.digests.put(DigestPlan("#ops", "daily 12:30", now + 1780, now - 20))
    world.flow.wake()
    world.chat.sent.clear()
    assert "3 new" in world.at(2000).texts()[0]


def test_a_room_whose_name_only_looks_the_same_reads_no_alerts_of_the_other(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["finance"]}], poll=0)
    world.hook(bodies.sentry_issue("1"))
    world.at(1)
    assert "SHOP-1" in typed(world, "alerts", "Finance")
    assert typed(world, "alerts", "\ufb01nance") == "No alerts for this room yet."


@pytest.mark.parametrize(("hidden", "absent"), [("shopadmin", "shopadmix"), ("shopa*", "shopb*"), ("shop8", "shop9")])
def test_a_dry_run_does_not_tell_a_hidden_project_from_an_absent_one(tmp_path: Path, hidden: str, absent: str) -> None:
    """Also not in a direct message, although a silence that is made there may name any project of the server."""
    access = Access(room_projects={"#vault": ("*",), "direct": ("shop",)})
    projects = (SHOP, Project("8", "shopadmin"), Project("9", "shop8"))
    world = World(tmp_path, [{"rooms": ["#vault"]}], access=access, projects=projects, poll=0)

    def refusal(name: str) -> str:
        with pytest.raises(UserError) as refused:
            typed(world, f"route {name}")
        return str(refused.value).replace(name, "X")

    assert refusal(hidden) == refusal(absent) == "Project 'X' not found here; did you mean shop?"
