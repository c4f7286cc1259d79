"""What else a server knows of an issue and around it: the details of an event, activity, commits, owners, monitors."""

from __future__ import annotations

from datetime import timedelta

import pytest

from errbot_sentry.domain.errors import Unsupported
from errbot_sentry.domain.issues import Assignee
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY
from tests.contract.worlds import Session, TrackerWorld
from tests.fakes.sentry_server import cron_monitor_row, uptime_monitor_row

BREADCRUMB = {"timestamp": "2026-11-21T10:20:29Z", "category": "query", "level": "info", "message": "SELECT 1",
              "type": "default", "data": {"rows": 3}, "event_id": None}  # fmt: skip
REQUEST = {"method": "POST", "url": "https://shop.example/checkout", "query": [["step", "2"]], "fragment": None,
           "headers": [["User-Agent", "curl"]], "cookies": [], "env": None, "data": None,
           "inferredContentType": None}  # fmt: skip
NEVER = {
    SENTRY: set(),
    GLITCHTIP: {"read_activity", "read_suspect_commits", "read_owners", "read_teams"},
    BUGSINK: {"read_activity", "read_suspect_commits", "read_owners", "read_monitors", "read_teams"},
}


def test_an_event_has_breadcrumbs_request_and_contexts(on):
    """On all three."""
    known = on.world.add(on.world.web, "KeyError", "'x'")
    if isinstance(on.world, TrackerWorld):
        (event,) = on.world.issue(known).events
        event.breadcrumbs, event.request = [BREADCRUMB], REQUEST
        event.contexts = {"runtime": {"name": "CPython", "type": "runtime"}}
    else:
        sent = {name: BREADCRUMB[name] for name in ("timestamp", "category", "level", "message", "data")}
        on.world.send(
            known,
            breadcrumbs={"values": [sent]},
            request={
                "method": "POST",
                "url": REQUEST["url"],
                "query_string": "step=2",
                "headers": {"User-Agent": "curl"},
            },
            contexts={"runtime": {"name": "CPython"}},
        )
    event = on.server.latest_event(on.server.issue(known.id))
    (breadcrumb,) = event.breadcrumbs
    assert (breadcrumb.category, breadcrumb.message, breadcrumb.data) == ("query", "SELECT 1", (("rows", "3"),))
    assert (event.request.method, event.request.url, event.request.query) == ("POST", REQUEST["url"], "step=2")
    assert event.request.headers == (("User-Agent", "curl"),)
    assert dict(event.contexts)["runtime"] == (("name", "CPython"),)


@pytest.mark.parametrize("method", sorted(NEVER[BUGSINK]))
def test_what_a_server_never_knows_is_refused_without_a_request(on, method):
    """`refusal` has the sentence before anybody asks."""
    known = on.world.add(on.world.web, "KeyError", "'x'")
    issue = on.server.issue(known.id)
    event = on.server.latest_event(issue)
    own = {"read_activity": (issue.id,), "read_monitors": ((),), "read_teams": ("ann@example.com",)}
    arguments = own.get(method, (issue, event))
    assert bool(on.server.refusal(method)) == (method in NEVER[on.kind])
    if method in NEVER[on.kind]:
        before = len(on.exchanges)
        with pytest.raises(Unsupported) as refused:
            getattr(on.server, method)(*arguments)
        assert len(on.exchanges) == before
        assert str(refused.value) == on.server.refusal(method)
    else:
        assert getattr(on.server, method)(*arguments) is not None


def test_the_teams_of_a_member_by_mail_address(sentry: tuple[Session, TrackerWorld]):
    on, _ = sentry
    assert on.server.read_teams("Ann@example.com".lower()) == ("ops", "web-team")
    assert on.server.read_teams("who@example.com") == ()


def test_activity_newest_first(sentry: tuple[Session, TrackerWorld]):
    """With who did it and what it says; the server's own entries have no author."""
    on, world = sentry
    known = world.add("web", "KeyError", "'x'")
    now = world.tracker.now + timedelta(hours=1)
    world.issue(known).activity = [
        ("note", now, {"text": "looks like the cache"}),
        ("set_resolved_in_release", now + timedelta(minutes=1), {"version": "2.0"}),
        ("assigned", now + timedelta(minutes=2), {"assignee": "7", "assigneeEmail": "ann@example.com"}),
    ]
    found = on.server.read_activity(known.id)
    assert [(each.kind, each.author, each.text) for each in found] == [
        ("assigned", "Ann", "ann@example.com"),
        ("set_resolved_in_release", "Ann", "2.0"),
        ("note", "Ann", "looks like the cache"),
        ("first_seen", "", "high"),
    ]


def test_suspect_commits_and_owners(sentry: tuple[Session, TrackerWorld]):
    """None where the server knows none: it answers 404 then."""
    on, world = sentry
    known = world.add("web", "KeyError", "'x'")
    issue = on.server.issue(known.id)
    event = on.server.latest_event(issue)
    assert (on.server.read_suspect_commits(issue, event), on.server.read_owners(issue, event)) == ((), ())
    world.tracker.suspects[known.id] = [("abc123", "Cache the basket", "ann@example.com")]
    world.tracker.owners[known.id] = [{"type": "team", "id": "42", "name": "web-team"}]
    (commit,) = on.server.read_suspect_commits(issue, event)
    assert (commit.id, commit.message, commit.author, commit.email) == (
        "abc123", "Cache the basket", "ann", "ann@example.com",
    )  # fmt: skip
    assert commit.link == "https://git.example/shop/pull/9"
    assert on.server.read_owners(issue, event) == (Assignee("team", "web-team", "", "42"),)


def test_monitors_of_sentry(sentry: tuple[Session, TrackerWorld]):
    """Cron and uptime monitors, those that are down first; one that never ran or is off is neither up nor down."""
    on, world = sentry
    late = {"name": "production", "status": "missed_checkin", "lastCheckIn": "2026-11-21T10:00:00Z",
            "nextCheckIn": "2026-11-21T11:00:00Z", "dateCreated": None, "nextCheckInLatest": None}  # fmt: skip
    world.tracker.monitors = [
        cron_monitor_row("backup", "web", {**late, "name": "staging", "status": "ok"}, late),
        cron_monitor_row("never", "api"),
        cron_monitor_row("off", "web", {**late, "status": "error"}, status="disabled"),
    ]
    world.tracker.uptime = [
        uptime_monitor_row("shop", "web", "https://shop.example/", state=2),
        uptime_monitor_row("api", "api", "https://api.example/", state=1),
    ]
    found = on.server.read_monitors(())
    assert [(each.kind, each.name, each.environment, each.up) for each in found] == [
        ("cron", "backup", "production", False),
        ("uptime", "shop", "production", False),
        ("cron", "backup", "staging", True),
        ("cron", "never", "", None),
        ("cron", "off", "production", None),
        ("uptime", "api", "production", True),
    ]
    assert (found[0].schedule, found[0].status, found[0].project) == ("0 * * * *", "missed_checkin", "web")
    assert found[0].last < found[0].next
    assert (found[1].schedule, found[1].url, found[1].status) == ("60 s", "https://shop.example/", "down")
    assert {each.project for each in on.server.read_monitors((on.project("api"),))} == {"api"}


def test_monitors_of_glitchtip(glitchtip: tuple[Session, TrackerWorld]):
    """Uptime and heartbeat monitors; one without a check yet is neither up nor down."""
    on, world = glitchtip
    world.tracker.monitors = [
        {"id": "3", "name": "shop", "projectId": "2", "projectName": "Web", "isUp": True, "interval": 60,
         "lastChange": "2026-11-21T10:00:00Z", "url": "https://shop.example/"},
        {"id": "4", "name": "api", "projectId": "3", "projectName": "Api", "isUp": False, "interval": 60,
         "lastChange": None, "url": "https://api.example/"},
        {"id": "5", "name": "new", "projectId": None, "projectName": None, "isUp": None, "interval": 60,
         "lastChange": None, "url": ""},
    ]  # fmt: skip
    found = on.server.read_monitors(())
    assert [(each.name, each.project, each.up, each.status) for each in found] == [
        ("api", "api", False, "down"), ("new", "", None, ""), ("shop", "web", True, "up"),
    ]  # fmt: skip
    assert found[0].link == f"{world.server.url}/acme/uptime-monitors/4"
    assert (found[2].last, str(found[2].since)) == (None, "2026-11-21 10:00:00+00:00")  # not when it was checked
