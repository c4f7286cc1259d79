"""`sentry`, `status`, `test`: what is connected, how it does, and a try of the whole way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

from errbot_sentry.commands.command_context import OK, TROUBLE, CommandContext, FlowStatus
from errbot_sentry.commands.project_scope import nothing_words, visible_issues, visible_projects
from errbot_sentry.commands.registry import ABOUT, ALERTS, CHANGE, READ, command, sentence, suggestion
from errbot_sentry.commands.typed_words import split_words
from errbot_sentry.domain.conversation import Conversation, Invocation, View
from errbot_sentry.domain.errors import NotFound, ServerError, Unsupported, UsageError, UserError
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.locks import Lock
from errbot_sentry.domain.text import cut
from errbot_sentry.domain.typed_text import echo
from errbot_sentry.server.protocol import Health, Server

_KINDS = {"sentry": "Sentry", "glitchtip": "GlitchTip", "bugsink": "Bugsink"}
_GROUPS = ((READ, "Look"), (CHANGE, "Change"), (ALERTS, "Alerts"), (ABOUT, "About"))
_TEST_SECONDS = 20.0
_TEST_PAUSE = 1.0


class About:
    """The commands about the plugin itself."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context
        self._guard = Lock()
        self._testing = False

    def sentry(self, invocation: Invocation) -> Iterator[View]:
        words = split_words(invocation.words)
        if words and words[0].casefold() != "help":
            self._refuse(words[0])
        if len(words) > 1:
            self._help(words[1])
        connected, url, trouble, projects = self._connection(invocation)
        may_change = self._context.access.may_write(invocation.person)
        groups = [(label, self._names(group, may_change)) for group, label in _GROUPS]
        yield View(
            "sentry_overview",
            {
                "connected": connected,
                "url": url,
                "trouble": trouble,
                "projects": projects,
                "may_change": may_change,
                "groups": [(label, names) for label, names in groups if names],
                "prefix": self._context.prefix,
            },
        )

    def status(self, invocation: Invocation) -> Iterator[View]:
        if invocation.words.strip():
            raise UsageError("status takes no further words.", self._context.usage("status"))
        others = self._context.status.flows() if self._context.status is not None else ()
        lines = (self._server_status(invocation.conversation), *others)
        yield View(
            "sentry_status",
            {"lines": [(line.flow, line.state, cut(" · ".join(line.facts), 360)) for line in lines]},
        )

    def test(self, invocation: Invocation) -> Iterator[View]:
        if invocation.words.strip():
            raise UsageError("test takes no further words.", self._context.usage("test"))
        if self._context.reporter is None:
            raise UserError("Reporting is off, so there is no way to test: BOT_LOG_SENTRY and SENTRY_DSN switch it on.")
        with self._guard:  # not for the whole test: another thread may be the one that ends it
            busy, self._testing = self._testing, True
        if busy:
            raise UserError("A test is under way already: wait for its result.")
        try:
            event_id = self._context.reporter.capture_test(invocation.person, invocation.conversation)
            yield View("sentry_test", {"step": "sent", "event": cut(event_id, 40)})
            yield self._follow(event_id, invocation)
        finally:
            self._testing = False

    def feedback(self, invocation: Invocation) -> Iterator[View]:
        text = invocation.words.strip()
        if not text:
            raise UsageError("What happened, in your words?", self._context.usage("feedback"))
        if self._context.reporter is None:
            raise UserError("Reporting is off, so there is no error to attach it to.")
        event_id = self._context.reporter.feedback(invocation.person, text)
        if event_id is None:
            raise UserError("You have not run into an error of the bot since it started.")
        yield View("sentry_feedback", {"event": event_id[:8]})

    def _follow(self, event_id: str, invocation: Invocation) -> View:
        """Ask the server for the event until it shows it, for a bounded time."""
        values: dict[str, object] = {"event": cut(event_id, 40), "seconds": int(_TEST_SECONDS)}
        start = self._context.clock.monotonic()
        try:
            issue = self._wait_for(event_id, start + _TEST_SECONDS)
        except (ServerError, Unsupported) as error:
            return View("sentry_test", {**values, "step": "blind", "why": str(error)})
        if issue is None:
            return View("sentry_test", {**values, "step": "late"})
        if not visible_issues(self._context.access, invocation.conversation, (issue,)):
            return View("sentry_test", {**values, "step": "hidden"})
        took = self._context.clock.monotonic() - start
        return View(
            "sentry_test",
            {**values, "step": "shown", "id": issue.short_id or issue.id, "link": issue.link, "took": f"{took:.0f}"},
        )

    def _wait_for(self, event_id: str, deadline: float) -> Issue | None:
        """The event's issue, or None when it is not there in time; a passing failure of the server is waited out."""
        while True:
            last_try = self._context.clock.monotonic() >= deadline
            try:
                issue = _issue_of(self._context.find_server(), event_id)
            except ServerError as error:
                if last_try or not error.retry:
                    raise
                issue = None
            if issue is not None or last_try:
                return issue
            self._context.sleep(_TEST_PAUSE)

    def _connection(self, invocation: Invocation) -> tuple[str, str, str, str]:
        """The server's kind and address, what is wrong with it, and the projects that may be shown here."""
        try:
            server = self._context.find_server()
            health = server.health()
            connected, url = _KINDS.get(health.kind, health.kind), health.url
            seen = visible_projects(self._context.access, invocation.conversation, server)
        except ServerError as error:
            return "", "", str(error), ""
        if not seen:
            return connected, url, nothing_words(server), ""
        return connected, url, "", _some([project.slug for project in seen])

    def _names(self, group: str, may_change: bool) -> str:
        entries = (
            entry for entry in self._context.table if entry.group == group and (may_change or not entry.writers_only)
        )
        return ", ".join(entry.name for entry in entries if entry.name != "sentry")

    def _help(self, typed: str) -> NoReturn:
        entry = command(typed.casefold(), self._context.table)
        if entry is None:
            self._refuse(typed)
        raise UsageError(sentence(entry), self._context.usage(entry.name))

    def _refuse(self, typed: str) -> NoReturn:
        near = suggestion(typed, self._context.table)
        hint = (
            f"did you mean {self._context.prefix}sentry {near}?"
            if near
            else f"{self._context.prefix}sentry lists them."
        )
        raise UsageError(f"There is no command {echo(typed)}: {hint}")

    def _server_status(self, conversation: Conversation) -> FlowStatus:
        """Whether the server answers; how often it was asked only where no project is hidden.

        What was asked for in vain counts otherwise than what may not be shown, so that whoever reads the numbers before
        and after a question would learn which it was.
        """
        try:
            server = self._context.find_server()
            server.projects()
        except ServerError as error:
            return FlowStatus("server", TROUBLE, (str(error),))
        health = server.health()
        if not self._context.access.sees_everything(conversation):
            return FlowStatus("server", OK, (_server_words(health),))
        return FlowStatus("server", OK, _health_words(health))


def _issue_of(server: Server, event_id: str) -> Issue | None:
    try:
        return server.issue_of_event(event_id)
    except NotFound:
        return None


def _server_words(health: Health) -> str:
    return f"{_KINDS.get(health.kind, health.kind)} at {health.url}"


def _health_words(health: Health) -> tuple[str, ...]:
    facts = [_server_words(health), f"{health.calls} calls, {health.failures} failed"]
    if health.remaining is not None:
        facts.append(f"{health.remaining} of {health.limit} calls left" if health.limit else f"{health.remaining} left")
    if health.last_error:
        facts.append(f"last error: {cut(health.last_error, 160)}")
    return tuple(facts)


def _some(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(cut(name, 60) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
