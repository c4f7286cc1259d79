"""Strangers at the listener, over real sockets: what they hold open costs neither memory nor disk nor a webhook."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import errbot.core_plugins
import pytest
from errbot.core_plugins.wsview import reset_app
from werkzeug.serving import ThreadedWSGIServer

from errbot_sentry.alerting.receive.receiver import LARGEST_BODY
from errbot_sentry.web.application import Web
from errbot_sentry.web.errbot_route import MOST_BODIES, mount
from errbot_sentry.web.listener import CONNECTIONS, Listener
from tests.rules.chat.test_web import RecordingReceiver
from tests.waiting import until

MEGABYTE = 1024 * 1024
HEAD = b"POST /sentry/webhook HTTP/1.1\r\nHost: bot\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

Open = Callable[[bytes], socket.socket]


def announced(size: int | str) -> bytes:
    return HEAD + f"Content-Length: {size}\r\n\r\n".encode()


class Door:
    """A web server with a receiver behind it, and the connections that a test makes to it; by default our listener."""

    def __init__(self, stack: ExitStack, start: Callable[[Web], int] | None = None, **bounds: int) -> None:
        self._stack = stack
        self._bounds = {"patience": 600, **bounds}  # however slow the machine is
        self.receiver = RecordingReceiver()
        web = Web()
        web.open(lambda *delivery: self.receiver.take(*delivery), {})
        self.port = (start or self._listener)(web)

    def _listener(self, web: Web) -> int:
        listener = Listener(("127.0.0.1", 0), web, **self._bounds)
        self._stack.callback(listener.close, 5)
        return listener.port

    def connect(self, sent: bytes = b"") -> socket.socket:
        connection = self._stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=30))
        connection.sendall(sent)
        return connection

    def deliver(self, body: bytes = b"{}") -> int:
        """A webhook of somebody who means well; the HTTP status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/sentry/webhook", body)
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def _is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed it; what it answered before is read away."""
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _files() -> list[str]:
    """Files without a name that this process has open: what temporary files are."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(descriptor.readlink()))
    return [name for name in found if name.endswith("(deleted)") and name.startswith(("/tmp", "/var"))]


@pytest.mark.parametrize(
    "head",
    [
        announced(LARGEST_BODY + 1),
        announced(30 * MEGABYTE),
        announced("9" * 4000),
        HEAD + b"Expect: 100-continue\r\n" + announced(6 * MEGABYTE)[len(HEAD) :],
    ],
    ids=["one byte more", "30 MB", "4000 digits", "waits for 100"],
)
def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(stack, head):
    """Nothing of it is read, so nothing of it stays in memory; a sender that waits for "100 Continue" gets none."""
    door = Door(stack)
    answer = door.connect(head).recv(1000)
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert not door.receiver.taken


@pytest.mark.parametrize("digits", [5000, 20_000])
def test_a_length_of_thousands_of_digits_is_a_bad_request_and_no_error_in_the_log(stack, caplog, digits):
    """int() refuses it; raised further, each would be an event on the server."""
    caplog.set_level(logging.DEBUG)
    answer = Door(stack).connect(announced("9" * digits)).recv(1000)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), answer
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET http://[ HTTP/1.1\r\n\r\n", b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"A: " + b"x" * 40_000, CHUNKED + b"F" * 40_000, CHUNKED + b"0\r\nA: " + b"x" * 40_000,
        CHUNKED + b"1;" + b"x" * 40_000,
    ],
    ids=lambda sent: sent[:20].decode("latin-1"),
)  # fmt: skip
def test_nonsense_is_answered_and_is_no_error_of_the_bot(stack, caplog, sent):
    """Heads, lines between chunks and trailers of any length; the sender gets to read why."""
    caplog.set_level(logging.DEBUG)
    door = Door(stack)
    answer = door.connect(sent).recv(1000)
    assert answer.split()[1:2] in ([b"400"], [b"404"], [b"431"], [b"501"]), answer
    assert door.deliver() == 202
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_chunks_are_counted_without_what_is_between_them(stack):
    """The bound itself is taken, in however many chunks; a byte more is refused as it arrives."""
    door = Door(stack)
    piece = b"%x\r\n" % (MEGABYTE // 16) + b"x" * (MEGABYTE // 16) + b"\r\n"
    whole = door.connect(CHUNKED)
    for _ in range(16 * 5):
        whole.sendall(piece)
    whole.sendall(b"0\r\n\r\n")
    assert whole.recv(100).startswith(b"HTTP/1.1 202 ")
    endless = door.connect(CHUNKED)
    for _ in range(16 * 5):
        endless.sendall(piece)
    endless.sendall(b"1\r\nx\r\n")
    assert endless.recv(100).startswith(b"HTTP/1.1 413 "), "without waiting for an end"
    assert [len(body) for _, body, _ in door.receiver.taken] == [LARGEST_BODY]


@pytest.mark.parametrize("head", [announced(LARGEST_BODY - 1), CHUNKED + b"500000\r\n"], ids=["announced", "chunked"])
def test_unfinished_bodies_take_no_more_than_their_memory_and_no_file(stack, head):
    """Two hundred of a megabyte, where 16 MB are for all of them: the oldest make room; a webhook gets through."""
    files = _files()
    tracemalloc.start()
    stack.callback(tracemalloc.stop)
    door = Door(stack, memory=16 * MEGABYTE)
    body = bytes(MEGABYTE)
    before = tracemalloc.get_traced_memory()[0]
    opened = [door.connect() for _ in range(CONNECTIONS)]
    for number, connection in enumerate(opened):
        with suppress(OSError):
            connection.sendall(head)
            connection.sendall(body)
        if number % 50 == 49:
            assert door.deliver(b"{}") == 202, "meanwhile"
            assert door.deliver(body) == 202, "also a large one"
    until(lambda: sum(map(_is_closed, opened)) >= CONNECTIONS - 16, 30, "the oldest are closed")
    assert not _is_closed(opened[-1]), "the newest has all the time that it is promised"
    peak = tracemalloc.get_traced_memory()[1] - before
    assert peak < 40 * MEGABYTE, f"{peak / MEGABYTE:.0f} MB"  # buffers grow by an eighth, and webhooks were copied
    assert _files() == files


@pytest.mark.parametrize(
    "sent", [b"", b"POST", announced(100), announced(100) + b"{"], ids=["", "word", "head", "body"]
)
def test_connections_held_open_do_not_keep_a_webhook_out(stack, sent):
    """More of them than there are connections: the oldest goes, however far it has come, and the others stay."""
    door = Door(stack)
    opened = [door.connect(sent) for _ in range(CONNECTIONS)]
    assert door.deliver() == 202
    until(lambda: _is_closed(opened[0]), 10, "the oldest made room")
    more = [door.connect(sent) for _ in range(30)]
    assert door.deliver() == 202
    until(lambda: sum(map(_is_closed, opened)) >= 30, 10, "one for each")
    assert not any(map(_is_closed, more))
    assert not _is_closed(opened[-1])


def test_a_request_that_is_being_answered_is_not_closed_for_others(stack):
    """It has come in whole: it gets its answer."""
    door = Door(stack)
    go = threading.Event()
    take, started = door.receiver.take, threading.Event()

    def slowly(*args: object) -> object:
        started.set()
        assert go.wait(30)
        return take(*args)

    door.receiver.take = slowly
    first = door.connect(announced(2) + b"{}")
    assert started.wait(10)
    opened = [door.connect(announced(100)) for _ in range(CONNECTIONS + 20)]
    until(lambda: _is_closed(opened[0]), 10, "an unfinished one made room instead")
    go.set()
    assert first.recv(100).startswith(b"HTTP/1.1 202 ")


def test_who_is_refused_and_writes_on_is_cut_off_in_time(stack):
    """The rest of a body is read away so that the sender sees the 413, but not for ever."""
    door = Door(stack, patience=2)
    connection = door.connect(announced(30 * MEGABYTE))
    assert connection.recv(100).startswith(b"HTTP/1.1 413 ")

    def is_cut_off() -> bool:
        try:
            connection.send(b"x")
        except OSError:
            return True
        return False

    until(is_cut_off, 30, "the connection is reset")


def errbots(stack: ExitStack, patience: float = 600) -> Door:
    """Errbot's own web server."""

    def start(web: Web) -> int:
        reset_app()
        stack.callback(reset_app)
        mount(web, patience)
        server = ThreadedWSGIServer("127.0.0.1", 0, errbot.core_plugins.flask_app)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        return server.port

    return Door(stack, start)


def _unfinished(threads: set[threading.Thread]) -> int:
    return sum("process_request_thread" in each.name for each in set(threading.enumerate()) - threads)


LARGEST = pytest.mark.parametrize(
    "head", [announced(LARGEST_BODY), CHUNKED + b"500000\r\n"], ids=["announced", "chunked"]
)


@LARGEST
def test_errbots_web_server_reads_a_bounded_number_of_bodies(stack, head):
    """It has a thread for each connection and waits in it for ever; a body that is only announced takes no memory."""
    tracemalloc.start()
    stack.callback(tracemalloc.stop)
    before = tracemalloc.get_traced_memory()[0]
    door = errbots(stack)
    opened = [door.connect(head + b"{") for _ in range(60)]
    until(lambda: sum(map(_is_closed, opened)) >= 60 - MOST_BODIES, 30, "the oldest made room")
    assert door.deliver() == 202
    assert sum(map(_is_closed, opened)) <= 60 - MOST_BODIES + 1, "no more than have to make room"
    assert (tracemalloc.get_traced_memory()[1] - before) / MEGABYTE < 40
    assert [body for _, body, _ in door.receiver.taken] == [b"{}"]
    for connection in opened:
        connection.close()


@LARGEST
def test_errbots_web_server_reads_a_body_for_a_bounded_time(stack, head):
    """Afterwards no thread of it waits any more."""
    others = set(threading.enumerate())
    door = errbots(stack, patience=1)
    opened = [door.connect(head + b"{") for _ in range(MOST_BODIES // 2)]
    until(lambda: all(map(_is_closed, opened)), 30, "their time is over")
    until(lambda: _unfinished(others) == 0, 30, "no thread waits")
    assert door.deliver() == 202


def test_a_burst_at_errbots_web_server_loses_none(stack):
    """More at once than may arrive: what has come whole is read."""
    door = errbots(stack)
    bodies = [b"%d" % number * 2000 for number in range(100, 180)]
    with ThreadPoolExecutor(80) as pool:
        assert set(pool.map(door.deliver, bodies)) == {202}
    assert sorted(body for _, body, _ in door.receiver.taken) == bodies


def test_urgent_data_is_read_like_any_other(stack, caplog):
    """One such byte made the listener turn at full speed and write 200,000 warnings a second."""
    caplog.set_level(logging.DEBUG)
    door = Door(stack)
    connection = door.connect()
    connection.send(b"P", socket.MSG_OOB)
    connection.sendall((announced(2) + b"{}")[1:])
    assert connection.recv(100).startswith(b"HTTP/1.1 202 ")
    idle = door.connect()
    idle.send(b"P", socket.MSG_OOB)
    before = time.process_time()
    for _ in range(3):
        assert door.deliver() == 202
    assert time.process_time() - before < 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
