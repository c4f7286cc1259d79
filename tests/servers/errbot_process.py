"""A real Errbot in a process of its own, with a config written for the test."""

from __future__ import annotations

import ast
import logging
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

from demo.processes import Process, environment
from tests.servers.pythons import version_of
from tests.waiting import until

START_SECONDS = 90.0
REPLY_SECONDS = 30.0
ADMIN = "@admin"

_RUNNER = Path(__file__).with_name("run_errbot.py")
# Said once at every connection, after the plugins are activated.
ACTIVATED = r"Plugin activation done\."


class ErrbotProcess:
    """Writes its config into `folder`. `start()`, then `stop()` or `kill9()`; then it may be started again.

    `plugins` are the folders of BOT_EXTRA_PLUGIN_DIR, which Errbot walks for `.plug` files.
    `settings` are any further names of config.py, rendered with `repr`; they go over the defaults of `defaults`.
    """

    def __init__(
        self,
        folder: Path,
        plugins: Path | list[Path],
        settings: Mapping[str, object] | None = None,
        *,
        backend: str = "Text",
        env: Mapping[str, str] | None = None,
        python: Path | str = sys.executable,
        runner: Path = _RUNNER,
    ) -> None:
        self.folder = folder
        self._command = [python, "-u", runner]
        self._env = dict(env or {})
        self._process: Process | None = None
        self._typing = threading.Lock()
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "no-index.json").write_text("{}")  # `!repos` without the network
        self.settings: dict[str, object] = {
            **defaults(folder, backend, version_of(python)),
            "BOT_EXTRA_PLUGIN_DIR": [
                str(place.resolve()) for place in ([plugins] if isinstance(plugins, Path) else plugins)
            ],
            **(settings or {}),
        }
        self.write_config()

    def __enter__(self) -> ErrbotProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def data(self) -> Path:
        """BOT_DATA_DIR."""
        return self.folder / "data"

    @property
    def log(self) -> str:
        """BOT_LOG_FILE so far, over all starts."""
        return _text(self.folder / "errbot.log")

    @property
    def output(self) -> str:
        """What the bot wrote to its terminal so far, over all starts; with the Text backend this is the chat."""
        return _text(self.folder / "output.txt")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        return self._started().pid

    def write_config(self) -> None:
        """Write `settings` to config.py, for a change between two starts.

        Raises TypeError for what `repr` cannot carry.
        """
        lines = [f"{name} = {_literal(name, value)}" for name, value in self.settings.items()]
        (self.folder / "config.py").write_text("\n".join(lines) + "\n")

    def start(self, wait: bool = True) -> ErrbotProcess:
        """Start; where `wait`, return when the plugins are activated (and, on IRC, rooms are being joined)."""
        assert not self.running, "Errbot runs already"
        before = len(self.log)
        self._process = Process(
            [*self._command, "-c", self.folder / "config.py"],
            self.folder / "output.txt",
            cwd=self.folder,
            env={**environment("SENTRY_", "BOT_", "PYTEST_"), **self._env},
            stdin=subprocess.PIPE,
        )
        if wait:
            try:
                self.wait_for_log(ACTIVATED, START_SECONDS, after=before)
            except BaseException:
                self.kill9()
                raise
        return self

    def say(self, text: str) -> None:
        """Type a line, as the admin, into the Text backend; it takes half a second over each line."""
        with self._typing:
            self._started().type(text)

    def ask(self, text: str, pattern: str, timeout: float = REPLY_SECONDS) -> re.Match[str]:
        """Type a line and wait until what the terminal shows after it matches."""
        before = len(self.output)
        self.say(text)
        return self.wait_for_output(pattern, timeout, after=before)

    def wait_for_log(self, pattern: str, timeout: float = REPLY_SECONDS, *, after: int = 0) -> re.Match[str]:
        """The first match in the log behind position `after` (an earlier length of `log`), waiting for it."""
        return self._wait_for("log", pattern, timeout, after)

    def wait_for_output(self, pattern: str, timeout: float = REPLY_SECONDS, *, after: int = 0) -> re.Match[str]:
        """The first match on the terminal behind position `after` (an earlier length of `output`), waiting for it."""
        return self._wait_for("output", pattern, timeout, after)

    def wait_until_stored(self, sent_id: str) -> None:
        """Wait until our plugin's state has the id that the network gave to an alert; nobody clicks sooner."""

        def is_stored() -> bool:
            with closing(sqlite3.connect(self.data / "sentry_reporter.sqlite3")) as state:
                return state.execute("select 1 from outbox where sent_id = ?", (sent_id,)).fetchone() is not None

        until(is_stored, 60, f"the bot has stored {sent_id}")

    def wait_for_exit(self, timeout: float = 30.0) -> int:
        """Wait until the process has ended by itself, and return its exit code."""
        process = self._started()
        until(lambda: not process.running, timeout, lambda: f"Errbot ends; {process.tail()}")
        return process.kill()

    def send_signal(self, number: int) -> None:
        """Send a signal to the bot alone."""
        self._started().popen.send_signal(number)

    def kill9(self) -> None:
        """`kill -9`: nothing of the bot gets to run again."""
        if self._process is not None:
            self._process.kill()

    def stop(self, timeout: float = 15.0) -> int | None:
        """Ctrl-C, and `kill -9` after `timeout`; returns the exit code (0 for an orderly end), None if it never ran."""
        return None if self._process is None else self._process.stop(signal.SIGINT, timeout)

    def _started(self) -> Process:
        assert self._process is not None, "Errbot was never started"
        return self._process

    def _wait_for(self, where: str, pattern: str, timeout: float, after: int) -> re.Match[str]:
        process = self._started()
        wanted = re.compile(pattern, re.MULTILINE)

        def found_or_ended() -> tuple[re.Match[str] | None] | None:
            running = process.running  # asked first: what an ending process wrote last still counts
            match = wanted.search(getattr(self, where), after)
            return (match,) if match or not running else None

        def words() -> str:
            return f"{pattern!r} in Errbot's {where}, whose end is:\n{getattr(self, where)[after:][-4000:]}"

        (match,) = until(found_or_ended, timeout, words) or (None,)
        assert match, f"Errbot ended with code {process.popen.returncode} before there was {words()}"
        return match


def defaults(folder: Path, backend: str = "Text", version: tuple[int, int] = sys.version_info[:2]) -> dict[str, object]:
    """A config that starts anywhere: no look-ups, no installation of dependencies, a log that holds everything.

    `version` is that of the bot's Python.
    """
    return {
        "BACKEND": backend,
        "BOT_DATA_DIR": str(folder / "data"),
        "BOT_LOG_FILE": str(folder / "errbot.log"),
        "BOT_LOG_LEVEL": logging.INFO,
        "BOT_ADMINS": (ADMIN,),
        "BOT_IDENTITY": {"username": "@errbot"},
        "BOT_PREFIX": "!",
        "CHATROOM_PRESENCE": (),
        "AUTOINSTALL_DEPS": False,
        # Errbot's own Shelf fails in every thread but one from 3.13 on (docs/operations.md).
        "STORAGE": "Memory" if version >= (3, 13) else "Shelf",
        "TEXT_DEMO_MODE": True,
        "BOT_PLUGIN_INDEXES": str(folder / "no-index.json"),
    }


def irc_settings(
    port: int, *, nick: str = "errbot", rooms: tuple[str, ...] = ("#ops",), admin: str = "alice"
) -> dict[str, Any]:
    """The settings that put the bot on an IRC server on loopback, without Errbot's pause of a second per line."""
    return {
        "BACKEND": "IRC",
        "BOT_IDENTITY": {"nickname": nick, "server": "127.0.0.1", "port": port, "ssl": False, "password": None},
        "BOT_ADMINS": (f"{admin}!*@*",),
        "CHATROOM_PRESENCE": rooms,
        "IRC_CHANNEL_RATE": None,
        "IRC_PRIVATE_RATE": None,
    }


def _literal(name: str, value: object) -> str:
    text = repr(value)
    try:
        same = ast.literal_eval(text) == value
    except (ValueError, SyntaxError):
        same = False
    if not same:
        raise TypeError(f"{name} cannot be written into config.py by repr: {text}")
    return text


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
