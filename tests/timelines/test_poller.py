"""The poller: one request while nothing happens, every change found once, nothing announced from before its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.alerting.receive.poller import MOST_PAGES, PAGE_SIZE
from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ServerSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.errors import BadToken, RateLimited, ServerFailed
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, Project
from errbot_sentry.server.connection import Connection
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY
from tests.alerting import bodies
from tests.alerting.world import World
from tests.fakes.http_server import HttpServer, Reply, Request, as_json

ROUTES = [{"rooms": ["#ops"]}]
ALL = [{"rooms": ["#ops"], "reasons": ["new", "regressed", "escalating", "unmuted", "reopened"]}]
WEB, API = Project("1", "web", "Web"), Project("2", "api", "Api")


def test_what_was_there_before_the_first_poll_is_not_announced(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    for number in range(5):
        world.server.event(f"old{number}")
    assert world.at(200).texts() == []
    world.server.event("fresh")
    assert world.at(300).texts() == ["New in shop: SHOP-fresh KeyError: fresh — error, 1 event"]
    assert world.at(600).texts() == []


def test_one_request_per_interval_while_nothing_happens(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": [f"#room{n}" for n in range(20)]}] * 3)
    world.server.event("old")
    world.at(1)
    world.server.asked.clear()
    world.at(601)
    assert 9 <= len(world.server.asked) <= 12


def test_bugsink_is_asked_per_project_that_a_room_may_see(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, kind=BUGSINK, projects=(WEB, API), access=Access(projects=("web",)))
    world.at(1)
    assert [query.projects for query, _ in world.server.asked] == [(WEB,)]


@pytest.mark.parametrize("settings", [{"poll": 0}, {"routes": []}])
def test_never_without_need(tmp_path: Path, settings: dict[str, object]) -> None:
    world = World(tmp_path, settings.get("routes", ROUTES), poll=settings.get("poll", 60))
    world.at(1000)
    assert world.server.asked == []


def test_the_mark_survives_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    world.server.event("old")
    world.at(10)
    world.flow.close()
    world.server.event("while-away")
    world.clock.advance(3600)
    world.boot()
    assert world.at(3700).texts() == ["New in shop: SHOP-while-away KeyError: while-away — error, 1 event"]


def test_changes_elsewhere(tmp_path: Path) -> None:
    world = World(tmp_path, ALL)
    world.server.event("a")
    world.server.event("b")
    world.at(1)
    world.server.change("a", status=RESOLVED)
    world.server.change("b", status=ARCHIVED)
    assert world.at(100).texts() == []
    world.server.event("a", status=UNRESOLVED)
    world.server.change("b", status=UNRESOLVED)
    assert [line.split(" in ")[0] for line in world.at(200).texts()] == ["No longer muted", "Regressed"]
    world.server.change("a", status=RESOLVED)
    world.at(3600)
    world.server.change("a", status=UNRESOLVED)
    assert world.at(7200).texts() == ["SHOP-a resolved", "SHOP-a reopened"]


def test_an_old_page_does_not_undo_what_a_webhook_said(tmp_path: Path) -> None:
    """The page was made before the webhook came, and is looked at after it."""
    world = World(tmp_path, [{"rooms": ["#ops"], "reasons": ["new", "regressed", "resolved", "reopened"]}])
    world.at(1)
    world.server.event("101")
    world.at(100)
    world.texts()
    invocation = world.server.issues

    def slow(*args: object) -> object:
        page = invocation(*args)
        world.clock.advance(5)
        world.hook(bodies.sentry_issue("101", "resolved"))
        world.step("alert pipeline")
        world.server.issues = invocation
        return page

    world.server.issues = slow
    world.at(170)
    world.server.change("101", status=RESOLVED)
    assert world.at(400).texts() == ["SHOP-101 resolved"]


def test_an_hours_backlog_is_read_to_its_end(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    world.server.event("old")
    world.at(1)
    for number in range(PAGE_SIZE * 3):
        world.server.event(f"n{number}")
    world.server.asked.clear()
    world.clock.advance(70)
    world.step("poller")
    with world.store.read() as tx:
        assert tx.inbox.waiting_count()[0] == PAGE_SIZE * 3
    assert len(world.server.asked) == 4


def test_the_pages_of_one_poll_are_bounded(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    for number in range(PAGE_SIZE * (MOST_PAGES + 3)):
        world.server.event(f"n{number}")
    world.step("poller")
    assert len(world.server.asked) == MOST_PAGES
    world.clock.advance(10)
    world.server.event("n0")  # beyond what the first poll saw, from before it, and seen again
    assert world.at(200).texts() == []


def test_failures_make_growing_pauses_and_lose_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    world.server.event("old")
    world.at(1)
    world.server.failure = ServerFailed("The server failed.")
    world.server.event("meanwhile")
    world.server.asked.clear()
    world.at(3600)
    assert 5 <= len(world.server.asked) <= 8
    assert world.flow.status().poll_error == "The server failed."
    world.server.failure = None
    assert world.at(5400).texts() == ["New in shop: SHOP-meanwhile KeyError: meanwhile — error, 1 event"]
    assert world.flow.status().poll_error == ""


def test_a_rate_limit_is_obeyed(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    world.server.failure = RateLimited("Too many requests.", wait=500)
    world.at(490)
    assert len(world.server.asked) == 1


def test_a_bad_token_is_shown_in_the_status(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES)
    world.server.failure = BadToken("The token is refused.")
    world.at(10)
    assert world.flow.status().poll_error == "The token is refused."


def test_the_rest_of_glitchtips_five_issues_is_fetched_at_once(tmp_path: Path) -> None:
    """It sends three of them at most; the poller finds the others without waiting for its time."""
    lab = Project("3", "lab-app", "Lab App")
    world = World(tmp_path, ROUTES, kind=GLITCHTIP, projects=(lab,), poll=3600)
    world.at(10)
    for number in range(16, 21):
        world.server.event(str(number), lab)
    world.plain_hook(bodies.glitchtip(16, 17, 18, claimed=5))
    texts = world.at(11).texts()
    assert sorted(line.split(": ")[1].split(" ")[0] for line in texts) == [f"LAB-APP-{n}" for n in range(16, 21)]
    assert {line.split(" in ")[0] for line in texts} == {"New"}


def test_each_change_is_sent_also_when_no_event_lies_between(tmp_path: Path) -> None:
    """The second resolution was taken for the first, and the room believed the issue open for ever."""
    world = World(tmp_path, ROUTES)
    world.at(1)
    world.clock.advance(30)
    world.server.event("1")
    world.at(120).texts()
    texts = []
    for minutes in (4, 14, 24):
        world.server.change("1", status="resolved")
        texts += world.at(minutes * 60).texts()
        world.server.change("1", status="unresolved")
        texts += world.at((minutes + 5) * 60).texts()
    assert texts == ["SHOP-1 resolved", "SHOP-1 reopened"] * 3


@pytest.mark.parametrize("broken", [{"id": None}, "no row at all"])
def test_a_row_that_cannot_be_read_hides_no_other_and_changes_nothing_known(tmp_path: Path, broken: Any) -> None:
    """The others are announced. Its own issue has neither gone nor been resolved, and is announced once it reads."""
    unreadable = {"2"}

    def answer(request: Request) -> Reply:
        if not request.path.endswith("/organizations/acme/issues/"):
            return as_json({}, 404)
        issues = sorted(world.server.by_id.values(), key=lambda issue: str(issue.last_seen), reverse=True)
        rows = [
            {"id": issue.id, "shortId": issue.short_id, "title": issue.title, "level": issue.level, "count": "1",
             "status": issue.status, "firstSeen": str(issue.first_seen), "lastSeen": str(issue.last_seen),
             "project": {"id": issue.project.id, "slug": issue.project.slug}}
            for issue in issues
        ]  # fmt: skip
        return as_json(
            [({**row, **broken} if isinstance(broken, dict) else broken) if row["id"] in unreadable else row
             for row in rows]
        )  # fmt: skip

    with HttpServer(answer) as server:
        connection = Connection(ServerSettings(server.url, SENTRY, Secret("token"), "acme"))
        world = World(tmp_path, ROUTES, find_server=connection.server)
        world.server.event("1")
        world.server.event("2")
        assert world.at(10).texts() == []
        world.server.event("3")
        assert world.at(100).texts() == ["New in shop: SHOP-3 KeyError: 3 — error, 1 event"]
        unreadable.add("3")
        world.server.event("4")
        unreadable.add("4")
        world.clock.advance(1)
        world.server.event("5")
        assert world.at(200).texts() == ["New in shop: SHOP-5 KeyError: 5 — error, 1 event"]
        unreadable.clear()
        assert world.at(300).texts() == ["New in shop: SHOP-4 KeyError: 4 — error, 1 event"]
        world.server.change("3", status=RESOLVED)
        assert world.at(400).texts() == ["SHOP-3 resolved"]
        connection.close()
