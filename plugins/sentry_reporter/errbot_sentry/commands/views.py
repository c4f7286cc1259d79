"""Turns the model into the plain, bounded values that templates show. Pure; the renderer does the escaping.

A value that the server does not send is left out: the line of a Bugsink issue has neither a level nor users.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from errbot_sentry.domain.conversation import Row, View
from errbot_sentry.domain.issues import (
    ARCHIVED,
    RESOLVED,
    UNRESOLVED,
    Assignee,
    Event,
    EventBreadcrumb,
    ExceptionInfo,
    Frame,
    Issue,
    IssueActivity,
    Monitor,
    Page,
    Project,
    Release,
    SuspectCommit,
    TagSpread,
)
from errbot_sentry.domain.stack_trace import LONGEST_LINE, failing_frame, source_lines
from errbot_sentry.domain.text import (
    LINE_BYTES,
    ago,
    counted,
    cut,
    one_line,
    short_count,
    short_path,
    span_words,
    sparkline,
)
from errbot_sentry.reporting.redact.event_masking import masked, masked_source, masked_text, masked_title

# Levels differ by shape, not by colour, and the word stands next to the mark.
_LEVEL_MARKS = {"fatal": "‼", "error": "✗", "warning": "▲", "info": "○", "debug": "·"}
_SEPARATOR = " · "
_LONGEST_TITLE = 400
_MOST_TAGS = 12
# Kinds of activity (getsentry/sentry `src/sentry/types/activity.py`), in words: with the activity's text, and without.
_ACTIVITY_WORDS = {
    "first_seen": ("first seen, {} priority", "first seen"),
    "set_priority": ("priority set to {}", "priority changed"),
    "assigned": ("assigned to {}", "assigned"),
    "set_resolved_in_release": ("resolved in release {}", "resolved in the next release"),
    "set_resolved_in_commit": ("resolved in commit {}", "resolved by a commit"),
    "set_resolved_in_pull_request": ("resolved by a pull request",) * 2,
    "set_resolved_by_age": ("resolved automatically, after a time without events",) * 2,
    "set_regression": ("regressed in release {}", "regressed"),
    "set_unresolved": ("reopened",) * 2,
    "set_ignored": ("archived",) * 2,
    "auto_set_ongoing": ("ongoing",) * 2,
    "mark_reviewed": ("reviewed",) * 2,
    "merge": ("merged with other issues",) * 2,
}

Section = tuple[str, Sequence[tuple[str, str]]]
"""A heading and its lines, each with a web address or ""."""


@dataclass(frozen=True)
class FrameView:
    """Where the program failed: the function, the place in the file, and the source line if it is known."""

    function: str
    place: str
    source: str


def issue_row(issue: Issue, number: int, now: datetime) -> Row:
    """An issue as one entry of a list."""
    cells = (
        ago(issue.last_seen, now) if issue.last_seen else "",
        f"{span_words(now - issue.first_seen)} old" if issue.first_seen else "",
        counted(issue.events, "event") if issue.events is not None else "",
        counted(issue.users, "user") if issue.users is not None else "",
        sparkline(issue.trend),
    )
    return Row(
        number,
        cut(issue.short_id or issue.id, 60),
        title=title_of(issue, _LONGEST_TITLE),
        mark=level_word(issue.level),
        about=cut(masked_title(issue.culprit), 60),
        cells=cells,
        more=(_state_word(issue), f"→ {cut(assignee_name(issue.assignee), 40)}" if issue.assignee else ""),
        link=issue.link if len(issue.link) <= LINE_BYTES // 2 else "",
    )


def title_of(issue: Issue, limit: int) -> str:
    """The title, cut to fit. It is never empty, because the markup around an empty title would be visible."""
    title = cut(masked_title(issue.title), limit)
    return title if any(map(str.isprintable, title)) else "(no title)"


def level_word(level: str | None) -> str:
    """A level as mark and word: `✗ error`."""
    if not level:
        return ""
    return f"{_LEVEL_MARKS[level]} {level}" if level in _LEVEL_MARKS else cut(level, 20)


def assignee_name(assignee: Assignee) -> str:
    """An assignee: `team payments`, or the person's name."""
    name = assignee.name or assignee.email or assignee.id
    return f"team {name}" if assignee.kind == "team" else name


def status_words(issue: Issue) -> str:
    """`unresolved (regressed)`: the status, and the server's own more exact word if it adds something."""
    finer = one_line((issue.substatus or "").replace("_", " "))
    if not finer or finer in (issue.status, "ongoing"):
        return issue.status
    return f"{issue.status} ({cut(finer, 60)})"


def _state_word(issue: Issue) -> str:
    """The status for a list, "" if it is the usual one for an open issue."""
    if issue.status in (RESOLVED, ARCHIVED):
        return issue.status
    finer = one_line((issue.substatus or "").replace("_", " "))
    return cut(finer, 30) if issue.status == UNRESOLVED and finer not in ("ongoing", "new") else ""


def _counts(issue: Issue) -> tuple[str, ...]:
    found = (
        counted(issue.events, "event") if issue.events is not None else "",
        counted(issue.users, "user") if issue.users is not None else "",
    )
    return tuple(fact for fact in found if fact)


def issue_values(issue: Issue, event: Event | None, now: datetime) -> dict[str, object]:
    """The values of sentry_issue: all of one issue, with the details of its newest event."""
    return {
        "id": cut(issue.short_id or issue.id, 60),
        "link": issue.link,
        "title": title_of(issue, 300),
        "state": _joined(
            status_words(issue),
            level_word(issue.level),
            f"priority {cut(issue.priority, 20)}" if issue.priority else "",
            f"project {cut(issue.project.slug, 60)}",
            f"assigned to {cut(assignee_name(issue.assignee), 60)}" if issue.assignee else "",
        ),
        "counts": _joined(*_counts(issue), sparkline(issue.trend, 24)),
        "seen": _joined(
            _seen("first seen", issue.first_seen, issue.first_release, now),
            _seen("last seen", issue.last_seen, issue.last_release or (event.release if event else None), now),
        ),
        "where": cut(masked_title(_where(issue, event)), 200),
        "tags": tag_words(event.tags) if event else "",
        "error": exception_line(event.exceptions[-1]) if event and event.exceptions else "",
        "frame": frame_view(failing_frame(event.exceptions[-1])) if event and event.exceptions else None,
    }


def event_sections(event: Event) -> Iterator[Section]:
    """The request and the contexts of an event."""
    if request := event.request:
        query = f"?{request.query}" if request.query and "?" not in request.url else ""
        lines = [
            f"{request.method} {masked_text(request.url + query)}".strip(),
            *(f"{name}: {masked(name, value)}" for name, value in request.headers),
        ]
        if request.body:
            lines.append(f"body: {masked_text(request.body)}")
        yield "request", [(cut(line), "") for line in lines]
    if event.contexts:
        yield "contexts", [(cut(f"{name}: {tag_words(pairs)}"), "") for name, pairs in event.contexts]


def activity_line(activity: IssueActivity, now: datetime) -> tuple[str, str]:
    """An activity in words: `2 days ago: resolved by alice`."""
    when = f"{ago(activity.at, now)}: " if activity.at else ""
    by = f" by {activity.author}" if activity.author else ""
    if activity.kind in _ACTIVITY_WORDS:
        with_text, without = _ACTIVITY_WORDS[activity.kind]
        return cut(f"{when}{with_text.format(activity.text) if activity.text else without}{by}"), ""
    kind = activity.kind.replace("_", " ").removeprefix("set ")
    return cut(f"{when}{kind}{by}{f': {activity.text}' if activity.text else ''}"), ""


def commit_line(commit: SuspectCommit, now: datetime) -> tuple[str, str]:
    """A commit in words, `1f2e3d4 fix the basket, by alice, 2 days ago`, and its address."""
    facts = (f"{commit.id[:12]} {commit.message}", f"by {commit.author}" if commit.author else "")
    when = (ago(commit.at, now),) if commit.at else ()
    return cut(", ".join(fact for fact in (*facts, *when) if fact), LINE_BYTES // 2), commit.link


def breadcrumb_line(crumb: EventBreadcrumb) -> str:
    """A breadcrumb as one line of a block: its time, level, category, message and data."""
    when = f"{crumb.at:%H:%M:%S}" if crumb.at else " " * 8
    data = " ".join(f"{name}={masked(name, value)}" for name, value in crumb.data)
    line = one_line(f"{crumb.category}: {masked_text(crumb.message)} {data}".removeprefix(": "))
    return f"{when} {crumb.level or '':<7} {line}"[:LONGEST_LINE]


def monitor_row(monitor: Monitor, number: int, now: datetime) -> Row:
    """A monitor as a row: its state first, then what it checks and when."""
    state = cut(monitor.status.replace("_", " "), 30)
    mark = {True: "✓", False: "✗", None: "·"}[monitor.up]
    cells = (
        monitor.kind,
        cut(monitor.schedule, 40),
        _when_run(monitor, now),
        cut(monitor.project, 60),
        cut(monitor.environment, 40),
    )
    return Row(
        number,
        cut(monitor.name, 80),
        mark=f"{mark} {state}".strip(),
        about=cut(monitor.url, 120),
        cells=cells,
        link=monitor.link if len(monitor.link) <= LINE_BYTES // 2 else "",
    )


def _when_run(monitor: Monitor, now: datetime) -> str:
    if monitor.since is not None:
        return f"for {span_words(now - monitor.since)}"
    never = "never run" if monitor.kind == "cron" else ""
    return f"last {ago(monitor.last, now)}" if monitor.last else never


def _where(issue: Issue, event: Event | None) -> str:
    """The event's transaction. If there is no event, or it has neither a transaction nor exceptions: the culprit."""
    if event is None or not (event.transaction or event.exceptions):
        return issue.culprit
    return event.transaction


def _seen(words: str, at: datetime | None, release: str | None, now: datetime) -> str:
    if at is None:
        return f"{words} in {cut(release, 80)}" if release else ""
    in_release = f" in {cut(release, 80)}" if release else ""
    return f"{words} {ago(at, now)}{in_release}"


def _joined(*facts: str) -> str:
    return _SEPARATOR.join(fact for fact in facts if fact)


def tag_words(tags: Iterable[tuple[str, str]]) -> str:
    """Tags on one line: `environment=production · release=1.2`."""
    some = [f"{cut(key, 40)}={cut(masked(key, value), 60)}" for key, value in islice(tags, _MOST_TAGS)]
    return cut(_SEPARATOR.join(some), LINE_BYTES - 20)


def exception_line(error: ExceptionInfo) -> str:
    """An exception on one line: `ZeroDivisionError: division by zero`."""
    return cut(f"{error.type}: {masked_title(error.value)}" if error.value else error.type, LINE_BYTES - 20)


def frame_view(frame: Frame | None) -> FrameView | None:
    """A frame as one line, with its source line."""
    if frame is None:
        return None
    place = cut(short_path(frame.filename) or frame.module, 200) + (f":{frame.line}" if frame.line is not None else "")
    line = next((text for number, text in source_lines(frame, masked_source) if number == frame.line), "")
    return FrameView(cut(frame.function, 100), place, cut(line, 200))


def event_row(event: Event, number: int, now: datetime) -> Row:
    """An event of one issue as a row. Its title is left out, because it is the same as the issue's."""
    cells = (
        ago(event.at, now) if event.at else "",
        cut(event.environment or "", 40),
        cut(event.release or "", 60),
        cut(masked_title(event.user or ""), 60),
    )
    return Row(number, cut(event.id, 40), cells=cells, more=(cut(masked_title(event.message or event.title), 100),))


def spread_row(spread: TagSpread, number: int) -> Row:
    """One tag with its top values: `browser · Firefox 60% · Chrome 30% · 12 values`."""
    facts = [
        f"{cut(masked(spread.key, value), 60) or '(empty)'} {percent(count, spread.total)}"
        for value, count in spread.values[:3]
    ]
    if spread.unique is not None and spread.unique > len(facts):
        facts.append(f"{short_count(spread.unique)} values")
    return Row(number, cut(spread.key, 60), cells=tuple(facts))


def value_rows(spread: TagSpread) -> list[Row]:
    """The values of one tag. Each has a bar, because bars are easier to compare than numbers."""
    top = max((count for _, count in spread.values), default=0)
    return [
        Row(
            number,
            cut(masked(spread.key, value), 120) or "(empty)",
            cells=(
                percent(count, spread.total),
                counted(count, "event"),
                "█" * max(1, round(count / top * 12)) if top else "",
            ),
        )
        for number, (value, count) in enumerate(spread.values, 1)
    ]


def rows_view(heading: dict[str, object], rows: Sequence[Row], nothing: str, note: str = "") -> View:
    """A numbered list of anything except issues. If it is about one issue, `heading` has its id, title and subject."""
    values = {"id": "", "title": "", "about": "", **heading}
    return View("sentry_rows", {**values, "rows": rows, "nothing": nothing, "note": cut(note, 300)})


def project_row(project: Project, number: int) -> Row:
    """A project as a row: its slug, and its name if that differs."""
    name = cut(project.name, 80) if project.name != project.slug else ""
    return Row(number, cut(project.slug, 80), cells=(name,))


def percent(count: int, total: int) -> str:
    """A share in words: `60%`, `<1%`."""
    if not total:
        return "0%"
    share = 100 * count / total
    return "<1%" if 0 < share < 1 else f"{share:.0f}%"


def release_row(release: Release, number: int, projects: Iterable[str], now: datetime) -> Row:
    """A release as a row: its time, how many new issues it has, and its projects."""
    cells = (
        ago(release.at, now) if release.at else "",
        counted(release.new_issues, "new issue") if release.new_issues is not None else "",
        cut(", ".join(projects), 100),
    )
    return Row(number, cut(release.version, 120), cells=cells)


def unfurl_values(issue: Issue, now: datetime) -> dict[str, object]:
    """The values of sentry_unfurl: an issue in two lines."""
    return {
        "id": cut(issue.short_id or issue.id, 60),
        "title": title_of(issue, 240),
        "facts": _joined(
            status_words(issue),
            level_word(issue.level),
            *_counts(issue),
            f"last seen {ago(issue.last_seen, now)}" if issue.last_seen else "",
            sparkline(issue.trend),
            f"→ {cut(assignee_name(issue.assignee), 40)}" if issue.assignee else "",
        ),
    }


def page_note(page: Page[Any]) -> str:
    """What a page of a list does not show, in words."""
    note = f"{counted(page.skipped, 'row')} of the server's answer could not be read." if page.skipped else ""
    return cut(" ".join(filter(None, (note, page.note))), 300)
