"""Projects and short ids that the sender left out: asked for, remembered, derived, never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from errbot_sentry.alerting.decide.enrich import GIVE_UP
from errbot_sentry.domain.errors import BadAnswer, Unreachable
from errbot_sentry.domain.issues import Issue, Project
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP
from tests.alerting import bodies
from tests.alerting.world import IssueServer, VirtualClock, World

ROUTES = [{"rooms": ["#ops"]}]
LAB = Project("3", "lab-app", "Lab App")


def test_bugsink_sends_a_number_and_the_server_knows_the_slug(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, kind=BUGSINK, projects=(Project("1", "errbot-live", "Errbot"),))
    world.plain_hook(bodies.bugsink())
    assert world.at(1).texts() == [
        "New in errbot-live: ERRBOT-1 ValueError: invalid literal for int() in /api/users/login — 15 events"
    ]


def test_bugsinks_test_message_is_sent_for_the_project_that_it_names(tmp_path: Path) -> None:
    both = (Project("1", "other", "Other"), Project("2", "errbot-live", "Errbot"))
    world = World(tmp_path, ROUTES, kind=BUGSINK, projects=both)
    world.plain_hook(bodies.bugsink(reason="TEST"))
    (line,) = world.at(1).texts()
    assert line.startswith("Test in errbot-live:")


def test_with_the_server_away_the_short_id_names_the_project(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, kind=BUGSINK, poll=0)
    world.server.failure = Unreachable("The server does not answer.")
    world.plain_hook(bodies.bugsink())
    (line,) = world.at(1).texts()
    assert line.startswith("New in errbot: ERRBOT-1 ")


def test_glitchtip_without_short_ids_waits_for_the_server(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, kind=GLITCHTIP, projects=(LAB,), poll=0)
    world.server.failure = Unreachable("The server does not answer.")
    body = bodies.glitchtip(16)
    del body["sections"]
    world.plain_hook(body)
    assert world.at(600).texts() == []
    assert world.flow.status().waiting == 1
    world.server.failure = None
    world.server.event("16", LAB)
    (line,) = world.at(1200).texts()
    assert "in lab-app: LAB-APP-16 FirstError: order <16> *failed*" in line
    assert world.flow.status().waiting == 0


class UnreadableServer(IssueServer):
    """One whose answer about 17 has no id, as Sentry's dialect meets it: it asks for a missing issue by itself."""

    def issues_by_id(self, ids: tuple[str, ...]) -> tuple[Issue, ...]:
        found = super().issues_by_id(ids)
        if "17" in ids:
            raise BadAnswer('The server sent an issue without "id".')
        return found


@pytest.mark.parametrize("make", [IssueServer, UnreadableServer])
def test_the_issues_of_one_hook_are_read_in_one_request(tmp_path: Path, make: type[IssueServer]) -> None:
    """GlitchTip puts three into a webhook; one that the server does not have costs the others nothing."""
    clock = VirtualClock()
    world = World(tmp_path, ROUTES, poll=0, clock=clock, server=make(clock, GLITCHTIP, (LAB,)))
    for number in ("16", "18"):
        world.server.event(number, LAB)
    body = bodies.glitchtip(16)
    first = dict(body["attachments"][0])
    links = [first["title_link"].replace("/16", f"/{number}") for number in (16, 17, 18)]
    body["attachments"] = [{**first, "title_link": link} for link in links]
    del body["sections"]
    world.plain_hook(body)
    texts = "\n".join(world.at(30).texts())
    assert world.server.looked_up[0] == "16 17 18"
    if make is IssueServer:
        assert set(world.server.looked_up[1:]) <= {"17"}, "only the one that is missing is looked for again"
    assert ("LAB-APP-16" in texts, "LAB-APP-18" in texts) == (True, True)


def test_a_server_that_fails_is_left_alone_for_a_while(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, poll=0)
    world.server.failure = Unreachable("The server does not answer.")
    for number in range(15):
        world.hook(bodies.sentry_event_alert(str(number)), "event_alert")
    assert len(world.at(1).texts()) == 15, "they are sent without the short id"
    assert len(world.server.looked_up) == 1


def test_given_up_in_the_end_with_a_name(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, kind=GLITCHTIP, projects=(), poll=0)
    body = bodies.glitchtip(16)
    del body["sections"]
    world.plain_hook(body)
    world.at(GIVE_UP + 600)
    assert world.flow.status().waiting == 0
    assert world.reasons("") == ["no_project"]


def test_an_event_alert_gets_the_short_id(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTES, poll=0)
    world.server.event("101")
    world.hook(bodies.sentry_event_alert("101"), "event_alert")
    (line,) = world.at(1).texts()
    assert line.startswith("Alert in shop: SHOP-101 ZeroDivisionError")
    assert line.endswith("— error, 1 event, production, shop@1.2.0 (Many errors)")


def test_an_alert_that_waits_for_its_project_is_no_backlog(tmp_path: Path) -> None:
    """One from a project that the token does not see kept the health at 503 for a whole day."""
    world = World(tmp_path, ROUTES, kind=GLITCHTIP, projects=(), poll=0)
    world.plain_hook({**bodies.glitchtip(16), "sections": []})
    status = world.at(3600).flow.status()
    assert (status.waiting, status.oldest) == (1, None)


def test_a_mistake_of_ours_in_a_look_up_does_not_stop_the_others(tmp_path: Path) -> None:
    """The first alert needs the server for its project; the second does not."""
    world = World(tmp_path, ROUTES, poll=0)

    def stumble() -> None:
        raise KeyError("a mistake of ours")

    world.server.projects = stumble
    nameless = {"id": "00000000-0000-4000-8000-000000000001", "project": 1, "title": "T", "alert_reason": "NEW"}
    world.plain_hook(nameless)
    world.hook(bodies.sentry_issue("101"))
    assert ["101" in line for line in world.at(30).texts()] == [True]
