"""A real IRC server (ngircd) for tests, on loopback, with every brake and look-up off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.processes import Process, Server, accepts, free_port
from tests.servers import missing

START_SECONDS = 20.0

# MaxPenaltyTime 0 takes away ngircd's flood brake (else about three lines a second): 200 lines pass in 50 ms.
_CONF = """\
[Global]
    Name = irc.test.example
    AdminInfo1 = A test
    AdminEMail = admin@test.example
    Info = Test server
    Listen = 127.0.0.1
    Ports = {port}
    MotdPhrase = "Hello, test."
[Limits]
    MaxConnections = 0
    MaxConnectionsIP = 0
    MaxJoins = 0
    MaxNickLength = 30
    MaxPenaltyTime = 0
    PingTimeout = {ping_timeout}
    PongTimeout = {ping_timeout}
[Options]
    DNS = no
    Ident = no
    PAM = no
    OperCanUseMode = yes
[SSL]
"""


def program() -> str | None:
    """Where ngircd is; it is a system program, so its folder is often not on a person's PATH."""
    return shutil.which("ngircd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


class Ngircd(Server):
    """A server in a folder of its own; the port stays the same over `kill` and `restart`.

    `ping_timeout` (seconds) is how long a silent client is believed before it is asked, and then how long it may take.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, *, ping_timeout: int = 120) -> None:
        self.folder = folder
        self.port = free_port()
        self._ping_timeout = ping_timeout

    def start(self) -> Ngircd:
        """Serve, and return once connections are taken."""
        path = program()
        assert path is not None, "ngircd is not installed"
        conf = self.folder / "ngircd.conf"
        conf.write_text(_CONF.format(port=self.port, ping_timeout=self._ping_timeout))
        process = Process([path, "-n", "-f", conf], self.folder / "ngircd.log", cwd=self.folder)
        self._serve(process, lambda: accepts(self.port), START_SECONDS, f"ngircd takes connections on port {self.port}")
        return self

    def restart(self) -> None:
        """Start again on the same port, after ending what may still run."""
        self.kill()
        self.start()


@pytest.fixture
def ngircd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ngircd]:
    """A running IRC server of the test's own."""
    if program() is None:
        missing("ngircd is not installed (Debian and Ubuntu: apt install ngircd)")
    with Ngircd(tmp_path_factory.mktemp("ngircd")) as server:
        yield server
