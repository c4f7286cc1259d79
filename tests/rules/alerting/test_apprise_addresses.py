"""A service that hangs keeps nobody for longer than it may, and no second call waits for the first."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from errbot_sentry.alerting.notify.apprise_addresses import AppriseAddress
from errbot_sentry.config.secrets import Secret
from tests.fakes.http_server import HttpServer, Reply, Request
from tests.waiting import until

# Apprise imports it for signed mail, on Pythons that still have it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Hanging:
    """A server that answers when it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def answer(self, request: Request) -> Reply:
        self.go_on.wait(300)
        return Reply()


@pytest.fixture
def hanging() -> Iterator[tuple[Hanging, HttpServer]]:
    world = Hanging()
    with HttpServer(world.answer) as server:
        yield world, server
        world.go_on.set()


def address_of(server: HttpServer, limit: float) -> AppriseAddress:
    """Apprise itself would wait for a minute."""
    return AppriseAddress(Secret(f"json://127.0.0.1:{server.port}/x?rto=60&cto=60"), 1, limit)


def test_a_service_that_does_not_answer(hanging: tuple[Hanging, HttpServer]) -> None:
    world, server = hanging
    address = address_of(server, 0.5)
    assert not address.send("Title", "Text")
    assert address.trouble == "json (entry 1) did not answer within 0.5 s"
    until(lambda: server.requests, 30, "the first call is at the server")
    assert not address.send("Title", "Text")
    assert address.trouble == "json (entry 1) has not answered for more than 0.5 s"
    assert len(server.requests) == 1
    world.go_on.set()
    until(lambda: address.send("Title", "Text"), 30, "the address takes messages again")
    assert address.trouble == ""


def test_the_end_of_the_bot_waits_for_no_service(hanging: tuple[Hanging, HttpServer]) -> None:
    _, server = hanging
    address = address_of(server, 60)
    sending = threading.Thread(target=address.send, args=("Title", "Text"), daemon=True)
    sending.start()
    until(lambda: server.requests, 30, "the call is at the server")
    began = time.monotonic()
    address.close()
    sending.join(30)
    assert not sending.is_alive()
    assert time.monotonic() - began < 30


def test_a_process_ends_while_a_service_hangs(hanging: tuple[Hanging, HttpServer]) -> None:
    """Apprise's own threads are waited for at the end of Python, for as long as the service likes."""
    _, server = hanging
    program = (
        "from errbot_sentry.alerting.notify.apprise_addresses import AppriseAddress\n"
        "from errbot_sentry.config.secrets import Secret\n"
        f"url = 'json://127.0.0.1:{server.port}/x?rto=300&cto=300'\n"
        "address = AppriseAddress(Secret(url), 1, 5)\n"
        "address.check()\n"
        "print(address.send('Title', 'Text'))\n"
    )
    path = os.pathsep.join(sys.path)
    ended = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, timeout=50, capture_output=True
    )
    assert ended.stdout == b"False\n"
    assert len(server.requests) == 1
