"""The same failures, thrown at every call of every dialect: one error of ours, one sentence, no secret."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errbot_sentry.config.secrets import Secret
from errbot_sentry.config.settings import ServerSettings
from errbot_sentry.domain.errors import (
    BadAnswer,
    BadQuery,
    BadToken,
    MissingScope,
    NotFound,
    RateLimited,
    RedirectRefused,
    ServerError,
    ServerFailed,
    TimedOut,
    TooLarge,
    Unreachable,
    UserError,
)
from errbot_sentry.domain.issues import ArchiveUntil, Assignee, Issue, IssueQuery, Project, ResolveIn
from errbot_sentry.server.connection import Connection
from errbot_sentry.server.http.calls import Limits
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY, Server
from tests.fakes.http_server import HttpServer, Reply, Request, as_html, as_json

TOKEN = "deadbeef" * 5
KINDS = (SENTRY, GLITCHTIP, BUGSINK)
# What has to time out does so soon; what has to answer may take its time on a busy machine.
FAST = Limits(connect=10, read=0.5, total=1, bytes=100_000)
PATIENT = Limits(connect=10, read=30, total=60, bytes=100_000)
UUID = "0190d1a5-7b3c-7c4e-9d1f-2a3b4c5d6e7f"


def connect(url: str, kind: str, limits: Limits = PATIENT) -> Connection:
    chosen = ServerSettings(url, kind, Secret(TOKEN), "" if kind == BUGSINK else "acme")
    return Connection(chosen, limits=limits, sleep=lambda _seconds: None)


def an_issue(kind: str) -> Issue:
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return Issue(UUID if kind == BUGSINK else "12", "WEB-1A", "t", Project("2", "web"), last_seen=at)


Call = Callable[[Server, Issue], Any]
CALLS: dict[str, Call] = {
    "projects": lambda server, issue: server.projects(),
    "issues": lambda server, issue: server.issues(IssueQuery(projects=(issue.project,))),
    "issues within": lambda server, issue: server.issues(
        IssueQuery(projects=(issue.project,), seen_within=timedelta(hours=1), sort="new")
    ),
    "issue": lambda server, issue: server.issue(issue.id),
    "issue_by_short_id": lambda server, issue: server.issue_by_short_id("WEB-1"),
    "issue_of_event": lambda server, issue: server.issue_of_event("a" * 32),
    "latest_event": lambda server, issue: server.latest_event(issue),
    "comments": lambda server, issue: server.comments(issue),
    "events": lambda server, issue: server.events(issue, 10),
    "tags": lambda server, issue: server.tags(issue),
    "tag_values": lambda server, issue: server.tag_values(issue, "shard"),
    "issue_counts": lambda server, issue: server.issue_counts(issue, timedelta(hours=24)),
    "project_counts": lambda server, issue: server.project_counts(issue.project, timedelta(hours=24)),
    "releases": lambda server, issue: server.releases((issue.project,), 10),
    "resolve": lambda server, issue: server.resolve(issue),
    "reopen": lambda server, issue: server.reopen(issue),
    "note": lambda server, issue: server.note(issue, "text"),
    "resolve_in": lambda server, issue: server.resolve_in(issue, ResolveIn(next_release=True)),
    "archive": lambda server, issue: server.archive(issue, ArchiveUntil()),
    "assign": lambda server, issue: server.assign(issue, Assignee("user", "", "ann@example.com")),
    "assign team": lambda server, issue: server.assign(issue, Assignee("team", "ops")),
    "set_priority": lambda server, issue: server.set_priority(issue, "high"),
    "merge": lambda server, issue: server.merge((issue, Issue("13", "WEB-2", "u", issue.project))),
}
# What is refused before anything is asked.
REFUSED = {
    GLITCHTIP: {"resolve_in", "set_priority"},
    BUGSINK: {"comments", "tags", "tag_values", "project_counts", "assign", "assign team", "set_priority", "merge"},
    SENTRY: set(),
}
MATRIX = [(kind, name) for kind in KINDS for name in CALLS if name not in REFUSED[kind]]


def endless() -> Iterator[bytes]:
    for _ in range(2000):
        yield b" " * 10_000


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


FAILURES: dict[str, tuple[Callable[[Request], Reply], type[ServerError], str]] = {
    "bad token": (lambda r: as_json({"detail": "Invalid token"}, 401), BadToken, "SENTRY_AUTH_TOKEN"),
    "missing scope": (lambda r: as_json({"detail": "Permission denied"}, 403), MissingScope, "give it"),
    "bad question": (lambda r: as_json({"detail": [{"msg": "no"}]}, 422), BadQuery, "(422)"),
    "rate limit": (lambda r: as_json("You are too fast", 429, Retry_After="42"), RateLimited, "in 42 s"),
    "server error": (lambda r: as_html("<h1>500</h1>", 500), ServerFailed, "(500)"),
    "gateway": (lambda r: as_html("<h1>502</h1>", 502), ServerFailed, "(502)"),
    "login page": (lambda r: as_html(), BadAnswer, "login page"),
    "redirect elsewhere": (
        lambda r: Reply(302, headers={"Location": "https://evil.example/"}), RedirectRefused, "is not sent there",
    ),
    "huge body": (
        lambda r: Reply(200, headers={"Content-Type": "application/json"}, pieces=endless()), TooLarge, "larger than",
    ),
    "not json": (lambda r: Reply(200, b'{"a":', {"Content-Type": "application/json"}), BadAnswer, "cannot be read"),
    "broken connection": (lambda r: Reply(raw=hang_up), Unreachable, "cannot be reached"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), MATRIX, ids=lambda part: part.replace(" ", "_"))
def test_every_failure_of_every_call_has_its_error_and_sentence(kind, name):
    """Class, host and advice; never the token, never the server's words."""
    with HttpServer(as_json) as server:
        connection = connect(server.url, kind)
        host = server.url.removeprefix("http://")
        for failure, (answer, expected, words) in FAILURES.items():
            server.answer = answer
            with pytest.raises(ServerError) as caught:
                CALLS[name](connection.server(), an_issue(kind))
            said = f"{name} on {kind}, {failure}: {caught.value!r}"
            if name in ("resolve_in", "assign") and failure == "bad question":
                assert isinstance(caught.value, BadQuery), said
                continue
            assert type(caught.value) is expected, said
            assert words in str(caught.value), said
            assert host in str(caught.value), said
            assert TOKEN not in str(caught.value) + caught.value.detail, said
            assert "evil" not in str(caught.value), said
        connection.close()


@pytest.mark.parametrize(("kind", "name"), MATRIX, ids=lambda part: part.replace(" ", "_"))
def test_silence_of_every_call_is_timed_out(kind, name):
    """After the time of one call, whatever it is."""
    with HttpServer(as_json) as server:
        server.answer = lambda request: Reply(raw=lambda _connection: server.stopping.wait(20))
        connection = connect(server.url, kind, FAST)
        with pytest.raises(TimedOut):
            CALLS[name](connection.server(), an_issue(kind))
        connection.close()


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in sorted(REFUSED[kind])])
def test_what_is_refused_asks_nothing(kind, name):
    """Not even whether the issue is there."""
    with HttpServer(lambda request: as_json({})) as server:
        connection = connect(server.url, kind)
        with pytest.raises(UserError):
            CALLS[name](connection.server(), an_issue(kind))
        assert not server.requests


@pytest.mark.parametrize("kind", KINDS)
def test_not_found_is_an_error_or_none(kind):
    """None where absence is an answer: no event yet, no event kept."""
    with HttpServer(lambda request: as_json({"detail": "Not Found"}, 404)) as server:
        connection = connect(server.url, kind)
        found = connection.server()
        for name in (name for k, name in MATRIX if k == kind):
            if name in ("latest_event", "issue_of_event") and kind != BUGSINK:
                if (name, kind) != ("issue_of_event", GLITCHTIP):
                    assert CALLS[name](found, an_issue(kind)) is None
                continue
            with pytest.raises((NotFound, UserError)):
                CALLS[name](found, an_issue(kind))


# --- nonsense of the right content type ------------------------------------------------------------------------------

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
KEYS = st.sampled_from(
    """id shortId short_id title project slug name status substatus statusDetails assignedTo metadata stats 24h 30d 14d
    count lastSeen firstSeen results next previous friendly_id is_resolved is_muted digested_event_count
    stored_event_count last_seen calculated_type group groupId event eventID event_id entries data tags key topValues
    value values exception stacktrace frames vars context type intervals groups series sum(quantity) version
    dateCreated projects merge parent children user text detail""".split()  # noqa: SIM905 - seventy quoted words
)
NONSENSE = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)


@pytest.mark.parametrize(("kind", "name"), MATRIX, ids=lambda part: part.replace(" ", "_"))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answers=st.lists(NONSENSE, min_size=1, max_size=3))
def test_nonsense_is_a_bad_answer_or_an_empty_one(kind, name, answers):
    """JSON of any shape in answer to any call: an error of ours, or a value of ours; never a TypeError."""
    left = list(answers)
    with HttpServer(lambda request: as_json(left.pop(0) if len(left) > 1 else left[0])) as server:
        connection = connect(server.url, kind)
        with suppress(ServerError, UserError):
            CALLS[name](connection.server(), an_issue(kind))
        connection.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("broken", [{"id": None, "title": TOKEN}, TOKEN, None], ids=["no id", "text", "null"])
def test_rows_that_cannot_be_read_are_skipped_counted_and_logged_once(caplog, kind, broken):
    """In lists of issues and of events. If no row can be read, it is a bad answer."""
    rows = [broken, {"id": "12", "status": "unresolved", "assignedTo": None}, broken]

    def answer(request: Request) -> Reply:
        return as_json(rows if kind != BUGSINK or request.path.endswith("/projects/") else {"results": rows})

    with HttpServer(answer) as http:
        connection = connect(http.url, kind)
        server, issue = connection.server(), an_issue(kind)
        query = IssueQuery(projects=(issue.project,))
        pages = [server.issues(query), server.issues(query), server.events(issue, 10)]
        assert [([row.id for row in page.items], page.skipped) for page in pages] == [(["12"], 2)] * 3
        assert server.health().unreadable == 6
        assert server.health().failures == 0
        logged = [message for message in caplog.messages if message.startswith("2 of the 3 ")]
        assert ["issues" in message for message in logged] == [True, False]  # one for each kind of list
        assert TOKEN not in caplog.text
        rows[:] = [broken]
        with pytest.raises(BadAnswer):
            server.issues(query)
        with pytest.raises(BadAnswer):
            server.events(issue, 10)
        connection.close()


def test_a_merge_is_not_confirmed_by_a_row_that_cannot_be_read():
    """The issue in it may be the one that should be gone."""
    with HttpServer(lambda request: as_json([{"id": "13"}, {"id": None}])) as http:
        connection = connect(http.url, GLITCHTIP)
        with pytest.raises(BadAnswer, match="does not say"):
            CALLS["merge"](connection.server(), an_issue(GLITCHTIP))
        connection.close()


def test_a_row_that_is_not_json_for_python_leaves_the_others():
    """A number of thousands of digits is valid JSON, and nothing that Python reads."""
    body = b'[{"id": "12", "x": ' + b"9" * 5000 + b'}, {"id": "13", "project": 5}, {"id": ' + b"9" * 5000 + b"}]"
    with HttpServer(lambda request: Reply(200, body, {"Content-Type": "application/json"})) as http:
        connection = connect(http.url, SENTRY)
        page = connection.server().issues(IssueQuery())
        assert ([issue.id for issue in page.items], page.skipped) == (["12", "13"], 1)
        connection.close()
