"""What each server really answers, and what becomes of it: the cases that our own vocabulary would hide."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from errbot_sentry.domain.errors import BadQuery, BadReference, MissingScope, NotFound, Unsupported, UsageError
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, Assignee, IssueQuery, ResolveIn
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY
from errbot_sentry.store.records import KnownIssue
from tests.contract.test_commands import Room
from tests.contract.worlds import Session, TrackerWorld


@pytest.mark.parametrize("by_project", [True, False])
def test_a_mistyped_environment_is_named(on, by_project):
    """Sentry answers 404 to one, as to an unknown organization; GlitchTip an empty list."""
    if on.kind == BUGSINK:
        return
    on.world.add(on.world.web, "AError", "a", environment="production")
    on.world.set_status(on.world.add(on.world.web, "BError", "b", environment="staging"), RESOLVED)
    here = (on.project(on.world.web),) if by_project else ()
    with pytest.raises(UsageError, match=r"'prodution' here: did you mean 'production'\?"):
        on.server.issues(IssueQuery(projects=here, environments=("prodution",)))
    with pytest.raises(UsageError, match=r"'prod' here: did you mean 'production'\?"):
        on.server.issues(IssueQuery(projects=here, environments=("prod",)))
    with pytest.raises(UsageError, match="leave out -e"):
        on.server.issues(IssueQuery(projects=here, environments=("qqq",)))
    assert on.server.issues(IssueQuery(projects=here, environments=("staging",))).items == ()
    if on.kind == SENTRY:
        with pytest.raises(NotFound, match="organization nowhere"):
            on.connect(org="nowhere").server().issues(IssueQuery(environments=("production",)))


def test_an_event_id_as_a_query_finds_its_issue(on):
    """Whatever its status, with anything but Bugsink; there the reply says what does."""
    known = on.world.add(on.world.web, "AError", "a")
    on.world.set_status(known, RESOLVED)
    (line,) = Room(on).lines(f"issues {known.event_id}")
    if on.kind == BUGSINK:
        assert line.endswith("`!sentry issue` with an event's ID finds its issue.")
        assert Room(on).lines(f"issue {known.event_id}")[0].startswith(known.short_id)
    else:
        assert line.startswith(f"#1 {known.short_id} ")


def test_an_id_that_is_no_number_sorts_last(glitchtip: tuple[Session, TrackerWorld]):
    """A proxy between may answer anything: that is not a mistake in the bot."""
    on, world = glitchtip
    known = world.add("web", "AError", "a")
    world.add("web", "BError", "b")
    assert on.server.kind == GLITCHTIP
    answer, wanted, odd = world.server.answer, f'"id": "{known.id}"'.encode(), b'"id": "?"'
    world.server.answer = lambda request: replace(found := answer(request), body=found.body.replace(wanted, odd))
    assert [issue.title for issue in on.server.issues(IssueQuery(sort="freq")).items] == ["BError: b", "AError: a"]


def test_a_personal_token_lists_all_projects(sentry: tuple[Session, TrackerWorld]):
    """Without a project Sentry lists "my projects": issues, releases."""
    on, world = sentry
    world.tracker.projects[1].member = False
    world.add("api", "AError", "a")
    world.add_release("api", "api@1")
    assert [issue.project.slug for issue in on.server.issues(IssueQuery()).items] == ["api"]
    assert [release.version for release in on.server.releases((), 5)] == ["api@1"]


def test_a_merge_of_issues_that_are_gone_touches_no_others(sentry: tuple[Session, TrackerWorld]):
    """A newer Sentry that finds none of the ids merges what a search finds, at worst all that are unresolved."""
    on, world = sentry
    gone = [world.add("web", name, "a") for name in ("AError", "BError")]
    stale = tuple(on.server.issue(known.id) for known in gone)
    for known in gone:
        world.issue(known).deleted = True
    for name in ("CError", "DError"):
        world.add("web", name, "a")
    with pytest.raises(NotFound, match="found none of these"):
        on.server.merge(stale)
    assert len(on.server.issues(IssueQuery()).items) == 2


def test_several_issues_are_read_at_once(on):
    """In the order asked for, whatever their status; Bugsink can only be asked for each."""
    known = [on.world.add(on.world.web, f"{letter}Error", "a") for letter in "ABC"]
    on.world.set_status(known[1], ARCHIVED)
    ids = tuple(each.id for each in (known[2], known[0], known[1]))
    on.server.projects()
    missing = "0190d1a5-7b3c-7c4e-9d1f-2a3b4c5d6e7f" if on.kind == BUGSINK else "999999"
    assert [issue.id for issue in on.server.issues_by_id((*ids, missing))] == list(ids)
    cost = len(on.requests_of(lambda: on.server.issues_by_id(ids)))
    assert cost == (3 if on.kind == BUGSINK else 1)


def test_a_change_of_several_rows_reads_them_in_one_request(on):
    """`resolve #1-3`."""
    room = Room(on)
    for letter in "ABC":
        on.world.add(on.world.web, f"{letter}Error", "a")
    room.lines(f"issues -p {on.world.web}")
    requests = on.requests_of(lambda: room.lines("resolve #1-3"))
    reads = [
        request for request in requests if request.startswith("GET") and request.endswith(("/issues/", "{issue}/"))
    ]
    assert len(reads) == (3 if on.kind == BUGSINK else 1)
    assert on.server.issues(IssueQuery(projects=(on.project(on.world.web),))).items == ()


def test_a_wrong_organization_is_no_missing_issue(on):
    """Both answer 404 on Sentry; GlitchTip shows a wrong organization without projects."""
    if on.kind == BUGSINK:
        return
    room = Room(on)
    on.server.projects()
    other = on.connect(org="nowhere").server()
    room.commands._context.finder._find_server = lambda: other
    with pytest.raises(NotFound if on.kind == SENTRY else BadReference, match=r"organization nowhere|SENTRY_ORG"):
        room.lines("issue 11", "#all")
    room.commands._context.finder._find_server = lambda: on.server
    with pytest.raises(BadReference, match="Issue 99999 not found here"):
        room.lines("issue 99999", "#all")


# --- GlitchTip --------------------------------------------------------------------------------------------------------


def test_the_most_frequent_ones_are_each_on_one_page(glitchtip: tuple[Session, TrackerWorld]):
    """Ties have no order on GlitchTip: its own pages repeat and skip rows."""
    on, world = glitchtip
    for number in range(9):
        known = world.add("web", f"E{number}Error", "a")
        if number == 4:
            world.again(known)
    seen, cursor = [], None
    while True:
        page = on.server.issues(IssueQuery(sort="freq", limit=2), cursor)
        seen += [issue.title for issue in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen[0] == "E4Error: a"
    assert sorted(seen) == [f"E{number}Error: a" for number in range(9)]


@pytest.mark.parametrize(
    ("text", "found", "note"),
    [
        ("{event}", ["AError: it's broken"], ""),
        ("{dashed}", ["AError: it's broken"], ""),
        ("level:ERROR", ["BError: fine", "AError: it's broken"], ""),
        ("it's", ["AError: it's broken"], ""),
        ('broken"', ["AError: it's broken"], "unmatched quotation mark"),
        ("AError: broken", ["AError: it's broken"], "colons were left out"),
    ],
)
def test_a_search_on_glitchtip(glitchtip: tuple[Session, TrackerWorld], text, found, note):
    """An event id finds its issue, also a resolved one; nothing is dropped without a word."""
    on, world = glitchtip
    known = world.add("web", "AError", "it's broken")
    world.add("web", "BError", "fine")
    event = known.event_id
    if "e" in text[:2] and text != "level:ERROR":
        world.set_status(known, RESOLVED)
    typed = text.format(event=event, dashed=f"{event[:8]}-{event[8:12]}-{event[12:16]}-{event[16:20]}-{event[20:]}")
    page = on.server.issues(IssueQuery(typed))
    assert [issue.title for issue in page.items] == found
    assert note in page.note
    assert bool(note) == bool(page.note)


def test_a_short_id_that_the_bot_has_shown_is_always_found(glitchtip: tuple[Session, TrackerWorld]):
    """By its number in the bot's own table, after a restart too; not among the hundreds seen last."""
    on, world = glitchtip
    known = world.add("web", "AError", "a")
    room = Room(on)
    store = room.commands._context.store
    with store.write() as tx:
        tx.issues.put([KnownIssue(known.id, UNRESOLVED, short_id=known.short_id)])
    requests = on.requests_of(lambda: room.lines(f"issue {known.short_id.lower()}"))
    reads = [request for request in world.server.requests if request.path.endswith("/issues/")]
    assert reads[0].values("id") == [known.id]
    assert len(reads) == 1, requests


@pytest.mark.parametrize(
    ("missing", "call", "named"),
    [
        ("project:releases", lambda on: on.server.releases((), 5), "project:releases"),
        ("org:read", lambda on: on.server.project_counts(on.project("web"), timedelta(days=1)), "org:read"),
    ],
)
def test_a_missing_scope_of_glitchtip_is_named(glitchtip: tuple[Session, TrackerWorld], missing, call, named):
    """It answers "Permission denied" only."""
    on, world = glitchtip
    world.tracker.scopes -= {missing}
    with pytest.raises(MissingScope, match=named):
        call(on)


def test_what_an_old_glitchtip_cannot_do_costs_nothing(glitchtip: tuple[Session, TrackerWorld]):
    """Its issues show no assignee: so it has none, and no resolution in a release."""
    on, world = glitchtip
    issue = on.server.issue(world.add("web", "AError", "a").id)
    for change in (
        lambda: on.server.assign(issue, Assignee("team", "ops")),
        lambda: on.server.resolve_in(issue, ResolveIn(latest_release=True)),
    ):
        before = len(on.exchanges)
        with pytest.raises(Unsupported, match="too old"):
            change()
        assert len(on.exchanges) == before


@pytest.mark.parametrize(
    ("when", "shown", "refused"),
    [
        (ResolveIn(latest_release=True), "2.0", None),
        (ResolveIn(release="1.0"), "1.0", None),
        (ResolveIn(release="3.0"), "", BadQuery),
        (ResolveIn(next_release=True), "", Unsupported),
        (ResolveIn(commit=("a", "b")), "", Unsupported),
    ],
)
def test_a_newer_glitchtip_resolves_in_a_release(newer_glitchtip: tuple[Session, TrackerWorld], when, shown, refused):
    """That exists: else it resolves at once, without a word."""
    on, world = newer_glitchtip
    for version in ("1.0", "2.0"):
        world.add_release("web", version)
    known = world.add("web", "AError", "a")
    issue = on.server.issue(known.id)
    if refused:
        with pytest.raises(refused):
            on.server.resolve_in(issue, when)
        assert world.status(known) == UNRESOLVED
    else:
        assert on.server.resolve_in(issue, when).status == RESOLVED
        assert world.issue(known).details == {"inRelease": shown}


def test_the_transaction_is_shown_and_not_another_frame(glitchtip: tuple[Session, TrackerWorld]):
    """GlitchTip's issue has a frame for a culprit, which need not be the event's."""
    on, world = glitchtip
    known = world.add("web", "AError", "a", transaction="POST /checkout")
    lines = Room(on).lines(f"issue {known.short_id}")
    assert "where: POST /checkout" in lines
    other = world.add("web", "BError", "b")
    assert on.server.issue(other.id).culprit == "shop.py in checkout"
    assert "where: shop in checkout" in Room(on).lines(f"issue {other.short_id}")
