"""Handlers of `issues`, `next`, `prev`, `projects`, `releases` and `monitors`: lists of what a room may see."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from errbot_sentry.commands.command_context import CommandContext, ParsedCommand
from errbot_sentry.commands.list_memory import ListPage, ShownList
from errbot_sentry.commands.parser import MOST_ROWS, names
from errbot_sentry.commands.project_scope import listed_issues, nothing_words, scope, visible_projects
from errbot_sentry.commands.views import issue_row, monitor_row, page_note, project_row, release_row, rows_view
from errbot_sentry.domain import identifiers
from errbot_sentry.domain.conversation import View
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, Issue, IssueQuery, Page, Release
from errbot_sentry.domain.text import cut, write_duration

_STATUSES = {
    "is:unresolved": UNRESOLVED,
    "is:resolved": RESOLVED,
    "is:archived": ARCHIVED,
    "is:ignored": ARCHIVED,
    "is:muted": ARCHIVED,
}
_ABOUT_STATUS = re.compile(r"!?(?:is|status):\[?(?:unresolved|resolved|archived|ignored|muted)\b", re.IGNORECASE)


def list_issues(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Search issues and show the first page."""
    options, server = typed.options, context.find_server()
    text, status = read_status(typed.words)
    query = IssueQuery(
        text=text,
        projects=scope(context.access, typed.conversation, server, names(options.projects)),
        environments=names(options.environments),
        sort=options.sort,
        seen_within=options.seen_within,
        status=status,
        limit=options.limit,
    )
    shown = ShownList(query, context.clock.now())
    yield _page(context, typed, query, shown, shown.here)


def next_page(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Show the next page of the list that was shown last."""
    query, shown = context.lists.to_page(typed.conversation, typed.person)
    yield _page(context, typed, query, shown, shown.following())


def previous_page(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Show the previous page of the list that was shown last."""
    query, shown = context.lists.to_page(typed.conversation, typed.person)
    yield _page(context, typed, query, shown, shown.preceding())


def list_projects(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """List the projects that may be shown here."""
    server = context.find_server()
    seen = visible_projects(context.access, typed.conversation, server)
    rows = [project_row(project, number) for number, project in enumerate(seen, 1)]
    yield rows_view({}, rows, "" if rows else nothing_words(server))


def list_releases(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """List the newest releases of the projects that may be shown here."""
    server, limit = context.find_server(), typed.options.limit
    projects = scope(context.access, typed.conversation, server, names(typed.options.projects))
    visible = {project.slug for project in projects}
    # A release may belong to hidden projects too. Then only the visible names are shown, and no number that counts all.
    shown = [
        _visible_part(release, visible) if projects else release
        for release in server.releases(projects, limit)[:limit]
        # The server may ignore the filter: a release of hidden projects alone is never shown.
        if not projects or not release.projects or visible.intersection(release.projects)
    ]
    now = context.clock.now()
    rows = [release_row(release, number, release.projects, now) for number, release in enumerate(shown, 1)]
    yield rows_view({}, rows, "No releases found.")


def list_monitors(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """List cron and uptime monitors: those that are down first, then those in an unknown state."""
    server, limit = context.find_server(), typed.options.limit
    projects = scope(context.access, typed.conversation, server, names(typed.options.projects))
    sees_all = context.access.sees_everything(typed.conversation)
    found = [
        monitor
        for monitor in server.read_monitors(projects)
        # The server may ignore the filter, so every row is checked.
        if sees_all or context.access.may_see(monitor.project, typed.conversation)
    ]
    found.sort(key=lambda monitor: (monitor.up is not False, monitor.up is not None, monitor.name.casefold()))
    now = context.clock.now()
    rows = [monitor_row(monitor, number, now) for number, monitor in enumerate(found[:limit], 1)]
    context.lists.keep_aside(typed.conversation, typed.person, "", len(rows))
    note = f"{len(found)} in all; -n {min(len(found), MOST_ROWS)} shows more." if len(found) > limit else ""
    yield rows_view({}, rows, "No monitors found.", note)


def _page(
    context: CommandContext, typed: ParsedCommand, query: IssueQuery, shown: ShownList, list_page: ListPage
) -> View:
    """Read one page from the server, remember its rows for this conversation, and show it."""
    page: Page[Issue] = context.find_server().issues(query, list_page.cursor)
    found = listed_issues(context.access, typed.conversation, page.items)
    now = context.clock.now()
    shown_now = shown.paged(list_page, (issue.id for issue in found), page.next, now)
    context.lists.keep(typed.conversation, typed.person, shown_now)
    return View(
        "sentry_issues",
        {
            "rows": [issue_row(issue, list_page.before + index, now) for index, issue in enumerate(found, 1)],
            "nothing": _no_issues(query),
            "note": page_note(page),
            "next": f"{context.prefix}sentry next" if page.next is not None else "",
        },
    )


def _visible_part(release: Release, visible: Collection[str]) -> Release:
    seen = tuple(slug for slug in release.projects if slug in visible)
    return replace(release, projects=seen, new_issues=release.new_issues if seen == release.projects else None)


def read_status(words: Sequence[str]) -> tuple[str, str | None]:
    """The QUERY without its word about the status, and that status. Without such a word, the status is unresolved.

    So `is:resolved` works on every server. Anything more complicated (`!is:resolved`, or two such words) stays in the
    QUERY for the server to understand, and no status is returned.
    """
    about = [word for word in words if _ABOUT_STATUS.match(word)]
    if not about:
        return " ".join(words), UNRESOLVED
    if len(about) == 1 and about[0].lower() in _STATUSES:
        return " ".join(word for word in words if word is not about[0]), _STATUSES[about[0].lower()]
    return " ".join(words), None


def _no_issues(query: IssueQuery) -> str:
    """What to say if a page has no rows."""
    words = f"No {query.status} issues" if query.status else "No issues"
    if query.text:
        words += f" for {cut(query.text, 80)}"
    if query.projects:
        words += " in " + cut(", ".join(project.slug for project in query.projects), 80)
    if query.environments:
        words += " in environment " + cut(" or ".join(query.environments), 60)
    if query.seen_within:
        words += f" seen in the last {write_duration(query.seen_within)}"
    hint = " `!sentry issue` with an event's ID finds its issue." if identifiers.event_id(query.text) else ""
    return f"{words}.{hint}"
