"""A real Errbot with a network's real backend package, in an environment of its own, against a stand-in."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo import environments
from demo.environments import ROOT, Recipe
from demo.processes import free_port
from tests.servers import missing
from tests.servers.errbot_process import ErrbotProcess
from tests.servers.pythons import bot_python, version_of
from tests.servers.tiny_plugin import write_plugin
from tests.waiting import until

_LINES = [line.strip() for line in (ROOT / "requirements-floors.txt").read_text().splitlines()]
# Apart from the tests' own environment: backends bring libraries that change what sentry-sdk does.
FLOORS = (*(line for line in _LINES if line and not line.startswith(("#", "errbot"))), "errbot==6.2.1")
MATPLOTLIB = "matplotlib>=3.8"


@dataclass(frozen=True)
class Backend:
    """A backend package as it is to be had by name. `fails_on` says why it cannot run on some Pythons."""

    name: str  # in Errbot's BACKEND
    requirements: tuple[str, ...]
    fails_on: Mapping[tuple[int, int], str]
    runner: str  # the script beside this file that starts Errbot with the network's addresses replaced
    folder: str = ""  # inside of site-packages; the packages announce themselves to no Errbot
    is_ours: bool = False  # whether the tests' own environment has it

    def python(self) -> Path:
        """The Python of its environment, which is built where it is absent; skips the test where it cannot be had."""
        maker = bot_python()
        if self.is_ours and maker == sys.executable:
            return Path(maker)
        version = version_of(maker)
        if version in self.fails_on:
            pytest.skip(
                f"{self.name}'s backend does not run on Python {version[0]}.{version[1]}: {self.fails_on[version]}"
            )
        try:
            return environments.build(Recipe(self.name.lower(), (*FLOORS, MATPLOTLIB, *self.requirements), maker))
        except environments.CannotBuild as reason:
            missing(f"no {self.name} backend to test with: {reason}")

    def extra_backends(self, python: Path) -> list[str]:
        """BOT_EXTRA_BACKEND_DIR."""
        major, minor = version_of(python)
        packages = python.parent.parent / "lib" / f"python{major}.{minor}" / "site-packages"
        return [str(packages / self.folder)] if self.folder else []


IRC = Backend("IRC", ("errbot[irc]==6.2.1",), {}, "run_errbot.py", is_ours=True)
XMPP = Backend("XMPP", ("slixmpp==1.8.6",), {}, "run_errbot.py", is_ours=True)


class NetworkBot:
    """`process` is started and stopped by the test."""

    def __init__(
        self,
        folder: Path,
        backend: Backend,
        plugins: Sequence[Path],
        settings: Mapping[str, Any],
        env: Mapping[str, str],
    ) -> None:
        self._listen = free_port()
        python = backend.python()
        ours = {
            "BOT_EXTRA_BACKEND_DIR": backend.extra_backends(python),
            "SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", self._listen),
            "SENTRY_POLL_SECONDS": 0,
        }
        self.process = ErrbotProcess(
            folder / "bot",
            list(plugins),
            {**ours, **settings},
            backend=backend.name,
            env=env,
            python=python,
            runner=Path(__file__).with_name(backend.runner),
        )

    @property
    def listener(self) -> str:
        """The address of the plugin's own listener, for webhooks and clicks."""
        return f"http://127.0.0.1:{self._listen}"

    @property
    def webhook(self) -> str:
        """Where Sentry posts to."""
        return f"{self.listener}/sentry/webhook"


# Answers `!ping`, and does what a test puts into its folder, in a thread of its own, as the outbox of alerts does.
_GREETER = '''
import json
import textwrap
import threading
from pathlib import Path

from errbot import BotPlugin, botcmd

ORDERS = Path({orders!r})


class Greeter(BotPlugin):
    """Does what a test puts into its folder."""

    def activate(self):
        super().activate()
        self._ends = threading.Event()
        threading.Thread(target=self._obey, daemon=True).start()

    def deactivate(self):
        self._ends.set()
        super().deactivate()

    def _obey(self):
        while not self._ends.wait(0.05):
            for order in sorted(ORDERS.glob("*.py")):
                code = order.read_text()
                order.unlink()
                space = {{"say": lambda room, text: self.send(self.build_identifier(room), text)}}
                try:
                    exec("def run(bot):\\n" + textwrap.indent(textwrap.dedent(code), "    "), space)
                    result = {{"value": space["run"](self._bot)}}
                except Exception as error:
                    self.log.exception("Greeter: it failed")
                    result = {{"error": f"{{type(error).__name__}}: {{error}}"}}
                unfinished = order.with_suffix(".unfinished")
                unfinished.write_text(json.dumps(result))
                unfinished.rename(order.with_suffix(".json"))

    @botcmd
    def ping(self, message, words):
        """Answer."""
        return "pong"
'''


class Failed(Exception):
    """What the bot was told to do raised this there: "Type: words"."""


class Greeter:
    """A tiny plugin, for rigs without ours; `folder` is what Errbot loads it from."""

    def __init__(self, parent: Path) -> None:
        self._orders = parent / "orders"
        self._orders.mkdir()
        self.folder = write_plugin(parent, _GREETER.format(orders=str(self._orders)), "Greeter")
        self._count = 0

    def say(self, room: str, text: str) -> None:
        """The bot sends a text to what `build_identifier(room)` names. Raises Failed where the backend raises."""
        self.run(f"say({room!r}, {text!r})")

    def run(self, body: str, timeout: float = 30.0) -> Any:
        """Run the body of a function of `bot`, the backend, inside of the bot; what it returns comes back as JSON.

        Raises Failed.
        """
        self._count += 1
        order = self._orders / f"{self._count:04}.order"
        order.write_text(body)
        order.rename(order.with_suffix(".py"))
        answer = order.with_suffix(".json")
        until(answer.exists, timeout, f"the bot has run: {body}")
        result = json.loads(answer.read_text())
        if "error" in result:
            raise Failed(result["error"])
        return result["value"]
