"""`sentry`, `status`, `test`, `feedback`: what is connected, how it is doing, and an event sent end to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

from errbot_sentry.commands.command_context import (
    ABOUT,
    ALERTS,
    CHANGE,
    OK,
    READ,
    TROUBLE,
    CommandContext,
    EventReporter,
    FlowStatus,
    ParsedCommand,
    find_command,
    sentence,
    suggestion,
)
from errbot_sentry.commands.project_scope import nothing_words, visible_issues, visible_projects
from errbot_sentry.domain.conversation import Conversation, View
from errbot_sentry.domain.errors import NotFound, ServerError, Unsupported, UsageError, UserError
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.text import counted, cut
from errbot_sentry.domain.typed_text import echo
from errbot_sentry.server.protocol import Health, Server

_KINDS = {"sentry": "Sentry", "glitchtip": "GlitchTip", "bugsink": "Bugsink"}
_GROUPS = ((READ, "Look"), (CHANGE, "Change"), (ALERTS, "Alerts"), (ABOUT, "About"))
_TEST_SECONDS = 20.0
_TEST_PAUSE = 1.2  # Sentry allows an organization one look-up of an event a second


def overview(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """`sentry`."""
    words = typed.words
    if words and words[0].casefold() != "help":
        _refuse(context, words[0])
    if len(words) > 1:
        _help(context, words[1])
    connected, url, trouble, projects = _connection(context, typed.conversation)
    may_change = context.access.may_write(typed.person)
    groups = [(label, _names(context, group, may_change)) for group, label in _GROUPS]
    yield View(
        "sentry_overview",
        {
            "connected": connected,
            "url": url,
            "trouble": trouble,
            "projects": projects,
            "may_change": may_change,
            "groups": [(label, names) for label, names in groups if names],
            "prefix": context.prefix,
        },
    )


def status(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """`status`."""
    others = context.status() if context.status is not None else ()
    lines = (_server_status(context, typed.conversation), *others)
    yield View(
        "sentry_status",
        {"lines": [(line.flow, line.state, cut(" · ".join(line.facts), 360), line.address) for line in lines]},
    )


def send_test(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """`test`."""
    if context.reporter is None:
        raise UserError("Reporting is off. Set BOT_LOG_SENTRY and SENTRY_DSN to switch it on.")
    if not context.test_run.begin():
        raise UserError("A test is already running. Wait for its result.")
    try:
        event_id = context.reporter.capture_test(typed.person, typed.conversation)
        if event_id is None:
            raise UserError("The test event wasn't captured. `!sentry status` says why.")
        yield View("sentry_test", {"step": "captured", "event": cut(event_id, 40)})
        yield _follow(context, context.reporter, event_id, typed.conversation)
    finally:
        context.test_run.end()


def feedback(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """`feedback`."""
    if not typed.text:
        raise typed.mistake("Say what happened, in your own words.")
    if context.reporter is None:
        raise UserError("Reporting is off, so there is no error to attach this to.")
    try:
        kind = context.find_server().kind
    except ServerError:
        kind = ""
    event_id = context.reporter.feedback(typed.person, typed.text, kind)
    if event_id is None:
        raise UserError("You haven't run into an error of the bot since it started.")
    yield View("sentry_feedback", {"event": event_id})


def _follow(context: CommandContext, reporter: EventReporter, event_id: str, conversation: Conversation) -> View:
    """Ask the server for the event until it shows it, for a bounded time."""
    values: dict[str, object] = {"event": cut(event_id, 40), "seconds": int(_TEST_SECONDS)}
    start = context.clock.monotonic()
    issue, why_blind = None, ""
    try:
        issue = _wait_for(context, event_id, start + _TEST_SECONDS)
    except (ServerError, Unsupported) as error:
        why_blind = str(error)
    unsent = reporter.unsent_reason(event_id) if issue is None else None
    if unsent is not None:
        return View("sentry_test", {**values, "step": "unsent", "why": cut(unsent, 200)})
    if why_blind:
        return View("sentry_test", {**values, "step": "blind", "why": why_blind})
    if issue is None:
        return View("sentry_test", {**values, "step": "late"})
    if not visible_issues(context.access, conversation, (issue,)):
        return View("sentry_test", {**values, "step": "hidden"})
    took = context.clock.monotonic() - start
    return View(
        "sentry_test",
        {**values, "step": "shown", "id": issue.short_id or issue.id, "link": issue.link, "took": f"{took:.0f}"},
    )


def _wait_for(context: CommandContext, event_id: str, deadline: float) -> Issue | None:
    """The event's issue, or None when it is not there in time; a passing failure of the server is waited out."""
    while True:
        last_try = context.clock.monotonic() >= deadline
        try:
            issue = _issue_of(context.find_server(), event_id)
        except ServerError as error:
            if last_try or not error.retry:
                raise
            issue = None
        if issue is not None or last_try:
            return issue
        context.sleep(_TEST_PAUSE)


def _connection(context: CommandContext, conversation: Conversation) -> tuple[str, str, str, str]:
    """The server's kind and address, what is wrong with it, and the projects that may be shown here."""
    try:
        server = context.find_server()
        health = server.health()
        connected, url = _kind_name(health), health.url
        seen = visible_projects(context.access, conversation, server)
    except ServerError as error:
        return "", "", str(error), ""
    if not seen:
        return connected, url, nothing_words(server), ""
    return connected, url, "", _some([project.slug for project in seen])


def _names(context: CommandContext, group: str, may_change: bool) -> str:
    """The commands of a group that this person may run, without those that the server refuses."""
    entries = (entry for entry in context.commands if entry.group == group and (may_change or not entry.writers_only))
    return ", ".join(entry.name for entry in entries if entry.name != "sentry" and not context.refusal(entry.needs))


def _help(context: CommandContext, typed: str) -> NoReturn:
    entry = find_command(typed.casefold(), context.commands)
    if entry is None:
        _refuse(context, typed)
    raise UsageError(sentence(entry), context.prefix + entry.usage)


def _refuse(context: CommandContext, typed: str) -> NoReturn:
    """Name the command that was probably meant."""
    command = f"{context.prefix}sentry"
    near = suggestion(typed, context.commands)
    hint = f"did you mean `{command} {near}`?" if near else f"`{command}` lists them."
    raise UsageError(f"Unknown command {echo(typed)}; {hint}")


def _server_status(context: CommandContext, conversation: Conversation) -> FlowStatus:
    """Whether the server answers; how often it was asked only where no project is hidden.

    A question about a missing issue and one about a hidden issue cost different numbers of calls, so whoever reads the
    numbers before and after would learn which it was.
    """
    try:
        server = context.find_server()
        server.check()
    except ServerError as error:
        return FlowStatus("server", TROUBLE, (str(error),))
    health = server.health()
    if not context.access.sees_everything(conversation):
        return FlowStatus("server", OK, (_kind_name(health),), health.url)
    return FlowStatus("server", OK, _health_words(health), health.url)


def _issue_of(server: Server, event_id: str) -> Issue | None:
    try:
        return server.issue_of_event(event_id)
    except NotFound:
        return None


def _kind_name(health: Health) -> str:
    return _KINDS.get(health.kind, health.kind)


def _health_words(health: Health) -> tuple[str, ...]:
    facts = [_kind_name(health), f"{counted(health.calls, 'call')} since the start, {health.failures} failed"]
    if health.remaining is not None:
        facts.append(f"{health.remaining} of {health.limit} calls left" if health.limit else f"{health.remaining} left")
    if health.last_error:
        facts.append(f"last error: {cut(health.last_error, 160)}")
    return tuple(facts)


def _some(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(cut(name, 60) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
