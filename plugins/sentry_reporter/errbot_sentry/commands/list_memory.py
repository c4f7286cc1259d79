"""The last list of issues shown to each person in each conversation: what `#3`, `next` and `prev` refer to.

A row stands for an issue's id, and is never guessed: one that could mean two issues, or is over an hour old, is
refused. Lists of an issue's events or tags have numbers too. Each of their rows stands for that issue, so such a list
can make a row ambiguous.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cachetools import LRUCache

from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Conversation, Person
from errbot_sentry.domain.errors import BadReference
from errbot_sentry.domain.issues import IssueQuery
from errbot_sentry.domain.locks import Lock
from errbot_sentry.domain.text import counted

VALID_FOR = timedelta(hours=1)
_MOST_LISTS = 1000
_MOST_ROWS = 1000
_MOST_ASIDES = 20
_LIST_AGAIN = "or run `!sentry issues` again"


@dataclass(frozen=True)
class ListPage:
    """One page of a list: the cursor that it was read with, how many rows come before it, and how many it has."""

    cursor: str | None
    before: int
    count: int = 0


@dataclass(frozen=True)
class Aside:
    """A numbered list that was shown after a list of issues.

    It is about one issue, such as a list of its events; if `issue_id` is "", it is a list of something else, such as
    silences.
    """

    issue_id: str
    length: int
    shown_at: datetime


@dataclass(frozen=True)
class ShownList:
    """A list as people see it. `rows` are the issue ids of all pages shown so far, row 1 first.

    `list_pages` are the pages from the first to the present one; `next` is the cursor of the following one. `query` is
    None if no list of issues was shown yet, only `asides`.
    """

    query: IssueQuery | None
    shown_at: datetime
    rows: tuple[str, ...] = ()
    list_pages: tuple[ListPage, ...] = (ListPage(None, 0),)
    next: str | None = None
    asides: tuple[Aside, ...] = ()

    @property
    def here(self) -> ListPage:
        return self.list_pages[-1]

    def following(self) -> ListPage:
        """Where the next page begins.

        Raises:
            BadReference: there is none, or the list has too many rows already.
        """
        if self.next is None:
            raise BadReference("That was the last page.")
        if self.next in (list_page.cursor for list_page in self.list_pages):
            raise BadReference("That was the last page; from here the server repeats itself.")
        before = self.here.before + self.here.count
        if before >= _MOST_ROWS:
            raise BadReference(f"Only {_MOST_ROWS} rows can be listed. Narrow the list with search words or -p.")
        return ListPage(self.next, before)

    def preceding(self) -> ListPage:
        """Where the previous page begins.

        Raises:
            BadReference: this is the first one.
        """
        if len(self.list_pages) < 2:
            raise BadReference("This is the first page.")
        return self.list_pages[-2]

    def paged(self, list_page: ListPage, ids: Iterable[str], following: str | None, now: datetime) -> ShownList:
        """The list after this page of it was shown."""
        before = (
            self.list_pages[: self.list_pages.index(list_page)] if list_page in self.list_pages else self.list_pages
        )
        shown = tuple(ids)
        rows = self.rows[: list_page.before] + shown + self.rows[list_page.before + len(shown) :]
        list_pages = (*before, replace(list_page, count=len(shown)))
        return replace(self, shown_at=now, rows=rows, list_pages=list_pages, next=following, asides=())

    def meant_by(self, number: int, after: datetime | None = None) -> set[str]:
        """The issue ids that a row's number could mean in what was shown here (since `after`)."""
        meant = {aside.issue_id for aside in self.asides if number <= aside.length and _is_after(aside.shown_at, after)}
        if number <= len(self.rows) and _is_after(self.shown_at, after):
            meant.add(self.rows[number - 1])
        return meant


class LastLists:
    """The last lists: a bounded number, each for an hour. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._lists: LRUCache[tuple[Conversation, Person], ShownList] = LRUCache(_MOST_LISTS)

    def keep(self, conversation: Conversation, person: Person, shown: ShownList) -> None:
        """Remember what was just shown; if there are too many lists, the oldest is forgotten."""
        with self._lock:
            self._lists[conversation, person] = shown

    def keep_aside(self, conversation: Conversation, person: Person, issue_id: str, length: int) -> None:
        """Remember that a numbered list about an issue was shown: `#3` could now mean that issue.

        For a list of something else, such as silences, `issue_id` is "": then `#3` is refused, because it may mean one
        of these. `length` is the highest number shown, 0 if the list was empty.
        """
        if not length:
            return
        now = self._clock.now()
        shown = self.own(conversation, person) or ShownList(None, now)
        asides = (*shown.asides, Aside(issue_id, length, now))[-_MOST_ASIDES:]
        self.keep(conversation, person, replace(shown, asides=asides))

    def own(self, conversation: Conversation, person: Person) -> ShownList | None:
        """The last list that this person asked for here, unless it has expired."""
        with self._lock:
            return self._live(self._lists.get((conversation, person)))

    def to_page(self, conversation: Conversation, person: Person) -> tuple[IssueQuery, ShownList]:
        """The list that `next` and `prev` continue, with its query: the person's own, else the only one shown here.

        Raises:
            BadReference: there is none, there are several and none is the person's own, or it is not a list of issues.
        """
        shown = self.own(conversation, person) or self._only_other(conversation, person)
        if shown.query is None:
            raise BadReference(
                "I remember no list of issues of yours here from the last hour. Run `!sentry issues` first."
            )
        return shown.query, shown

    def _only_other(self, conversation: Conversation, person: Person) -> ShownList:
        others = self._others(conversation, person)
        if len(others) > 1:
            raise BadReference("Several lists were shown here and none is yours. Run `!sentry issues` first.")
        if not others:
            raise BadReference("I remember no list of yours here from the last hour. Run `!sentry issues` first.")
        return others[0]

    def row(self, conversation: Conversation, person: Person, number: int) -> str:
        """The issue id of a row.

        The person's own list counts, and so do lists that were shown here to others since: the person may have read
        those. If the row stands for different issues in them, it is refused.

        Raises:
            BadReference: no list, no such row, or a row that could mean two issues.
        """
        own = self.own(conversation, person)
        others = self._others(conversation, person)
        if own is None and not others:
            raise BadReference(
                f"I remember no list here from the last hour, so I don't know #{number}. Run `!sentry issues` first."
            )
        meant = own.meant_by(number) if own is not None and number > 0 else set()
        # A person without a list of issues may mean any list of the others.
        since = own.shown_at if own is not None and own.query is not None else None
        for other in others if number > 0 else ():
            meant |= other.meant_by(number, after=since)
        if not meant:
            longest = max(len(shown.rows) for shown in ([own] if own is not None else others))
            raise BadReference(f"There's no #{number}; the last list has {counted(longest, 'row')}.")
        if meant == {""}:
            raise BadReference(f"#{number} in the last list isn't an issue. Use the issue's short ID, {_LIST_AGAIN}.")
        if len(meant) > 1:
            things = "things" if "" in meant else "issues"
            raise BadReference(
                f"#{number} could mean two {things}, because another list was shown here. "
                f"Use the issue's short ID, {_LIST_AGAIN}."
            )
        return meant.pop()

    def check_number(self, conversation: Conversation, person: Person, issue_id: str) -> None:
        """Refuse the issue number `3` if the row #3 of a list shown here is another issue: the # may be forgotten.

        Raises:
            BadReference: such a list was shown.
        """
        number = int(issue_id)
        own = self.own(conversation, person)
        shown = [*self._others(conversation, person), *([own] if own is not None else [])]
        if number > 0 and any(meant != issue_id for one in shown for meant in one.meant_by(number)):
            raise BadReference(
                f"{issue_id} is the number of an issue, and #{issue_id} is a row of the last list. Use #{issue_id}, or "
                "the issue's short ID or address."
            )

    def _others(self, conversation: Conversation, person: Person) -> list[ShownList]:
        if conversation.is_direct:  # a direct message has one reader, and its Conversation does not say who
            return []
        with self._lock:
            here = [shown for (where, who), shown in self._lists.items() if where == conversation and who != person]
            return [shown for shown in map(self._live, here) if shown is not None]

    def _live(self, shown: ShownList | None) -> ShownList | None:
        if shown is None or self._clock.now() - shown.shown_at <= VALID_FOR:
            return shown
        # Numbered lists that were shown later may still count.
        asides = tuple(aside for aside in shown.asides if self._clock.now() - aside.shown_at <= VALID_FOR)
        return ShownList(None, asides[0].shown_at, asides=asides) if asides else None


def _is_after(at: datetime, limit: datetime | None) -> bool:
    return limit is None or at > limit
