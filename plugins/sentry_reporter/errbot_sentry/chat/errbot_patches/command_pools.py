"""Frees Errbot's command pools when they are not used any more.

Errbot 6.2.1: before each admin-only command, even of other plugins, Errbot closes its pool of threads and makes a new
one. It registers each pool with `atexit`, which keeps the pool until the process ends (errbot/core.py, lines 457 to
463). A pool holds a pipe. So each such command costs two file descriptors, and `!plugin deactivate` and `activate`
together cost four, until no file can be opened. https://github.com/errbotio/errbot/pull/1486 added the registration.

Change: in `errbot.core`, `atexit` is replaced by an object that registers a pool by a weak reference.

Undone: the module `atexit` is put back.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import Any

import errbot.core


class _AtExit:
    """Replaces the module `atexit` in Errbot's core. Closes pools when Python exits, without keeping them in memory."""

    def register(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        pool = getattr(function, "__self__", None)
        if isinstance(pool, ThreadPool):
            atexit.register(_close, weakref.ref(pool))
            return function
        return atexit.register(function, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(atexit, name)


def has_pool(bot: Any) -> bool:
    """Whether this bot runs commands in a pool of threads (BOT_ASYNC)."""
    return getattr(bot, "thread_pool", None) is not None


def free_old_pools(bot: Any) -> Callable[[], None]:
    """Let unused pools be freed, and later the current one too. Returns a function that undoes the change."""
    pool = bot.thread_pool
    atexit.unregister(pool.close)  # Errbot made this pool before the patch was applied
    errbot.core.atexit = _AtExit()
    errbot.core.atexit.register(pool.close)

    def undo() -> None:
        errbot.core.atexit = atexit

    return undo


def _close(reference: weakref.ref[ThreadPool]) -> None:
    pool = reference()
    if pool is not None:
        pool.close()
