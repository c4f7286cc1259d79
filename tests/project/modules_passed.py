"""How many modules of the package take part in reporting an error, answering a command and sending an alert.

    PYTHONPATH=plugins/sentry_reporter python -m tests.project.modules_passed [FILE]

runs a real Errbot (Text backend) under Python's profiler hook and prints, for each of the three flows, the modules in
which a function was called while it ran, in the order of their first call. docs/architecture.md quotes the numbers.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from demo.processes import free_port
from tests.alerting import bodies
from tests.fakes.ingest_server import ingest_server
from tests.servers.errbot_process import ErrbotProcess
from tests.servers.run_errbot_watched import SPAN
from tests.system.irc_world import shop
from tests.system.network_world import NetworkWorld
from tests.system.plugin_copies import PLUGIN
from tests.waiting import until

_IDLE_SECONDS = 2.0  # threads still write down what a flow has done when its result is there
_RUN_WATCHED = Path(__file__).resolve().parents[1] / "servers" / "run_errbot_watched.py"


class WatchedBot(NetworkWorld):
    """The bot under the hook, with a server of issues and one of events."""

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        folder.mkdir(exist_ok=True)
        self.calls = folder / "calls.txt"
        self.calls.touch()
        self.idle: set[tuple[str, str]] = set()
        super().__init__(ends)
        self.basket = self.issue("'basket'")
        self.ingest = ends.enter_context(ingest_server())
        port = free_port()
        self.webhook = bodies.address(port)
        self.errbot = ErrbotProcess(
            folder / "bot",
            [PLUGIN, shop(folder / "shop")],
            {
                "CHATROOM_PRESENCE": ("#ops",),
                "BOT_LOG_SENTRY": True,
                "SENTRY_DSN": self.ingest.dsn,
                "SENTRY_LOGLEVEL": logging.INFO,
                "SENTRY_EVENTLEVEL": logging.ERROR,
                **self.settings,
                **bodies.listening(port),
                "SENTRY_ALERTS": [{"rooms": ["#ops"]}],
            },
            env={"WATCHED_CALLS": str(self.calls)},
            runner=_RUN_WATCHED,
        )
        ends.enter_context(self.errbot)

    def modules(self, act: Callable[[], object]) -> Callable[[], list[str]]:
        """Run `act`; return a function that reads which modules were called since, in the order of their first calls.

        Calls that threads make all the time, also when nothing happens, do not count for the order.
        """
        start = time.time() - SPAN
        act()

        def called() -> list[str]:
            calls = self._calls(start)
            return list(dict.fromkeys(module for module, _ in sorted(calls, key=lambda call: call in self.idle)))

        return called

    def all_modules(self, act: Callable[[], object]) -> list[str]:
        """Run `act`; the modules that are called until no further one is. Some threads call theirs every second."""
        called = self.modules(act)
        _until_settled(lambda: len(called()))
        return called()

    def note_idle_calls(self) -> None:
        """Note what threads call although nothing happens."""
        start = time.time()
        _until_settled(lambda: len({*self._calls(start)}))
        self.idle = {*self._calls(start)}

    def _calls(self, start: float) -> list[tuple[str, str]]:
        """The modules and functions called since then, in the order of their calls."""
        rows = (line.split(" ", 2) for line in self.calls.read_text().splitlines())
        return [(module, function) for at, module, function in rows if float(at) >= start]

    def error(self) -> None:
        """A command crashes; its event reaches the server, and who typed it gets a reply about it."""
        before = len(self.errbot.output)
        self.errbot.say("!checkout")
        until(self.ingest.events, 60, "the event is on the server")
        self.errbot.wait_for_output("Reported", 60, after=before)

    def command(self) -> None:
        """Somebody types `!sentry issues`."""
        self.errbot.ask("!sentry issues", self.basket.short_id, 60)

    def alert(self) -> None:
        """Sentry posts a signed webhook about a new issue; the room gets the notification."""
        before = len(self.errbot.output)
        self.hook(self.basket)
        self.errbot.wait_for_output(rf"New.*{self.basket.short_id}", 60, after=before)


def _until_settled(count: Callable[[], int]) -> None:
    """Wait until nothing further is counted."""
    last, since = -1, time.monotonic()

    def settled() -> bool:
        nonlocal last, since
        if (now := count()) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > _IDLE_SECONDS

    until(settled, 60, "no further call")


def main(arguments: list[str]) -> None:
    """Print the modules of each flow; with FILE write them there as JSON as well."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ends:
        bot = WatchedBot(Path(folder), ends)
        bot.all_modules(bot.command)  # the first one finds out what the server is
        bot.note_idle_calls()
        flows = {act.__name__: bot.all_modules(act) for act in (bot.error, bot.command, bot.alert)}
    for flow, modules in flows.items():
        print(f"{flow}: {len(modules)} modules")
        print("".join(f"    {module}\n" for module in modules))
    if arguments:
        Path(arguments[0]).write_text(json.dumps(flows, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
