"""Reads an answer with limits on its time, size, unpacked size, nesting, numbers and encoding.

The timeouts of HTTP libraries start again with every piece that arrives, in the headers and in the body. So the socket
is read through a small layer that knows the call's deadline, and that notices within half a second if the plugin stops.
The layer only needs the standard library, because urllib3 reads answers with `http.client`.
"""

from __future__ import annotations

import io
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_PIECE = 65536
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_CHECK_SECONDS = 0.5  # between looks at the clock while nothing arrives

_call = threading.local()  # a call runs in one thread from start to end


class TooManyBytes(Exception):
    """The answer is larger than the limit, packed or unpacked."""


class Undecodable(Exception):
    """The answer is not JSON that can be used. The text says why, without quoting the answer."""


def read_bounded(read: Callable[[int], bytes], encoding: str, limit: int) -> bytes:
    """The unpacked body, read piece by piece.

    The body is unpacked here and not by the HTTP library, so that a few kilobytes that unpack to gigabytes are stopped
    at the limit and never fill the memory.

    Args:
        read: returns up to so many raw bytes, `b""` at the end.
        encoding: the answer's Content-Encoding.
        limit: the limit in bytes.

    Raises:
        TooManyBytes: the body is larger than `limit`.
        Undecodable: it cannot be unpacked.
    """
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        return _read_plain(read, limit)
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Undecodable("it is compressed in a way that was not requested")
    return _read_packed(read, limit)


def _read_plain(read: Callable[[int], bytes], limit: int) -> bytes:
    body = bytearray()
    while piece := read(_PIECE):
        body += piece
        if len(body) > limit:
            raise TooManyBytes
    return bytes(body)


def _read_packed(read: Callable[[int], bytes], limit: int) -> bytes:
    unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
    body = bytearray()
    try:
        while piece := read(_PIECE):
            body += unpack.decompress(piece, limit + 1 - len(body))
            if len(body) > limit or unpack.unconsumed_tail:
                raise TooManyBytes
            if unpack.eof:
                break
    except zlib.error as error:
        raise Undecodable("its packing is broken") from error
    if not unpack.eof:
        raise Undecodable("it ends too early")
    return bytes(body)


def decode(body: bytes) -> Any:
    """The JSON of a body as Python values; None for an empty body.

    Raises:
        Undecodable: the body is not JSON, or cannot be read.
    """
    if not body.strip():
        return None
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise Undecodable("it is not UTF-8") from error
    except RecursionError as error:
        raise Undecodable("it is nested too deeply") from error
    except ValueError as error:  # JSONDecodeError, and numbers of thousands of digits
        raise Undecodable("it is not JSON") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


@contextmanager
def time_limit(left: Callable[[], float]) -> Iterator[None]:
    """End all answers that this thread starts to read in this block when `left()` (seconds) reaches zero."""
    _call.left = left
    try:
        yield
    finally:
        del _call.left


class LimitedResponse(HTTPResponse):
    """An answer with the `time_limit` of the block in which it began. After that, reading raises TimeoutError."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        left = getattr(_call, "left", None)
        if left is not None:
            self.fp: Any = io.BufferedReader(_LimitedSocket(sock, self.fp.detach(), left), 65536)


class _LimitedSocket(io.RawIOBase):
    """Reads a socket. It keeps the file that `makefile` made open, because closing that may close the socket."""

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
            wait = min(_CHECK_SECONDS, left, self._silence - silent)
            self._sock.settimeout(wait)
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:  # no data is lost: neither plain nor TLS sockets drop bytes that have arrived
                silent += wait

    def close(self) -> None:
        self._file.close()
        super().close()


class _Http(HTTPConnection):
    response_class = LimitedResponse


class _Https(HTTPSConnection):
    response_class = LimitedResponse


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class LimitedAdapter(HTTPAdapter):
    """Uses connections whose answers end at the call's deadline, also through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager


def limit_answers(session: requests.Session) -> None:
    """Let what this session calls be subject to `answers_within`."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, LimitedAdapter())


@contextmanager
def answers_within(seconds: float) -> Iterator[requests.Session]:
    """A session for calls to other servers than Sentry's; all that is read in this block has ended by then.

    The timeouts of requests begin anew with every byte. What takes longer raises a requests.RequestException.
    """
    ends = time.monotonic() + seconds
    with requests.Session() as session, time_limit(lambda: ends - time.monotonic()):
        limit_answers(session)
        yield session
