"""`issues`, `next`, `prev`: lists of issues, page by page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from errbot_sentry.commands import parser as option_parser
from errbot_sentry.commands.command_context import CommandContext
from errbot_sentry.commands.list_memory import ListPage, ShownList
from errbot_sentry.commands.project_scope import scope, visible_issues
from errbot_sentry.commands.views import issue_row
from errbot_sentry.domain.conversation import Invocation, View
from errbot_sentry.domain.durations import write_duration
from errbot_sentry.domain.errors import UsageError
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, Issue, IssueQuery, Page
from errbot_sentry.domain.text import cut

_STATUSES = {
    "is:unresolved": UNRESOLVED,
    "is:resolved": RESOLVED,
    "is:archived": ARCHIVED,
    "is:ignored": ARCHIVED,
    "is:muted": ARCHIVED,
}
_ABOUT_STATUS = re.compile(r"!?(?:is|status):\[?(?:unresolved|resolved|archived|ignored|muted)\b", re.IGNORECASE)


class Listing:
    """The commands that show lists."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context

    def issues(self, invocation: Invocation) -> Iterator[View]:
        options, words = self._context.parser("issues", _describe).read(invocation.words)
        server = self._context.find_server()
        text, status = read_status(words)
        query = IssueQuery(
            text=text,
            projects=scope(
                self._context.access, invocation.conversation, server, option_parser.names(options.projects)
            ),
            environments=option_parser.names(options.environments),
            sort=options.sort,
            seen_within=options.seen_within,
            status=status,
            limit=options.limit,
        )
        shown = ShownList(query, self._context.clock.now())
        yield self._turn(invocation, query, shown, shown.here)

    def next(self, invocation: Invocation) -> Iterator[View]:
        self._no_words("next", invocation)
        query, shown = self._context.lists.to_turn(invocation.conversation, invocation.person)
        yield self._turn(invocation, query, shown, shown.following())

    def prev(self, invocation: Invocation) -> Iterator[View]:
        self._no_words("prev", invocation)
        query, shown = self._context.lists.to_turn(invocation.conversation, invocation.person)
        yield self._turn(invocation, query, shown, shown.preceding())

    def _turn(self, invocation: Invocation, query: IssueQuery, shown: ShownList, list_page: ListPage) -> View:
        """Ask for one page, keep its rows for this conversation, and show it."""
        page: Page[Issue] = self._context.find_server().issues(query, list_page.cursor)
        found = visible_issues(self._context.access, invocation.conversation, page.items)
        now = self._context.clock.now()
        turned = shown.turned(list_page, (issue.id for issue in found), page.next, now)
        self._context.lists.keep(invocation.conversation, invocation.person, turned)
        return View(
            "sentry_issues",
            {
                "rows": [issue_row(issue, list_page.before + index, now) for index, issue in enumerate(found, 1)],
                "nothing": nothing_words(query),
                "note": cut(page.note, 300),
                "next": f"{self._context.prefix}sentry next" if page.next is not None else "",
            },
        )

    def _no_words(self, name: str, invocation: Invocation) -> None:
        if invocation.words.strip():
            raise UsageError(f"{name} takes no further words.", self._context.usage(name))


def _describe(parser: option_parser.OptionParser) -> None:
    parser.add_argument("-p", "--project", dest="projects", action="append", default=[])
    parser.add_argument("-e", "--env", "--environment", dest="environments", action="append", default=[])
    parser.add_argument("-s", "--sort", type=option_parser.sort_order, default="date")
    parser.add_argument("-t", "--period", dest="seen_within", type=option_parser.span, default=None)
    parser.add_argument("-n", "--limit", type=option_parser.row_limit, default=10)


def read_status(words: Sequence[str]) -> tuple[str, str | None]:
    """The QUERY without its one plain word about the status, and that status; no such word: unresolved.

    `is:resolved` is understood on every server this way. What says more about it (`!is:resolved`, two of them)
    stays in the QUERY for the server to understand, and nothing is added to it.
    """
    about = [word for word in words if _ABOUT_STATUS.match(word)]
    if not about:
        return " ".join(words), UNRESOLVED
    if len(about) == 1 and about[0].lower() in _STATUSES:
        return " ".join(word for word in words if word is not about[0]), _STATUSES[about[0].lower()]
    return " ".join(words), None


def nothing_words(query: IssueQuery) -> str:
    """What to say where a page has no rows."""
    words = f"No {query.status} issues" if query.status else "No issues"
    if query.text:
        words += f" for {cut(query.text, 80)}"
    if query.projects:
        words += " in " + cut(", ".join(project.slug for project in query.projects), 80)
    if query.environments:
        words += " in environment " + cut(" or ".join(query.environments), 60)
    if query.seen_within:
        words += f" seen in the last {write_duration(query.seen_within)}"
    return words + "."
