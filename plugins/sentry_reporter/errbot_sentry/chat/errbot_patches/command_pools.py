"""Errbot's command pools, freed when they are done.

Errbot 6.2.1: before each admin-only command, also of other plugins, Errbot closes its pool of threads, makes a new one,
and has `atexit` keep each of them to the end of the process (errbot/core.py, lines 457 to 463). A pool holds a pipe:
two descriptors for every such command, four for a `!plugin deactivate` and `activate`, until no file can be opened. The
registration came with https://github.com/errbotio/errbot/pull/1486.

Change: `atexit` in `errbot.core` is an object that registers a pool by a weak reference.

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
    """In place of the module `atexit` in Errbot's core: closes pools at the end without keeping them until then."""

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
    """Let go of pools that are not in use any more, the present one included; returns what undoes that."""
    pool = bot.thread_pool
    atexit.unregister(pool.close)  # made before us, or while we were not active
    errbot.core.atexit = _AtExit()
    errbot.core.atexit.register(pool.close)

    def undo() -> None:
        errbot.core.atexit = atexit

    return undo


def _close(reference: weakref.ref[ThreadPool]) -> None:
    pool = reference()
    if pool is not None:
        pool.close()
