"""`make demo`: a crash in chat becomes an issue and an alert, and `!sentry resolve #1` resolves it, on real servers.

With TOUR=1 in the environment it plays the tour by itself, checks each step, and exits with 0 or 1. Standard library
only.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from demo import bot, environments, tour
from demo.bugsink import LOGIN, PASSWORD, Bugsink
from demo.environments import CannotBuild, announce
from demo.processes import CannotStart

_WELCOME = """\
SentryReporter: a demonstration with real servers on your machine.

An error server (Bugsink, from PyPI) and a chat bot (Errbot, in this terminal) start on loopback, on free ports. The bot
has a plugin with a bug, and SentryReporter, which reports to the server and gets its alerts. Nothing is installed
outside {cache}.
"""
_READY = """
Ready. Your terminal is now a chat with the bot. Its messages to the room #ops appear here as well. Type:

{guide}

More: `help` shows this again, `!sentry` lists the commands, `!sentry status` shows the health of each part.
In the browser: {url}  (login {login}, password {password})
The bot's config and log: {folder}
Leave with Ctrl-C or Ctrl-D; everything stops then.
"""


def main() -> int:
    """Run the demo; the exit code."""
    arguments = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    arguments.add_argument("--tour", action="store_true", default=os.environ.get("TOUR", "") not in ("", "0"))
    arguments.add_argument(
        "--state", type=Path, default=environments.cache_folder() / "demo", help="folder of this run"
    )
    options = arguments.parse_args()
    signal.signal(signal.SIGTERM, _end)
    try:
        with _only_one(options.state):
            return _run(options.state.resolve(), options.tour)
    except (CannotBuild, CannotStart, tour.Failed) as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        announce("\nStopped. All servers have ended.")
        return 130


def _run(state: Path, play: bool) -> int:
    announce(_WELCOME.format(cache=environments.cache_folder()))
    server_python = environments.build(environments.BUGSINK)
    bot_python = environments.build(bot.recipe())
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    announce("Starting Bugsink ...")
    with Bugsink(state / "bugsink", server_python) as server:
        announce(f"  Bugsink is at {server.url}. Making a project, a token, and an alert that posts to the bot ...")
        project = server.make_project("Shop")
        made = bot.make(state / "bot", bot_python, server, project)
        server.add_alert(project, made.webhook)
        world = tour.World(server, project)
        if play:
            return _play(made, world, state)
        ready = _READY.format(guide=tour.GUIDE, url=server.url, login=LOGIN, password=PASSWORD, folder=made.folder)
        announce(ready)
        code = made.run_in_terminal()
        announce("\nThe bot has stopped; stopping Bugsink. `make demo` starts afresh.")
        return code


def _play(made: bot.Bot, world: tour.World, state: Path) -> int:
    announce("Starting Errbot. The tour types the commands for you.")
    process = made.start_with_pipe()
    try:
        played = tour.Player(process, world, announce).play(tour.STEPS + tour.ROOM_STEPS)
    except (tour.Failed, CannotStart) as problem:
        raise tour.Failed(f"The tour FAILED. {problem}\n\nThe bot's log: {made.folder / 'errbot.log'}") from problem
    finally:
        process.stop(signal.SIGINT)
    tour.save(played[: len(tour.STEPS)], state / "tour.json")  # the picture shows the first part
    announce(f"\nThe tour passed: {len(played)} steps, each checked.")
    return 0


@contextmanager
def _only_one(state: Path) -> Iterator[None]:
    """Two demos in one folder would delete each other's database."""
    state.parent.mkdir(parents=True, exist_ok=True)
    with (state.parent / f"{state.name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"Another demo is running in {state}; end it first, or give --state FOLDER.") from None
        yield


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the shape of a signal handler
    """SIGTERM: leave through every `finally`."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
