"""Locks with which a thread cannot block itself for ever.

While a thread holds a lock, foreign code may run in that very thread, between any two instructions: a `__del__` or a
weak reference's callback when garbage is collected, or a signal handler. If it logs an error, the log handler comes
back into this package. So two things hold for every lock here:

- A thread that takes a `Lock` that it holds already gets `Reentered`, and never waits for itself.
- Work that has to take locks, and that such code may need, goes through `afterwards`: it is done at once, or, while
  the thread holds a lock, as soon as it has let go of the last one.

A fork leaves the child with the locks that other threads of the parent held; those are new in the child.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from errbot_sentry.domain.errors import Reentered

log = logging.getLogger(__name__)

Job = Callable[[], object]


class _Here(threading.local):
    """What this thread holds. The defaults are the class's: nothing has to be set up that could be interrupted."""

    held = 0
    catching_up = False


_here = _Here()
_all: weakref.WeakSet[Lock] = weakref.WeakSet()


class Lock:
    """For one thread at a time, and once at a time: a thread that holds it already gets `Reentered`."""

    def __init__(self) -> None:
        # The inner lock lets its own thread in again, so asking who holds it never waits for oneself.
        self._inner = threading.RLock()
        self._owner: int | None = None
        _all.add(self)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it; False if it was not free (in time, seconds). Raises Reentered when this thread would wait for
        itself."""
        _here.held += 1  # first, so that what interrupts us from here on waits
        got = again = False
        try:
            got = self._inner.acquire(blocking, timeout)
            again = got and self._owner is not None  # only this thread could have got in
            if got and not again:
                self._owner = threading.get_ident()
        except BaseException:
            if got:
                self._inner.release()
            _here.held -= 1
            raise
        if got and not again:
            return True
        if again:
            self._inner.release()
        _here.held -= 1
        if again and blocking:
            raise Reentered("This is being done already, by the same thread.")
        return False

    def release(self) -> None:
        """Let go of it, and do what had to wait for that."""
        # At the end of the stack a further call may fail, so the counting makes none.
        self._owner = None
        self._inner.release()
        _here.held -= 1
        if not _here.held:
            try:  # noqa: SIM105 - `suppress` is two calls more
                _catch_up()
            except Exception:  # noqa: BLE001, S110 - the end of the stack again: what waits comes after the next lock
                pass

    @contextmanager
    def within(self, seconds: float) -> Iterator[bool]:
        """Hold it for the length of the block; False where it was not to be had in so many seconds."""
        taken = self.acquire(timeout=seconds)
        try:
            yield taken
        finally:
            if taken:
                self.release()

    def locked(self) -> bool:
        """Whether some thread holds it now."""
        return self._owner is not None

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _is_owned(self) -> bool:
        """Asked by threading.Condition."""
        return self._owner == threading.get_ident()

    def _forget_others(self) -> None:
        """In the child of a fork: the thread that held it does not exist here."""
        if not self._is_owned():
            self._inner = threading.RLock()
            self._owner = None


def condition() -> threading.Condition:
    """A condition whose lock is a `Lock`."""
    return threading.Condition(Lock())  # type: ignore[arg-type]  # it needs no more than the methods of Lock


class Latch:
    """Closed until one thread opens it; then it stays open. Has no section that could be entered twice."""

    def __init__(self) -> None:
        self._closed = threading.Lock()
        self._closed.acquire()

    def open(self) -> None:
        """Let the one who waits go on. To be called once."""
        self._closed.release()

    def wait(self, timeout: float = -1) -> bool:
        """Wait until it is open, by default as long as it takes; False when it is not after `timeout` seconds."""
        return self._closed.acquire(timeout=timeout)


def held() -> bool:
    """Whether this thread holds a lock of this package."""
    return _here.held > 0


def afterwards(work: Job) -> None:
    """Do it now, or, when this thread holds a lock, after it has let go of the last one.

    What the work raises goes to the caller in the first case, and to the log in the second.
    """
    if not _here.held:
        work()
        return
    waiting: queue.SimpleQueue[Job] = _here.__dict__.setdefault("waiting", queue.SimpleQueue())
    waiting.put(work)


def _catch_up() -> None:
    waiting: queue.SimpleQueue[Job] | None = _here.__dict__.get("waiting")
    while waiting is not None and not waiting.empty() and not _here.catching_up:
        _here.catching_up = True
        try:
            waiting.get_nowait()()
        except queue.Empty:  # an interruption between the question and here has done it
            return
        except Exception:  # it belongs to somebody else than who unlocks here
            log.exception("What had to wait for a lock failed")
        finally:
            _here.catching_up = False


def _in_the_child() -> None:
    for lock in list(_all):
        lock._forget_others()  # noqa: SLF001 - the same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_the_child)
