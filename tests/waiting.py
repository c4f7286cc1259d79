"""Waiting in tests: for a condition, never for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T], timeout: float = 10.0, what: str | Callable[[], str] = "", every: float = 0.02
) -> T:
    """Call `condition` until what it returns is true, and return that; else fail and say `what` was awaited.

    `timeout` and `every` are seconds. `what` may be a function, for words that are worth making only upon failure. An
    exception of the condition goes through: only the condition knows which errors mean "not yet".
    """
    __tracebackhide__ = True
    deadline = time.monotonic() + timeout
    while True:
        last_call = time.monotonic() >= deadline
        if result := condition():
            return result
        if last_call:
            words = what() if callable(what) else what
            raise AssertionError(
                f"waited {timeout:g} s in vain for: {words or repr(condition)} (last seen: {result!r})"
            )
        time.sleep(every)  # the only wait of tests: what is awaited may be in another process, which wakes nobody
