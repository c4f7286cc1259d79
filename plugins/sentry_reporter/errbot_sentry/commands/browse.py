"""Commands that look deeper into one issue, and around: `trace`, `events`, `tags`, `projects`, `releases`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from errbot_sentry.commands import parser as option_parser
from errbot_sentry.commands.command_context import CommandContext
from errbot_sentry.commands.project_scope import nothing_words, scope, visible_projects
from errbot_sentry.commands.typed_words import unquote
from errbot_sentry.commands.views import event_row, project_row, release_row, spread_row, title_of, value_rows
from errbot_sentry.domain.conversation import Invocation, Row, Upload, View
from errbot_sentry.domain.errors import BadReference, NotFound, UsageError
from errbot_sentry.domain.issues import Event, Issue, Release
from errbot_sentry.domain.stack_trace import FULL, FULL_LINES, SHORT, SHORT_LINES, shortened, trace_lines
from errbot_sentry.domain.text import cut
from errbot_sentry.domain.typed_text import echo

_MOST_KEYS = 20


class Browsing:
    """The commands that show what belongs to issues."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context

    def trace(self, invocation: Invocation) -> Iterator[View]:
        options, words = self._context.parser("trace", _describe_trace).read(invocation.words)
        issue = self._context.finder.find(self._at_most(words, 1, "trace"), invocation)
        event = self._context.find_server().latest_event(issue)
        if event is None or not event.exceptions:
            why = (
                "The server keeps no event of it any more." if event is None else "Its latest event has no stack trace."
            )
            yield View("sentry_trace", {**_heading(issue), "text": "", "note": why, "uploaded": False})
            return
        lines = trace_lines(event, FULL if options.full else SHORT)
        short = shortened(lines, FULL_LINES if options.full else SHORT_LINES)
        yield View(
            "sentry_trace",
            {
                **_heading(issue),
                "text": "\n".join(short),
                "note": _event_words(event),
                "uploaded": False,
            },
            _as_file(issue, event, lines) if options.full else None,
        )

    def events(self, invocation: Invocation) -> Iterator[View]:
        options, words = self._context.parser("events", _describe_limit).read(invocation.words)
        issue = self._context.finder.find(self._at_most(words, 1, "events"), invocation)
        page = self._context.find_server().events(issue, options.limit)
        now = self._context.clock.now()
        rows = [event_row(event, number, now) for number, event in enumerate(page.items[: options.limit], 1)]
        yield self._aside(invocation, issue, "events", rows, "No events are kept.", page.note)

    def tags(self, invocation: Invocation) -> Iterator[View]:
        _, words = self._context.parser("tags", lambda _: None).read(invocation.words)
        word, key = self._reference_and_key(words, invocation)
        issue = self._context.finder.find(word, invocation)
        server = self._context.find_server()
        if not key:
            rows = [spread_row(spread, number) for number, spread in enumerate(server.tags(issue)[:_MOST_KEYS], 1)]
            yield self._aside(invocation, issue, "tags", rows, "Its events have no tags.")
            return
        try:
            spread = server.tag_values(issue, key)
        except NotFound as error:
            raise BadReference(f"No event of it has the tag {echo(key)}.") from error
        yield self._aside(invocation, issue, f"tag {cut(key, 60)}", value_rows(spread), "No event of it has that tag.")

    def projects(self, invocation: Invocation) -> Iterator[View]:
        if invocation.words.strip():
            raise UsageError("projects takes no further words.", self._context.usage("projects"))
        seen = visible_projects(self._context.access, invocation.conversation, self._context.find_server())
        rows = [project_row(project, number) for number, project in enumerate(seen, 1)]
        yield _rows_view({}, rows, "" if rows else nothing_words(self._context.find_server()))

    def releases(self, invocation: Invocation) -> Iterator[View]:
        options, words = self._context.parser("releases", _describe_releases).read(invocation.words)
        self._at_most(words, 0, "releases")
        server = self._context.find_server()
        projects = scope(self._context.access, invocation.conversation, server, option_parser.names(options.projects))
        visible = {project.slug for project in projects}
        now = self._context.clock.now()
        found = server.releases(projects, options.limit)[: options.limit]
        # Of a release of hidden projects too, only the others' names are told, and no number that counts them all.
        shown = [
            _seen_part(release, visible) if projects else release
            for release in found
            # A release of hidden projects only is none here, whatever the server was asked.
            if not projects or not release.projects or visible.intersection(release.projects)
        ]
        rows = [release_row(release, number, release.projects, now) for number, release in enumerate(shown, 1)]
        yield _rows_view({}, rows, "No releases are known.")

    def _aside(
        self, invocation: Invocation, issue: Issue, about: str, rows: Sequence[Row], nothing: str, note: str = ""
    ) -> View:
        """A numbered list of what belongs to one issue; from now on `#n` could mean that issue too."""
        self._context.lists.keep_aside(invocation.conversation, invocation.person, issue.id, len(rows))
        return _rows_view({**_heading(issue), "about": about}, rows, nothing, note)

    def _reference_and_key(self, words: Sequence[str], invocation: Invocation) -> tuple[str, str]:
        """`REF`, `REF KEY`, or in the thread of an alert nothing or `KEY`."""
        if len(words) > 2:
            raise UsageError("Wanted is an issue and perhaps one tag.", self._context.usage("tags"))
        if len(words) == 2:
            return words[0], unquote(words[1])
        if words and not self._context.finder.is_reference(words[0]) and self._context.finder.in_thread(invocation):
            return "", unquote(words[0])
        return (words[0] if words else ""), ""

    def _at_most(self, words: Sequence[str], most: int, name: str) -> str:
        if len(words) > most:
            raise UsageError(f"{echo(words[most])} is one word too many.", self._context.usage(name))
        return words[0] if words else ""


def _seen_part(release: Release, visible: Collection[str]) -> Release:
    seen = tuple(slug for slug in release.projects if slug in visible)
    return replace(release, projects=seen, new_issues=release.new_issues if seen == release.projects else None)


def _rows_view(heading: dict[str, object], rows: Sequence[Row], nothing: str, note: str = "") -> View:
    values = {"id": "", "title": "", "about": "", **heading}
    return View("sentry_rows", {**values, "rows": rows, "nothing": nothing, "note": cut(note, 300)})


def _heading(issue: Issue) -> dict[str, object]:
    return {"id": cut(issue.short_id or issue.id, 60), "title": title_of(issue, 200), "link": issue.link}


def _event_words(event: Event) -> str:
    known = (("event", event.id[:32]), ("release", event.release), ("environment", event.environment))
    return cut(" · ".join(f"{name} {value}" for name, value in known if value), 300)


def _as_file(issue: Issue, event: Event, lines: Sequence[str]) -> Upload:
    name = "".join(ch if ch.isalnum() or ch in "-_" else "_" for ch in issue.short_id or issue.id)
    head = [f"{issue.short_id} {issue.title}", issue.link, _event_words(event), ""]
    return Upload(f"{name}.txt", "text/plain", lambda: "\n".join([*head, *lines, ""]).encode())


def _describe_trace(parser: option_parser.OptionParser) -> None:
    parser.add_argument("--full", action="store_true")


def _describe_limit(parser: option_parser.OptionParser) -> None:
    parser.add_argument("-n", "--limit", type=option_parser.row_limit, default=10)


def _describe_releases(parser: option_parser.OptionParser) -> None:
    parser.add_argument("-p", "--project", dest="projects", action="append", default=[])
    _describe_limit(parser)
