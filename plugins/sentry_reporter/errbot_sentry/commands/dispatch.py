"""The query flow's front: a command's name and what was typed in, views to render out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from errbot_sentry.commands.account_proof import People, PeopleInMemory
from errbot_sentry.commands.accounts import Identity
from errbot_sentry.commands.browse import Browsing
from errbot_sentry.commands.command_context import CommandContext, Reporter, StatusSource
from errbot_sentry.commands.graph import Graphing
from errbot_sentry.commands.issue_details import Reading
from errbot_sentry.commands.issue_list import Listing
from errbot_sentry.commands.issue_resolver import IssueFinder, NoThreads, ThreadIssues
from errbot_sentry.commands.list_memory import LastLists
from errbot_sentry.commands.notes import Noting
from errbot_sentry.commands.overview import About
from errbot_sentry.commands.query_catalog import COMMANDS
from errbot_sentry.commands.registry import Command, command
from errbot_sentry.commands.triage import Changing
from errbot_sentry.commands.unfurl import Unfurl
from errbot_sentry.config.settings import QuerySettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Conversation, Invocation, View
from errbot_sentry.domain.errors import UsageError
from errbot_sentry.domain.issue_actions import IssueAction
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.typed_text import echo
from errbot_sentry.server.protocol import FindServer

Handler = Callable[[Invocation], Iterator[View]]


class Commands:
    """All commands of the query flow; safe to use from several threads at once.

    Args:
        find_server: the server; asked at each command, so that a server that comes back is used at once.
        clock: `now` for ages and expiry, `monotonic` for waits.
        status: the health of the other flows, for `status`; None: only the server's is shown.
        reporter: sends the event of `test`; None: reporting is off.
        threads: which issue a thread is about; None: threads are not known here.
        changed: hears of each issue that was changed, and where that was asked.
        people: who chat people are on the server, kept durably; None: until the bot ends.
        org: the organization of the server's issues; an address of another one names nothing here.
        prefix: what commands begin with in this chat.
        more: the commands of other flows, for the overview and for suggestions.
        sleep: waits some seconds; replaced in tests.
    """

    def __init__(
        self,
        find_server: FindServer,
        access: Access,
        settings: QuerySettings,
        clock: Clock,
        *,
        status: StatusSource | None = None,
        reporter: Reporter | None = None,
        threads: ThreadIssues | None = None,
        changed: Callable[[Issue, Conversation], None] = lambda _issue, _place: None,
        people: People | None = None,
        org: str = "",
        prefix: str = "!",
        more: Sequence[Command] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        lists = LastLists(clock)
        finder = IssueFinder(find_server, access, lists, threads or NoThreads(), org)
        self._finder, self._lists = finder, lists
        table = (*COMMANDS, *more)
        context = CommandContext(
            find_server=find_server,
            access=access,
            settings=settings,
            clock=clock,
            finder=finder,
            lists=lists,
            status=status,
            reporter=reporter,
            changed=changed,
            sleep=sleep,
            people=people or PeopleInMemory(),
            table=table,
            prefix=prefix,
        )
        self.unfurl = Unfurl(find_server, finder, settings, clock)
        listing, reading, browsing, graphing = Listing(context), Reading(context), Browsing(context), Graphing(context)
        changing, noting, identity, about = Changing(context), Noting(context), Identity(context), About(context)
        self._changing = changing
        self._handlers: dict[str, Handler] = {
            "sentry": about.sentry,
            "issues": listing.issues,
            "next": listing.next,
            "prev": listing.prev,
            "issue": reading.issue,
            "trace": browsing.trace,
            "events": browsing.events,
            "tags": browsing.tags,
            "graph": graphing.graph,
            "projects": browsing.projects,
            "releases": browsing.releases,
            "resolve": changing.resolve,
            "reopen": changing.reopen,
            "archive": changing.archive,
            "assign": changing.assign,
            "note": noting.note,
            "priority": changing.priority,
            "merge": noting.merge,
            "link": identity.link,
            "unlink": identity.unlink,
            "whoami": identity.whoami,
            "feedback": about.feedback,
            "status": about.status,
            "test": about.test,
        }

    def names(self) -> tuple[str, ...]:
        """The commands that `run` knows, without aliases."""
        return tuple(self._handlers)

    def find_issue(self, word: str, invocation: Invocation) -> Issue:
        """The issue that a REF names for this person in this place, for other flows that take one.

        Raises:
            BadReference: none that may be shown here.
            ServerError: the server could not be asked.
        """
        return self._finder.find(word, invocation)

    def issue_by_id(self, issue_id: str, invocation: Invocation) -> Issue:
        """The issue with this id of the server's, for other flows; raises as `find_issue` does."""
        return self._finder.find_by_id(issue_id, invocation)

    def act(self, action: IssueAction, invocation: Invocation) -> Iterator[View]:
        """Carry out an action on an issue as this person; raises as `run` does."""
        yield from self._changing.act(action, invocation)

    def numbered(self, invocation: Invocation, highest: int) -> None:
        """Another flow has shown this person a list with numbers up to this one: `#3` may be meant as one of them."""
        if highest:
            self._lists.keep_aside(invocation.conversation, invocation.person, "", highest)

    def run(self, name: str, invocation: Invocation) -> Iterator[View]:
        """One command, by name or alias; nothing happens before the first view is asked for.

        Raises:
            SentryReporterError: while iterating; its text is the answer to show.
        """
        entry = command(name, COMMANDS)
        if entry is None or entry.name not in self._handlers:
            raise UsageError(f"There is no command {echo(name)}.")
        yield from self._handlers[entry.name](invocation)
