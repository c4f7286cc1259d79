"""Projects are asked for seldom, and again when one is missing."""

from __future__ import annotations

from datetime import datetime, timezone

from errbot_sentry.model import Project
from errbot_sentry.server.catalog import KEPT_SECONDS, Catalog


class HandClock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, timezone.utc)

    def monotonic(self) -> float:
        return self.seconds


def test_the_list_is_kept_for_a_while():
    """One request for many commands."""
    clock, fetched = HandClock(), []

    def fetch() -> tuple[Project, ...]:
        fetched.append(clock.seconds)
        return (Project("1", "web"),)

    catalog = Catalog(fetch, clock)
    catalog.all()
    clock.seconds += KEPT_SECONDS
    assert catalog.all() == (Project("1", "web"),)
    assert len(fetched) == 1
    clock.seconds += 1
    catalog.all()
    assert len(fetched) == 2


def test_an_unknown_project_is_looked_for_again_but_not_every_time():
    """A new project is found at once; a wrong name does not cost a request each time."""
    clock, known, fetched = HandClock(), [Project("1", "web")], []

    def fetch() -> tuple[Project, ...]:
        fetched.append(1)
        return tuple(known)

    catalog = Catalog(fetch, clock)
    catalog.all()
    clock.seconds += 60
    known.append(Project("2", "Api"))
    assert catalog.by_slug("API") == Project("2", "Api")
    assert len(fetched) == 2
    assert catalog.by_id("3") is None
    assert catalog.by_id("3") is None
    assert len(fetched) == 2
