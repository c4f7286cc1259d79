"""States that tests open: each is closed when its test ends, so that none is left to the garbage collector."""

from __future__ import annotations

from pathlib import Path

from errbot_sentry.store.database import Store

_opened: list[Store] = []


def store_at(url: str | Path) -> Store:
    """A store that `close_stores` closes."""
    store = Store(url)
    _opened.append(store)
    return store


def close_stores() -> None:
    """Close what `store_at` has made so far."""
    while _opened:
        _opened.pop().close()
