"""Runs a command: finds its entry, parses the words, checks who may run it, and calls its handler."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from errbot_sentry.alerting.notify.digest_reports import RequestedDigests
from errbot_sentry.alerting.service import AlertService
from errbot_sentry.commands.accounts import Claims
from errbot_sentry.commands.command_context import (
    ALERTS,
    Command,
    CommandContext,
    ExclusiveRun,
    FlowStatus,
    TestRounds,
    find_command,
)
from errbot_sentry.commands.issue_refs import IssueFinder, ThreadIssue, is_reference
from errbot_sentry.commands.list_memory import LastLists
from errbot_sentry.commands.parser import parse
from errbot_sentry.commands.registry import COMMANDS
from errbot_sentry.commands.unfurl import Unfurl
from errbot_sentry.config.settings import CommandSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Conversation, Invocation, Person, View
from errbot_sentry.domain.errors import NotAllowed, StoreError, Unsupported, UsageError
from errbot_sentry.domain.issue_actions import IssueAction
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.typed_text import echo
from errbot_sentry.server.protocol import FindServer
from errbot_sentry.store.database import Store

if TYPE_CHECKING:
    from errbot_sentry.reporting.reporter import Reporter


def meant_command(name: str, words: str) -> str:
    """The command that was meant: `!sentry WEB-3` means `!sentry issue WEB-3`, and needs the same rights."""
    return "issue" if name == "sentry" and len(words.split()) == 1 and is_reference(words) else name


class Commands:
    """All commands; safe to use from several threads at once.

    Args:
        find_server: returns the server; every command calls it, so a server that comes back is used at once.
        clock: `now` for ages and expiry, `monotonic` for waits.
        alerts: the alert flow; None if a wrong setting switches it off.
        thread_issue: which issue a thread is about; None: as the alert flow says.
        status: the health of the other flows; None: `status` shows only the server's.
        reporter: the reporting flow; None if reporting is off.
        tests: sends test events; None if reporting is off.
        changed: called with each issue that was changed, and the conversation that asked for it.
        org: the organization on the server; web addresses of others are not recognized.
        prefix: what commands begin with in this chat.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        find_server: FindServer,
        access: Access,
        settings: CommandSettings,
        clock: Clock,
        store: Store,
        *,
        alerts: AlertService | None = None,
        thread_issue: ThreadIssue | None = None,
        status: Callable[[], Sequence[FlowStatus]] | None = None,
        reporter: Reporter | None = None,
        tests: TestRounds | None = None,
        changed: Callable[[Issue, Conversation], None] = lambda _issue, _conversation: None,
        org: str = "",
        prefix: str = "!",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        lists = LastLists(clock)
        finder = IssueFinder(
            find_server,
            access,
            lists,
            thread_issue or (alerts.issue_of if alerts is not None else lambda _conversation: None),
            org,
            lambda short_id: _known_id(store, short_id),
        )
        self._access = access
        self._prefix = prefix
        self._context = CommandContext(
            find_server=find_server,
            access=access,
            settings=settings,
            clock=clock,
            store=store,
            finder=finder,
            lists=lists,
            alerts=alerts,
            status=status,
            reporter=reporter,
            tests=tests,
            changed=changed,
            sleep=sleep,
            commands=COMMANDS,
            prefix=prefix,
            claims=Claims(clock),
            requested_digests=RequestedDigests(clock),
            test_run=ExclusiveRun(),
        )
        self.unfurl = Unfurl(find_server, finder, settings, clock)

    def run(self, name: str, invocation: Invocation) -> Iterator[View]:
        """Run a command, by name or alias; nothing happens before the first view is read.

        Raises:
            SentryReporterError: while the views are read; its text is the reply.
        """
        entry = find_command(meant_command(name, invocation.words), COMMANDS)
        if entry is None:
            raise UsageError(f"Unknown command {echo(name)}.")
        typed = parse(entry, invocation, self._prefix)
        is_own = entry.own_in_direct and invocation.conversation.is_direct
        if not is_own and " ".join(typed.words) not in entry.readers_may:
            self._check_rights(entry, invocation.person)
        self._check_server(entry)
        if entry.group == ALERTS:
            self._context.alert_flow()
        yield from entry.handler(self._context, typed)

    def act(self, action: IssueAction, invocation: Invocation) -> Iterator[View]:
        """Carry out the action of a click or reaction with the rights of this person. Raises as `run` does."""
        entry = find_command(action.command, COMMANDS)
        if entry is None or entry.act is None:
            raise UsageError(f"There is no reaction for {echo(action.command)}.")
        self._check_rights(entry, invocation.person)
        self._check_server(entry)
        yield from entry.act(self._context, action, invocation)

    def _check_rights(self, entry: Command, person: Person) -> None:
        """Raise NotAllowed if only SENTRY_WRITERS may run the command, and the person is not among them."""
        if entry.writers_only and not self._access.may_write(person):
            what = "alert settings" if entry.group == ALERTS else "issues"
            raise NotAllowed(f"You can't change {what}. Ask an operator to add you to SENTRY_WRITERS.")

    def _check_server(self, entry: Command) -> None:
        """Raise Unsupported if this kind of server can never do it, before any call is made."""
        if refusal := self._context.refusal(entry.needs):
            raise Unsupported(refusal)


def _known_id(store: Store, short_id: str) -> str:
    """The server's id of the issue with this short id, if the bot knows it; else ""."""
    try:
        with store.read() as tx:
            return tx.issues.id_of(short_id)
    except StoreError:
        return ""
