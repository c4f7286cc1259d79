"""Changes: made once, to the issue named, and told only when the server's answer shows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from errbot_sentry.domain.errors import BadAnswer, BadQuery, BadReference, NotFound, ServerError, Unsupported
from errbot_sentry.domain.issues import (
    ARCHIVED,
    RESOLVED,
    UNRESOLVED,
    ArchiveUntil,
    Assignee,
    Issue,
    IssueQuery,
    Project,
    ResolveIn,
)
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY
from tests.contract.test_failures import connect
from tests.contract.worlds import Known, Session
from tests.fakes.http_server import HttpServer, as_json


def made(on: Session, name: str = "AError") -> tuple[Known, Issue]:
    known = on.world.add(on.world.web, name, "a")
    return known, on.server.issue(known.id)


def test_resolve_and_reopen(on):
    """And a bystander stays as it was."""
    other, _ = made(on, "OtherError")
    known, issue = made(on)
    resolved = on.server.resolve(issue)
    assert (resolved.id, resolved.status) == (known.id, RESOLVED)
    assert resolved.project.slug == on.world.web
    assert on.world.status(known) == RESOLVED
    reopened = on.server.reopen(resolved)
    assert reopened.status == UNRESOLVED
    assert on.world.status(known) == UNRESOLVED
    assert on.world.status(other) == UNRESOLVED


def test_a_change_costs_one_request(on):
    """The answer is compared, not asked for again."""
    _, issue = made(on)
    on.server.projects()
    assert len(on.requests_of(lambda: on.server.resolve(issue))) == 1


def test_what_is_so_already_is_no_failure(on):
    """Bugsink answers 400 to a second resolve; the person asked for a state, and it is there."""
    known, issue = made(on)
    on.world.set_status(known, RESOLVED)
    assert on.server.resolve(issue).status == RESOLVED
    on.server.reopen(on.server.issue(known.id))
    assert on.server.reopen(issue).status == UNRESOLVED


def test_an_archived_issue_is_reopened(on):
    """Also where somebody else has archived or resolved it since we looked."""
    known, issue = made(on)
    on.world.set_status(known, ARCHIVED)
    assert on.server.reopen(on.server.issue(known.id)).status == UNRESOLVED
    assert on.world.status(known) == UNRESOLVED
    stale = on.server.issue(known.id)
    on.world.set_status(known, RESOLVED)
    assert on.server.reopen(stale).status == UNRESOLVED
    on.world.set_status(known, ARCHIVED)
    assert on.server.reopen(on.server.issue(known.id)).status == UNRESOLVED
    assert issue.id == known.id


def test_archive_for_ever(on):
    """On all three."""
    known, issue = made(on)
    assert on.server.archive(issue, ArchiveUntil()).status == ARCHIVED
    assert on.world.status(known) == ARCHIVED


ARCHIVES = {
    "escalating": (ArchiveUntil(escalating=True), {SENTRY}),
    "two hours": (ArchiveUntil(span=timedelta(hours=2)), {SENTRY, BUGSINK}),
    "ninety seconds": (ArchiveUntil(span=timedelta(seconds=90)), {SENTRY, BUGSINK}),
    "ten events": (ArchiveUntil(events=10), {SENTRY}),
    "ten events in five minutes": (ArchiveUntil(events=10, window=timedelta(minutes=5)), {SENTRY, BUGSINK}),
    "ten users": (ArchiveUntil(users=10), {SENTRY}),
    "ten users in an hour": (ArchiveUntil(users=10, window=timedelta(hours=1)), {SENTRY}),
    "ten events in a month": (ArchiveUntil(events=10, window=timedelta(days=30)), {BUGSINK}),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archive_until(on, name):
    """Just then, or not at all: never a longer archive instead."""
    until, able = ARCHIVES[name]
    known, issue = made(on)
    if on.kind in able:
        assert on.server.archive(issue, until).status == ARCHIVED
        assert on.world.status(known) == ARCHIVED
    else:
        with pytest.raises(Unsupported):
            on.server.archive(issue, until)
        assert on.world.status(known) == UNRESOLVED


def test_what_sentry_gets_about_an_archive(sentry):
    """Minutes and counts; the substatus says what kind it is."""
    on, world = sentry
    for name, (until, _able) in ARCHIVES.items():
        if name == "ten events in a month":
            continue
        _, issue = made(on, name.title().replace(" ", ""))
        on.server.archive(issue, until)
        tracked = next(each for each in world.tracker.issues if each.id == issue.id)
        assert tracked.substatus == (
            "archived_until_escalating" if until.escalating else "archived_until_condition_met"
        )
    wanted = {"status": "ignored", "statusDetails": {"ignoreCount": 10, "ignoreWindow": 5},
              "substatus": "archived_until_condition_met"}  # fmt: skip
    assert wanted in [request.json for request in world.server.requests if request.method == "PUT"]


def test_an_archive_that_sentry_does_not_change_is_no_success(sentry):
    """Sentry leaves the condition of an issue that is archived already as it was."""
    on, _ = sentry
    _, issue = made(on)
    on.server.archive(issue, ArchiveUntil())
    with pytest.raises(BadAnswer, match="reopen it first"):
        on.server.archive(issue, ArchiveUntil(escalating=True))


def test_bugsink_says_what_stands_in_the_way(on_bugsink):
    """Its 400 in our words."""
    on = on_bugsink
    known, issue = made(on)
    on.server.archive(issue, ArchiveUntil())
    with pytest.raises(BadQuery, match="archived already; reopen it first"):
        on.server.archive(issue, ArchiveUntil(span=timedelta(hours=1)))
    on.server.reopen(on.server.issue(known.id))
    with pytest.raises(BadQuery, match="no releases"):
        on.server.resolve_in(issue, ResolveIn(latest_release=True))
    on.server.resolve(issue)
    with pytest.raises(BadQuery, match="resolved already; reopen it first"):
        on.server.resolve_in(issue, ResolveIn(next_release=True))


RESOLUTIONS = {
    "next": (ResolveIn(next_release=True), {SENTRY, BUGSINK}),
    "latest": (ResolveIn(latest_release=True), {SENTRY, BUGSINK}),
    "named": (ResolveIn(release="shop@1.0"), {SENTRY}),
    "commit": (ResolveIn(commit=("acme/shop", "abc123")), {SENTRY}),
}


@pytest.mark.parametrize("name", RESOLUTIONS)
def test_resolve_in(on, name):
    """By a release or commit; GlitchTip would resolve at once instead, so it is not asked."""
    when, able = RESOLUTIONS[name]
    on.world.add_release(on.world.web, "shop@1.0")
    known, issue = made(on)
    if on.kind in able:
        assert on.server.resolve_in(issue, when).status == RESOLVED
        assert on.world.status(known) == RESOLVED
    else:
        with pytest.raises(Unsupported):
            on.server.resolve_in(issue, when)
        assert on.world.status(known) == UNRESOLVED


@pytest.mark.parametrize("when", [ResolveIn(release="shop@9"), ResolveIn(commit=("acme/shop", "nope"))])
def test_a_release_that_sentry_does_not_know(sentry, when):
    """The sentence says what it is about."""
    on, world = sentry
    known, issue = made(on)
    with pytest.raises(BadQuery, match="does not know that release or commit"):
        on.server.resolve_in(issue, when)
    assert world.status(known) == UNRESOLVED


def test_assign(on):
    """To a person by mail, to a team by slug, to nobody."""
    _, issue = made(on)
    ann, ops = Assignee("user", "", "ann@example.com"), Assignee("team", "ops")
    if on.kind == SENTRY:
        assert on.server.assign(issue, ann).assignee == Assignee("user", "ann@example.com", "ann@example.com", "7")
        assert on.server.assign(issue, ops).assignee == Assignee("team", "ops", "", "41")
        assert on.server.assign(issue, None).assignee is None
    else:
        for whom in (ann, ops, None):
            with pytest.raises(Unsupported, match="assign"):
                on.server.assign(issue, whom)


def test_assigning_to_somebody_unknown(sentry):
    """A mail address, a team."""
    on, _ = sentry
    _, issue = made(on)
    with pytest.raises(BadQuery, match="no such person or team"):
        on.server.assign(issue, Assignee("user", "", "nobody@example.com"))
    with pytest.raises(NotFound, match="no such team"):
        on.server.assign(issue, Assignee("team", "op"))


def test_a_newer_glitchtip_assigns(newer_glitchtip):
    """With the status as it is: an older one would fail without, and none may change it."""
    on, world = newer_glitchtip
    known, issue = made(on)
    world.set_status(known, ARCHIVED)  # by somebody else, meanwhile
    assert on.server.assign(issue, Assignee("user", "", "Ann@example.com".lower())).assignee is not None
    assert world.status(known) == ARCHIVED
    assert on.server.assign(issue, Assignee("team", "ops")).assignee == Assignee("team", "ops", "", "41")
    assert on.server.assign(issue, None).assignee is None
    with pytest.raises(BadQuery, match="no such person or team"):
        on.server.assign(issue, Assignee("team", "nope"))


def test_priority(on):
    """Sentry alone has one."""
    _, issue = made(on)
    if on.kind == SENTRY:
        assert on.server.set_priority(issue, "high").priority == "high"
    else:
        with pytest.raises(Unsupported, match="has no priority"):
            on.server.set_priority(issue, "high")


def test_merge(on):
    """One is left with all events; it names itself. Never without ids."""
    first, one = made(on, "AError")
    on.world.again(first)
    second, two = made(on, "BError")
    other, _ = made(on, "OtherError")
    if on.kind == BUGSINK:
        with pytest.raises(Unsupported, match="cannot merge"):
            on.server.merge((one, two))
        return
    left = on.server.merge((one, two))
    assert left.id == (first.id if on.kind == SENTRY else second.id)
    assert left.events == 3
    listed = {issue.id for issue in on.server.issues(IssueQuery()).items}
    assert listed == {left.id, other.id}
    with pytest.raises(BadQuery, match="nothing to merge"):
        on.server.merge((left, left))
    with pytest.raises(BadQuery, match="nothing to merge"):
        on.server.merge(())


def test_merging_across_projects_is_refused_by_sentry(sentry):
    """By the server; nothing is merged."""
    on, world = sentry
    one = on.server.issue(world.add(world.web, "AError", "a").id)
    two = on.server.issue(world.add(world.api, "BError", "b").id)
    with pytest.raises(BadQuery):
        on.server.merge((one, two))
    assert len(on.server.issues(IssueQuery()).items) == 2


def test_notes(on):
    """Left on the issue, word by word; told where the server tells them."""
    known, issue = made(on)
    text = 'resolved by ann from #ops: it\'s *fixed* <b> & "done"\nsecond line é🔥'
    on.server.note(issue, text)
    assert on.world.notes(known) == [text]
    if on.kind == BUGSINK:
        with pytest.raises(Unsupported, match="does not list"):
            on.server.comments(issue)
    else:
        (comment,) = on.server.comments(issue)
        assert (comment.text, comment.email) == (text, "bot@example.com")
        assert comment.author
        assert comment.at is not None


def test_the_same_note_again_is_no_failure(sentry):
    """Sentry refuses the same words within an hour: the note is there."""
    on, world = sentry
    known, issue = made(on)
    on.server.note(issue, "seen")
    on.server.note(issue, "seen")
    assert world.notes(known) == ["seen"]


def test_changes_of_an_issue_that_is_gone(on):
    """NotFound, by its name."""
    missing = "0190d1a5-7b3c-7c4e-9d1f-2a3b4c5d6e7f" if on.kind == BUGSINK else "999999"
    gone = Issue(missing, "WEB-99", "t", Project("1", on.world.web))
    with pytest.raises(NotFound, match="WEB-99"):
        on.server.resolve(gone)
    with pytest.raises(ServerError):
        on.server.note(gone, "x")


def test_a_change_names_only_ids(on):
    """What stands in an id goes into no path."""
    for wrong in ("", "1/../2", "1?id=2", ".."):
        broken = Issue(wrong, "WEB-1", "t", Project("1", on.world.web))
        for change in (on.server.resolve, on.server.reopen, lambda issue: on.server.note(issue, "x")):
            with pytest.raises(BadReference):
                change(broken)


def test_another_organizations_issue_stays_untouched(glitchtip):
    """The token may see it, and GlitchTip's own paths would change it."""
    on, world = glitchtip
    known = world.add(world.web, "AError", "a")
    foreign = world.tracker.issues.pop()
    foreign.id = "777"
    world.server.foreign["777"] = foreign
    with pytest.raises(NotFound):
        on.server.issue("777")
    with pytest.raises(NotFound):
        on.server.resolve(Issue("777", "X-1", "t", Project("1", "web")))
    assert foreign.status == "unresolved"
    assert known.project == world.web


LYING: dict[str, dict[str, Any]] = {
    SENTRY: {"id": "12", "shortId": "WEB-1", "status": "unresolved", "project": {"id": "2", "slug": "web"}},
    GLITCHTIP: {"id": "12", "shortId": "WEB-1", "status": "unresolved", "project": {"id": "2", "slug": "web"}},
    BUGSINK: {"id": "0190d1a5-7b3c-7c4e-9d1f-2a3b4c5d6e7f", "friendly_id": "WEB-1", "project": 2, "is_resolved": False},
}


@pytest.mark.parametrize("kind", LYING)
def test_an_answer_that_does_not_show_the_change_is_no_success(kind):
    """200, and the issue as it was: some servers answer so to what they do not know."""
    row = LYING[kind]

    def answer(request: Any) -> Any:
        if request.path.endswith("/projects/"):
            projects = [{"id": "2", "slug": "web", "name": "Web"}]
            return as_json({"results": projects, "next": None} if kind == BUGSINK else projects)
        return as_json(row)

    with HttpServer(answer) as server:
        client = connect(server.url, kind).server()
        issue = Issue(row["id"], "WEB-1", "t", Project("2", "web"))
        with pytest.raises(BadAnswer, match="WEB-1 is unresolved there and not resolved"):
            client.resolve(issue)
        if kind == SENTRY:
            with pytest.raises(BadAnswer, match="does not say that WEB-1 is of high priority"):
                client.set_priority(issue, "high")
            with pytest.raises(BadAnswer, match="does not say that WEB-1 is assigned like that"):
                client.assign(issue, Assignee("user", "", "ann@example.com"))
            with pytest.raises(BadAnswer):
                client.archive(issue, ArchiveUntil(escalating=True))
        row["id"] = row["id"][:-1] + "9"
        with pytest.raises(BadAnswer, match="answered with another issue"):
            client.reopen(issue)
