"""Whatever an error or a server puts into the texts: every line fits, nothing raises, nothing becomes markup."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.domain.conversation import View
from errbot_sentry.domain.issues import Assignee, Event, ExceptionInfo, Frame, Issue, TagSpread
from errbot_sentry.domain.text import cut, in_lines, short_count, sparkline, weight
from tests.rules.commands.world import NOW, WEB, World, issue

NASTY = st.one_of(
    st.text(max_size=100),
    st.sampled_from(
        ["<!channel> @here", "[x](http://evil)", "**b** `c` __i__", "```\nx", "a\r\nPRIVMSG #x :hi", "\x00\x02\x03"]
    ),
)
TIMES = st.none() | st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone - hypothesis wants it naive and adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.just(timezone.utc),
)
COUNTS = st.none() | st.integers(min_value=0, max_value=10**12)
FRAMES = st.builds(
    Frame,
    function=NASTY,
    filename=NASTY,
    line=st.none() | st.integers(0, 10**7),
    in_app=st.booleans(),
    source=st.lists(st.tuples(st.integers(0, 50), NASTY), max_size=5).map(tuple),
    variables=st.lists(st.tuples(NASTY, NASTY), max_size=4).map(tuple),
)
EVENTS = st.builds(
    Event,
    id=st.just("e" * 32),
    title=NASTY,
    at=TIMES,
    release=st.none() | NASTY,
    environment=st.none() | NASTY,
    user=st.none() | NASTY,
    tags=st.lists(st.tuples(NASTY, NASTY), max_size=20).map(tuple),
    exceptions=st.lists(
        st.builds(ExceptionInfo, type=NASTY, value=NASTY, frames=st.lists(FRAMES, max_size=4).map(tuple)), max_size=3
    ).map(tuple),
)
ISSUES = st.builds(
    Issue,
    id=st.just("101"),
    short_id=st.just("WEB-1"),
    title=NASTY,
    project=st.just(WEB),
    status=st.just("unresolved"),
    substatus=st.none() | NASTY,
    level=st.none() | NASTY,
    culprit=NASTY,
    first_seen=TIMES,
    last_seen=TIMES,
    events=COUNTS,
    users=COUNTS,
    assignee=st.none() | st.builds(Assignee, kind=st.sampled_from(["user", "team"]), name=NASTY, email=NASTY),
    priority=st.none() | NASTY,
    trend=st.lists(st.integers(-5, 10**9), max_size=40).map(tuple),
    first_release=st.none() | NASTY,
    last_release=st.none() | NASTY,
    link=st.just("https://sentry.example.com/organizations/acme/issues/101/") | NASTY,
)
COMMANDS = ("issues", "issue WEB-1", "trace WEB-1", "trace WEB-1 --full", "events WEB-1", "tags WEB-1", "resolve WEB-1")
IRC, SLACK, DISCORD = Templates("irc"), Templates("slackv3"), Templates("discord")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(found=ISSUES, event=EVENTS, tags=st.lists(st.tuples(NASTY, st.integers(0, 10**9)), max_size=4).map(tuple))
def test_every_command_shows_hostile_text_as_text(
    found: Issue, event: Event, tags: tuple[tuple[str, int], ...]
) -> None:
    world = World([found])
    world.server.events_by_issue["101"] = event
    world.server.spreads = (TagSpread(tags[0][0] if tags else "k", tags, sum(count for _, count in tags)),)
    for command in COMMANDS:
        for view in world.views(command):
            for renderer in (IRC, SLACK, DISCORD):
                _check(view, renderer)


def _check(view: View, renderer: Templates) -> None:
    text = renderer.render(view.template, view.values)
    outside = re.sub("^```\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "```" not in outside.replace("\\`", "")
    assert "****" not in outside
    assert "\r" not in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", text)
    assert not re.search(r"(?<![\w.])@(here|channel)", text)
    ours = r"^open: (?:\[\\?#\d+\]\(<?http[^()\s]*\)(?: · | )?)+$"
    assert "](http" not in re.sub(ours, "", outside, flags=re.MULTILINE)  # no template writes another link
    assert all(len(line.encode()) <= 1000 for line in text.split("\n"))
    if view.template == "sentry_issues":
        assert all(len(line.encode()) <= 400 for line in text.split("\n"))


@given(NASTY, st.integers(20, 400))
def test_a_cut_fits_and_loses_nothing_that_fitted(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert weight(short) <= limit
    assert "\n" not in short
    if weight(" ".join(text.split())) <= limit:
        assert short == " ".join(text.split())


@given(st.lists(st.text("ABC-123", min_size=1, max_size=40), max_size=60))
def test_lists_of_ids_lose_none(ids: list[str]) -> None:
    lines = in_lines(ids)
    assert ", ".join(lines).split(", ") == ids or not ids
    assert all(weight(line) <= 400 for line in lines)


@given(st.lists(st.integers(-3, 10**9), max_size=500), st.integers(1, 80))
def test_a_sparkline_is_as_wide_as_it_may_be(counts: list[int], width: int) -> None:
    line = sparkline(counts, width)
    assert len(line) in (0, min(width, len(counts)))
    assert bool(line) is any(count > 0 for count in counts)


def test_an_invisible_title_leaves_no_markup_standing() -> None:
    for title in ("", "\x08", "\u200b\u202e", " \n "):
        assert World([issue(1, title=title)]).lines("issue WEB-1")[0].startswith("WEB-1 (no title)")


def test_counts_are_short() -> None:
    samples = {0: "0", 999: "999", 1000: "1k", 1249: "1.2k", 9949: "9.9k", 9951: "10k", 34567: "35k", 999_949: "1M",
               1_250_000: "1.2M", 10**10: "10G"}  # fmt: skip
    assert {number: short_count(number) for number in samples} == samples


def test_ages_from_a_clock_that_runs_ahead() -> None:
    ahead = replace(issue(1), first_seen=NOW + timedelta(hours=1), last_seen=NOW + timedelta(hours=1))
    assert "now · a moment old" in World([ahead]).lines("issues")[0]
