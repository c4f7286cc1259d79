"""The demo's bot: a folder with its config, its data and a plugin that crashes. Standard library only."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template

from demo.bugsink import Bugsink, Project
from demo.environments import ROOT, Recipe
from demo.processes import Guard, Process, environment, free_port
from demo.tour import GUIDE

TEMPLATES = Path(__file__).resolve().parent / "templates"
PLUGIN = ROOT / "plugins"

_OURS = ("SENTRY_", "BOT_", "PYTHON")  # settings of the person's own bot must not get into this one


def recipe() -> Recipe:
    """The bot's environment: the Errbot that the plugin is made for, and the plugin's requirements."""
    lines = (ROOT / "requirements-floors.txt").read_text().splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return Recipe("bot", tuple("errbot==6.2.1" if line.startswith("errbot") else line for line in wanted))


@dataclass(frozen=True)
class Bot:
    """A bot that is ready to start: `folder` has all its files, `python` has Errbot, `webhook` receives its alerts."""

    folder: Path
    python: Path
    webhook: str

    @property
    def command(self) -> list[str]:
        return [str(self.python), "-u", "-m", "errbot.cli", "-c", str(self.folder / "config.py")]

    def start_with_pipe(self) -> Process:
        """Start with a pipe for a keyboard, and what the terminal would show in `screen.txt`."""
        return Process(
            self.command, self.folder / "screen.txt", cwd=self.folder, env=environment(*_OURS), stdin=subprocess.PIPE
        )

    def run_in_terminal(self) -> int:
        """Start with the person's own terminal, and return the exit code when they have left.

        Ctrl-C there goes to the bot and to us: the bot takes it as its end, and we wait for that.
        """
        ours = signal.signal(signal.SIGINT, lambda *_: None)  # a function, not SIG_IGN, which the bot would inherit
        try:
            with subprocess.Popen(self.command, cwd=self.folder, env=environment(*_OURS)) as bot, Guard(bot.pid):
                try:
                    return bot.wait()
                except BaseException:
                    bot.send_signal(signal.SIGINT)
                    with suppress(subprocess.TimeoutExpired):
                        bot.wait(10)
                    bot.kill()
                    raise
        finally:
            signal.signal(signal.SIGINT, ours)


def make(folder: Path, python: Path, server: Bugsink, project: Project) -> Bot:
    """Write the config and the demo plugin into a fresh folder; the bot reports to `server` and gets its alerts."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    (folder / "shop").mkdir()
    port, webhook_token = free_port(), secrets.token_urlsafe(24)
    values = {
        "data": str(folder / "data"),
        "log": str(folder / "errbot.log"),
        "plugins": [str(PLUGIN), str(folder / "shop")],
        "dsn": project.dsn,
        "url": server.url,
        "token": server.token,
        "port": port,
        "webhook_token": webhook_token,
        "guide": GUIDE,
    }
    config = Template((TEMPLATES / "config.py.txt").read_text())
    (folder / "config.py").write_text(config.substitute({name: repr(value) for name, value in values.items()}))
    for name in ("shop.py", "shop.plug"):  # as .txt in the checkout: Errbot would load a .plug file that it finds there
        shutil.copyfile(TEMPLATES / f"{name}.txt", folder / "shop" / name)
    return Bot(folder, python, f"http://127.0.0.1:{port}/sentry/webhook/{webhook_token}")
