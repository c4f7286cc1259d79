"""Living in a bot: reload with changes, a broken edit, on and off many times; a real Errbot in a process of its own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.servers.errbot_process import ErrbotProcess
from tests.servers.tiny_plugin import write_plugin
from tests.system.plugin_copies import copy_folder
from tests.waiting import until

CENSUS = '''
import logging, sys, threading
from errbot import BotPlugin, botcmd
import errbot.core_plugins

class Census(BotPlugin):
    """Counts what a plugin may leave behind."""

    @botcmd
    def census(self, msg, args):
        threads = sorted(t.name for t in threading.enumerate() if "sentry" in t.name.lower())
        handlers = sorted(type(h).__name__ for h in logging.getLogger().handlers)
        rules = [r.rule for r in errbot.core_plugins.flask_app.url_map.iter_rules() if r.rule.startswith("/sentry")]
        patched = logging.Logger.callHandlers.__qualname__
        return f"CENSUS {threads} {handlers} {rules} {patched} {len(sys.path)} END"
'''


def _bot(folder: Path, **settings: object) -> tuple[ErrbotProcess, Path]:
    plugin = copy_folder(folder / "extra")
    write_plugin(folder / "extra", CENSUS, "Census")
    return ErrbotProcess(folder / "bot", folder / "extra", settings), plugin


def _census(bot: ErrbotProcess) -> str:
    return bot.ask("!census", r"CENSUS (.*) END").group(1)


def test_ten_times_off_and_on_leaves_nothing(tmp_path):
    """No thread, no handler, no second route, no longer path: the census is the same."""
    settings = {
        "BOT_LOG_SENTRY": True,
        "SENTRY_DSN": "http://0123456789abcdef@127.0.0.1:9/1",
        "SENTRY_LOGLEVEL": 20,
        "SENTRY_EVENTLEVEL": 40,
        "SENTRY_URL": "http://127.0.0.1:9",
        "SENTRY_SERVER": "bugsink",
        "SENTRY_AUTH_TOKEN": "0" * 40,
        "SENTRY_ALERTS": [{"rooms": ["#ops"]}],
        "SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", 0),
        "SENTRY_WEBHOOK_TOKENS": ("abcdefgh",),
    }
    bot, _ = _bot(tmp_path, **settings)
    with bot:
        bot.ask("!sentry status", "delivery")
        before = _census(bot)
        assert "/sentry" in before
        for _ in range(10):
            bot.ask("!plugin deactivate SentryReporter", "deactivated")
            bot.ask("!plugin activate SentryReporter", "activated")
        assert _census(bot) == before
        bot.ask("!plugin deactivate SentryReporter", "deactivated")
        off = _census(bot)
        assert "sentry" not in off.split("]")[0].lower(), "threads remain after deactivation"


def _pipes(bot: ErrbotProcess) -> int:
    """The ends of pipes that the bot's process has open."""
    found = 0
    for descriptor in Path(f"/proc/{bot.pid}/fd").iterdir():
        with suppress(OSError):  # closed since
            found += str(descriptor.readlink()).startswith("pipe:")
    return found


@pytest.mark.parametrize("listen", [None, ("127.0.0.1", 0)], ids=["errbot's web server", "own listener"])
def test_off_and_on_opens_no_more_pipes(tmp_path, listen):
    """Errbot keeps the pipe of each pool that it had, one for every admin's command; a hundred days later it stops."""
    bot, _ = _bot(tmp_path, SENTRY_ALERTS=[{"rooms": ["#ops"]}], SENTRY_WEBHOOK_LISTEN=listen)
    with bot:
        bot.ask("!sentry status", "delivery")
        before = _pipes(bot)
        for _ in range(5):
            bot.ask("!plugin deactivate SentryReporter", "deactivated")
            bot.ask("!plugin activate SentryReporter", "activated")
        for _ in range(5):
            bot.ask("!log tail 1", ".")
        bot.ask("!sentry status", "delivery")
        until(lambda: _pipes(bot) <= before, 10, lambda: f"{before} pipes again, and not {_pipes(bot)}")


def test_reload_takes_changed_submodules(tmp_path):
    """Errbot itself would run the old ones for ever."""
    bot, plugin = _bot(tmp_path)
    with bot:
        bot.ask("!sentry status", "delivery")
        replies = plugin / "errbot_sentry" / "chat" / "render" / "templates.py"
        replies.write_text(replies.read_text().replace("def of(", "def of_(", 1) + OVERRIDE)
        bot.ask("!plugin reload SentryReporter", "reloaded")
        bot.ask("!sentry status", "NEW CODE RUNS")


OVERRIDE = """

def _new(self, command, views, send_file=None):
    yield "NEW CODE RUNS"


Replies.of = _new
"""


def test_a_broken_edit_leaves_the_old_code_in_force(tmp_path):
    """The reload fails in words; activating again runs the old generation, unmixed; mending and reloading works."""
    bot, plugin = _bot(tmp_path)
    with bot:
        bot.ask("!sentry status", "delivery")
        model = plugin / "errbot_sentry" / "domain" / "issues.py"
        whole = model.read_text()
        model.write_text(whole + "\nthis is no Python\n")
        bot.ask("!plugin reload SentryReporter", r"(?i)error|failed|invalid syntax")
        bot.ask("!plugin activate SentryReporter", "activated")
        bot.ask("!sentry status", "delivery")
        model.write_text(whole)
        bot.ask("!plugin reload SentryReporter", "reloaded")
        bot.ask("!sentry status", "delivery")
