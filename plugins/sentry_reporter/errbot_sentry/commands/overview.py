"""Handlers of `!sentry` alone, `status`, `test` and `feedback`: commands about the bot itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

from errbot_sentry.alerting.canary_links import SENT, SHOWN, Link, LinkState, is_over, link_words
from errbot_sentry.commands.command_context import (
    ABOUT,
    ALERTS,
    CHANGE,
    OK,
    READ,
    TROUBLE,
    CommandContext,
    FlowStatus,
    ParsedCommand,
    TestRounds,
    find_command,
    sentence,
    suggestion,
)
from errbot_sentry.commands.project_scope import nothing_words, visible_issues, visible_projects
from errbot_sentry.config.facts import NAMES
from errbot_sentry.domain.conversation import Conversation, View
from errbot_sentry.domain.errors import ServerError, UsageError, UserError
from errbot_sentry.domain.text import counted, cut
from errbot_sentry.domain.typed_text import echo
from errbot_sentry.server.protocol import Health

_GROUPS = ((READ, "Look"), (CHANGE, "Change"), (ALERTS, "Alerts"), (ABOUT, "About"))
_MOST_NAMES = 12
_TEST_SECONDS = 20.0
_LINKS_SECONDS = 90.0  # the poller comes once a minute
_TEST_PAUSE = 1.0


def overview(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Show the server, the visible projects and the commands; for a mistyped command, the one that was meant."""
    words = typed.words
    if words and words[0].casefold() != "help":
        _refuse(context, words[0])
    if len(words) > 1:
        _help(context, words[1])
    connected, url, trouble, projects = _connection(context, typed.conversation)
    may_change = context.access.may_write(typed.person)
    groups = [(label, _names(context, group, may_change, typed.conversation.is_direct)) for group, label in _GROUPS]
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
    """Show the health of the server and of each flow."""
    others = context.status() if context.status is not None else ()
    lines = (_server_status(context, typed.conversation), *others)
    yield View(
        "sentry_status",
        {"lines": [(line.flow, line.state, cut(" · ".join(line.facts), 360), line.address) for line in lines]},
    )


def send_test(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Send a test event and report where it arrives, until it is back as an alert."""
    if context.tests is None:
        raise UserError("Reporting is off. Set BOT_LOG_SENTRY and SENTRY_DSN to switch it on.")
    if not context.test_run.begin():
        raise UserError("A test is already running. Wait for its result.")
    try:
        event_id = context.tests.begin(typed.person)
        yield View("sentry_test", {"step": "captured", "event": cut(event_id, 40)})
        yield _follow(context, context.tests, event_id, typed.conversation)
        if context.tests.progress(event_id).issue is None:
            return
        links = _wait_for_links(context, context.tests, event_id)
        if any(link.name not in (SENT, SHOWN) for link in links):
            yield View("sentry_test", {"step": "links", "links": [link_words(link) for link in links]})
    finally:
        context.test_run.end()


def feedback(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Attach a person's words to an event of theirs on the server."""
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


def _follow(context: CommandContext, tests: TestRounds, event_id: str, conversation: Conversation) -> View:
    """Wait until the server shows the event, for a bounded time."""
    values: dict[str, object] = {"event": cut(event_id, 40), "seconds": int(_TEST_SECONDS)}
    deadline = context.clock.monotonic() + _TEST_SECONDS
    while (progress := tests.progress(event_id)).issue is None and context.clock.monotonic() < deadline:
        context.sleep(_TEST_PAUSE)
    links = {link.name: link for link in progress.links}
    if progress.issue is not None:
        if not visible_issues(context.access, conversation, (progress.issue,)):
            return View("sentry_test", {**values, "step": "hidden"})
        took, issue = links[SHOWN].seconds or 0.0, progress.issue
        shown = {"step": "shown", "id": issue.short_id or issue.id, "link": issue.link, "took": f"{took:.0f}"}
        return View("sentry_test", {**values, **shown})
    if SENT in links and links[SENT].state is not LinkState.OK:
        why = links[SENT].trouble or "it is still waiting to be sent"
        return View("sentry_test", {**values, "step": "unsent", "why": cut(why, 200)})
    if SHOWN in links and links[SHOWN].trouble:
        return View("sentry_test", {**values, "step": "blind", "why": links[SHOWN].trouble})
    return View("sentry_test", {**values, "step": "late"})


def _wait_for_links(context: CommandContext, tests: TestRounds, event_id: str) -> Sequence[Link]:
    """The links of the round, once no further link can be reached or the time is over."""
    deadline = context.clock.monotonic() + _LINKS_SECONDS
    while not is_over(links := tests.progress(event_id).links) and context.clock.monotonic() < deadline:
        context.sleep(_TEST_PAUSE)
    return links


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


def _names(context: CommandContext, group: str, may_change: bool, is_direct: bool) -> str:
    """The commands of a group that this person may run, without those that the server refuses."""
    entries = (
        entry
        for entry in context.commands
        if entry.group == group and (may_change or not entry.writers_only or (is_direct and entry.own_in_direct))
    )
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
    """Whether the server answers. The number of calls is shown only if no project is hidden from this conversation.

    A missing issue costs another number of calls than a hidden one, so the number would tell which of both it is.
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


def _kind_name(health: Health) -> str:
    return NAMES.get(health.kind, health.kind)


def _health_words(health: Health) -> tuple[str, ...]:
    facts = [_kind_name(health), f"{counted(health.calls, 'call')} since the start, {health.failures} failed"]
    if health.remaining is not None:
        facts.append(f"{health.remaining} of {health.limit} calls left" if health.limit else f"{health.remaining} left")
    if health.unreadable:
        facts.append(f"{counted(health.unreadable, 'row')} of its lists could not be read: the log has the cause")
    if health.last_error:
        facts.append(f"last error: {cut(health.last_error, 160)}")
    return tuple(facts)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(cut(name, 60) for name in names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"
