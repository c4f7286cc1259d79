"""A real XMPP server (prosody) for tests, on loopback, with rooms (MUC), uploads (HTTP) and a handful of people."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.processes import Process, Server, accepts, free_port
from tests.servers import missing

START_SECONDS = 30.0
DOMAIN, ROOMS = "chat.test", "rooms.chat.test"
PASSWORD = "a-password"

# Plain passwords in the clear: it is loopback, and a certificate would prove nothing here. The whole file is ours, so
# nothing of the machine's own prosody is read.
_CONF = """\
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
run_as_root = true
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
modules_enabled = {{ "roster", "saslauth", "disco", "ping", "posix" }}
modules_disabled = {{ "s2s", "tls", "offline" }}
http_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {http_port} }}
https_ports = {{ }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
log = {{ info = "*console" }}
VirtualHost "{domain}"
Component "{rooms}" "muc"
    muc_room_locking = false
    muc_room_default_public_jids = {public}
Component "upload.{domain}" "http_file_share"
    http_host = "127.0.0.1"
    http_external_url = "http://127.0.0.1:{http_port}/"
"""


def program() -> str | None:
    """Where prosody is."""
    return shutil.which("prosody")


class Prosody(Server):
    """A server in a folder of its own, with uploads; the ports stay the same over `kill` and `restart`.

    `people` can log in with PASSWORD. Where `public`, everybody in a room sees everybody's real address.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, people: tuple[str, ...], *, public: bool = False) -> None:
        self.folder = folder
        self.port, self.http_port = free_port(), free_port()
        self._people = people
        self.passwords: dict[str, str] = {}  # of those for whom PASSWORD is wrong; read at each start
        self._public = public

    def start(self) -> Prosody:
        """Serve, and return once connections are taken."""
        path = program()
        assert path is not None, "prosody is not installed"
        self._register()
        conf = self.folder / "prosody.cfg.lua"
        public = "true" if self._public else "false"
        ports = {"port": self.port, "http_port": self.http_port}
        conf.write_text(_CONF.format(folder=self.folder, domain=DOMAIN, rooms=ROOMS, public=public, **ports))
        process = Process([path, "--config", conf, "-F"], self.folder / "prosody.log", cwd=self.folder)
        self._serve(
            process, lambda: accepts(self.port), START_SECONDS, f"prosody takes connections on port {self.port}"
        )
        return self

    def _register(self) -> None:
        """An account is a small file; its folder is named as prosody encodes the domain."""
        accounts = self.folder / "data" / DOMAIN.replace(".", "%2e") / "accounts"
        accounts.mkdir(parents=True, exist_ok=True)
        for person in self._people:
            password = self.passwords.get(person, PASSWORD)
            (accounts / f"{person}.dat").write_text(f'return {{ ["password"] = "{password}"; }};\n')


@pytest.fixture
def prosody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prosody]:
    """A running XMPP server of the test's own, with a bot, an operator and two others."""
    if program() is None:
        missing("prosody is not installed (Debian and Ubuntu: apt install prosody)")
    with Prosody(tmp_path_factory.mktemp("prosody"), ("sentrybot", "alice", "bob", "mallory")) as server:
        yield server
