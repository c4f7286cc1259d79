"""SIGTERM ends the bot as Ctrl-C does, and both end the process within five seconds.

Errbot 6.2.1: nothing handles SIGTERM (errbot/cli.py, line 398: the bot runs until its loop ends). So `docker stop` and
systemd kill the bot: plugins are not deactivated, and a write to Errbot's own storage may be interrupted. After Ctrl-C
each backend ends in its own way, and some wait for the chat network: Mattermost's logs out with a request that may take
15 s, and Telegram's and others may be in the middle of a request. Threads that libraries leave behind also keep the
process running.

Change: SIGTERM raises KeyboardInterrupt in the main thread, as SIGINT does. A second SIGTERM, while the bot ends, does
nothing. If something else already handles SIGTERM, such as Errbot with `--daemon`, that handler stays. A separate
thread learns of either signal at once, even if the main thread is in a call that no signal interrupts (such as the
look-up of a host name). If the backend has not ended soon, this thread deactivates the plugins and closes ours. A
little later it closes Errbot's storage and ends the process, whatever the backend does. It never cuts a plugin's
`deactivate` short.

Undone: SIGTERM kills again, and Ctrl-C takes as long as the backend needs. Python allows only the main thread to change
handlers, so our handler stays, and does what the kernel would do.
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

# Seconds. A backend that does not hang begins to end long before _BEGIN has passed. Our own end takes at most 3.5
# (CLOSE_SECONDS in app.py), which _END covers. Together they take less than five, unless plugins deactivate slowly.
_BEGIN, _END = 0.8, 3.7
_FLUSH = 0.2
_LEAVE = 0  # tells the thread to stop; no signal has this number


class _Switch(Protocol):
    """Our handler, which may come from a version of this module that was loaded earlier."""

    sentry_reporter_active: bool

    def begin(self, bot: Any, end: Callable[[], None]) -> None:
        """Handle signals from now on."""

    def leave(self) -> None:
        """Stop handling signals."""


class _Handler:
    """Handles SIGTERM. With `watches`, a thread ends the process in time after SIGTERM or SIGINT."""

    def __init__(self, *, watches: bool) -> None:
        self.sentry_reporter_active = False
        self._bot: Any = None
        self._end: Callable[[], None] = lambda: None
        self._ends = False
        self._writer: socket.socket | None = None
        if watches:
            self._reader, self._writer = socket.socketpair()
            self._writer.setblocking(False)
            # CPython writes the number of each signal to this socket at once. Python's own handlers run only later.
            before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            if before != -1:
                signal.set_wakeup_fd(before)  # somebody else uses it, so we learn of SIGTERM only from our handler

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
            with suppress(OSError):  # the socket is full, so the thread wakes up anyway
                self._writer.send(bytes([number]))

    def in_child(self) -> None:
        """Runs after a fork. The child shares the socket with the bot, but its signals are not meant for the bot."""
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
        time.sleep(_BEGIN)  # if the backend ends in this time, the process ends, and this thread with it
        self._try(self._bot.disconnect_callback)
        # In its own thread, because its last step undoes the patches. That may wait for a lock that the main thread
        # holds while it hangs.
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
        except Exception:  # from other plugins, or from any kind of storage
            log.exception("a part of the bot did not end as it should")

    def _is_end(self, number: int) -> bool:
        """Whether this signal ends the bot, because nothing else handles it."""
        if number not in (signal.SIGTERM, signal.SIGINT):
            return False
        found = signal.getsignal(number)
        if number == signal.SIGTERM:
            return found is cast(object, self) and (self._ends or self.sentry_reporter_active)
        # asyncio.run replaces Python's handler of SIGINT with its own, which also ends the bot.
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
    """Whether nothing but our own handler handles SIGTERM."""
    handler = signal.getsignal(signal.SIGTERM)
    return handler is signal.SIG_DFL or hasattr(handler, "sentry_reporter_active")


def end_orderly(bot: Any, end: Callable[[], None]) -> Callable[[], None]:
    """Handle SIGTERM, and call `end` if the backend does not end in time. Returns a function that undoes the change.

    Raises:
        RestartNeeded: this is not the main thread, because the plugin was installed into a running bot.
    """
    found = signal.getsignal(signal.SIGTERM)
    if not hasattr(found, "sentry_reporter_active"):
        if threading.current_thread() is not threading.main_thread():
            raise RestartNeeded("Only the main thread of Python can handle signals.")
        # If something other than `bootstrap` loads the plugins, as tests do, the process must not end with the bot.
        signal.signal(signal.SIGTERM, found := _Handler(watches=is_called_by("bootstrap")))
    switch = cast(_Switch, found)
    switch.begin(bot, end)
    original = bot.disconnect_callback
    turn: queue.SimpleQueue[None] = queue.SimpleQueue()
    turn.put(None)
    running = 0

    def disconnect_callback() -> None:
        nonlocal running
        if running == threading.get_ident():  # called by a plugin that this call deactivates
            original()
            return
        try:  # when the bot ends, two threads may call this; the second finds the plugins already deactivated
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
