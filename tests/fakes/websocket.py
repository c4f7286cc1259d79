"""The server's end of a WebSocket (RFC 6455), as far as chat clients need it: text frames, pings, closes, and cuts."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.fakes.http_server import Reply, Request

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_POLL_SECONDS = 0.05


class Gone(Exception):
    """The connection is over: closed by either side, or cut. `code` is the close code that the client gave."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(f"the connection is over ({code})")
        self.code = code


def upgrade(request: Request, serve: Callable[[WebSocket], None]) -> Reply:
    """Answer a request for a WebSocket: shake hands, and let `serve` talk in the request's thread until it returns."""
    key = request.headers.get("sec-websocket-key", "").encode()
    accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest())

    def talk(connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        ours = WebSocket(connection)
        with suppress(Gone):
            serve(ours)
        ours.close()

    return Reply(raw=talk)


def reset(connection: socket.socket) -> None:
    """End a TCP connection with a reset, as a crashed host or a firewall does: no close frame, no FIN."""
    with suppress(OSError):  # it is over already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.detach())


class WebSocket:
    """One connection. `send` may be called from any thread, `receive` from the one that serves it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._guard = threading.Lock()
        self._over = False
        self._silent = False
        self._data = bytearray()

    def send(self, value: Any) -> None:
        """Send a JSON text. Does nothing where the connection is over or silenced."""
        self._frame(_TEXT, json.dumps(value).encode())

    def receive(self) -> Any:
        """Wait for the next JSON text; pings are answered on the way. Raises Gone."""
        text = b""
        while True:
            last, kind, payload = self._next_frame()
            if kind == _CLOSE:
                raise Gone(struct.unpack("!H", payload[:2])[0] if payload else None)
            if kind == _PING:
                self._frame(_PONG, payload)
            elif kind in (0, _TEXT, _BINARY):
                text += payload
                if last:
                    return json.loads(text)

    def close(self, code: int = 1000) -> None:
        """Say goodbye in order: a close frame, then the end of the connection."""
        self._frame(_CLOSE, struct.pack("!H", code))
        self._over = True

    def reset(self) -> None:
        """Cut the connection: the client gets a TCP reset and no close frame."""
        with self._guard:
            self._over = True
            reset(self._connection)

    def silence(self) -> None:
        """From now on receive and send nothing, with the connection open: a network path that has died unnoticed."""
        self._silent = True

    def _frame(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | kind, size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | kind, 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 127, size)
        with self._guard:
            if not self._over and not self._silent:
                with suppress(OSError):  # the reading thread notices
                    self._connection.sendall(head + payload)

    def _next_frame(self) -> tuple[bool, int, bytes]:
        first, second = self._take(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        mask = self._take(4)  # a client always masks
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(self._take(size)))
        return bool(first & 0x80), first & 0x0F, payload

    def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            self._read()
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken

    def _read(self) -> None:
        """Read what there is, waiting in small steps: another thread may cut the connection meanwhile."""
        pending = isinstance(self._connection, ssl.SSLSocket) and self._connection.pending()
        ready = pending or self._readable()
        with self._guard:
            if self._over:
                raise Gone
            if not ready:
                return
            try:
                data = self._connection.recv(1 << 16)
            except OSError:
                raise Gone from None
        if not data:
            raise Gone
        if not self._silent:
            self._data += data

    def _readable(self) -> bool:
        try:
            return bool(select.select([self._connection], [], [], _POLL_SECONDS)[0])
        except (OSError, ValueError):  # cut by another thread
            return False
