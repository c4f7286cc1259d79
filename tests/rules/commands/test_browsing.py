"""`trace`, `events`, `tags`, `projects`, `releases`, `graph`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from errbot_sentry.commands.views import unfurl_values
from errbot_sentry.domain import charts
from errbot_sentry.domain.charts import block_chart
from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.errors import BadReference, TimedOut, Unsupported, UsageError
from errbot_sentry.domain.issues import (
    Assignee,
    Counts,
    EventBreadcrumb,
    EventRequest,
    ExceptionInfo,
    Frame,
    IssueActivity,
    Monitor,
    Release,
    SuspectCommit,
    TagSpread,
)
from errbot_sentry.domain.stack_trace import FULL, SHORT, shortened, trace_lines
from tests.rules.commands.test_references import thread_issue
from tests.rules.commands.world import EVENT, NOW, OPS, ROOMS, VAULT, World, issue, rendered

BROWSER = TagSpread("browser", (("Firefox 140", 600), ("Chrome", 399), ("", 1)), 1000, 12)
DAY = timedelta(days=1)


@pytest.fixture
def world() -> World:
    made = World([issue(1), issue(3, VAULT)], access=ROOMS)
    made.server.events_by_issue["101"] = EVENT
    made.server.spreads = (BROWSER,)
    made.server.counts = Counts(NOW - 3 * DAY, DAY, (0, 4, 12))
    return made


def test_the_trace_is_in_pythons_order_with_library_frames_folded(world: World) -> None:
    assert world.lines("trace WEB-1") == [
        "WEB-1 Problem 1 · https://sentry.example.com/organizations/acme/issues/101/",
        "```",
        "  … 1 library frame",
        "  shop/main.py:7 in main",
        "  >    7     pay(cart)",
        "  shop/cart.py:42 in pay",
        "      41 def pay(cart):",
        "  >   42     return 1 / cart.left",
        "      cart = <Cart left=0>",
        "      user = 'bob'",
        "  … 1 library frame",
        "ZeroDivisionError: division by zero",
        "```",
        f"event {'e' * 32} · release shop@1.4",
    ]


def test_the_full_trace_has_everything_and_a_file(world: World) -> None:
    (view,) = world.views("trace WEB-1 --full")
    assert view.upload is not None
    assert (view.upload.name, view.upload.media_type) == ("WEB-1.txt", "text/plain")
    text = view.upload.make().decode()
    assert "threading.py:10 in run (library)" in text
    assert "       6 try:" in text
    assert view.values["uploaded"] is False
    assert len(rendered(replace(view, values={**view.values, "uploaded": True}))) == 2  # the file says the rest


def test_a_chain_shows_the_cause_first() -> None:
    cause = ExceptionInfo("KeyError", "'x'", (Frame("f", "a.py", 1, in_app=True),))
    event = replace(EVENT, exceptions=(cause, ExceptionInfo("RuntimeError", "", ())))
    assert trace_lines(event, SHORT) == ["  a.py:1 in f", "KeyError: 'x'", "and then:", "RuntimeError"]


def test_without_frames_of_the_program_the_last_ones_are_shown() -> None:
    frames = tuple(Frame(f"f{n}", "lib.py", n) for n in range(6))
    event = replace(EVENT, exceptions=(ExceptionInfo("E", "", frames),))
    assert trace_lines(event, SHORT) == [
        "  … 3 library frames",
        "  lib.py:3 in f3",
        "  lib.py:4 in f4",
        "  lib.py:5 in f5",
        "E",
    ]


def test_a_recursion_is_bounded_and_says_what_is_missing() -> None:
    frames = tuple(Frame("again", "a.py", n, in_app=True) for n in range(1000))
    lines = trace_lines(replace(EVENT, exceptions=(ExceptionInfo("RecursionError", "", frames),)), SHORT)
    assert len(lines) == 1001
    short = shortened(lines, 30)
    assert short[0] == "… 972 lines before this"
    assert len(short) == 30
    assert short[-1] == "RecursionError"


def test_hostile_frames_stay_in_their_block() -> None:
    world = World([issue(1)])
    nasty = Frame(
        "f`", "a\n```\n@here.py", 1, in_app=True, source=((1, "```\x00" + "x" * 999),), variables=(("`", "a\nb"),)
    )
    world.server.events_by_issue["101"] = replace(EVENT, exceptions=(ExceptionInfo("E", "a\n```", (nasty,)),))
    lines = world.lines("trace WEB-1")
    assert [line for line in lines if line.startswith("```")] == ["```", "```"]
    assert max(map(len, lines)) < 200
    assert FULL.variables > SHORT.variables


def test_a_missing_trace_is_said(world: World) -> None:
    world.server.events_by_issue["101"] = replace(EVENT, exceptions=())
    assert world.lines("trace WEB-1")[1] == "Its latest event has no stack trace."
    del world.server.events_by_issue["101"]
    assert world.lines("trace WEB-1")[1] == "The server no longer has any event of this issue."


def test_events(world: World) -> None:
    world.server.events_by_issue["101"] = replace(
        EVENT, at=NOW - timedelta(hours=2), environment="prod", user="bob@example.org"
    )
    lines = world.lines("events WEB-1 -n 2")
    assert lines == [
        "WEB-1 Problem 1 · events",
        f"#1 {'e' * 32} · 2 hours ago · prod · shop@1.4 · bob@example.org · ZeroDivisionError: division by zero",
        f"#2 {'e' * 32} · 2 hours ago · prod · shop@1.4 · bob@example.org · ZeroDivisionError: division by zero",
    ]


def test_looking_closer_keeps_the_list_of_issues(world: World) -> None:
    """A row of an issue's own list is that issue: after `events #1`, `#1` is clear and `#2` is not."""
    world.server.stored["102"] = issue(2)
    world.lines("issues")
    world.clock.advance(1)
    for command in ("events #1", "tags #1", "trace #1", "graph #1", "projects", "releases"):
        world.lines(command)
    assert "WEB-1 resolved" in world.lines("resolve #1")[0]
    with pytest.raises(BadReference, match="#2 could mean two issues"):
        world.lines("resolve #2")
    with pytest.raises(BadReference, match="last page"):
        world.lines("next")
    assert "WEB-2" in world.lines("issue @latest")[0]
    world.lines("issues")
    assert "WEB-2 resolved" in world.lines("resolve #1")[0]


def test_a_row_of_events_alone_is_their_issue(world: World) -> None:
    world.lines("events WEB-1")
    assert "WEB-1" in world.lines("issue #2")[0]
    with pytest.raises(BadReference, match="I remember no list of issues of yours here"):
        world.lines("next")


def test_tags(world: World) -> None:
    assert world.lines("tags WEB-1") == [
        "WEB-1 Problem 1 · tags",
        "#1 browser · Firefox 140 60% · Chrome 40% · (empty) <1% · 12 values",
    ]
    assert world.lines("tags WEB-1 browser") == [
        "WEB-1 Problem 1 · tag browser",
        "#1 Firefox 140 · 60% · 600 events · ████████████",
        "#2 Chrome · 40% · 399 events · ████████",
        "#3 (empty) · <1% · 1 event · █",
    ]
    with pytest.raises(BadReference, match="No event of this issue has the tag 'colour'"):
        world.lines("tags WEB-1 colour")


def test_tags_in_a_thread() -> None:
    world = World([issue(3, VAULT)], thread_issue=thread_issue)
    world.server.spreads = (BROWSER,)
    thread = Conversation("#ops", "17.1")
    assert world.lines("tags", conversation=thread)[0] == "VAULT-3 Problem 3 · tags"
    assert world.lines("tags browser", conversation=thread)[0] == "VAULT-3 Problem 3 · tag browser"


def test_projects_are_those_of_the_room(world: World) -> None:
    assert world.lines("projects") == ["#1 web"]
    assert world.lines("projects", conversation=Conversation("#vault")) == ["#1 vault", "#2 web"]
    assert world.lines("projects", conversation=Conversation("#elsewhere"))[0].startswith(
        "No projects are visible here."
    )


def test_releases_of_hidden_projects_are_not_shown(world: World) -> None:
    world.server.known_releases = (
        Release("shop@1.4", NOW - timedelta(days=2), 3, ("web", "vault")),
        Release("vault@9", NOW, 1, ("vault",)),
    )
    assert world.lines("releases") == ["#1 shop@1.4 · 2 days ago · web"]
    assert [project.slug for project in world.server.asked("releases")[0]] == ["web"]


@pytest.mark.parametrize("command", ["trace", "events", "tags", "graph"])
def test_a_hidden_issue_is_hidden_from_every_look(world: World, command: str) -> None:
    with pytest.raises(BadReference, match="Issue VAULT-3 not found here"):
        world.lines(f"{command} VAULT-3", conversation=OPS)


@pytest.mark.parametrize(
    "typed",
    [
        "trace WEB-1 WEB-2",
        "events WEB-1 x",
        "tags WEB-1 a b",
        "projects x",
        "releases x",
        "graph WEB-1 -p web",
        "graph -p a -p b",
        "graph WEB-1 -t 200d",
    ],
)
def test_words_too_many_show_the_usage(world: World, typed: str) -> None:
    with pytest.raises(UsageError, match=f"Usage: !sentry {typed.split()[0]}"):
        world.lines(typed)


def test_the_graph_in_block_characters(world: World) -> None:
    assert world.lines("graph WEB-1 -t 3d") == [
        "WEB-1 Problem 1: 16 events, peak 12 on Nov 19 UTC",
        "Nov 17 `▁▃█` Nov 20 UTC, a day each",
    ]
    assert world.server.asked("issue_counts") == [("101", timedelta(days=3))]
    assert world.lines("graph -p web")[0] == "web: 16 events, peak 12 on Nov 19 UTC"


def test_a_graph_of_nothing(world: World) -> None:
    world.server.counts = Counts(NOW - 3 * DAY, DAY, (0, 0, 0))
    (view,) = world.views("graph WEB-1")
    assert view.upload is None
    assert world.lines("graph WEB-1") == ["WEB-1 Problem 1: no events from Nov 17 to Nov 20 UTC."]
    assert block_chart(Counts(NOW, DAY, ())).blocks == ""


def test_a_long_series_keeps_its_sum_in_sixty_blocks() -> None:
    chart = block_chart(Counts(NOW - 14 * DAY, timedelta(hours=1), (1,) * 336))
    assert chart.blocks == "█" * 60 or len(chart.blocks) == 60
    assert chart.total == "336 events"


def test_the_chart_is_a_png_and_marks_releases_without_needing_them(world: World) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, the optional extra, is not installed")
    (view,) = world.views("graph WEB-1")
    assert view.upload is not None
    world.server.known_releases = (
        Release("shop@1.4 $x^2$ 漢🔥", NOW - DAY, 3, ("web",)),
        Release("old", NOW - 90 * DAY),
    )
    marked = view.upload.make()
    assert marked.startswith(b"\x89PNG")
    world.server.fail("releases", Unsupported("Bugsink has no releases here."))
    assert view.upload.make().startswith(b"\x89PNG")
    assert view.upload.make() == marked  # with the releases again


def test_hostile_titles_are_drawn_as_text() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, the optional extra, is not installed")
    assert charts.draw(Counts(NOW, DAY, (1,)), "$\\frac{1}{0}$ \x00\x1b 漢🔥\n" * 9).startswith(b"\x89PNG")


def test_without_matplotlib_there_is_no_chart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "can_draw", lambda: False)
    (view,) = world.views("graph WEB-1")
    assert view.upload is None


def test_a_release_of_hidden_projects_too_shows_no_number_of_theirs(world: World) -> None:
    world.server.known_releases = (
        Release("shop@1.4", NOW, 3, ("web", "vault")),
        Release("shop@1.5", NOW, 4, ("web",)),
    )
    assert world.lines("releases") == ["#1 shop@1.4 · now · web", "#2 shop@1.5 · now · 4 new issues · web"]
    assert "3 new issues" in world.lines("releases", conversation=Conversation("#vault"))[0]


def test_variables_that_python_sets_itself_are_left_out_of_a_trace() -> None:
    """At the level of a module they are most of its variables."""
    world = World([issue(1)])
    variables = (("__builtins__", "{...}"), ("__name__", "'shop'"), ("cart", "[1, 2]"))
    frame = Frame("<module>", "shop/main.py", 7, in_app=True, variables=variables)
    world.server.events_by_issue["101"] = replace(
        EVENT, exceptions=(ExceptionInfo("ZeroDivisionError", "division by zero", (frame,)),)
    )
    for typed in ("trace WEB-1", "trace WEB-1 --full"):
        text = "\n".join(world.lines(typed))
        assert "cart = [1, 2]" in text
        assert "__" not in text


FULL_EVENT = replace(
    EVENT,
    transaction="/checkout/",
    request=EventRequest("POST", "https://shop.example.com/checkout", "a=1", (("User-Agent", "Firefox"),), "cart=7"),
    contexts=(("runtime", (("name", "CPython"), ("version", "3.12"))),),
    breadcrumbs=tuple(
        EventBreadcrumb(NOW + timedelta(seconds=number), "http", "info", f"GET /{number}\nx", (("status", "200"),))
        for number in range(12)
    ),
)


def full_world(**options: object) -> World:
    made = World([issue(1)], **options)
    made.server.events_by_issue["101"] = FULL_EVENT
    made.server.activity = (IssueActivity("set_resolved", NOW - DAY, "bob"), IssueActivity("note", None, "al", "why?"))
    made.server.suspect_commits = (
        SuspectCommit("1f2e3d4c5b6a7", "fix it", "bob", at=NOW - DAY, link="https://x.org/1"),
    )
    made.server.owners = (Assignee("team", "payments"), Assignee("user", "bob"))
    return made


def test_a_full_issue_has_request_contexts_activity_commits_and_owners() -> None:
    lines = full_world().lines("issue WEB-1 --full")
    assert lines[lines.index("request") :] == [
        "request",
        "POST https://shop.example.com/checkout?a=1",
        "User-Agent: Firefox",
        "body: cart=7",
        "contexts",
        "runtime: name=CPython · version=3.12",
        "activity",
        "a day ago: resolved by bob",
        "note by al: why?",
        "suspect commits",
        "1f2e3d4c5b6a fix it, by bob, a day ago · https://x.org/1",
        "owners",
        "team payments",
        "bob",
    ]


SECRET_PAIRS = (("user", "bob"), ("password", "hunter2 x"), ("apiKey", "sekret"), ("seen", "Bearer abcdef123456"))


def test_no_credentials_of_an_event_are_shown() -> None:
    """Not every SDK masks them, and Bugsink and GlitchTip show what was sent."""
    world = full_world()
    world.server.events_by_issue["101"] = replace(
        FULL_EVENT,
        tags=SECRET_PAIRS,
        request=EventRequest(
            "POST", "https://u:hunter2@shop.example.com/pay?token=hunter2&a=1", "token=hunter2&a=1",
            (("X-Trace", "Basic aHVudGVyMjpodW50ZXIy"),), '{"card": 4, "nested": {"password": "hunter2 x"}}',
        ),
        contexts=(("auth", SECRET_PAIRS),),
        breadcrumbs=(EventBreadcrumb(NOW, "http", "info", "GET /?sid=hunter2", SECRET_PAIRS),
                     EventBreadcrumb(NOW, "", None, "", (("a", "1"),))),
        exceptions=(ExceptionInfo("E", "x", (Frame("f", "a.py", 7, in_app=True, variables=SECRET_PAIRS),)),),
    )  # fmt: skip
    full, crumbs, trace = (world.lines(f"{typed} WEB-1") for typed in ("issue --full", "breadcrumbs", "trace --full"))
    assert not [line for line in (*full, *crumbs, *trace) if re.search("hunter2|sekret|aHVud|abcdef123456", line)]
    assert "POST https://[Filtered]@shop.example.com/pay?token=[Filtered]&a=1" in full
    assert 'body: {"card": 4, "nested": {"password": [Filtered]}}' in full
    assert "auth: user=bob · password=[Filtered] · apiKey=[Filtered] · seen=Bearer [Filtered]" in full
    assert "      password = [Filtered]" in trace
    assert crumbs[3] == "12:00:00         a=1"
    world.server.spreads = (TagSpread("session", (("hunter2", 3),), 3, 1),)
    assert world.lines("tags WEB-1")[1] == "#1 session · [Filtered] 100%"
    assert world.lines("tags WEB-1 session")[1].startswith("#1 [Filtered] · 100%")


def test_no_credentials_are_shown_of_what_an_exception_says_or_its_source_has() -> None:
    """Titles go into lists and summaries of links; on Bugsink and GlitchTip nobody has masked them."""
    secret = "postgres://bob:hunter2@db/shop?token=hunter2"
    source = ((6, 'PASSWORD = "hunter2"'), (7, f'connect("{secret}")'))
    error = ExceptionInfo(
        "InvalidTokenError", f"cannot use {secret}", (Frame("f", "a.py", 7, in_app=True, source=source),)
    )
    event = replace(FULL_EVENT, exceptions=(error,), title=secret, message=secret, user=secret, transaction=secret)
    titled = issue(1, title=f"InvalidTokenError: cannot use {secret}", culprit=secret)
    world = World([titled])
    world.server.events_by_issue["101"] = event
    typed = ("issues", "issue WEB-1", "issue --full WEB-1", "trace WEB-1", "trace --full WEB-1", "events WEB-1",
        "breadcrumbs WEB-1", "graph WEB-1", "tags WEB-1")  # fmt: skip
    read = {each: "\n".join(world.lines(each)) for each in typed}
    assert not [each for each, lines in read.items() if "hunter2" in lines]
    assert "InvalidTokenError: cannot use postgres://[Filtered]@db/shop?token=[Filtered]" in read["issues"]
    assert '>    7 connect("postgres://[Filtered]@db/shop?token=[Filtered]")' in read["trace WEB-1"]
    assert "hunter2" not in str(unfurl_values(titled, NOW))


@pytest.mark.parametrize("longest", [360, 1000])
def test_no_half_of_a_secret_is_left_where_a_text_is_cut_before_it_is_masked(longest: int) -> None:
    """What is masked makes room for what comes after it."""
    world = full_world()
    for before in range(longest - 60, longest + 10, 3):
        text = f"password='{'x' * (before - 40)}' url=postgres://bob:{'hunter2' * 9}@db"
        frame = Frame("f", "a.py", 7, in_app=True, source=((7, f"connect({text!r})"),), variables=(("url", text),))
        world.server.events_by_issue["101"] = replace(
            FULL_EVENT, message=text, tags=(("a", text),), exceptions=(ExceptionInfo("E", text, (frame,)),)
        )
        read = [line for typed in ("trace", "issue --full", "events") for line in world.lines(f"{typed} WEB-1")]
        assert not [line for line in read if "hunt" in line]


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("jwt.InvalidTokenError: Signature has expired: 5 s ago",) * 2,
        ("SecretNotFound: nothing at prod/db",) * 2,
        ("InvalidToken: five tries",) * 2,
        ("AccessToken: 0c61f2a9d5", "AccessToken: [Filtered]"),
    ],
)
def test_the_type_of_an_exception_stays_although_it_is_called_like_a_secret(title: str, shown: str) -> None:
    assert shown in "\n".join(World([issue(1, title=title)]).lines("issues"))


def test_a_full_issue_says_what_this_server_lacks_and_what_failed() -> None:
    world = full_world(unsupported=("read_activity", "read_owners"))
    world.server.fail("read_suspect_commits", TimedOut("No answer in time."))
    assert world.lines("issue WEB-1 --full")[-3:] == [
        "This server has no read_activity.",
        "Couldn't read its suspect commits: No answer in time.",
        "This server has no read_owners.",
    ]
    assert world.server.asked("read_activity") == []
    assert "request" not in world.lines("issue WEB-1")


def test_breadcrumbs_are_in_order_newest_last() -> None:
    lines = full_world().lines("breadcrumbs WEB-1 -n 2")
    assert lines[1:] == [
        "```",
        "12:00:10 info    http: GET /10 x status=200",
        "12:00:11 info    http: GET /11 x status=200",
        "```",
        f"event {'e' * 32} · transaction /checkout/ · release shop@1.4",
    ]


@pytest.mark.parametrize(
    ("event", "said"),
    [(None, "The server no longer has any event of this issue"), (EVENT, "Its latest event has no breadcrumbs.")],
)
def test_an_issue_without_breadcrumbs_says_so(event: object, said: str) -> None:
    world = World([issue(1)])
    world.server.events_by_issue.update({"101": event} if event else {})
    assert world.lines("breadcrumbs WEB-1")[1].startswith(said)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("first_seen", "high", "first seen, high priority"),
        ("set_priority", "low", "priority set to low by bob"),
        ("assigned", "a@example.com", "assigned to a@example.com by bob"),
        ("assigned", "", "assigned by bob"),
        ("set_resolved_in_release", "2.0 {x}", "resolved in release 2.0 {x} by bob"),
        ("set_regression", "", "regressed"),
        ("set_ignored", "", "archived by bob"),
        ("odd_thing", "{}", "odd thing by bob: {}"),
    ],
)
def test_activity_is_in_words(kind: str, text: str, words: str) -> None:
    world = full_world()
    world.server.activity = (IssueActivity(kind, NOW - DAY, "bob" if "by bob" in words else "", text),)
    assert f"a day ago: {words}" in world.lines("issue WEB-1 --full")


def test_monitors_that_fail_come_first_and_hidden_ones_not_at_all() -> None:
    world = World([issue(1), issue(2, VAULT)], access=ROOMS)
    world.server.monitors = (
        Monitor(
            "cron", "1", "backup", "web", "production", "ok", True, "0 3 * * *", last=NOW - DAY, link="https://x/1"
        ),
        Monitor("uptime", "2", "shop", "web", "", "failed", False, "1 minute", "https://shop.example.com", NOW),
        Monitor("cron", "3", "paused", "web", status="disabled"),
        Monitor("cron", "4", "secret", "vault", status="error", up=False),
        Monitor("uptime", "5", "tip", "web", status="up", up=True, since=NOW - DAY),
        Monitor("uptime", "6", "unsaid", "web", status="up", up=True),
    )
    assert [line.replace(" · https://x/1", "") for line in world.lines("monitors")] == [
        "#1 shop · ✗ failed · https://shop.example.com · uptime · 1 minute · last now · web",
        "#2 paused · · disabled · cron · never run · web",
        "#3 backup · ✓ ok · cron · 0 3 * * * · last a day ago · web · production",
        "#4 tip · ✓ up · uptime · for a day · web",
        "#5 unsaid · ✓ up · uptime · web",
    ]
    assert world.lines("monitors -n 1")[1] == "5 in all; -n 5 shows more."
    with pytest.raises(BadReference, match="isn't an issue"):
        world.lines("issue #1")


def test_what_the_server_does_not_have_is_refused_in_words() -> None:
    world = World([issue(1)], unsupported=("read_monitors", "assign", "feedback"))
    for typed in ("monitors", "assign WEB-1 me", "ack WEB-1", "feedback it broke"):
        with pytest.raises(Unsupported, match="This server has no "):
            world.lines(typed)
    assert world.server.calls == []
