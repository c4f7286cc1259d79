"""HTTP answers with an end: however slowly a server drips, reading stops when the time of the whole call is up.

The timeouts of an HTTP library start anew with every piece that arrives, in the headers as in the body. So the socket
is read through a small layer that knows when the call must be over, and that notices within half a second when the
plugin stops. Standard library only: `http.client` is what urllib3 reads its answers with.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

_SLICE = 0.5  # seconds between looks at the clock while nothing arrives

_call = threading.local()  # a call runs in one thread from beginning to end


@contextmanager
def time_limit(left: Callable[[], float]) -> Iterator[None]:
    """All answers that begin inside this block, in this thread, end when `left()` (seconds) reaches zero."""
    _call.left = left
    try:
        yield
    finally:
        del _call.left


class LimitedResponse(HTTPResponse):
    """An answer that is read under the `time_limit` in force when it began; reading then raises TimeoutError."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        left = getattr(_call, "left", None)
        if left is not None:
            self.fp: Any = io.BufferedReader(_LimitedSocket(sock, self.fp.detach(), left), 65536)


class _LimitedSocket(io.RawIOBase):
    """Reads a socket, and keeps the file that `makefile` made open for as long: the socket lives that long."""

    def __init__(self, sock: socket.socket, file: Any, left: Callable[[], float]) -> None:
        self._sock = sock
        self._file = file
        self._left = left
        self._silence = sock.gettimeout() or 60.0  # the library's own read timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        silent = 0.0
        while True:
            left = self._left()
            if left <= 0 or silent >= self._silence:
                raise TimeoutError("the answer took too long")
            slice_ = min(_SLICE, left, self._silence - silent)
            self._sock.settimeout(slice_)
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:  # nothing is lost: neither plain nor TLS sockets drop what has arrived
                silent += slice_

    def close(self) -> None:
        self._file.close()
        super().close()
