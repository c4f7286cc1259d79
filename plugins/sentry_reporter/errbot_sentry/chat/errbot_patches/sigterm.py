"""SIGTERM ends the bot as Ctrl-C does, and both end the process within five seconds.

Errbot 6.2.1: nothing handles SIGTERM (errbot/cli.py, line 398: the bot runs until its loop ends), so that `docker stop`
and systemd kill it: plugins are not deactivated, and Errbot's own storage may be cut in the middle of a write. After
Ctrl-C the backend ends in its own way, and some wait for the chat network as they do: Mattermost's logs out with a
request of 15 s, and Telegram's and others may be in one. Threads that libraries leave behind keep the process, too.

Change: SIGTERM raises KeyboardInterrupt in the main thread, as SIGINT does. A second one, while the bot ends, does
nothing. Where somebody else handles SIGTERM, also Errbot with `--daemon`, that stays. A thread learns of either signal
at once, even if the main thread is in a call that no signal interrupts (the name of a host is looked up). If the
backend has not ended soon, it deactivates the plugins and ends ours; a little later it closes Errbot's storage and
ends the process, whatever the backend does. It never cuts a plugin's `deactivate` short.

Undone: SIGTERM kills again, and Ctrl-C takes as long as the backend does. Python sets handlers in the main thread only,
so ours stays and does what the kernel would.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol, cast

from errbot_sentry.chat.errbot_patches.shutdown import close_storage, is_called_by
from errbot_sentry.domain.errors import RestartNeeded

log = logging.getLogger(__name__)

# Seconds. A backend that does not hang has begun to end long before the first have passed. Our own end takes 3.5
# (CLOSE_SECONDS in app.py). Plugins that are slow to deactivate come in between; else it is less than five in all.
_BEGIN, _END = 0.8, 3.7
_FLUSH = 0.2
_LEAVE = 0  # no signal has this number


class _Switch(Protocol):
    """Our handler, perhaps of a version of this module that was loaded before."""

    sentry_reporter_active: bool

    def begin(self, bot: Any, end: Callable[[], None]) -> None:
        """Handle signals from now on."""

    def leave(self) -> None:
        """Handle them no more."""


class _Handler:
    """Handles SIGTERM. `watches` has a thread end the process in time, after SIGINT too."""

    def __init__(self, *, watches: bool) -> None:
        self.sentry_reporter_active = False
        self._bot: Any = None
        self._end: Callable[[], None] = lambda: None
        self._ends = False
        self._writer: socket.socket | None = None
        if watches:
            self._reader, self._writer = socket.socketpair()
            self._writer.setblocking(False)
            # The kernel's own handler writes the number of each signal into this; Python's handlers come when they can.
            before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            if before != -1:
                signal.set_wakeup_fd(before)  # somebody else's: we learn of SIGTERM by our handler alone

    def begin(self, bot: Any, end: Callable[[], None]) -> None:
        self._bot, self._end, self.sentry_reporter_active = bot, end, True
        if self._writer is not None:
            threading.Thread(target=self._watch, name="sentry-end of the bot", daemon=True).start()

    def leave(self) -> None:
        self.sentry_reporter_active = False
        self._wake(_LEAVE)

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self._ends:
            return
        if not self.sentry_reporter_active:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._ends = True
        self._wake(number)
        raise KeyboardInterrupt

    def _wake(self, number: int) -> None:
        if self._writer is not None:
            with suppress(OSError):  # it is full of signals
                self._writer.send(bytes([number]))

    def in_child(self) -> None:
        """After a fork: the child's signals are not for the bot, which shares the socket."""
        if self._writer is None:
            return
        before = signal.set_wakeup_fd(-1)
        if before not in (-1, self._writer.fileno()):
            signal.set_wakeup_fd(before)
        self._writer.close()
        self._writer = None

    def _watch(self) -> None:
        number = self._reader.recv(1)[0]
        while not self._is_end(number):
            if number == _LEAVE:
                return
            number = self._reader.recv(1)[0]
        time.sleep(_BEGIN)  # for the backend; it ends the process, and this thread with it
        self._try(self._bot.disconnect_callback)
        # Its last step undoes the patches, and may wait for a lock of the library in which the main thread hangs.
        threading.Thread(target=self._try, args=(self._end,), daemon=True).start()
        time.sleep(_END)  # as above
        log.warning("the backend of the chat network has not ended; the process ends without it")
        self._try(lambda: close_storage(self._bot))
        flush = threading.Thread(target=_flush, daemon=True)
        flush.start()
        flush.join(_FLUSH)
        os._exit(0)

    @staticmethod
    def _try(act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # other plugins' code, any kind of storage
            log.exception("a part of the bot did not end as it should")

    def _is_end(self, number: int) -> bool:
        """Whether this signal ends the bot: nobody else handles it."""
        if number not in (signal.SIGTERM, signal.SIGINT):
            return False
        found = signal.getsignal(number)
        if number == signal.SIGTERM:
            return found is cast(object, self) and (self._ends or self.sentry_reporter_active)
        # asyncio.run puts its own handler in the place of Python's, and ends as well.
        place = getattr(getattr(found, "func", None), "__module__", "")
        is_ctrl_c = found is signal.default_int_handler or place == "asyncio.runners"
        return is_ctrl_c and self.sentry_reporter_active


def _flush() -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _in_child() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    if isinstance(handler, _Handler):
        handler.in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def is_unhandled(_bot: Any) -> bool:
    """Whether SIGTERM kills, or did before we handled it."""
    handler = signal.getsignal(signal.SIGTERM)
    return handler is signal.SIG_DFL or hasattr(handler, "sentry_reporter_active")


def end_orderly(bot: Any, end: Callable[[], None]) -> Callable[[], None]:
    """Handle SIGTERM, and have `end` called at the end; returns what undoes that.

    Raises:
        RestartNeeded: in another thread than the main one, after an installation into a running bot.
    """
    found = signal.getsignal(signal.SIGTERM)
    if not hasattr(found, "sentry_reporter_active"):
        if threading.current_thread() is not threading.main_thread():
            raise RestartNeeded("Only the main thread of Python can handle signals.")
        # Where plugins are loaded by something else than `bootstrap`, as in tests, the process is not the bot's.
        signal.signal(signal.SIGTERM, found := _Handler(watches=is_called_by("bootstrap")))
    switch = cast(_Switch, found)
    switch.begin(bot, end)
    original = bot.disconnect_callback
    turn: queue.SimpleQueue[None] = queue.SimpleQueue()
    turn.put(None)
    running = 0

    def disconnect_callback() -> None:
        nonlocal running
        if running == threading.get_ident():  # a plugin that it deactivates calls it
            original()
            return
        try:  # at the end perhaps in two threads, one after the other; what is deactivated already stays so
            turn.get()
            running = threading.get_ident()
            original()
        finally:
            running = 0
            turn.put(None)

    def undo() -> None:
        switch.leave()
        if vars(bot).get("disconnect_callback") is disconnect_callback:
            del bot.disconnect_callback

    bot.disconnect_callback = disconnect_callback
    return undo
