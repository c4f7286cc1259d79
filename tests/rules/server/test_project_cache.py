"""Projects are asked for seldom, and again when one is missing."""

from __future__ import annotations

import threading

import pytest

from errbot_sentry.domain.errors import TimedOut
from errbot_sentry.domain.issues import Project
from errbot_sentry.server.dialect import CACHE_SECONDS, ProjectCache
from tests.clocks import VirtualClock


def test_the_list_is_kept_for_a_while():
    """One request for many commands."""
    clock, fetched = VirtualClock(), []

    def fetch() -> tuple[Project, ...]:
        fetched.append(clock.monotonic())
        return (Project("1", "web"),)

    catalog = ProjectCache(fetch, clock)
    catalog.all()
    clock.advance(CACHE_SECONDS)
    assert catalog.all() == (Project("1", "web"),)
    assert len(fetched) == 1
    clock.advance(1)
    catalog.all()
    assert len(fetched) == 2


def test_an_unknown_project_is_looked_for_again_but_not_every_time():
    """A new project is found at once; a wrong name does not cost a request each time."""
    clock, known, fetched = VirtualClock(), [Project("1", "web")], []

    def fetch() -> tuple[Project, ...]:
        fetched.append(1)
        return tuple(known)

    catalog = ProjectCache(fetch, clock)
    catalog.all()
    clock.advance(60)
    known.append(Project("2", "Api"))
    assert catalog.by_slug("API") == Project("2", "Api")
    assert len(fetched) == 2
    assert catalog.by_id("3") is None
    assert catalog.by_id("3") is None
    assert len(fetched) == 2


class SeenLock:
    """A lock that tells who has come to it."""

    def __init__(self) -> None:
        self.comers = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.comers.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_who_waited_for_a_failure_has_failed_too():
    """A server that hangs is waited for once, not by each command in turn; who asks afterwards tries anew."""
    tries: list[int] = []
    told: list[TimedOut] = []
    lock = SeenLock()

    def fetch() -> tuple[Project, ...]:
        tries.append(1)
        for _ in range(4 if len(tries) == 1 else 0):
            assert lock.comers.acquire(timeout=60)
        raise TimedOut("No answer in time.", wait=2.0)

    catalog = ProjectCache(fetch, VirtualClock())
    catalog._lock = lock

    def ask() -> None:
        with pytest.raises(TimedOut, match="No answer in time") as caught:
            catalog.all()
        told.append(caught.value)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({id(error) for error in told}) == 4
    assert {error.wait for error in told} == {2.0}
    assert len(tries) == 1
    with pytest.raises(TimedOut):
        catalog.all()
    assert len(tries) == 2
