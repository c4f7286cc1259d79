"""From a REF to the issue that it names, looked up on the server and checked against what the place may see.

Every form of REF comes through here, so that none can be a way around the rights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from errbot_sentry.commands.issue_refs import (
    WANTED,
    InThread,
    IssueId,
    Reference,
    Row,
    ShortId,
    Url,
    UuidId,
    expand_rows,
    read_reference,
)
from errbot_sentry.commands.list_memory import LastLists
from errbot_sentry.commands.project_scope import no_such_issue, scope, visible_issues
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.conversation import Conversation, Invocation
from errbot_sentry.domain.errors import BadReference, NotFound, Unsupported, UsageError
from errbot_sentry.domain.issues import UNRESOLVED, Issue, IssueQuery
from errbot_sentry.domain.typed_text import echo
from errbot_sentry.server.protocol import BUGSINK, FindServer, Server

MOST_ISSUES = 100


class ThreadIssues(Protocol):
    """What the alert flow knows of threads."""

    def issue_of(self, conversation: Conversation) -> str | None:
        """The id of the issue whose alert began this thread, or None."""
        ...


class NoThreads:
    """For backends without threads, and while alerts are off."""

    def issue_of(self, conversation: Conversation) -> str | None:
        del conversation
        return None


class IssueFinder:
    """Finds issues for people.

    Args:
        org: the organization that the server's issues belong to, or "" where there is none; an address that names
            another one is not ours.
    """

    def __init__(
        self, find_server: FindServer, access: Access, lists: LastLists, threads: ThreadIssues, org: str = ""
    ) -> None:
        self._find_server = find_server
        self._access = access
        self._lists = lists
        self._threads = threads
        self._org = org

    def find(self, word: str, invocation: Invocation) -> Issue:
        """The one issue that a word names here; the empty word is the thread's.

        Raises:
            BadReference: no such issue, or none that may be shown here: the sentence is the same.
            ServerError: the server could not be asked.
        """
        reference = read_reference(word)
        named = echo(word) if word else "of this thread"
        try:
            issue = self._look_up(reference, invocation)
        except NotFound as error:
            raise no_such_issue(named) from error
        if issue is None or not visible_issues(self._access, invocation.conversation, (issue,)):
            raise no_such_issue(named)
        return issue

    def find_by_id(self, issue_id: str, invocation: Invocation) -> Issue:
        """The issue with this id of the server's, where it may be shown here; raises as `find` does."""
        try:
            issue = self._find_server().issue(issue_id)
        except NotFound as error:
            raise no_such_issue("of this alert") from error
        if not visible_issues(self._access, invocation.conversation, (issue,)):
            raise no_such_issue("of this alert")
        return issue

    def find_all(self, words: Sequence[str], invocation: Invocation) -> tuple[Issue, ...]:
        """All issues named, each once, in the order typed; no words: the thread's. One bad REF refuses them all.

        Raises:
            UsageError: more than MOST_ISSUES are named; nobody was asked for them.
        """
        named: dict[str, str] = {}
        for word in expand_rows(words) or ("",):
            named.setdefault(word.casefold(), word)
        if len(named) > MOST_ISSUES:
            raise UsageError(f"{len(named)} issues at once are too many: {MOST_ISSUES} is the most.")
        found = [self.find(word, invocation) for word in named.values()]
        return tuple({issue.id: issue for issue in found}.values())

    def is_reference(self, word: str) -> bool:
        """Whether a word has one of the forms of a REF; nobody is asked."""
        try:
            read_reference(word)
        except BadReference:
            return False
        return True

    def in_thread(self, invocation: Invocation) -> bool:
        """Whether this is the thread of an alert, so that no REF is needed."""
        return bool(invocation.conversation.thread) and self._threads.issue_of(invocation.conversation) is not None

    def _look_up(self, reference: Reference, invocation: Invocation) -> Issue | None:
        if isinstance(reference, Row):
            return self._find_server().issue(
                self._lists.row(invocation.conversation, invocation.person, reference.number)
            )
        if isinstance(reference, InThread):
            return self._find_server().issue(self._of_thread(invocation))
        server = self._find_server()
        if isinstance(reference, ShortId):
            return self._by_short_id(server, reference.text, invocation)
        if isinstance(reference, IssueId):
            self._lists.check_number(invocation.conversation, invocation.person, reference.text)
            return server.issue(reference.text)
        if isinstance(reference, UuidId):
            return _by_uuid(server, reference)
        if isinstance(reference, Url):
            return self._by_url(server, reference, invocation)
        return self._latest(server, invocation)  # Latest, the one form left

    def _of_thread(self, invocation: Invocation) -> str:
        issue_id = self._threads.issue_of(invocation.conversation) if invocation.conversation.thread else None
        if issue_id is None:
            raise BadReference(f"Which issue? {WANTED[:1].upper()}{WANTED[1:]}.")
        return issue_id

    def _by_short_id(self, server: Server, short_id: str, invocation: Invocation) -> Issue | None:
        """A short id begins with its project's slug, on all three servers.

        Where that project may not be shown, nobody is asked: neither the words of an answer nor the time that it takes
        can then tell whether there is such an issue.
        """
        if not self._access.may_see(short_id.rpartition("-")[0], invocation.conversation):
            return None
        return server.issue_by_short_id(short_id)

    def _by_url(self, server: Server, reference: Url, invocation: Invocation) -> Issue | None:
        address = server.address_of(reference.text)
        if address is None:
            raise BadReference("That address is not an issue of the server that I am connected to.")
        if address.org and self._org and address.org.casefold() != self._org.casefold():
            return None
        named = read_reference(address.issue)
        if isinstance(named, ShortId):
            return self._by_short_id(server, named.text, invocation)
        if isinstance(named, UuidId):
            return server.issue(named.dashed)
        return server.issue(address.issue)

    def _latest(self, server: Server, invocation: Invocation) -> Issue | None:
        shown = self._lists.own(invocation.conversation, invocation.person)
        query = shown.query if shown is not None and shown.query is not None else IssueQuery()
        projects = query.projects or scope(self._access, invocation.conversation, server, ())
        page = server.issues(replace(query, projects=projects, sort="date", limit=1))
        newest = visible_issues(self._access, invocation.conversation, page.items)
        if not newest:
            like = " like those of your last list" if query != IssueQuery() else ""
            raise BadReference(
                f"There is no unresolved issue{like} to show here."
                if query.status == UNRESOLVED
                else f"There is no issue{like} to show here."
            )
        return newest[0]


def _by_uuid(server: Server, reference: UuidId) -> Issue | None:
    """Bugsink names issues by UUID; everywhere else, and failing that, such an id is an event's."""
    if server.kind == BUGSINK:
        try:
            return server.issue(reference.dashed)
        except NotFound:
            pass
    try:
        return server.issue_of_event(reference.plain)
    except Unsupported:
        return None
