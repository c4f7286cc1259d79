"""Python 3.13: Errbot's own storage works in every thread.

Errbot 6.2.1: Errbot stores its own data and that of plugins with Python's `shelve` (errbot/storage/shelf.py, line 15).
Since Python 3.13 a new shelf is an SQLite file (`dbm.sqlite3`) that only the thread that opened it may use. Errbot
opens a shelf in one thread and uses it in others, so each plugin fails when it is activated or at its first command.

Change: each shelf of this kind is opened again without this limit. This applies to shelves that Errbot has already
opened and to those that it opens later. SQLite itself takes care of the locking.

Undone: new shelves are opened in Python's own way; shelves that are open now stay as they are.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import Any

from errbot_sentry.domain.errors import RestartNeeded

_SERIALIZED = 3  # PEP 249: threads may share connections


def has_shelf(bot: Any) -> bool:
    """Whether this bot's storage uses shelves that may be SQLite files."""
    return sys.version_info >= (3, 13) and type(_plugin_of(bot)).__name__ == "ShelfStoragePlugin"


def share_shelves(bot: Any) -> Callable[[], None]:
    """Let every thread use this bot object's shelves. Returns a function that undoes the change.

    Raises:
        RestartNeeded: this is not the main thread, which opened the shelves, because the plugin was installed into a
            running bot.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RestartNeeded("Python lets only the thread that opened a shelf open it again.")
    if sqlite3.threadsafety != _SERIALIZED:
        raise TypeError(f"this SQLite does not let threads share connections: {sqlite3.threadsafety}")
    plugin = _plugin_of(bot)
    original = plugin.open
    for owner in (bot, bot.plugin_manager, bot.repo_manager):
        if owner.is_open_storage():
            _share(owner._store)  # noqa: SLF001 - Errbot has no public access to it

    def open_shared(namespace: str) -> Any:
        storage = original(namespace)
        _share(storage)
        return storage

    plugin.open = open_shared

    def undo() -> None:
        del plugin.open

    return undo


def _plugin_of(bot: Any) -> Any:
    return getattr(bot, "storage_plugin", None)


def _share(storage: Any) -> None:
    shelf = storage.shelf.dict
    if type(shelf).__module__ != "dbm.sqlite3" or hasattr(shelf, "sentry_reporter_shared"):
        return
    ((_, _, path),) = shelf._cx.execute("PRAGMA database_list").fetchall()  # noqa: SLF001 - there is no public access
    shared = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    shelf._cx.close()  # noqa: SLF001 - as above
    shelf._cx = shared  # noqa: SLF001 - as above
    shelf.sentry_reporter_shared = True
