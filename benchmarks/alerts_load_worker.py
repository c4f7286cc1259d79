"""Sends prepared webhooks to a server, for `alerts_webhook`: PORT CONNECTIONS SECONDS RATE FILE.

One thread, raw sockets and no parsing beyond the status line, because what this costs is taken from the server that is
measured. RATE 0 is a closed loop: every connection sends its next request when it has its answer. Another RATE is per
second over all connections, and a request that finds none free waits, with its clock running.

FILE holds whole requests of one length, one after the other; each is sent once. Prints JSON: the times in ms, sorted,
the answers by status, and the seconds that it took.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path


class Connection:
    """One connection; a server that closes after each answer gets a new one for each request."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._socket: socket.socket | None = None
        self._unsent = memoryview(b"")
        self._answer = b""
        self._begun = 0.0

    def send(self, request: bytes, begun: float) -> None:
        """Send one request whose clock has run since `begun`."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._load.port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
            self._load.register(self._socket.fileno(), self)
        self._begun, self._answer, self._unsent = begun, b"", memoryview(request)
        self._write()

    def ready(self, events: int) -> None:
        """The socket can be read or written."""
        if events & select.EPOLLOUT:
            self._write()
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._read()

    def _write(self) -> None:
        assert self._socket is not None
        with suppress(BlockingIOError):
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        wanted = select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0)
        self._load.poll.modify(self._socket.fileno(), wanted)

    def _read(self) -> None:
        assert self._socket is not None
        piece = self._socket.recv(65536)
        self._answer += piece
        head, mark, body = self._answer.partition(b"\r\n\r\n")
        if not piece and not mark:
            raise ConnectionError(f"no whole answer: {self._answer!r}")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        if mark and len(body) >= length:
            if lines[0].startswith(b"http/1.0") or b"connection: close" in lines:
                self._load.forget(self._socket.fileno())
                self._socket.close()
                self._socket = None
            self._load.answered(self, int(head.split(b" ", 2)[1]), self._begun)


class Load:
    """All connections, and the books."""

    def __init__(self, port: int, connections: int, seconds: float, rate: float, path: Path) -> None:
        self.port = port
        self.poll = select.epoll()
        self._by_number: dict[int, Connection] = {}
        self._free = deque(Connection(self) for _ in range(connections))
        self._rate = rate
        self._times: list[float] = []
        self._answers: Counter[int] = Counter()
        raw = path.read_bytes()
        size = raw.index(b"\r\n\r\n") + 4
        size += int(next(line[15:] for line in raw[:size].split(b"\r\n") if line.startswith(b"Content-Length:")))
        self._requests = iter(memoryview(raw)[start : start + size] for start in range(0, len(raw), size))
        self._seconds = seconds
        self._busy = 0

    def register(self, number: int, connection: Connection) -> None:
        self._by_number[number] = connection
        self.poll.register(number, select.EPOLLIN)

    def forget(self, number: int) -> None:
        self.poll.unregister(number)
        del self._by_number[number]

    def answered(self, connection: Connection, status: int, begun: float) -> None:
        self._times.append(time.perf_counter() - begun)
        self._answers[status] += 1
        self._busy -= 1
        self._free.append(connection)

    def run(self) -> None:
        begun = due = time.perf_counter()
        end = begun + self._seconds
        while True:
            now = time.perf_counter()
            while self._free and now < end and (not self._rate or due <= now):
                request = next(self._requests, None)
                if request is None:
                    end = now
                    break
                self._busy += 1
                self._free.popleft().send(request, due if self._rate else now)
                due += 1 / self._rate if self._rate else 0
            if now >= end and not self._busy:
                break
            wait = max(0.0, min(due, end) - now) if self._rate and self._free and now < end else 1.0
            for number, events in self.poll.poll(wait):
                self._by_number[number].ready(events)
        took = time.perf_counter() - begun
        times = sorted(round(each * 1000, 2) for each in self._times)
        print(json.dumps({"times": times, "answers": self._answers, "seconds": took}))


if __name__ == "__main__":
    where, connections, seconds, rate, path = sys.argv[1:]
    Load(int(where), int(connections), float(seconds), float(rate), Path(path)).run()
