"""Errbot's command pools, freed when they are done.

Before each admin-only command, also of other plugins, Errbot closes its pool of threads and makes a new one, and has
`atexit` keep each of them to the end of the process (errbot/core.py, Errbot 6.2.1). A pool holds a pipe: two
descriptors for every such command, four for a `!plugin deactivate` and `activate`, until no file can be opened.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import Any

import errbot.core


class _AtExit:
    """Takes the place of the module `atexit` in Errbot's core: pools are closed at the end, but not kept for that."""

    def register(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        pool = getattr(function, "__self__", None)
        if isinstance(pool, ThreadPool):
            atexit.register(_close, weakref.ref(pool))
            return function
        return atexit.register(function, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(atexit, name)


def free_old_pools(bot: Any) -> Callable[[], None]:
    """Let go of pools that are not in use any more, the present one included; returns what takes that back.

    A bot without a pool (BOT_ASYNC is false) is left as it is.
    """
    pool = getattr(bot, "thread_pool", None)
    if pool is None:
        return lambda: None
    atexit.unregister(pool.close)  # made before us, or while we were not active
    errbot.core.atexit = _AtExit()
    errbot.core.atexit.register(pool.close)

    def undo() -> None:
        errbot.core.atexit = atexit

    return undo


def _close(kept: weakref.ref[ThreadPool]) -> None:
    pool = kept()
    if pool is not None:
        pool.close()
