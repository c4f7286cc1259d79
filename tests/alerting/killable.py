"""The process of `bot.py`, as the tests see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from tests.alerting import bodies

_ROOT = Path(__file__).resolve().parents[2]


class Bot:
    """One run of the program; `chat` and `up` may be shared by several."""

    def __init__(self, url: str, folder: Path) -> None:
        self.chat = folder / "chat.txt"
        self.up = folder / "up"
        self._log = folder / f"log-{uuid.uuid4().hex[:8]}.txt"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.alerting.bot", url, str(self.chat), str(self.up)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=_ROOT,
                env={**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'plugins' / 'sentry_reporter'}"},
            )
        assert self._answer() == "ready"

    def hook(self, body: dict[str, Any], request_id: str = "") -> int:
        """A signed webhook; its status."""
        raw = bodies.encode(body)
        return int(self._ask(json.dumps([bodies.signed(raw, "issue", request_id), raw.decode()])))

    def status(self) -> dict[str, Any]:
        """The flow's status."""
        found: dict[str, Any] = json.loads(self._ask("status"))
        return found

    def said(self) -> list[str]:
        """What the room received, from all bots so far."""
        return self.chat.read_text().splitlines() if self.chat.exists() else []

    def warned(self) -> str:
        """Its warnings and errors so far."""
        return self._log.read_text()

    def kill(self) -> None:
        """SIGKILL: no goodbye of any kind."""
        self._process.kill()
        self._end()

    def close(self) -> None:
        """An orderly end."""
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(20)
        self._end()

    def _end(self) -> None:
        self._process.wait(20)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
