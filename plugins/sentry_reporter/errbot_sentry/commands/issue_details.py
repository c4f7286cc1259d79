"""Handlers of `issue`, `trace`, `breadcrumbs`, `events`, `tags` and `graph`: what there is to read about one issue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from errbot_sentry.commands.command_context import CommandContext, ParsedCommand
from errbot_sentry.commands.issue_refs import is_reference
from errbot_sentry.commands.parser import names
from errbot_sentry.commands.project_scope import scope
from errbot_sentry.commands.views import (
    Section,
    activity_line,
    assignee_name,
    breadcrumb_line,
    commit_line,
    event_row,
    event_sections,
    issue_values,
    page_note,
    rows_view,
    spread_row,
    title_of,
    value_rows,
)
from errbot_sentry.domain import charts
from errbot_sentry.domain.charts import block_chart
from errbot_sentry.domain.conversation import Row, Upload, View
from errbot_sentry.domain.errors import BadReference, NotFound, ServerError, Unsupported, UsageError
from errbot_sentry.domain.issues import Counts, Event, Issue, Project, Release
from errbot_sentry.domain.stack_trace import FULL, FULL_LINES, SHORT, SHORT_LINES, shortened, trace_lines
from errbot_sentry.domain.text import cut, write_duration
from errbot_sentry.domain.typed_text import echo, unquote
from errbot_sentry.reporting.redact.event_masking import masked_detail, masked_title
from errbot_sentry.server.protocol import Server

_MOST_KEYS = 20
_LONGEST_GRAPH = timedelta(days=90)
_MARKED_RELEASES = 20
_MOST_IN_SECTION = 10
_NO_EVENT = "The server no longer has any event of this issue."


def show_issue(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Show one issue with its newest event, with `--full` also what the server knows besides."""
    issue = _issue(context, typed)
    server, now = context.find_server(), context.clock.now()
    event, note = newest_event(server, issue)
    sections, notes = _sections(server, issue, event, now) if typed.options.full else ((), ())
    values = {**issue_values(issue, event, now), "sections": sections, "notes": [note, *notes] if note else notes}
    yield View("sentry_issue", values)


def show_trace(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Show the stack trace of the newest event."""
    issue, full = _issue(context, typed), typed.options.full
    event = context.find_server().latest_event(issue)
    if event is None or not event.exceptions:
        note = _NO_EVENT if event is None else "Its latest event has no stack trace."
        yield View("sentry_trace", {**_heading(issue), "text": "", "note": note, "uploaded": False})
        return
    lines = trace_lines(event, masked_detail(FULL if full else SHORT))
    text = "\n".join(shortened(lines, FULL_LINES if full else SHORT_LINES))
    yield View(
        "sentry_trace",
        {**_heading(issue), "text": text, "note": _event_words(event), "uploaded": False},
        _as_file(issue, event, lines) if full else None,
    )


def show_breadcrumbs(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Show the log lines and other breadcrumbs of the newest event."""
    issue = _issue(context, typed)
    event = context.find_server().latest_event(issue)
    crumbs = event.breadcrumbs[-typed.options.limit :] if event else ()
    note = _NO_EVENT if event is None else _event_words(event) if crumbs else "Its latest event has no breadcrumbs."
    text = "\n".join(breadcrumb_line(crumb) for crumb in crumbs)
    yield View("sentry_trace", {**_heading(issue), "text": text, "note": note, "uploaded": False})


def list_events(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """List the newest events of an issue."""
    issue, limit = _issue(context, typed), typed.options.limit
    page = context.find_server().events(issue, limit)
    now = context.clock.now()
    rows = [event_row(event, number, now) for number, event in enumerate(page.items[:limit], 1)]
    yield _aside(context, typed, issue, "events", rows, "No events found.", page_note(page))


def show_tags(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Show how the tags of an issue are spread, or the values of one tag."""
    word, key = _reference_and_key(context, typed)
    issue = context.finder.find(word, typed.invocation)
    server = context.find_server()
    if not key:
        rows = [spread_row(spread, number) for number, spread in enumerate(server.tags(issue)[:_MOST_KEYS], 1)]
        yield _aside(context, typed, issue, "tags", rows, "Its events have no tags.")
        return
    try:
        spread = server.tag_values(issue, key)
    except NotFound as error:
        raise BadReference(f"No event of this issue has the tag {echo(key)}.") from error
    rows = value_rows(spread)
    yield _aside(context, typed, issue, f"tag {cut(key, 60)}", rows, "No event of this issue has that tag.")


def show_graph(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Draw the events of an issue or a project over time."""
    wanted, period = names(typed.options.projects), typed.options.span
    if len(typed.words) > 1 or len(wanted) > 1 or (typed.words and wanted):
        raise typed.mistake("Name one issue or one project.")
    if period > _LONGEST_GRAPH:
        raise typed.mistake(f"A graph covers at most {write_duration(_LONGEST_GRAPH)}.")
    server = context.find_server()
    if wanted:
        project = _one_project(context, typed, server, wanted)
        counts = server.project_counts(project, period)
        name = project.slug
    else:
        issue = _issue(context, typed)
        counts, project = server.issue_counts(issue, period), issue.project
        name = f"{issue.short_id or issue.id} {title_of(issue, 200)}"
    yield _graph_view(server, project, counts, name, period, dark=typed.options.dark)


def newest_event(server: Server, issue: Issue) -> tuple[Event | None, str]:
    """The newest event, or a sentence that says why there is none: the issue is shown without it."""
    try:
        event = server.latest_event(issue)
    except ServerError as error:
        return None, f"Couldn't read the latest event: {error}"
    return event, "" if event is not None else _NO_EVENT


def _sections(
    server: Server, issue: Issue, event: Event | None, now: datetime
) -> tuple[Sequence[Section], Sequence[str]]:
    """What `--full` adds, and a sentence for each part that this server does not have or did not give."""
    sections = list(event_sections(event)) if event else []
    notes = []
    parts: list[tuple[str, str, Callable[[], Iterable[tuple[str, str]]]]] = [
        ("activity", "read_activity", lambda: (activity_line(one, now) for one in server.read_activity(issue.id))),
    ]
    if event is not None:
        parts += [
            (
                "suspect commits",
                "read_suspect_commits",
                lambda: (commit_line(one, now) for one in server.read_suspect_commits(issue, event)),
            ),
            ("owners", "read_owners", lambda: ((assignee_name(one), "") for one in server.read_owners(issue, event))),
        ]
    for heading, method, lines in parts:
        if refusal := server.refusal(method):
            notes.append(refusal)
            continue
        try:
            found = list(lines())[:_MOST_IN_SECTION]
        except (ServerError, Unsupported) as error:
            notes.append(f"Couldn't read its {heading}: {error}")
            continue
        if found:
            sections.append((heading, found))
    return sections, notes


def _issue(context: CommandContext, typed: ParsedCommand) -> Issue:
    """The issue that the word names; without a word, the issue of the thread."""
    return context.finder.find(typed.words[0] if typed.words else "", typed.invocation)


def _aside(
    context: CommandContext,
    typed: ParsedCommand,
    issue: Issue,
    about: str,
    rows: Sequence[Row],
    nothing: str,
    note: str = "",
) -> View:
    """A numbered list about one issue. It is remembered, because from now on `#3` could mean that issue too."""
    context.lists.keep_aside(typed.conversation, typed.person, issue.id, len(rows))
    return rows_view({**_heading(issue), "about": about}, rows, nothing, note)


def _reference_and_key(context: CommandContext, typed: ParsedCommand) -> tuple[str, str]:
    """The issue and the tag's key in `REF`, `REF KEY`, or, in the thread of an alert, in nothing or `KEY`."""
    words = typed.words
    if len(words) == 2:
        return words[0], unquote(words[1])
    if words and not is_reference(words[0]) and context.finder.in_thread(typed.invocation):
        return "", unquote(words[0])
    return (words[0] if words else ""), ""


def _one_project(context: CommandContext, typed: ParsedCommand, server: Server, wanted: Sequence[str]) -> Project:
    found = scope(context.access, typed.conversation, server, wanted)
    if len(found) != 1:
        raise UsageError(f"{echo(wanted[0])} matches {len(found)} projects. Name one.")
    return found[0]


def _graph_view(server: Server, project: Project, counts: Counts, name: str, period: timedelta, *, dark: bool) -> View:
    chart = block_chart(counts)
    title = f"{cut(name, 100)}: {chart.total} in {write_duration(period)}"
    upload = None
    if chart.blocks and charts.can_draw():
        upload = Upload(
            "events.png", "image/png", lambda: charts.draw(counts, title, _releases(server, project), dark=dark)
        )
    return View("sentry_graph", {"name": cut(name, 150), "chart": chart, "uploaded": False}, upload)


def _releases(server: Server, project: Project) -> Sequence[Release]:
    """The releases to mark; a chart without them is better than none."""
    try:
        return server.releases((project,), _MARKED_RELEASES)
    except (ServerError, Unsupported):
        return ()


def _heading(issue: Issue) -> dict[str, object]:
    return {"id": cut(issue.short_id or issue.id, 60), "title": title_of(issue, 200), "link": issue.link}


def _event_words(event: Event) -> str:
    known = (
        ("event", event.id[:32]),
        ("transaction", masked_title(event.transaction)),
        ("release", event.release),
        ("environment", event.environment),
    )
    return cut(" · ".join(f"{name} {value}" for name, value in known if value), 300)


def _as_file(issue: Issue, event: Event, lines: Sequence[str]) -> Upload:
    name = "".join(ch if ch.isalnum() or ch in "-_" else "_" for ch in issue.short_id or issue.id)
    heading = [f"{issue.short_id} {title_of(issue, 400)}", issue.link, _event_words(event), ""]
    return Upload(f"{name}.txt", "text/plain", lambda: "\n".join([*heading, *lines, ""]).encode())
