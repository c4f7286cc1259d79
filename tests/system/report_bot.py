"""A real Errbot with plugins that crash in every way, reporting to a local ingest server; for test_report_*.py."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sentry_sdk
from errbot.backends.base import Message
from errbot.backends.test import TestBot, TestOccupant

from errbot_sentry.reporting.reporter import Reporter
from tests.fakes.ingest_server import IngestServer
from tests.servers.tiny_plugin import write_plugin
from tests.waiting import until

STARTED: list[Reporter] = []
"""The reporters of this bot, also of one that did not come up: whatever happens, they are closed."""

REPORTING = '''
    """Stands for SentryReporter: the same calls at the same moments, and nothing else."""
    import os
    from pathlib import Path
    from errbot import BotPlugin
    from errbot.version import VERSION
    from errbot_sentry.reporting.collect.bot_context import BotFacts
    from errbot_sentry.reporting.reporter import Reporter
    from errbot_sentry.config.settings import read_settings
    from tests.system.report_bot import STARTED

    class AReporting(BotPlugin):
        def __init__(self, bot, name=None):
            super().__init__(bot, name)
            settings = read_settings(bot.bot_config, {})
            self.notified = []
            facts = BotFacts(str(bot.mode), VERSION, self.plugin_of)
            data = Path(bot.bot_config.BOT_DATA_DIR)
            self.reporter = Reporter(settings.report, facts, data, notify=self.notified.append)
            STARTED.append(self.reporter)
            self.reporter.start()
            self.reporter.watch_commands(bot)
        def plugin_of(self, command):
            method = self._bot.all_commands.get(command)
            return getattr(getattr(method, "__self__", None), "name", "") or ""
        def activate(self):
            super().activate()
            if not self.reporter.status().running:
                self.reporter.start()
                self.reporter.watch_commands(self._bot)
        def deactivate(self):
            self.reporter.close(5)
            super().deactivate()
        def capture_exception(self, exc=None, **tags):
            return self.reporter.capture_exception(exc, **tags)
        def capture_message(self, text, level="info", **tags):
            return self.reporter.capture_message(text, level, **tags)
        def set_tag(self, key, value):
            self.reporter.set_tag(key, value)
        def set_tags(self, tags):
            self.reporter.set_tags(tags)
        def transaction(self, op, name):
            return self.reporter.transaction(op, name)
        def span(self, op, name):
            return self.reporter.span(op, name)
'''

CRASHING = """
    import threading
    from errbot import BotPlugin, CommandError, arg_botcmd, botcmd, botflow, cmdfilter, re_botcmd, webhook

    class Skipped(Exception):
        skip_sentry = True

    class Crash(BotPlugin):
        def activate(self):
            super().activate()
            self["stored"] = "STORED_TREASURE"

        @botcmd
        def crash_plain(self, msg, args):
            room = msg.to
            config = self.bot_config
            self.log.info("asked for %s", args)
            return 1 / 0

        @botcmd
        def crash_logged(self, msg, args):
            try:
                return {}["no key"]
            except KeyError:
                self.log.exception("could not do %s", args)
                raise

        @botcmd
        def crash_generator(self, msg, args):
            yield "one"
            raise ValueError("in a generator")

        @arg_botcmd("name", type=str)
        def crash_arg(self, msg, name):
            raise LookupError("in an arg_botcmd")

        @re_botcmd(pattern=r"^crash by pattern (.*)$", prefixed=False)
        def crash_pattern(self, msg, match):
            raise OSError("in a re_botcmd")

        @botcmd(template="nowhere_to_be_found")
        def crash_template(self, msg, args):
            return {"a": 1}

        @botcmd
        def crash_politely(self, msg, args):
            raise CommandError("please no")

        @botcmd
        def crash_kept(self, msg, args):
            raise Skipped("stay in")

        @botcmd
        def crash_error_log(self, msg, args):
            self.log.error("no luck with %s", "the thing")
            return "logged"

        @botcmd
        def crash_thread(self, msg, args):
            thread = threading.Thread(target=self._in_thread, name="crashing")
            thread.start()
            thread.join()
            return "thread done"

        def _in_thread(self):
            raise RuntimeError("in a thread")

        @botcmd
        def crash_poll(self, msg, args):
            self.start_poller(0.01, self._poll, times=1)
            return "polling"

        def _poll(self):
            raise ArithmeticError("in a poller")

        @botcmd
        def fine(self, msg, args):
            return "fine"

        @webhook("/crash")
        def crash_hook(self, incoming):
            raise BufferError("in a webhook")

        def callback_message(self, msg):
            if "callback please" in msg.body:
                raise EOFError("in a callback")

        def callback_botmessage(self, msg):
            if "botmessage please" in msg.body:
                raise StopAsyncIteration("in a botmessage callback")

        @botcmd
        def say_it(self, msg, args):
            return args

        @cmdfilter
        def crash_filter(self, msg, cmd, args, dry_run):
            if cmd == "fine" and args == "filter":
                raise NotADirectoryError("in a filter")
            return msg, cmd, args

        @botcmd
        def flow_first(self, msg, args):
            return "first"

        @botcmd
        def flow_second(self, msg, args):
            raise ChildProcessError("in a flow step")
"""

FLOW = """
    from errbot import BotFlow, FlowRoot, botflow

    class CrashFlow(BotFlow):
        @botflow
        def crash_flow(self, flow: FlowRoot):
            flow.connect("flow_first", auto_trigger=True).connect("flow_second", predicate=lambda ctx: True)
"""

BROKEN_LOADING = """
    import no_such_module_anywhere
    from errbot import BotPlugin

    class BrokenLoad(BotPlugin):
        pass
"""

BROKEN_ACTIVATION = """
    from errbot import BotPlugin

    class BrokenActivation(BotPlugin):
        def activate(self):
            raise InterruptedError("in activate")
"""

BROKEN_CONFIGURATION = """
    from errbot import BotPlugin

    class BrokenConfiguration(BotPlugin):
        def configure(self, configuration):
            raise ProcessLookupError("in configure")
"""


CONNECTING = """
    from errbot import BotPlugin

    class Connecting(BotPlugin):
        broken = False
        def callback_connect(self):
            if self.broken:
                raise ConnectionAbortedError("in callback_connect")
"""

BROKEN_FLOW = """
    from errbot import BotFlow, botflow

    class BrokenFlow(BotFlow):
        @botflow
        def broken_flow(self, flow):
            raise TimeoutError("in a flow's set-up")
"""

ENORMOUS = """
    from errbot import BotPlugin, botcmd

    class Enormous(BotPlugin):
        @botcmd
        def enormous(self, msg, args):
            return self.deeper(40)
        def deeper(self, depth):
            rows = [[f"{depth} {row} {column} " + "x" * 5000 for column in range(10)] for row in range(10)]
            if not depth:
                raise MemoryError("too much")
            return self.deeper(depth - 1)
"""


def wait_until_sent(reporter: Reporter) -> None:
    """Wait until the server has everything that was captured."""
    until(lambda: reporter.status().spooled == 0, timeout=60, what="an empty spool", every=0.005)


class CrashBot:
    """The bot, its reporter, and what the server got."""

    def __init__(self, testbot: TestBot, server: IngestServer) -> None:
        self.testbot = testbot
        self.server = server

    @property
    def bot(self) -> Any:
        return self.testbot.bot

    @property
    def plugin(self) -> Any:
        return self.bot.plugin_manager.plugins["AReporting"]

    @property
    def reporter(self) -> Reporter:
        found: Reporter = self.plugin.reporter
        return found

    def say(self, text: str, replies: int = 1) -> list[str]:
        """Type as the admin, in a direct message; what the bot says."""
        self.testbot.push_message(text)
        return [self.testbot.pop_message() for _ in range(replies)]

    def say_in_room(self, text: str, who: str = "bob", room: str = "ops") -> None:
        """Type in a room."""
        from errbot.backends.test import TestRoom

        place = TestRoom(room, bot=self.bot)
        self.bot.callback_message(Message(text, frm=TestOccupant(who, place), to=place))

    def events(self, count: int) -> list[dict[str, Any]]:
        """The events so far, once there are `count` of them; more is as wrong as fewer."""
        until(lambda: len(self.server.events()) >= count, what=lambda: f"{count} events, got {titles(self.server)}")
        self.settle()
        assert len(self.server.events()) == count, titles(self.server)
        return self.server.events()

    def settle(self) -> None:
        """Wait until everything captured so far was sent."""
        wait_until_sent(self.reporter)

    def event(self) -> dict[str, Any]:
        """The one event."""
        return self.events(1)[0]


def titles(server: IngestServer) -> list[str]:
    """One line per event, for messages of failed tests."""
    return [title(event) for event in server.events()]


def title(event: dict[str, Any]) -> str:
    """Type and value of the exception, else the sentence."""
    if "exception" in event:
        last = event["exception"]["values"][-1]
        return f"{last['type']}: {last['value']}"
    return str(event.get("logentry"))


def start_web_server(bot: CrashBot) -> int:
    """Configure Errbot's web server on a free port, and wait for it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    config = json.dumps({"HOST": "127.0.0.1", "PORT": port, "SSL": None}).replace("null", "None")
    bot.say(f"!plugin config Webserver {config}")
    thread = bot.bot.plugin_manager.plugins["Webserver"]
    until(lambda: thread.server is not None, what="the web server")
    return port


@contextlib.contextmanager
def crash_bot(
    folder: Path, server: IngestServer, broken: tuple[tuple[str, str], ...] = (), **config: Any
) -> Iterator[CrashBot]:
    """Start the bot; `broken` are further plugins (name, source) that load after ours."""
    plugins = folder / "plugins"
    write_plugin(plugins, REPORTING, "AReporting")
    write_plugin(plugins, CRASHING, "Crash")
    write_plugin(plugins, FLOW, "CrashFlow", kind="flow", home="crash")
    for name, source in broken:
        write_plugin(plugins, source, name)
    settings = {"BOT_LOG_SENTRY": True, "SENTRY_DSN": server.dsn, "SENTRY_LOGLEVEL": logging.INFO,
        "SENTRY_EVENTLEVEL": logging.ERROR, **config}  # fmt: skip
    # The core's switch is the same as ours; a test that wants the core's wiring off turns it on only for us.
    core_wiring = settings.pop("core_wiring", True)
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    path = list(sys.path)
    testbot = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Errbot's and its dependencies' own
            testbot = TestBot(extra_plugin_dir=[str(plugins)], loglevel=logging.DEBUG, extra_config=settings)
            if not core_wiring:
                _hide_switch_from_core(testbot.bot_config)
            testbot.start()
        yield CrashBot(testbot, server)
    finally:
        _stop(testbot)
        for handler in [handler for handler in root.handlers if handler not in before[1]]:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(before[0])
        sys.path[:] = path


def _stop(testbot: TestBot | None) -> None:
    """End the bot as far as it came up; what it has started must not report the next test's errors."""
    try:
        if testbot is not None and testbot.bot_thread is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                testbot.stop()
    finally:
        while STARTED:
            STARTED.pop().close(5)
        sentry_sdk.get_client().close(timeout=0)  # that of Errbot's core, where ours never came
        sentry_sdk.get_global_scope().set_client(None)


def _hide_switch_from_core(config: Any) -> None:
    """bootstrap.py reads BOT_LOG_SENTRY with getattr from the config: the first time it is False, later True."""

    class Once:
        reads = 0

    def switch(_self: Any) -> bool:
        Once.reads += 1
        return Once.reads > 2  # hasattr and the value, in bootstrap.py's one line

    kind = type("Config", (type(config),), {"BOT_LOG_SENTRY": property(switch)})
    config.__dict__.pop("BOT_LOG_SENTRY", None)
    config.__class__ = kind
