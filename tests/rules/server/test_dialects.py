"""What single dialects do with a server that is large, slow or stuck."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ServerSettings
from errbot_sentry.domain.errors import BadAnswer, BadQuery, BadReference, Unsupported
from errbot_sentry.domain.issues import Issue, IssueQuery, Project
from errbot_sentry.server.connection import Connection
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY
from errbot_sentry.server.sentry import list_query, period
from tests.clocks import START, VirtualClock
from tests.fakes.http_server import HttpServer, Request, as_json

WEB = Project("2", "web")


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(lambda request: as_json([])) as running:
        yield running


def connect(server: HttpServer, kind: str, clock: VirtualClock | None = None) -> Any:
    return Connection(ServerSettings(server.url, kind, Secret("x" * 40), "acme"), clock).server()


# --- Sentry -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(days=14), "14d"),
        (timedelta(hours=24), "1d"),
        (timedelta(hours=25), "25h"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=61), "61s"),
        (timedelta(0), "1s"),
    ],
)
def test_periods_of_sentry(span, text):
    """One number, one unit."""
    assert period(span) == text


def test_what_sentry_is_asked_for():
    """An empty query is sent: without it Sentry adds its own. Ids before slugs; at most a hundred rows, ninety days."""
    poll = dict(list_query(IssueQuery(status=None, limit=500), None))
    assert (poll["query"], poll["sort"], poll["limit"]) == ("", "date", "100")
    full = list_query(
        IssueQuery("level:error is:ignored", (WEB, Project("", "api")), ("prod",), "freq", timedelta(days=400)),
        "0:10:0",
    )
    assert full == [
        ("query", "level:error is:ignored"),
        ("sort", "freq"),
        ("limit", "10"),
        ("groupStatsPeriod", "14d"),
        ("project", "2"),
        ("project", "api"),
        ("environment", "prod"),
        ("statsPeriod", "90d"),
        ("cursor", "0:10:0"),
    ]
    assert dict(list_query(IssueQuery("x"), None))["query"] == "is:unresolved x"


def test_sentry_says_that_it_looks_back_ninety_days(server):
    """Where more was asked for."""
    sentry = connect(server, SENTRY)
    assert "90 days" in sentry.issues(IssueQuery(seen_within=timedelta(days=91))).note
    assert sentry.issues(IssueQuery(seen_within=timedelta(days=90))).note == ""


def test_a_sentry_that_takes_only_numbers_is_asked_for_the_short_id(server):
    """By its own look-up; one that knows neither says so."""
    row = {"id": "12", "shortId": "WEB-C", "project": {"id": "2", "slug": "web"}}

    def answer(request: Request) -> Any:
        return as_json({"group": row}) if "/shortids/" in request.path else as_json({"detail": "no"}, 404)

    server.answer = answer
    assert connect(server, SENTRY).issue_by_short_id("web-c").id == "12"
    assert server.requests[-1].path.endswith("/shortids/WEB-C/")


def test_a_link_of_sentry_is_built_where_it_gives_none(server):
    """Only a web address is one."""
    server.answer = lambda request: as_json({"id": "12", "permalink": "javascript:alert(1)"})
    issue = connect(server, SENTRY).issue("12")
    assert issue.link == f"{server.url}/organizations/acme/issues/12/"


def issues_to_merge(*numbers: str) -> tuple[Issue, ...]:
    return tuple(Issue(number, f"WEB-{number}", "t", WEB) for number in numbers)


def test_a_merge_that_sentry_does_not_show_whole_is_no_success(server):
    """One of the issues is not among the merged."""
    server.answer = lambda request: as_json({"merge": {"parent": "9", "children": ["10"]}})
    with pytest.raises(BadAnswer, match="WEB-9 is merged with the others"):
        connect(server, SENTRY).merge(issues_to_merge("9", "10", "11"))


def test_a_merge_that_glitchtip_only_echoes_is_no_success(server):
    """It answers 200 always; what the list still has decides. The highest number is left, as a number."""
    rows = [{"id": "9", "project": {}}, {"id": "10", "project": {}}]
    server.answer = lambda request: as_json({"merge": 1}) if request.method == "PUT" else as_json(rows)
    with pytest.raises(BadAnswer, match="WEB-9 is merged with the others"):
        connect(server, GLITCHTIP).merge(issues_to_merge("9", "10"))
    del rows[0]
    assert connect(server, GLITCHTIP).merge(issues_to_merge("9", "10")).id == "10"
    assert [request.values("id") for request in server.requests if request.method == "PUT"] == [["9", "10"]] * 2


# --- GlitchTip --------------------------------------------------------------------------------------------------------


def glitchtip_page(rows: list[dict[str, Any]], cursor: str) -> Any:
    link = "{'" + f'<http://h/?cursor={cursor}>; rel="next"; results="true"; cursor="{cursor}"' + "'}"
    return as_json(rows, Link=link)


def row(number: int, hours_ago: int = 0) -> dict[str, Any]:
    seen = START - timedelta(hours=hours_ago)
    return {"id": str(number), "shortId": f"WEB-{number}", "lastSeen": seen.isoformat(), "project": {"slug": "web"}}


def test_a_cursor_that_sticks_ends_the_list(server):
    """Measured: the same row twenty-nine times, with the same cursor."""
    server.answer = lambda request: glitchtip_page([row(1)], "c3R1Y2s=")
    glitchtip = connect(server, GLITCHTIP)
    first = glitchtip.issues(IssueQuery())
    assert first.next == "c3R1Y2s="
    assert glitchtip.issues(IssueQuery(), first.next).next is None


def test_a_short_id_is_looked_for_in_a_bounded_list_and_remembered(server):
    """Five pages; what has been seen once is found by its number."""

    def answer(request: Request) -> Any:
        if request.path.endswith("/projects/"):
            return as_json([{"id": "2", "slug": "web", "name": "Web"}])
        if request.value("id"):
            return as_json([row(int(request.value("id")))])
        place = int(base64.b64decode(request.value("cursor")).decode() or 0) if request.value("cursor") else 0
        following = base64.b64encode(str(place + 1).encode()).decode()
        return glitchtip_page([row(place * 100 + number) for number in range(100)], following)

    server.answer = answer
    glitchtip = connect(server, GLITCHTIP)
    with pytest.raises(BadReference, match="not among the 500 issues of web seen last"):
        glitchtip.issue_by_short_id("WEB-9999")
    lists = [request for request in server.requests if request.path.endswith("/issues/")]
    assert len(lists) == 5
    assert {request.value("project") for request in lists} == {"2"}
    assert glitchtip.issue_by_short_id("web-250").id == "250"
    assert server.requests[-1].values("id") == ["250"]
    assert len([request for request in server.requests if request.path.endswith("/issues/")]) == 6
    with pytest.raises(BadReference, match="no project is called other"):
        glitchtip.issue_by_short_id("OTHER-1")


def test_issues_seen_lately_in_another_order_are_looked_for_in_some_pages(server):
    """Pages without any are skipped; where it had to stop, it says so."""
    clock = VirtualClock()
    ages = iter([5, 5, 0, 5])
    cursors = iter("abcdefgh")
    server.answer = lambda request: glitchtip_page([row(1, next(ages))], next(cursors))
    glitchtip = connect(server, GLITCHTIP, clock)
    query = IssueQuery(sort="new", seen_within=timedelta(hours=2))
    page = glitchtip.issues(query)
    assert (len(page.items), page.next, page.note) == (1, "c", "")
    assert len(server.requests) == 3
    old = iter("ABCDEFGH")
    server.answer = lambda request: glitchtip_page([row(1, 5)], next(old))
    page = glitchtip.issues(query)
    assert (page.items, page.next) == ((), None)
    assert "stopped here" in page.note
    assert len(server.requests) == 8


def test_glitchtip_gets_the_number_of_a_project(server):
    """A slug would be a 422."""
    server.answer = lambda request: (
        as_json([{"id": "7", "slug": "Web", "name": "Web"}]) if request.path.endswith("/projects/") else as_json([])
    )
    connect(server, GLITCHTIP).issues(IssueQuery(projects=(Project("", "web"),)))
    assert server.requests[-1].values("project") == ["7"]


# --- Bugsink ----------------------------------------------------------------------------------------------------------


class ManyIssues:
    """A Bugsink with a number of pages of issues, each seen one hour before the one above."""

    def __init__(self, server: HttpServer, pages: int, per_page: int = 250) -> None:
        self.server = server
        self.pages = pages
        self.per_page = per_page
        server.answer = self.answer

    def answer(self, request: Request) -> Any:
        page = int(request.value("cursor") or 0)
        rows = [
            {
                "id": f"0190d1a5-7b3c-7c4e-9d1f-{page * 1000 + place:012d}",
                "friendly_id": f"WEB-{page * self.per_page + place}",
                "calculated_type": "E",
                "last_seen": (START - timedelta(hours=page * self.per_page + place)).isoformat(),
            }
            for place in range(self.per_page)
        ]
        following = f"{self.server.url}/api/canonical/0/issues/?cursor={page + 1}" if page + 1 < self.pages else None
        return as_json({"results": rows, "next": following, "previous": None})


def test_a_search_of_bugsink_stops_at_its_bound_and_says_so(server):
    """Nine pages of one project; no more."""
    ManyIssues(server, pages=50)
    page = connect(server, BUGSINK).issues(IssueQuery("nothing like it", (WEB,)))
    assert page.items == ()
    assert "Not all issues were searched" in page.note
    assert len(server.requests) == 9


def test_a_list_of_bugsink_asks_for_no_page_that_it_does_not_need(server):
    """Also with a time: older ones end it."""
    ManyIssues(server, pages=50)
    bugsink = connect(server, BUGSINK, VirtualClock())
    assert len(bugsink.issues(IssueQuery(projects=(WEB,), limit=100)).items) == 100
    lately = bugsink.issues(IssueQuery(projects=(WEB,), seen_within=timedelta(hours=3, minutes=1)))
    assert [issue.short_id for issue in lately.items] == ["WEB-0", "WEB-1", "WEB-2", "WEB-3"]
    assert (lately.next, lately.note) == (None, "")
    assert len(server.requests) == 2


def test_a_slow_bugsink_is_not_asked_for_ever(server):
    """After ten seconds the list is what there is, and says so."""
    clock = VirtualClock()
    many = ManyIssues(server, pages=1, per_page=1)

    def answer(request: Request) -> Any:
        clock.advance(4)
        return many.answer(request)

    server.answer = answer
    projects = tuple(Project(str(number), f"p{number}") for number in range(10))
    page = connect(server, BUGSINK, clock).issues(IssueQuery(projects=projects))
    assert len(page.items) == 3
    assert "Not all issues were searched" in page.note


@pytest.mark.parametrize("cursor", ["x", "-1", "1e9", "9" * 30, "²"])
def test_a_page_that_is_none_of_bugsinks(server, cursor):
    """A cursor of another server, say."""
    with pytest.raises(BadQuery, match="list the issues again"):
        connect(server, BUGSINK).issues(IssueQuery(projects=(WEB,)), cursor)


def test_bugsink_counts_only_what_it_has_whole(server):
    """Evicted events, or more than it lists, would make a picture that is wrong."""
    issue_row = {"id": "0190d1a5-7b3c-7c4e-9d1f-2a3b4c5d6e7f", "friendly_id": "WEB-1", "project": 2,
                 "digested_event_count": 3, "stored_event_count": 2}  # fmt: skip
    event = {"id": "1", "event_id": "a" * 32, "ingested_at": START.isoformat()}

    def answer(request: Request) -> Any:
        if request.path.endswith("/projects/"):
            return as_json({"results": [{"id": 2, "slug": "web", "name": "Web"}], "next": None})
        if request.path.endswith("/events/"):
            more = f"{server.url}/x?cursor=1" if issue_row["stored_event_count"] == 9 else None
            return as_json({"results": [event], "next": more})
        return as_json(issue_row)

    server.answer = answer
    bugsink = connect(server, BUGSINK, VirtualClock())
    issue = bugsink.issue_by_short_id("WEB-1")
    with pytest.raises(Unsupported, match="deleted some events"):
        bugsink.issue_counts(issue, timedelta(days=1))
    issue_row["stored_event_count"] = 3
    assert sum(bugsink.issue_counts(issue, timedelta(days=1)).counts) == 1
    issue_row["stored_event_count"] = issue_row["digested_event_count"] = 9
    with pytest.raises(Unsupported, match="too many events"):
        bugsink.issue_counts(issue, timedelta(days=1))


def test_a_next_page_of_bugsink_elsewhere_is_not_believed(server):
    """The cursor comes only from its own address."""
    ManyIssues(server, pages=2, per_page=1)
    inner = server.answer

    def answer(request: Request) -> Any:
        reply = inner(request)
        reply.body = reply.body.replace(server.url.encode(), b"http://evil.example")
        return reply

    server.answer = answer
    connect(server, BUGSINK).issues(IssueQuery("nothing", (WEB,)))
    assert len(server.requests) == 1
