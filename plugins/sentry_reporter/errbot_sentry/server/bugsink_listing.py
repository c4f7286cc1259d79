"""Lists issues of several Bugsink projects: merges, filters and pages them, because its API does not.

One request per project reads its first 250 issues in the wanted order. Filters that leave few of these need more
requests, and so do later pages. A call makes a bounded number of them; if that is not enough, the page says so.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from itertools import islice, takewhile
from typing import Any

from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import BadQuery, Unsupported
from errbot_sentry.domain.issues import Issue, IssueQuery, Page, Project
from errbot_sentry.server.http.calls import Query
from errbot_sentry.server.search import Search, plain_search

FetchPage = Callable[[Project, Query], Page[Issue]]

_MORE_PAGES = 8  # beyond the first of each project
_MOST_SECONDS = 10.0
_SORTS = {"date": "last_seen", "new": "digest_order", "freq": "digested_event_count"}
_NEVER = datetime.min.replace(tzinfo=timezone.utc)
_STOPPED = "Not all issues were searched: name one project with -p, or try a shorter time."


class BugsinkListing:
    """One call of `Server.issues`; the cursor is the number of rows on earlier pages."""

    def __init__(self, fetch: FetchPage, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._stop_at = clock.monotonic() + _MOST_SECONDS
        self._pages_left = _MORE_PAGES
        self._stopped = False
        self._skipped = 0

    def page(self, query: IssueQuery, projects: tuple[Project, ...], cursor: str | None) -> Page[Issue]:
        """A page of the issues that match the query, in order.

        Raises:
            Unsupported: the query needs what Bugsink does not have; the sentence names it.
        """
        search = _search(query)
        oldest = self._clock.now() - query.seen_within if query.seen_within is not None else None
        start = _offset(cursor)
        parts = [self._rows(project, query.sort) for project in projects]
        rows: Iterator[Issue] = heapq.merge(*parts, key=_ORDER[query.sort], reverse=True)
        if oldest is not None and query.sort == "date":
            rows = takewhile(lambda issue: (issue.last_seen or _NEVER) >= oldest, rows)
        fitting = (issue for issue in rows if _fits(issue, search, oldest))
        shown = tuple(islice(fitting, start, start + query.limit + 1))
        following = str(start + query.limit) if len(shown) > query.limit else None
        previous = str(max(start - query.limit, 0)) if start else None
        return Page(shown[: query.limit], following, previous, _STOPPED if self._stopped else "", self._skipped)

    def _rows(self, project: Project, sort: str) -> Iterator[Issue]:
        """A project's issues, page after page, until the caller has enough or the bound is reached."""
        query: Query = [("sort", _SORTS[sort]), ("order", "desc")]
        first, cursor = True, None
        while first or cursor is not None:
            if self._clock.monotonic() > self._stop_at or (not first and self._pages_left <= 0):
                self._stopped = True
                return
            self._pages_left -= 0 if first else 1
            page = self._fetch(project, [*query, *([("cursor", cursor)] if cursor else [])])
            first, cursor = False, page.next
            self._skipped += page.skipped
            yield from page.items


_ORDER: dict[str, Callable[[Issue], Any]] = {
    "date": lambda issue: (issue.last_seen or _NEVER, issue.id),
    "new": lambda issue: (issue.first_seen or _NEVER, issue.id),
    "freq": lambda issue: (issue.events or 0, issue.last_seen or _NEVER, issue.id),
}


def _search(query: IssueQuery) -> Search:
    if query.environments:
        raise Unsupported("Bugsink cannot filter issues by environment: leave out -e.")
    if query.sort not in _SORTS:
        raise Unsupported("Bugsink does not count users: sort by date, new or freq.")
    search = plain_search("Bugsink", query.text, query.status)
    if search.keys:
        raise Unsupported(
            f"Bugsink cannot search by {search.keys[0].key[:50]}: it takes is:unresolved, is:resolved, is:archived, "
            "and words of the title."
        )
    return search


def _fits(issue: Issue, search: Search, oldest: datetime | None) -> bool:
    if search.status is not None and issue.status != search.status:
        return False
    if oldest is not None and (issue.last_seen is None or issue.last_seen < oldest):
        return False
    text = f"{issue.title}\n{issue.culprit}\n{issue.short_id}".casefold()
    return all(word.casefold() in text for word in search.words)


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isdecimal() or len(cursor) > 9:
        raise BadQuery("That page is not one of Bugsink's: list the issues again.")
    return int(cursor)
