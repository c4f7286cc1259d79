"""Locks that cannot make a thread wait for itself.

While a thread holds a lock, foreign code may run in the same thread between any two instructions: a `__del__` or a weak
reference's callback during garbage collection, or a signal handler. If that code logs an error, our log handler runs
and needs locks of this package. So these rules apply to every lock here:

- If a thread takes a `Lock` that it already holds, it gets `Reentered` and does not wait.
- Work that takes locks and may be needed by such foreign code goes through `afterwards`. The work is done at once, or,
  if the thread holds a lock, as soon as it has released its last one.

After a fork, locks that other threads of the parent held would stay locked in the child. The child gets new ones.
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
    """The state of one thread. The defaults are class attributes, so that no set-up code can be interrupted."""

    held = 0
    catching_up = False


_here = _Here()
_all: weakref.WeakSet[Lock] = weakref.WeakSet()


class Lock:
    """A lock for one thread at a time. A thread that holds it and takes it again gets `Reentered`."""

    def __init__(self) -> None:
        # A thread can take an RLock again without waiting. `acquire` uses that to find out that it holds the lock.
        self._inner = threading.RLock()
        self._owner: int | None = None
        _all.add(self)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; False if it was not free within `timeout` seconds.

        Raises:
            Reentered: this thread would wait for itself.
            RecursionError: Python's stack is too full for releasing the lock afterwards.
        """
        _check_stack()
        _here.held += 1  # first: from here on, the work of code that interrupts us is put off
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
        """Release the lock, and do the work that waited for this."""
        # If Python's stack is nearly full, any further call may fail. So these lines call no function of Python.
        self._owner = None
        self._inner.release()
        _here.held -= 1
        if not _here.held:
            try:  # noqa: SIM105 - `suppress` is two calls more
                _catch_up()
            except Exception:  # noqa: BLE001, S110 - the stack is full: the work is done after the next lock
                pass

    @contextmanager
    def within(self, seconds: float) -> Iterator[bool]:
        """Hold the lock during the block. Yields False if it could not be taken within so many seconds."""
        taken = self.acquire(timeout=seconds)
        try:
            yield taken
        finally:
            if taken:
                self.release()

    def locked(self) -> bool:
        """Whether some thread holds the lock now."""
        return self._owner is not None

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _is_owned(self) -> bool:
        """Whether this thread holds the lock; threading.Condition needs this method."""
        return self._owner == threading.get_ident()

    def _forget_others(self) -> None:
        """Renew the lock in the child of a fork if another thread held it: that thread does not exist here."""
        if not self._is_owned():
            self._inner = threading.RLock()
            self._owner = None


def _check_stack() -> None:
    """Raise RecursionError unless there is room for a few more calls.

    Python 3.13 may refuse a call at the end of a `with` block although it allowed one at its beginning. The lock would
    then never be released.
    """
    _one_deeper()


def _one_deeper() -> None:
    _nothing()


def _nothing() -> None:
    pass


def condition() -> threading.Condition:
    """A condition whose lock is a `Lock`."""
    return threading.Condition(Lock())  # type: ignore[arg-type]  # Condition only calls methods that Lock has


class Latch:
    """Closed until one thread opens it, then open for good. No code of it runs under a lock, so it needs no `Lock`."""

    def __init__(self) -> None:
        self._closed = threading.Lock()
        self._closed.acquire()

    def open(self) -> None:
        """Let the waiting thread go on. Call this once."""
        self._closed.release()

    def wait(self, timeout: float = -1) -> bool:
        """Wait until the latch is open, by default without limit; False if it is not after `timeout` seconds."""
        return self._closed.acquire(timeout=timeout)


def held() -> bool:
    """Whether this thread holds a lock of this package."""
    return _here.held > 0


def afterwards(work: Job) -> None:
    """Do the work now, or, if this thread holds a lock, after it has released its last one.

    An exception of the work reaches the caller in the first case, and is logged in the second.
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
        except queue.Empty:  # code that interrupted us after the check has done the work
            return
        except Exception:  # the thread that releases a lock has nothing to do with this error
            log.exception("Work that waited for a lock failed")
        finally:
            _here.catching_up = False


def _in_the_child() -> None:
    for lock in list(_all):
        lock._forget_others()  # noqa: SLF001 - the same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_the_child)
