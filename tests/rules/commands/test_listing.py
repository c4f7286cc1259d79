"""What `issues` asks for, and how a row reads."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest

from errbot_sentry.chat.render.layout import Layout
from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.commands.lists import read_status
from errbot_sentry.commands.views import issue_row
from errbot_sentry.domain.errors import BadToken, UsageError
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, IssueQuery, Page, Project
from errbot_sentry.domain.text import weight
from tests.rules.commands.world import NOW, WEB, World, issue


def test_the_row_shows_what_there_is() -> None:
    world = World([issue(1, substatus="regressed")])
    (line,) = world.lines("issues")
    assert line == (
        "#1 WEB-1 Problem 1 · ✗ error · shop.cart in pay · a minute ago · 3 days old · 1.2k events · 3 users · "
        "▁▂▄█ · regressed · https://sentry.example.com/organizations/acme/issues/101/"
    )


def test_what_the_server_does_not_tell_is_absent() -> None:
    """Bugsink has no level, users, assignee or trend."""
    world = World([issue(1, level=None, culprit="", users=None, trend=(), link="", first_seen=None)])
    assert world.lines("issues") == ["#1 WEB-1 Problem 1 · a minute ago · 1.2k events"]


def test_the_options_reach_the_server() -> None:
    world = World([issue(1)])
    world.lines("issues Problem -p web -e production,staging -s freq -t 1h30m -n 25")
    (query,) = world.server.asked("issues")
    assert query == IssueQuery(
        "Problem", (WEB,), ("production", "staging"), "freq", timedelta(minutes=90), UNRESOLVED, 25
    )


def test_without_options_everything_unresolved_is_asked_in_one_request() -> None:
    world = World([issue(1)])
    world.lines("issues")
    assert world.server.calls == [("issues", IssueQuery())]


@pytest.mark.parametrize(
    ("words", "text", "status"),
    [
        ((), "", UNRESOLVED),
        (("timeout",), "timeout", UNRESOLVED),
        (("is:resolved", "x"), "x", RESOLVED),
        (("x", "IS:ignored"), "x", ARCHIVED),
        (("is:muted",), "", ARCHIVED),
        (("is:unassigned",), "is:unassigned", UNRESOLVED),
        (("!is:resolved",), "!is:resolved", None),
        (("is:[resolved,archived]",), "is:[resolved,archived]", None),
        (("is:resolved", "is:unresolved"), "is:resolved is:unresolved", None),
        (('"is:resolved"',), '"is:resolved"', UNRESOLVED),
    ],
)
def test_the_status_in_the_query(words: tuple[str, ...], text: str, status: str | None) -> None:
    assert read_status(words) == (text, status)


def test_an_empty_list_says_what_was_looked_for() -> None:
    world = World([issue(1)])
    assert world.lines('issues "no such thing" -p web -e prod -t 24h') == [
        'No unresolved issues for "no such thing" in web in environment prod seen in the last 1d.'
    ]


def test_the_servers_note_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([issue(1)])
    page = Page((issue(1),), note="Looked at the newest 1000 issues only.", skipped=2)
    monkeypatch.setattr(world.server, "issues", lambda query, cursor=None: page)
    assert world.lines("issues")[1:] == [
        "2 rows of the server's answer could not be read. Looked at the newest 1000 issues only."
    ]


def test_a_failure_of_the_server_is_its_own_sentence_and_leaves_the_last_list() -> None:
    world = World([issue(1)])
    world.lines("issues")
    world.server.fail("issues", BadToken("The server refuses the token."))
    with pytest.raises(BadToken):
        world.lines("issues -n 3")
    assert "WEB-1" in world.lines("issue #1")[0]


@pytest.mark.parametrize("typed", ["next 2", "prev x"])
def test_paging_takes_no_words(typed: str) -> None:
    with pytest.raises(UsageError, match="Usage: !sentry"):
        World([issue(1)]).lines(typed)


HOSTILE = "Fehler: größer *bold* [x](http://evil) `code` <!here> @channel __init__ " * 12


@pytest.mark.parametrize("title", ["short", "word " * 200, "x" * 2000, HOSTILE, "🔥" * 700, "a\nb\x00\r\u2028c " * 80])
def test_a_row_fits_an_irc_line_in_one_piece(title: str) -> None:
    world = World([issue(1, title=title, culprit="module.sub.function_with_a_long_name in handle" * 3)])
    (view,) = world.views("issues")
    text = Templates("irc").render(view.template, view.values)
    assert len(text.split("\n")) == 1
    assert len(text.encode()) <= 400
    (message,) = Layout("irc", 510).messages(text)
    assert message == text


def test_an_absurd_link_is_left_out_of_the_row() -> None:
    row = issue_row(issue(1, link="https://sentry.example.com/" + "x" * 900), 1, NOW)
    assert row.link == ""
    assert weight(row.title) >= weight("Problem 1")


def test_the_slug_of_the_project_may_be_anything() -> None:
    odd = Project("9", "*[odd]*")
    world = World([issue(1, odd, short_id="ODD-1")])
    world.lines("issues -p 9")
    assert cast(IssueQuery, world.server.asked("issues")[0]).projects == (odd,)
