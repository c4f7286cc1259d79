"""The parts of a command: its entry, what was typed, and what its handler works with. registry.py lists the entries."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol

from errbot_sentry.alerting.canary_links import Progress
from errbot_sentry.alerting.notify.digest_reports import RequestedDigests
from errbot_sentry.alerting.service import AlertService
from errbot_sentry.commands.issue_refs import IssueFinder
from errbot_sentry.commands.list_memory import LastLists
from errbot_sentry.config.settings import CommandSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Conversation, Invocation, Person, View
from errbot_sentry.domain.errors import ServerError, UsageError, UserError
from errbot_sentry.domain.issue_actions import IssueAction
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.locks import Lock
from errbot_sentry.server.protocol import FindServer
from errbot_sentry.store.database import Store

if TYPE_CHECKING:
    from errbot_sentry.commands.accounts import Claims
    from errbot_sentry.reporting.reporter import Reporter

READ, CHANGE, ALERTS, ABOUT = "read", "change", "alerts", "about"
OK, OFF, WARNING, TROUBLE = "ok", "off", "warning", "trouble"


@dataclass(frozen=True)
class Option:
    """One option of a command.

    Args:
        names: its spellings, such as `-d` and `--duration`.
        name: the attribute of `ParsedCommand.options` that has its value.
        read: turns the typed word into the value, or raises ValueError with a sentence. None: a flag without a value.
        default: the value if the option was not typed.
        many: it may be typed several times; the value is a list.
        to_the_end: the value is all the text behind the option, as it was typed; nothing in it is an option.
    """

    names: tuple[str, ...]
    name: str
    read: Callable[[str], Any] | None = None
    default: Any = None
    many: bool = False
    to_the_end: bool = False


@dataclass(frozen=True)
class Command:
    """One command: what help, parser, rights check and dispatch know about it.

    Args:
        args: what may follow its name, for the usage line.
        examples: examples of what may follow its name; "" is the name alone.
        group: READ, CHANGE, ALERTS or ABOUT: where `!sentry` lists it.
        writers_only: only SENTRY_WRITERS may run it.
        readers_may: everybody may run it with exactly these words.
        own_in_direct: in a direct message it concerns only the person, so everybody may run it there.
        most_words: how many words it takes besides its options; None: any number.
        free_text: its words are for people to read; they are neither split nor searched for options.
        needs: the name for `Server.refusal`; if the server refuses it, the command is neither listed nor run.
        act: runs the command for a click or a reaction, if one stands for it.
    """

    name: str
    help: str
    handler: Handler
    args: str = ""
    examples: tuple[str, ...] = ("",)
    group: str = READ
    aliases: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    writers_only: bool = False
    readers_may: tuple[str, ...] = ()
    own_in_direct: bool = False
    most_words: int | None = None
    free_text: bool = False
    needs: str = ""
    act: ActionHandler | None = None

    @property
    def usage(self) -> str:
        """`sentry issue REF`, without the bot's prefix."""
        return self.typed_with(self.args)

    def typed_with(self, args: str) -> str:
        """What people type for this command with these arguments, without the bot's prefix."""
        words = ("sentry", "" if self.name == "sentry" else self.name, args)
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class ParsedCommand:
    """A command as its handler gets it.

    `text` is all that was typed after the name, `words` are the words of it that are not options. `usage` is the
    command's usage line, with the prefix.
    """

    invocation: Invocation
    usage: str
    words: tuple[str, ...] = ()
    options: argparse.Namespace = field(default_factory=argparse.Namespace)

    @property
    def text(self) -> str:
        return self.invocation.words.strip()

    @property
    def person(self) -> Person:
        return self.invocation.person

    @property
    def conversation(self) -> Conversation:
        return self.invocation.conversation

    def mistake(self, sentence: str) -> UsageError:
        """An error with this sentence and the usage line."""
        return UsageError(sentence, self.usage)


@dataclass(frozen=True)
class FlowStatus:
    """One line of `!sentry status`: name, state (OK, OFF, WARNING or TROUBLE), and facts in words, secrets masked.

    `address` is a web address that people may want to open or copy, "" without one.
    """

    flow: str
    state: str
    facts: tuple[str, ...] = ()
    address: str = ""


class TestRounds(Protocol):
    """Sends test events and follows them until they are back as alerts; `Canary` implements it."""

    def begin(self, person: Person) -> str:
        """Send a test event; its id, 32 hex digits.

        Raises:
            UserError: it was not captured, or it is too soon for this person.
        """
        ...

    def progress(self, event_id: str) -> Progress:
        """How far this event has come; empty if nobody follows it any more."""
        ...


class ExclusiveRun:
    """Allows one run at a time; `end` may be called in another thread than `begin`."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._running = False

    def begin(self) -> bool:
        """Begin a run; False if another one is under way."""
        with self._guard:
            was_running, self._running = self._running, True
        return not was_running

    def end(self) -> None:
        """End the run, so that the next one may begin."""
        self._running = False


@dataclass(frozen=True)
class CommandContext:
    """What the handlers of all commands work with.

    Args:
        find_server: returns the server; every command calls it, so a server that comes back is used at once.
        alerts: the alert flow; None if a wrong setting switches it off.
        status: the health of the other flows; None: `status` shows only the server's.
        reporter: the reporting flow; None if reporting is off.
        tests: sends test events; None if reporting is off.
        changed: called with each issue that was changed, as it is now, and the conversation that asked for it.
        sleep: waits some seconds.
        commands: all commands.
        prefix: what commands begin with in chat.
        claims: the addresses that people are about to prove to be theirs.
        requested_digests: bounds what `digest now` costs.
        test_run: allows one `test` at a time.
    """

    find_server: FindServer
    access: Access
    settings: CommandSettings
    clock: Clock
    store: Store
    finder: IssueFinder
    lists: LastLists
    alerts: AlertService | None
    status: Callable[[], Sequence[FlowStatus]] | None
    reporter: Reporter | None
    tests: TestRounds | None
    changed: Callable[[Issue, Conversation], None]
    sleep: Callable[[float], None]
    commands: Sequence[Command]
    prefix: str
    claims: Claims
    requested_digests: RequestedDigests
    test_run: ExclusiveRun

    def refusal(self, what: str) -> str:
        """Why the server can never do this (see `Server.refusal`); "" if it can, or if the server is not known now."""
        try:
            return self.find_server().refusal(what) if what else ""
        except ServerError:
            return ""

    def alert_flow(self) -> AlertService:
        """The alert flow.

        Raises:
            UserError: it is switched off.
        """
        if self.alerts is None:
            raise UserError("Alerts are switched off by a wrong setting in config.py: `!sentry status` names it.")
        return self.alerts

    def room_name(self, conversation: Conversation) -> str:
        """The room's name in routes and subscriptions; "" for a direct message."""
        return "" if conversation.is_direct else self.alert_flow().routes.spelled(conversation.room)

    def alert_room(self, conversation: Conversation, instead: str) -> str:
        """The room's name in routes and subscriptions. In a direct message, raises UserError with `instead`."""
        if conversation.is_direct:
            raise UserError(instead)
        return self.room_name(conversation)


Handler = Callable[[CommandContext, ParsedCommand], Iterator[View]]
ActionHandler = Callable[[CommandContext, IssueAction, Invocation], Iterator[View]]


def find_command(name: str, commands: Sequence[Command]) -> Command | None:
    """The command with this name or alias; None if there is none."""
    return next((entry for entry in commands if name == entry.name or name in entry.aliases), None)


def suggestion(typed: str, commands: Sequence[Command]) -> str | None:
    """The name of the command that a mistyped word probably means."""
    names = {word: entry.name for entry in commands for word in (entry.name, *entry.aliases)}
    near = get_close_matches(typed.casefold(), names, n=1, cutoff=0.5)
    return names[near[0]] if near else None


def sentence(entry: Command) -> str:
    """A command's help text as a sentence."""
    return f"{entry.help[:1].upper()}{entry.help[1:]}."
