"""SIGTERM ends the bot as Ctrl-C does.

Errbot 6.2.1: nothing handles SIGTERM (errbot/cli.py, line 398: the bot runs until its loop ends), so that `docker stop`
and systemd kill it: plugins are not deactivated, and Errbot's own storage may be cut in the middle of a write.

Change: SIGTERM raises KeyboardInterrupt in the main thread, as SIGINT does. A second one, while the bot ends, does
nothing. Where somebody else handles SIGTERM, also Errbot with `--daemon`, that stays.

Undone: SIGTERM kills again. Python sets handlers in the main thread only, so ours stays and does what the kernel would.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol, cast

from errbot_sentry.domain.errors import RestartNeeded


class _Switch(Protocol):
    """Our handler, perhaps of a version of this module that was loaded before."""

    sentry_reporter_active: bool


class _Handler:
    def __init__(self) -> None:
        self.sentry_reporter_active = True
        self._ends = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if not self.sentry_reporter_active:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not self._ends:
            self._ends = True
            raise KeyboardInterrupt


def is_unhandled(_bot: Any) -> bool:
    """Whether SIGTERM kills, or did before we handled it."""
    handler = signal.getsignal(signal.SIGTERM)
    return handler is signal.SIG_DFL or hasattr(handler, "sentry_reporter_active")


def end_orderly(_bot: Any) -> Callable[[], None]:
    """Handle SIGTERM; returns what undoes that.

    Raises:
        RestartNeeded: in another thread than the main one, after an installation into a running bot.
    """
    found = signal.getsignal(signal.SIGTERM)
    if not hasattr(found, "sentry_reporter_active"):
        if threading.current_thread() is not threading.main_thread():
            raise RestartNeeded("Only the main thread of Python can handle signals.")
        signal.signal(signal.SIGTERM, found := _Handler())
    switch = cast(_Switch, found)
    switch.sentry_reporter_active = True

    def undo() -> None:
        switch.sentry_reporter_active = False

    return undo
