"""`graph`: events over time, of an issue or of a project."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from errbot_sentry.commands import parser as option_parser
from errbot_sentry.commands.command_context import CommandContext
from errbot_sentry.commands.project_scope import scope
from errbot_sentry.domain import charts
from errbot_sentry.domain.block_chart import chart_of
from errbot_sentry.domain.conversation import Invocation, Upload, View
from errbot_sentry.domain.durations import write_duration
from errbot_sentry.domain.errors import ServerError, Unsupported, UsageError
from errbot_sentry.domain.issues import Counts, Project, Release
from errbot_sentry.domain.text import cut
from errbot_sentry.domain.typed_text import echo
from errbot_sentry.server.protocol import Server

_LONGEST = timedelta(days=90)
_RELEASES = 20


class Graphing:
    """The command that draws."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context

    def graph(self, invocation: Invocation) -> Iterator[View]:
        options, words = self._context.parser("graph", _describe).read(invocation.words)
        names = option_parser.names(options.projects)
        if len(words) > 1 or len(names) > 1 or (words and names):
            raise UsageError("Wanted is one issue or one project.", self._context.usage("graph"))
        if options.span > _LONGEST:
            raise UsageError(f"{write_duration(_LONGEST)} is the most.", self._context.usage("graph"))
        server = self._context.find_server()
        if names:
            project = self._one_project(invocation, server, names)
            counts = server.project_counts(project, options.span)
            name = project.slug
        else:
            issue = self._context.finder.find(words[0] if words else "", invocation)
            counts, project = server.issue_counts(issue, options.span), issue.project
            name = f"{issue.short_id or issue.id} {issue.title}"
        yield self._view(server, project, counts, name, options.span)

    def _one_project(self, invocation: Invocation, server: Server, names: Sequence[str]) -> Project:
        found = scope(self._context.access, invocation.conversation, server, names)
        if len(found) != 1:
            raise UsageError(f"{echo(names[0])} fits {len(found)} projects: one at a time, please.")
        return found[0]

    def _view(self, server: Server, project: Project, counts: Counts, name: str, span: timedelta) -> View:
        chart = chart_of(counts)
        title = f"{cut(name, 100)}: {chart.total} in {write_duration(span)}"
        upload = None
        if chart.blocks and charts.can_draw():
            upload = Upload("events.png", "image/png", lambda: charts.draw(counts, title, _releases(server, project)))
        return View("sentry_graph", {"name": cut(name, 150), "chart": chart, "uploaded": False}, upload)


def _releases(server: Server, project: Project) -> Sequence[Release]:
    """The releases to mark; a picture without them is better than none."""
    try:
        return server.releases((project,), _RELEASES)
    except (ServerError, Unsupported):
        return ()


def _describe(parser: option_parser.OptionParser) -> None:
    parser.add_argument("-p", "--project", dest="projects", action="append", default=[])
    parser.add_argument("-t", "--period", dest="span", type=option_parser.span, default=timedelta(days=14))
