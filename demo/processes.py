"""Server processes that report when they are ready and never outlive their starter.

Standard library only.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
ServerT = TypeVar("ServerT", bound="Server")

LOOPBACK = "127.0.0.1,localhost"

_TAIL_LINES = 20


class CannotStart(Exception):
    """A server ended, or was not ready in time; the text has the end of its log."""


# Opens URLs on loopback: never by way of a proxy that the person's environment names.
open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def environment(*without: str) -> dict[str, str]:
    """Our environment for a child on loopback: no proxy for that, and no names that begin with `without`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(without)}
    return {**kept, "no_proxy": LOOPBACK, "NO_PROXY": LOOPBACK}


def listening_socket(port: int = 0) -> socket.socket:
    """A bound, listening socket on loopback: port 0 takes a free one, and nobody can take it before the server does."""
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    listener.set_inheritable(True)
    return listener


def free_port() -> int:
    """A port on loopback that is free now, for servers that cannot be given an open socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def accepts(port: int) -> bool:
    """Whether something on loopback takes connections on this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Guard:
    """Kills a process (or, for a negative number, a process group) should we ourselves be killed.

    A tiny shell waits for the end of a pipe that only we hold; so even `kill -9` of a demo or of a test run leaves
    nothing behind. `release` when the process has ended in order, before its number can be somebody else's.
    """

    def __init__(self, number: int) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", f"read _ || kill -s KILL -- {number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def holds(self) -> bool:
        return self._shell.poll() is None

    def release(self) -> None:
        """Let the process be. May be called twice."""
        if self.holds:
            with suppress(BrokenPipeError):
                self._shell.communicate(b"\n")


class Process:
    """One child process in a session of its own, with everything that it prints in a log file.

    A guard ends the child's whole process group should we be killed ourselves.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        log: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                [os.fspath(word) for word in command],
                cwd=cwd,
                env=None if env is None else dict(env),
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )
        self._guard = Guard(-self.popen.pid)

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def wait_until(self, condition: Callable[[], T], timeout: float, what: str) -> T:
        """Wait until the condition is true of the running process, and return what it gave.

        Raises CannotStart when the process ends first or time is up: somebody else's server on our port is not ours.
        """
        deadline = time.monotonic() + timeout
        while True:
            result = condition()
            if result and self.running:
                return result
            if not self.running:
                raise CannotStart(f"The process ended with code {self.popen.returncode} before {what}.\n{self.tail()}")
            if time.monotonic() > deadline:
                raise CannotStart(f"Waited {timeout:g} s in vain for this: {what}.\n{self.tail()}")
            time.sleep(0.02)  # what is awaited is in another process

    def type(self, line: str) -> None:
        """Write a line to the process, which was started with a pipe for stdin."""
        if self.popen.stdin is None:
            raise ValueError("this process has no pipe for its stdin")
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()

    def tail(self) -> str:
        """The last lines of the log, for an error message."""
        lines = self.log.read_text(errors="replace").rstrip().split("\n")[-_TAIL_LINES:]
        return f"The end of {self.log}:\n" + "\n".join(f"    {line}" for line in lines)

    def stop(self, signal_first: int = signal.SIGTERM, timeout: float = 10.0) -> int:
        """Ask the process to end, kill its group where it does not in time, and return its exit code."""
        if self.running:
            self.popen.send_signal(signal_first)
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(timeout)
        return self.kill()

    def kill(self) -> int:
        """`kill -9` for the whole group, at once; returns the exit code."""
        if self._guard.holds:  # else this was done before, and the number may be somebody else's by now
            self._guard.release()
            with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
                os.killpg(self.popen.pid, signal.SIGKILL)
        code = self.popen.wait()
        if self.popen.stdin:
            with suppress(BrokenPipeError):
                self.popen.stdin.close()
        return code


class Server:
    """What runs as one process; `start` and `stop` (or `kill`) may follow each other, and `with` does both."""

    _process: Process | None = None

    def __enter__(self: ServerT) -> ServerT:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self: ServerT) -> ServerT:
        """Serve, and return once it is ready. Raises CannotStart with the end of the log."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ValueError("it is not running")
        return self._process.pid

    def stop(self) -> None:
        """End in order; what it keeps stays. Does nothing where nothing runs."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """`kill -9`: connections just end."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _serve(self, process: Process, ready: Callable[[], object], seconds: float, what: str) -> None:
        """This process is the server from now on: wait until it is ready, or end it."""
        self._process = process
        try:
            process.wait_until(ready, seconds, what)
        except BaseException:
            self.stop()
            raise
