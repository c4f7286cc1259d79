"""What every command has at hand, and what the query flow asks of the rest of the product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from errbot_sentry.commands.account_proof import People
from errbot_sentry.commands.issue_resolver import IssueFinder
from errbot_sentry.commands.list_memory import LastLists
from errbot_sentry.commands.parser import OptionParser
from errbot_sentry.commands.registry import Command, command, sentence
from errbot_sentry.config.settings import QuerySettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Conversation, Person
from errbot_sentry.domain.issues import Issue
from errbot_sentry.server.protocol import FindServer

OK, OFF, TROUBLE = "ok", "off", "trouble"


@dataclass(frozen=True)
class FlowStatus:
    """One line of `sentry status`: the flow's name, OK, OFF or TROUBLE, and facts in words, secrets masked."""

    flow: str
    state: str
    facts: tuple[str, ...] = ()


class StatusSource(Protocol):
    """The health of the parts that the query flow knows nothing of."""

    def flows(self) -> Sequence[FlowStatus]:
        """One entry per flow or part, quickly and from memory."""
        ...


class Reporter(Protocol):
    """The way that the bot's own errors take."""

    def feedback(self, person: Person, text: str) -> str | None:
        """Attach a person's words to the error that they last ran into; its event id, None where there is none."""
        ...

    def capture_test(self, person: Person, conversation: Conversation) -> str:
        """Send a test event; its id, 32 hex digits.

        Raises:
            SentryReporterError: reporting is off, or the event could not even be kept.
        """
        ...


@dataclass(frozen=True)
class CommandContext:
    """The collaborators of all commands.

    `changed` hears of each issue that was changed, as it is now, and where that was asked; `sleep` takes seconds;
    `prefix` is what commands begin with in chat.
    """

    find_server: FindServer
    access: Access
    settings: QuerySettings
    clock: Clock
    finder: IssueFinder
    lists: LastLists
    status: StatusSource | None
    reporter: Reporter | None
    changed: Callable[[Issue, Conversation], None]
    sleep: Callable[[float], None]
    people: People
    table: Sequence[Command]
    prefix: str = "!"
    _parsers: dict[str, OptionParser] = field(default_factory=dict)

    def usage(self, name: str) -> str:
        """The usage line of a command, with the prefix."""
        entry = command(name, self.table)
        return self.prefix + (entry.usage if entry else f"sentry {name}")

    def parser(self, name: str, describe: Callable[[OptionParser], None]) -> OptionParser:
        """The command's parser, made at its first use; reading with it changes nothing in it."""
        if name not in self._parsers:
            entry = command(name, self.table)
            made = OptionParser(self.usage(name), sentence(entry) if entry else "")
            describe(made)
            self._parsers[name] = made
        return self._parsers[name]
