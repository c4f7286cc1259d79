"""A server that keeps a call going: it sends a byte now and then, in any part of its answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

from tests.fakes.http_server import Reply

JSON = {"Content-Type": "application/json"}


class Drip:
    """Sends a piece every twentieth of a second for half a minute, then ends the answer well and says so."""

    def __init__(self) -> None:
        self.finished = False
        self.stopping = threading.Event()

    def pieces(self, piece: bytes, end: bytes) -> Iterator[bytes]:
        for _ in range(600):
            if self.stopping.is_set():
                return
            yield piece
            self.stopping.wait(0.05)
        self.finished = True
        yield end

    def raw(self, start: bytes, piece: bytes, end: bytes) -> Reply:
        def write(connection: socket.socket) -> None:
            connection.sendall(start)
            for each in self.pieces(piece, end):
                connection.sendall(each)

        return Reply(raw=write)

    def body(self) -> Reply:
        return Reply(200, headers=JSON, pieces=self.pieces(b" ", b"{}"))

    def chunks(self) -> Reply:
        headers = {**JSON, "Transfer-Encoding": "chunked"}
        return Reply(200, headers=headers, pieces=self.pieces(b"1\r\n \r\n", b"2\r\n{}\r\n0\r\n\r\n"))

    def headers(self) -> Reply:
        end = b"\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        return self.raw(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", end)

    def status(self) -> Reply:
        end = b"\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        return self.raw(b"HTTP/1.1 200 O", b"K", end)

    def error(self) -> Reply:
        return Reply(404, headers=JSON, pieces=self.pieces(b" ", b"{}"))

    def redirect(self) -> Reply:
        headers = {"Location": "http://evil.example/"}
        return Reply(302, headers=headers, pieces=self.pieces(b" ", b"{}"))

    def silence(self) -> Reply:
        return self.raw(b"", b"", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
