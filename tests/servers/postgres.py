"""A real PostgreSQL (Debian's package) for tests, on loopback, with a database for each test."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from demo.processes import free_port
from tests.servers import missing

_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def program(name: str) -> str | None:
    """Where one of PostgreSQL's programs is; Debian keeps them off the PATH."""
    return shutil.which(name, path=os.pathsep.join([*map(str, _PLACES), os.environ.get("PATH", "")]))


class Postgres:
    """A server of its own in a folder; `url()` makes a database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        # The server refuses to run as root, as which CI and containers run.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            owner = pwd.getpwnam(self._user)
            os.chown(folder, owner.pw_uid, owner.pw_gid)

    def start(self) -> None:
        """Make the cluster and wait until it takes connections."""
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "bot", "-A", "trust", "--no-sync")
        self.start_again()

    def start_again(self) -> None:
        """Start it with the data that it has, on the same port."""
        options = f"-p {self.port} -h 127.0.0.1 -k '' -c fsync=off"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-t", "60", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """End it at once."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """All its processes stand still in this block: the kernel goes on to take connections and packets."""
        first = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(first, signal.SIGSTOP)  # it starts no other from now on
        listed = Path(f"/proc/{first}/task/{first}/children").read_text()
        stopped = [first, *map(int, listed.split())]

        def go_on() -> None:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

        ends = threading.Timer(60, go_on)  # a test that waits for it fails, instead of waiting for ever
        ends.start()
        try:
            for pid in stopped[1:]:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            ends.cancel()
            go_on()

    def url(self, template: str = "template1") -> str:
        """The SQLAlchemy URL of a new database: an empty one, or a copy of the one with this URL."""
        name = f"state_{uuid.uuid4().hex[:12]}"
        copied = template.rpartition("/")[2]
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "bot", "-T", copied, name)
        return f"postgresql+psycopg://bot@127.0.0.1:{self.port}/{name}"

    def _run(self, *command: str) -> None:
        found = program(command[0])
        assert found is not None
        done = subprocess.run(
            [found, *command[1:]],
            user=self._user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command[0]}: {done.stderr[-2000:]}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for the session."""
    if program("initdb") is None:
        missing("PostgreSQL is not installed (Debian: postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        missing("psycopg is not installed")
    # Not below pytest's folders: those are closed to the other user as whom the server runs.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Postgres(Path(folder))
        server.start()
        yield server
        server.stop()
