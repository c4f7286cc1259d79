"""Every failure of the server, at every call of every command: one sentence for the person, and nothing half told."""

from __future__ import annotations

import re

import pytest

from errbot_sentry.commands.command_context import ALERTS
from errbot_sentry.commands.registry import COMMANDS
from errbot_sentry.domain import errors
from errbot_sentry.domain.errors import SentryReporterError, ServerError
from tests.rules.commands.world import EVENT, World, issue

COMMAND_LINES = {
    "sentry": "sentry",
    "issues": "issues -p web",
    "issue": "issue WEB-1",
    "trace": "trace WEB-1",
    "breadcrumbs": "breadcrumbs WEB-1",
    "monitors": "monitors",
    "events": "events WEB-1",
    "tags": "tags WEB-1",
    "graph": "graph WEB-1",
    "projects": "projects",
    "releases": "releases",
    "resolve": "resolve WEB-1",
    "reopen": "reopen WEB-2",
    "archive": "archive WEB-1",
    "assign": "assign WEB-1 bob@example.org",
    "note": "note WEB-1 hello",
    "priority": "priority WEB-1 high",
    "merge": "merge WEB-1 WEB-2",
    "link": "link alice@example.org WEB-1",
    "status": "status",
}
# They ask what `issues` asks, or nobody.
WITHOUT = {"ack", "next", "prev", "unlink", "whoami", "test", "feedback"}

FAILURES: tuple[tuple[type[ServerError], str], ...] = (
    (errors.Unreachable, "The server cannot be reached."),
    (errors.TimedOut, "The server gave no answer in time."),
    (errors.RateLimited, "The server wants fewer questions: try again in 30 s."),
    (errors.ServerFailed, "The server failed (502)."),
    (errors.BadToken, "The server refuses the token in SENTRY_AUTH_TOKEN."),
    (errors.MissingScope, "The token may not do this: it needs event:write."),
    (errors.NotFound, "The server has no such thing."),
    (errors.BadQuery, "The server does not understand: bad search."),
    (errors.RedirectRefused, "The server points to another host."),
    (errors.TooLarge, "The answer is too large."),
    (errors.BadAnswer, "The server answered with something that is not its API."),
)


def ready() -> World:
    world = World([issue(1), issue(2, status="resolved")])
    world.server.events_by_issue["101"] = EVENT
    return world


def answer(world: World, typed: str) -> str:
    """All that the person reads, the sentence of an error included; any other exception fails the test."""
    lines = []
    try:
        for view in world.views(typed):
            lines += [str(view.template), *map(str, _flat(view.values))]
    except SentryReporterError as error:
        lines.append(str(error))
    return "\n".join(lines)


def _flat(values: dict[str, object]) -> list[object]:
    return [part for value in values.values() for part in (value if isinstance(value, (list, tuple)) else [value])]


def calls_of(typed: str) -> list[str]:
    world = ready()
    answer(world, typed)
    return sorted({name for name, _ in world.server.calls})


CASES = [(typed, call) for typed in COMMAND_LINES.values() for call in calls_of(typed)]


def test_every_command_is_tried() -> None:
    """Those about alerts are tried in tests/timelines/test_alert_commands.py."""
    assert set(COMMAND_LINES) | WITHOUT == {entry.name for entry in COMMANDS if entry.group != ALERTS}


@pytest.mark.parametrize(("kind", "sentence"), FAILURES, ids=[kind.__name__ for kind, _ in FAILURES])
@pytest.mark.parametrize(("typed", "call"), CASES)
def test_the_sentence_reaches_the_person(typed: str, call: str, kind: type[ServerError], sentence: str) -> None:
    world = ready()
    world.server.fail(call, kind(sentence), times=99)
    read = answer(world, typed)
    if kind is errors.NotFound and re.search(r"Issue WEB-\d not found here", read):
        return  # the one sentence for what is absent and for what may not be seen
    assert sentence.rstrip(".") in read


@pytest.mark.parametrize(("kind", "sentence"), FAILURES, ids=[kind.__name__ for kind, _ in FAILURES])
@pytest.mark.parametrize("typed", COMMAND_LINES.values())
def test_also_when_the_server_is_not_found_out_yet(typed: str, kind: type[ServerError], sentence: str) -> None:
    def find() -> object:
        raise kind(sentence)

    world = World([], find_server=find)
    read = answer(world, typed)
    if kind is errors.NotFound and re.search(r"Issue WEB-\d not found here", read):
        return
    assert sentence.rstrip(".") in read
