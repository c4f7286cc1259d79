"""Commands that look at one issue."""

from __future__ import annotations

from collections.abc import Iterator

from errbot_sentry.commands.command_context import CommandContext
from errbot_sentry.commands.typed_words import split_words
from errbot_sentry.commands.views import issue_values
from errbot_sentry.domain.conversation import Invocation, View
from errbot_sentry.domain.errors import ServerError, UsageError
from errbot_sentry.domain.issues import Event, Issue
from errbot_sentry.server.protocol import Server


class Reading:
    """The commands that show one issue."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context

    def issue(self, invocation: Invocation) -> Iterator[View]:
        issue = self._context.finder.find(self._one_reference("issue", invocation), invocation)
        event, note = newest_event(self._context.find_server(), issue)
        yield View("sentry_issue", {**issue_values(issue, event, self._context.clock.now()), "note": note})

    def _one_reference(self, name: str, invocation: Invocation) -> str:
        words = split_words(invocation.words)
        if len(words) > 1:
            raise UsageError("One issue at a time, please.", self._context.usage(name))
        return words[0] if words else ""


def newest_event(server: Server, issue: Issue) -> tuple[Event | None, str]:
    """The newest event, or what to say about its absence: an issue is worth showing without it."""
    try:
        event = server.latest_event(issue)
    except ServerError as error:
        return None, f"The latest event could not be read: {error}"
    return event, "" if event is not None else "The server keeps no event of it any more."
