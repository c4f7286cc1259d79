"""Questions: what a person asks for is found on all three servers, at the same price."""

from __future__ import annotations

from datetime import timedelta

import pytest

from errbot_sentry.domain.errors import BadReference, NotFound, Unsupported
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, IssueQuery, Project
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY
from tests.contract.worlds import Session

LIST = {
    SENTRY: "GET /api/0/organizations/{org}/issues/",
    GLITCHTIP: "GET /api/0/organizations/{org}/issues/",
    BUGSINK: "GET /api/canonical/0/issues/",
}


def titles(on: Session, query: IssueQuery) -> list[str]:
    return [issue.title for issue in on.server.issues(query).items]


def both(on: Session) -> tuple:
    return on.project(on.world.web), on.project(on.world.api)


def test_projects_are_found_and_kept(on):
    """By id, slug and name; a second question costs nothing."""
    slugs = {project.slug for project in on.server.projects()}
    assert {on.world.web, on.world.api} <= slugs
    assert all(project.id and project.name for project in on.server.projects())
    assert on.requests_of(on.server.projects) == []


def test_an_issue_has_what_the_server_knows(on):
    """And None for what it does not, never a made-up value."""
    known = on.world.add(on.world.web, "ZeroDivisionError", "division by zero", release="shop@1.0")
    on.world.again(known, release="shop@1.1")
    (issue,) = on.server.issues(IssueQuery(projects=(on.project(on.world.web),))).items
    assert (issue.id, issue.short_id) == (known.id, known.short_id)
    assert issue.title == "ZeroDivisionError: division by zero"
    assert issue.project == on.project(on.world.web)
    assert (issue.status, issue.events) == (UNRESOLVED, 2)
    assert issue.first_seen < issue.last_seen <= on.clock.now()
    assert issue.culprit
    assert issue.level == (None if on.kind == BUGSINK else "error")
    assert issue.users == (1 if on.kind == SENTRY else None)
    assert issue.assignee is None
    assert len(issue.trend) == (24 if on.kind == SENTRY else 0)
    assert sum(issue.trend) == (2 if on.kind == SENTRY else 0)


def test_a_link_names_its_issue(on):
    """What the bot shows as a link, it understands when it is pasted; Bugsink's page is really there."""
    known = on.world.add(on.world.web, "KeyError", "'x'")
    issue = on.server.issue(known.id)
    address = on.server.address_of(issue.link)
    assert address is not None
    assert address.issue == known.id
    assert address.org in ("", "acme")
    assert on.server.address_of("https://elsewhere.example/issues/1/") is None


def test_unresolved_ones_last_seen_first(on):
    """The default of `!sentry issues`."""
    first = on.world.add(on.world.web, "FirstError", "a")
    on.world.add(on.world.api, "SecondError", "b")
    on.world.add(on.world.web, "ThirdError", "c")
    on.world.again(first)
    assert titles(on, IssueQuery(projects=both(on))) == ["FirstError: a", "ThirdError: c", "SecondError: b"]


def test_status_filters(on):
    """By the query's status, or as typed: `is:` goes over it."""
    on.world.add(on.world.web, "OpenError", "a")
    on.world.set_status(on.world.add(on.world.web, "ResolvedError", "b"), RESOLVED)
    on.world.set_status(on.world.add(on.world.web, "ArchivedError", "c"), ARCHIVED)
    here = (on.project(on.world.web),)
    assert titles(on, IssueQuery(projects=here)) == ["OpenError: a"]
    assert titles(on, IssueQuery(projects=here, status=RESOLVED)) == ["ResolvedError: b"]
    assert titles(on, IssueQuery(projects=here, status=ARCHIVED)) == ["ArchivedError: c"]
    assert len(titles(on, IssueQuery(projects=here, status=None))) == 3
    assert titles(on, IssueQuery("is:resolved", here)) == ["ResolvedError: b"]
    assert titles(on, IssueQuery("is:archived ArchivedError", here)) == ["ArchivedError: c"]


def test_words_and_projects_filter(on):
    """One project of two, one word of the title."""
    on.world.add(on.world.web, "ZeroDivisionError", "division by zero")
    on.world.add(on.world.web, "KeyError", "missing")
    on.world.add(on.world.api, "ZeroDivisionError", "division elsewhere")
    assert titles(on, IssueQuery("division", both(on))) == [
        "ZeroDivisionError: division elsewhere",
        "ZeroDivisionError: division by zero",
    ]
    assert titles(on, IssueQuery("division", (on.project(on.world.web),))) == ["ZeroDivisionError: division by zero"]
    assert titles(on, IssueQuery("nothing like it", both(on))) == []


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("date", ["BError", "AError", "CError"]),
        ("new", ["CError", "BError", "AError"]),
        ("freq", ["BError", "AError", "CError"]),
    ],
)
def test_sorting(on, sort, order):
    """By last seen, by age, by number of events."""
    first = on.world.add(on.world.web, "AError", "a")
    second = on.world.add(on.world.api, "BError", "b")
    on.world.add(on.world.web, "CError", "c")
    on.world.again(first)
    on.world.again(second)
    on.world.again(second)
    found = titles(on, IssueQuery(projects=both(on), sort=sort))
    assert [title.partition(":")[0] for title in found] == order


def test_sorting_by_users_needs_a_server_that_counts_them(on):
    """Refused by name."""
    on.world.add(on.world.web, "AError", "a")
    query = IssueQuery(projects=both(on), sort="user")
    if on.kind == SENTRY:
        assert len(on.server.issues(query).items) == 1
    else:
        with pytest.raises(Unsupported, match="does not count users"):
            on.server.issues(query)


def test_environments(on):
    """Bugsink's list has none."""
    on.world.add(on.world.web, "AError", "a", environment="production")
    on.world.add(on.world.web, "BError", "b", environment="staging")
    query = IssueQuery(projects=both(on), environments=("production",))
    if on.kind == BUGSINK:
        with pytest.raises(Unsupported, match="environment"):
            on.server.issues(query)
    else:
        assert titles(on, query) == ["AError: a"]


@pytest.mark.parametrize("text", ["!is:resolved", "assigned:me", "level:error OR level:fatal", "is:for_review"])
def test_what_a_server_cannot_search_for_is_refused(on, text):
    """Sentry gets it as it is; the others would answer with nothing."""
    query = IssueQuery(text, both(on))
    if on.kind == SENTRY:
        on.server.issues(query)
    else:
        with pytest.raises(Unsupported):
            on.server.issues(query)


@pytest.mark.parametrize("text", ["it's", '"', "a'b\"c", "TypeError: x", "\\", "(a", "level:error it's broken"])
def test_odd_text_is_a_search_for_it(on, text):
    """No quote of a person is an error of the server."""
    on.world.add(on.world.web, "AError", "a")
    if on.kind == BUGSINK and "level:" in text:
        with pytest.raises(Unsupported, match="level"):
            on.server.issues(IssueQuery(text, both(on)))
    elif on.kind != SENTRY and "(" in text:
        with pytest.raises(Unsupported):
            on.server.issues(IssueQuery(text, both(on)))
    else:
        on.server.issues(IssueQuery(text, both(on)))


@pytest.mark.parametrize("sort", ["date", "new", "freq"])
def test_seen_within_means_last_seen(on, sort):
    """Also where the server's own filter means something else, or where there is none."""
    on.world.add(on.world.web, "AError", "a")
    on.world.add(on.world.web, "BError", "b")
    query = IssueQuery(projects=both(on), seen_within=timedelta(hours=2), sort=sort)
    assert len(on.server.issues(query).items) == 2
    if on.kind == SENTRY:
        on.world.tracker.now += timedelta(hours=5)
    on.clock.ahead = 5 * 3600
    page = on.server.issues(query)
    assert (page.items, page.next) == ((), None)


def test_paging_forward_and_back(on):
    """Every issue once, in order, both ways; a filtered list too."""
    made = [on.world.add(on.world.web if place % 2 else on.world.api, f"E{place}Error", "x") for place in range(7)]
    on.world.set_status(made[3], RESOLVED)
    newest_first = [known.id for known in reversed(made) if known is not made[3]]
    query = IssueQuery(projects=both(on), limit=2)
    pages, cursor = [], None
    while True:
        page = on.server.issues(query, cursor)
        pages.append(page)
        cursor = page.next
        if cursor is None:
            break
    assert [issue.id for page in pages for issue in page.items] == newest_first
    assert [len(page.items) for page in pages] == [2, 2, 2]
    assert pages[0].previous is None
    back = on.server.issues(query, pages[2].previous)
    assert [issue.id for issue in back.items] == [issue.id for issue in pages[1].items]
    first = on.server.issues(query, back.previous)
    assert [issue.id for issue in first.items] == [issue.id for issue in pages[0].items]
    assert first.previous is None


def test_the_pollers_question_costs_one_request(on_small):
    """Per organization, or per project on Bugsink, however often it is asked."""
    on = on_small
    on.world.add(on.world.web, "AError", "a")
    on.server.projects()
    everything = IssueQuery(status=None, sort="date", limit=100)
    one = IssueQuery(status=None, sort="date", limit=100, projects=(on.project(on.world.web),))
    assert on.requests_of(lambda: on.server.issues(one)) == [LIST[on.kind]]
    expected = len(on.server.projects()) if on.kind == BUGSINK else 1
    assert on.requests_of(lambda: on.server.issues(everything)) == [LIST[on.kind]] * expected


def test_one_issue_by_every_name(on):
    """Its id, its short id in any case, its URL; always the same one, for one request."""
    known = on.world.add(on.world.web, "AError", "a", release="shop@1.0")
    on.server.projects()
    issue = on.server.issue(known.id)
    assert (issue.id, issue.short_id, issue.title) == (known.id, known.short_id, "AError: a")
    for invocation in (
        lambda: on.server.issue_by_short_id(known.short_id.lower()),
        lambda: on.server.issue_by_short_id(known.short_id.upper()),
        lambda: on.server.issue(on.server.address_of(issue.link).issue),
    ):
        assert invocation() == issue
        assert len(on.requests_of(invocation)) == 1
    if on.kind == SENTRY:
        assert (issue.first_release, issue.last_release) == ("shop@1.0", "shop@1.0")


def test_no_such_issue(on):
    """An id, a short id and a word that name nothing."""
    on.world.add(on.world.web, "AError", "a")
    missing = "0190d1a5-7b3c-7c4e-9d1f-2a3b4c5d6e7f" if on.kind == BUGSINK else "999999"
    with pytest.raises(NotFound) as caught:
        on.server.issue(missing)
    assert missing in str(caught.value)
    with pytest.raises((NotFound, BadReference)):
        on.server.issue_by_short_id(f"{on.world.web}-9999".upper())
    with pytest.raises((NotFound, BadReference)):
        on.server.issue_by_short_id("NOSUCHPROJECT-1")
    for wrong in ("../../x", "", "1 2", "latest"):
        with pytest.raises(BadReference):
            on.server.issue(wrong)
        with pytest.raises(BadReference):
            on.server.issue_by_short_id(wrong)


def test_the_issue_of_an_event(on_small):
    """What `!sentry test` waits for; None while the server does not know it."""
    on = on_small
    on.world.add(on.world.api, "OtherError", "o")
    known = on.world.add(on.world.web, "AError", "a")
    latest = on.world.again(known)
    for event_id in (known.event_id, latest):
        issue = on.server.issue_of_event(event_id)
        assert issue is not None
        assert issue.id == known.id
    assert on.server.issue_of_event("0" * 32) is None
    assert on.server.issue_of_event("no id") is None


def test_the_latest_event_with_its_stack(on):
    """Frames in Python's order with source and variables, tags, level."""
    known = on.world.add(on.world.web, "ValueError", "it broke", release="shop@1.0", environment="prod")
    latest = on.world.again(known, release="shop@1.1", environment="prod", customer="acme")
    issue = on.server.issue(known.id)
    event = on.server.latest_event(issue)
    assert event is not None
    assert event.id == latest
    assert event.title == "ValueError: it broke"
    assert (event.level, event.release, event.environment) == ("error", "shop@1.1", "prod")
    assert dict(event.tags)["customer"] == "acme"
    assert event.at is not None
    (error,) = event.exceptions
    assert (error.type, error.value) == ("ValueError", "it broke")
    assert [frame.function for frame in error.frames][-1] == "checkout"
    frame = error.frames[-1]
    assert (frame.filename, frame.line, frame.in_app) == ("shop.py", 12, True)
    assert (12, "    return total(basket) / len(basket)") in frame.source
    assert frame.variables == (("basket", "[]"),)


def test_an_issue_and_its_latest_event_cost_two_requests(on):
    """Bugsink lists events without what they say, so it costs a third."""
    known = on.world.add(on.world.web, "ValueError", "it broke")
    on.server.projects()
    requests = on.requests_of(lambda: on.server.latest_event(on.server.issue_by_short_id(known.short_id)))
    assert len(requests) == (3 if on.kind == BUGSINK else 2)


def test_events_of_an_issue(on):
    """The newest first, as many as asked for."""
    known = on.world.add(on.world.web, "ValueError", "it broke")
    ids = [known.event_id, *(on.world.again(known) for _ in range(3))]
    page = on.server.events(on.server.issue(known.id), 3)
    assert [event.id for event in page.items] == list(reversed(ids))[:3]
    assert all(event.title == "ValueError: it broke" and event.at for event in page.items)


def test_tags_of_an_issue(on):
    """How events spread over values."""
    known = on.world.add(on.world.web, "ValueError", "it broke", shard="1")
    on.world.again(known, shard="2")
    on.world.again(known, shard="2")
    issue = on.server.issue(known.id)
    if on.kind == BUGSINK:
        for invocation in (lambda: on.server.tags(issue), lambda: on.server.tag_values(issue, "shard")):
            with pytest.raises(Unsupported, match="does not count tags"):
                invocation()
        return
    shard = next(tag for tag in on.server.tags(issue) if tag.key == "shard")
    assert (shard.values, shard.total, shard.unique) == ((("2", 2), ("1", 1)), 3, 2)
    assert on.server.tag_values(issue, "shard") == shard
    with pytest.raises(NotFound):
        on.server.tag_values(issue, "no/such?tag")


@pytest.mark.parametrize(
    ("span", "step"), [(timedelta(hours=24), timedelta(hours=1)), (timedelta(days=14), timedelta(days=1))]
)
def test_events_of_an_issue_over_time(on, span, step):
    """Even slices, the last one being now."""
    known = on.world.add(on.world.web, "ValueError", "it broke")
    on.world.again(known)
    counts = on.server.issue_counts(on.server.issue(known.id), span)
    assert counts.step == step
    assert len(counts.counts) == span / step
    assert sum(counts.counts) == 2
    assert counts.start + span - step <= on.clock.now() < counts.start + span


def test_events_over_a_longer_time_than_the_server_answers_for(on):
    """Refused with the longest that there is."""
    known = on.world.add(on.world.web, "ValueError", "it broke")
    issue = on.server.issue(known.id)
    if on.kind == BUGSINK:
        assert sum(on.server.issue_counts(issue, timedelta(days=60)).counts) == 1
    else:
        with pytest.raises(Unsupported, match="days: ask for less"):
            on.server.issue_counts(issue, timedelta(days=60))


@pytest.mark.parametrize("span", [timedelta(hours=24), timedelta(days=14)])
def test_events_of_a_project_over_time(on, span):
    """All its error events."""
    on.world.again(on.world.add(on.world.web, "ValueError", "it broke"))
    on.world.add(on.world.web, "KeyError", "x")
    on.world.add(on.world.api, "KeyError", "elsewhere")
    project = on.project(on.world.web)
    if on.kind == BUGSINK:
        with pytest.raises(Unsupported, match="does not count a project's events"):
            on.server.project_counts(project, span)
    else:
        assert sum(on.server.project_counts(project, span).counts) == 3


def test_releases(on_small):
    """Newest first, of one project or of all."""
    on = on_small
    on.world.add_release(on.world.web, "shop@1.0")
    on.world.add_release(on.world.web, "shop@1.1")
    on.world.add_release(on.world.api, "api@7")
    web, api = both(on)
    assert [release.version for release in on.server.releases((web,), 10)] == ["shop@1.1", "shop@1.0"]
    assert [release.version for release in on.server.releases((web, api), 2)] == ["api@7", "shop@1.1"]
    everything = on.server.releases((), 100)
    assert [release.version for release in everything][:3] == ["api@7", "shop@1.1", "shop@1.0"]
    assert everything[0].projects == (on.world.api,)
    assert everything[0].at is not None


def test_health_counts(on):
    """What `!sentry status` shows; it asks nobody."""
    on.server.issues(IssueQuery())
    before = len(on.exchanges)
    health = on.server.health()
    assert (health.kind, health.url, health.calls) == (on.kind, on.world.settings.url, before)
    assert (health.limit, health.remaining) == ((40, 39) if on.kind == SENTRY else (None, None))
    assert len(on.exchanges) == before


def test_releases_of_too_many_projects(on_bugsink):
    """Each is a question; it is said, not cut off."""
    many = tuple(Project(str(number), f"p{number}") for number in range(21))
    with pytest.raises(Unsupported, match="name some with -p"):
        on_bugsink.server.releases(many, 10)
