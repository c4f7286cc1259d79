"""Reads a REF, the word with which a person names an issue, and finds that issue.

Reading a REF makes no request. IssueFinder looks the issue up on the server and checks that the conversation may see
it. Every form of REF goes through IssueFinder, so none is a way around the rights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from uuid import UUID

from errbot_sentry.commands.list_memory import LastLists
from errbot_sentry.commands.project_scope import NO_PROJECTS, listed_issues, no_such_issue, scope, visible_issues
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.conversation import Conversation, Invocation
from errbot_sentry.domain.errors import BadReference, NotFound, ServerError, Unsupported, UsageError
from errbot_sentry.domain.issues import UNRESOLVED, Issue, IssueQuery
from errbot_sentry.domain.text import cut
from errbot_sentry.domain.typed_text import echo, plain_dashes, read_number, unquote
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, FindServer, Server

MOST_ISSUES = 100


class RefKind(Enum):
    """The forms of a REF."""

    SHORT_ID = "short id"  # `WEB-1A`, in capitals
    ISSUE_ID = "issue id"  # the server's own number
    UUID = "uuid"  # with or without dashes: an issue's on Bugsink, else the id of an event
    URL = "url"  # an issue's web address
    ROW = "row"  # `#3`, a row of the last list shown in this conversation
    LATEST = "latest"  # the issue seen last, of the last list's query or of all that this place may see
    THREAD = "thread"  # no word at all: the issue of the alert that began the thread


@dataclass(frozen=True)
class Reference:
    """What a word names. `text` is the id, the address or the number in it, without the characters around it."""

    kind: RefKind
    text: str = ""


WANTED = "Use a short ID (WEB-1A), a number, an address, #3 from the last list, or @latest"

_MOST_CANARIES = 4  # each bot has a canary issue, and the latest other issue may come after those
_ROW = re.compile(r"[#＃]([0-9]+)")
_ROWS = re.compile(r"#([0-9]+)(?:-|\.\.)#?([0-9]+),?")
_MOST_ROWS = 200
_HIGHEST_ROW = 9999
_NUMBER = re.compile(r"[0-9]{1,19}")
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_SHORT_ID = re.compile(r"[A-Z0-9][A-Z0-9_.-]{0,120}-[A-Z0-9]{1,12}", re.IGNORECASE)
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_LONGEST_URL = 2000


def read_reference(word: str) -> Reference:
    """What a word names; the empty word stands for the issue of the thread.

    Raises:
        BadReference: the word has none of the forms.
    """
    text = _bare(word)
    if not text:
        return Reference(RefKind.THREAD)
    if _URL.fullmatch(text) and len(text) <= _LONGEST_URL:
        return Reference(RefKind.URL, text)
    if text.lower() == "@latest":
        return Reference(RefKind.LATEST)
    if row := _ROW.fullmatch(text):
        return Reference(RefKind.ROW, str(_row(row[1], word)))
    text = plain_dashes(text)
    if _UUID.fullmatch(text):
        return Reference(RefKind.UUID, text.lower())
    if _NUMBER.fullmatch(text):
        return Reference(RefKind.ISSUE_ID, text.lstrip("0") or "0")
    if _SHORT_ID.fullmatch(text):
        return Reference(RefKind.SHORT_ID, text.upper())
    raise BadReference(f"{echo(word)} isn't a valid issue reference. {WANTED}.")


def is_reference(word: str) -> bool:
    """Whether a word has one of the forms of a REF. Makes no request."""
    try:
        read_reference(word)
    except BadReference:
        return False
    return True


def expand_rows(words: Sequence[str]) -> tuple[str, ...]:
    """The words, with `#2-5` written out as `#2 #3 #4 #5`.

    Raises:
        BadReference: a range runs backwards, or has too many rows.
    """
    expanded: list[str] = []
    for word in words:
        form = _ROWS.fullmatch(plain_dashes(word))
        if form is None:
            expanded.append(word)
            continue
        first, last = _row(form[1], word), _row(form[2], word)
        if not first <= last < first + _MOST_ROWS:
            raise BadReference(f"{echo(word)} isn't a valid range of rows; try #2-5.")
        expanded += [f"#{number}" for number in range(first, last + 1)]
    return tuple(expanded)


def _row(digits: str, word: str) -> int:
    try:
        return read_number(digits, 0, _HIGHEST_ROW)
    except ValueError as error:
        raise BadReference(f"{echo(word)} isn't a valid issue reference. {WANTED}.") from error


def _bare(word: str) -> str:
    """The word without what may stand around it: `<url|text>`, quotes, marks for code or bold text, a comma."""
    text = unquote(word.strip())
    if text.startswith("<"):
        text = text[1:].rstrip(">,;").partition("|")[0]
    return text.rstrip(",;:.)").strip("`* ")


ThreadIssue = Callable[[Conversation], str | None]
"""Returns the id of the issue whose alert began the thread of a conversation, or None."""


class IssueFinder:
    """Finds issues for people.

    Args:
        org: the organization on the server, "" if it has none; an address of another organization is refused.
        known_id: the server's id for a short id that the bot has shown before, else "". GlitchTip cannot look up short
            ids.
    """

    def __init__(
        self,
        find_server: FindServer,
        access: Access,
        lists: LastLists,
        thread_issue: ThreadIssue,
        org: str = "",
        known_id: Callable[[str], str] = lambda _short_id: "",
    ) -> None:
        self._find_server = find_server
        self._access = access
        self._lists = lists
        self._thread_issue = thread_issue
        self._org = org
        self._known_id = known_id

    def find(self, word: str, invocation: Invocation) -> Issue:
        """The one issue that a word names here; the empty word stands for the issue of the thread.

        Raises:
            BadReference: there is no such issue, or it must not be shown here; the sentence is the same.
            ServerError: the server could not be asked.
        """
        reference = read_reference(word)
        named = _named(word)
        try:
            issue = self._look_up(reference, invocation)
        except NotFound:
            issue = None
        else:
            if issue is None:  # nobody was asked
                raise no_such_issue(named)
        return self._visible(issue, named, invocation)

    def find_by_id(self, issue_id: str, invocation: Invocation) -> Issue:
        """The issue with this id on the server, if it may be shown here. Raises as `find` does."""
        try:
            issue: Issue | None = self._find_server().issue(issue_id)
        except NotFound:
            issue = None
        return self._visible(issue, "This alert's issue", invocation)

    def find_all(self, words: Sequence[str], invocation: Invocation) -> tuple[Issue, ...]:
        """All named issues, each once, as typed; without words, the issue of the thread. One bad REF refuses all.

        Raises:
            UsageError: more than MOST_ISSUES are named; no request was made.
        """
        named: dict[str, str] = {}
        for word in expand_rows(words) or ("",):
            named.setdefault(word.casefold(), word)
        if len(named) > MOST_ISSUES:
            raise UsageError(f"{len(named)} issues are too many at once; use at most {MOST_ISSUES}.")
        try:
            read = self._read_together(tuple(named.values()), invocation)
            found = [
                self._visible(read[word], _named(word), invocation) if word in read else self.find(word, invocation)
                for word in named.values()
            ]
        except BadReference as error:
            raise BadReference(f"{error} Nothing changed." if len(named) > 1 else str(error)) from error
        return tuple({issue.id: issue for issue in found}.values())

    def in_thread(self, invocation: Invocation) -> bool:
        """Whether this is the thread of an alert, where no REF is needed."""
        return bool(invocation.conversation.thread) and self._thread_issue(invocation.conversation) is not None

    def _read_together(self, words: Sequence[str], invocation: Invocation) -> dict[str, Issue | None]:
        """The issues that words name by row or number, read in one request if the server can do that."""
        ids = {}
        for word in words:
            reference = read_reference(word)
            if reference.kind in (RefKind.ROW, RefKind.ISSUE_ID):
                ids[word] = self._listed_id(reference, invocation)
        if len(ids) < 2:
            return {}
        found = {issue.id: issue for issue in self._find_server().issues_by_id(tuple(dict.fromkeys(ids.values())))}
        return {word: found.get(issue_id) for word, issue_id in ids.items()}

    def _visible(self, issue: Issue | None, named: str, invocation: Invocation) -> Issue:
        """The issue, if it may be shown here; BadReference if not.

        An unknown organization and an unknown issue get the same answer; the projects show which it is.
        """
        if issue is not None and visible_issues(self._access, invocation.conversation, (issue,)):
            return issue
        try:
            projects = self._find_server().projects()
        except NotFound:
            raise
        except ServerError:
            raise no_such_issue(named) from None
        raise no_such_issue(named) if projects else BadReference(NO_PROJECTS)

    def _look_up(self, reference: Reference, invocation: Invocation) -> Issue | None:
        kind, text = reference.kind, reference.text
        if kind in (RefKind.ROW, RefKind.ISSUE_ID):
            return self._find_server().issue(self._listed_id(reference, invocation))
        if kind is RefKind.THREAD:
            return self._find_server().issue(self._of_thread(invocation))
        server = self._find_server()
        if kind is RefKind.SHORT_ID:
            return self._by_short_id(server, text, invocation)
        if kind is RefKind.UUID:
            return _by_uuid(server, UUID(text))
        if kind is RefKind.URL:
            return self._by_url(server, text, invocation)
        return self._latest(server, invocation)  # the one form left

    def _listed_id(self, reference: Reference, invocation: Invocation) -> str:
        """The server's id that a row or a number stands for; BadReference if lists shown here make it ambiguous."""
        where, person = invocation.conversation, invocation.person
        if reference.kind is RefKind.ROW:
            return self._lists.row(where, person, int(reference.text))
        self._lists.check_number(where, person, reference.text)
        return reference.text

    def _of_thread(self, invocation: Invocation) -> str:
        issue_id = self._thread_issue(invocation.conversation) if invocation.conversation.thread else None
        if issue_id is None:
            raise BadReference(f"Which issue? {WANTED}.")
        return issue_id

    def _by_short_id(self, server: Server, short_id: str, invocation: Invocation) -> Issue | None:
        """The issue with this short id, which begins with its project's slug on all three servers.

        If that project must not be shown here, the server is not asked. So neither the reply nor the time that it takes
        shows whether there is such an issue.
        """
        if not self._access.may_see(short_id.rpartition("-")[0], invocation.conversation):
            return None
        if server.kind == GLITCHTIP and (known := self._known_id(short_id)):
            with suppress(NotFound):
                issue = server.issue(known)
                if issue.short_id.upper() == short_id:
                    return issue
        return server.issue_by_short_id(short_id)

    def _by_url(self, server: Server, url: str, invocation: Invocation) -> Issue | None:
        address = server.address_of(url)
        if address is None:
            raise BadReference("That address isn't an issue of the connected server.")
        if address.org and self._org and address.org.casefold() != self._org.casefold():
            return None
        named = read_reference(address.issue)
        if named.kind is RefKind.SHORT_ID:
            return self._by_short_id(server, named.text, invocation)
        if named.kind is RefKind.UUID:
            return server.issue(str(UUID(named.text)))
        return server.issue(address.issue)

    def _latest(self, server: Server, invocation: Invocation) -> Issue | None:
        shown = self._lists.own(invocation.conversation, invocation.person)
        query = shown.query if shown is not None and shown.query is not None else IssueQuery()
        projects = query.projects or scope(self._access, invocation.conversation, server, ())
        page = server.issues(replace(query, projects=projects, sort="date", limit=_MOST_CANARIES + 1))
        newest = listed_issues(self._access, invocation.conversation, page.items)
        if not newest:
            like = " like those of your last list" if query != IssueQuery() else ""
            status = "unresolved " if query.status == UNRESOLVED else ""
            raise BadReference(f"No {status}issue{like} found here.")
        return newest[0]


def _named(word: str) -> str:
    return f"Issue {cut(unquote(word), 40)}" if word else "This thread's issue"


def _by_uuid(server: Server, uuid: UUID) -> Issue | None:
    """Bugsink has UUIDs for issues. On other servers, and if there is no such issue, it is the id of an event."""
    if server.kind == BUGSINK:
        with suppress(NotFound):
            return server.issue(str(uuid))
    try:
        return server.issue_of_event(uuid.hex)
    except Unsupported:
        return None
