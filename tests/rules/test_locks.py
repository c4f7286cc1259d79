"""No thread waits for itself: what a second acquire does, what waits for the release, and what a fork leaves."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest

from errbot_sentry.domain.errors import Reentered
from errbot_sentry.domain.locks import Latch, Lock, afterwards, condition, held


def test_a_thread_that_comes_again_is_refused_and_still_holds_it() -> None:
    lock = Lock()
    with lock:
        with pytest.raises(Reentered):
            lock.acquire()
        assert lock.acquire(blocking=False) is False
        assert lock.locked()
        assert held()
    assert not lock.locked()
    assert not held()
    with lock:
        pass


def test_another_thread_is_kept_out_meanwhile() -> None:
    lock, got = Lock(), []
    with lock:
        thread = threading.Thread(target=lambda: got.append(lock.acquire(timeout=0.01)))
        thread.start()
        thread.join(30)
    assert got == [False]


def test_a_condition_wakes_who_waits_and_refuses_its_own_thread() -> None:
    changed = condition()
    state: list[str] = []

    def wait() -> None:
        with changed:
            changed.wait_for(lambda: state, timeout=30)
            state.append("woken")

    thread = threading.Thread(target=wait)
    thread.start()
    with changed:
        with pytest.raises(Reentered):
            changed.acquire()
        state.append("changed")
        changed.notify_all()
    thread.join(30)
    assert state == ["changed", "woken"]


def test_work_waits_until_the_last_lock_is_free_and_comes_in_order() -> None:
    first, second, done = Lock(), Lock(), []
    afterwards(lambda: done.append(0))
    with first:
        with second:
            afterwards(lambda: done.append(1))
            afterwards(lambda: [first.acquire(), done.append(2), first.release()])
        assert done == [0]
    assert done == [0, 1, 2]


def test_work_that_fails_keeps_no_other_from_being_done(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []
    with Lock():
        afterwards(lambda: 1 // 0)
        afterwards(lambda: done.append(1))
    assert done == [1]
    assert "ZeroDivisionError" in caplog.text


def test_a_latch_opens_once_for_who_waits() -> None:
    latch = Latch()
    assert latch.wait(0.01) is False
    threading.Thread(target=latch.open).start()
    assert latch.wait(30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_is_not_kept_out_by_a_thread_that_it_does_not_have() -> None:
    lock, taken, over = Lock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(60)
    child = os.fork()
    if not child:
        os._exit(0 if lock.acquire(timeout=20) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert lock.locked()  # in the parent nothing has changed
    over.set()
    thread.join(30)


@pytest.mark.parametrize("deeper", range(6))
@pytest.mark.parametrize("take", ["with", "within"])
def test_a_full_stack_leaves_no_lock_taken(deeper: int, take: str) -> None:
    """Code that handles a RecursionError where it is raised: whatever fails there, the lock is free afterwards."""
    lock = Lock()

    def work() -> int:
        return len("work")

    def use() -> None:
        if take == "with":
            with lock:
                work()
        else:
            with lock.within(1):
                work()

    def recurse() -> int:
        try:
            return recurse() + 1
        except RecursionError:
            with suppress(RecursionError):
                use()
            raise

    def start(calls: int) -> None:
        """The stack ends at another line of the lock for each number of calls above."""
        if calls:
            return start(calls - 1)
        with pytest.raises(RecursionError):
            recurse()
        return None

    start(deeper)
    assert not lock.locked()
    assert not held()
