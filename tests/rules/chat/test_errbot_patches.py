"""What we change in Errbot: all of it or none of it, undone in full, and an operator reads what is lost without it."""

from __future__ import annotations

import asyncio
import atexit
import signal
import ssl
import sys
from multiprocessing.pool import ThreadPool
from types import ModuleType, SimpleNamespace
from typing import Any

import errbot.core
import pytest
from errbot.rendering import text
from errbot.storage import StoreNotOpenError
from irc.bot import ExponentialBackoff, SingleServerIRCBot
from slixmpp import ClientXMPP

from errbot_sentry.chat.errbot_patches import markdown_lock
from errbot_sentry.chat.errbot_patches.patches import PATCHES, ErrbotPatches


class _Bot:
    """A bot object with everything that one of the patches changes."""

    mode = "irc"

    def __init__(self) -> None:
        self.md = text()
        self.thread_pool = ThreadPool(1)
        self.conn: Any = SingleServerIRCBot([("127.0.0.1", 6667)], "sentrybot", "sentrybot")
        loop = asyncio.new_event_loop()
        self.conn.client = loop.run_until_complete(_xmpp_client())
        self.conn.client.loop = loop
        self.conn.client.register_plugin("xep_0045")
        self.ends: list[str] = []
        self.driver = SimpleNamespace(options={"keepalive": False})
        self.event_handlers: dict[str, list[Any]] = {"hello": []}
        self.plugin_manager = self.repo_manager = SimpleNamespace(close_storage=self.close_storage)

    def register_handler(self, event: str, handler: Any) -> None:
        self.event_handlers[event].append(handler)

    def send_message(self, message: object) -> None: ...

    def shutdown(self) -> None:
        self.ends.append("errbot")

    def disconnect_callback(self) -> None: ...

    def close_storage(self) -> None:
        raise StoreNotOpenError  # `shutdown` has closed it

    def changed(self) -> set[str]:
        """Which of these things are not Errbot's own any more."""
        irc, xmpp = self.conn.connection, self.conn.client
        found = {
            "converter": "convert" in vars(self.md),
            "atexit": _atexit_is_ours(),
            "waits": type(self.conn.recon) is not ExponentialBackoff or "connect" in vars(irc),
            "ping": "send_raw" in vars(irc) or "all_raw_messages" in _handled(irc),
            "nick": bool({"nicknameinuse", "quit", "disconnect"} & _handled(irc)),
            "stream": "data_received" in vars(xmpp) or bool(xmpp.event_handled("connection_failed")),
            "sigterm": getattr(signal.getsignal(signal.SIGTERM), "sentry_reporter_active", False),
            "keepalive": self.driver.options["keepalive"],
            "hello": self.event_handlers["hello"],
            "tls": sys.modules["mattermostdriver.websocket"].ssl is not ssl,
        }
        return {name for name, is_changed in found.items() if is_changed} | (
            {"send_message", "shutdown", "disconnect_callback"} & set(vars(self))
        )


async def _xmpp_client() -> ClientXMPP:
    """Made in a running event loop, because the library asks for one and newer Pythons warn if there is none."""
    return ClientXMPP("sentrybot@chat.test", "a-password")


ALL = {
    "send_message",
    "shutdown",
    "disconnect_callback",
    "converter",
    "atexit",
    "waits",
    "ping",
    "nick",
    "stream",
    "sigterm",
} | {
    "keepalive",
    "hello",
    "tls",
}


def _atexit_is_ours() -> bool:
    return errbot.core.atexit is not atexit


def _handled(connection: Any) -> set[str]:
    """The events for which there are handlers that are not the library's own."""
    handlers = connection.reactor.handlers.items()
    return {event for event, some in handlers if any("errbot_patches" in each.callback.__module__ for each in some)}


@pytest.fixture
def bot(monkeypatch):
    driver = ModuleType("mattermostdriver.websocket")
    driver.ssl = ssl
    monkeypatch.setitem(sys.modules, driver.__name__, driver)
    before = signal.getsignal(signal.SIGTERM)
    made = _Bot()
    yield made
    signal.signal(signal.SIGTERM, before)
    made.thread_pool.terminate()
    made.conn.client.loop.close()


def test_all_patches_are_applied_and_all_of_them_are_undone(bot):
    patches = ErrbotPatches(bot, wanted=True, on_shutdown=lambda: None)
    patches.apply()
    assert bot.changed() == ALL
    assert (patches.without, patches.failed) == ((), False)
    assert all(patches.applied(patch.name) for patch in PATCHES if patch.needed(bot))
    patches.undo()
    assert bot.changed() == set()


def test_switched_off_nothing_is_changed_and_the_loss_is_named(bot):
    patches = ErrbotPatches(bot, wanted=False, on_shutdown=lambda: None)
    patches.apply()
    assert bot.changed() == set()
    assert patches.without == tuple(patch.without for patch in PATCHES if patch.needed(bot))
    assert not patches.failed
    assert not any(patches.applied(patch.name) for patch in PATCHES)


def test_what_a_bot_does_not_have_is_neither_patched_nor_missed():
    """A bot without XMPP's loop and without a pool needs no patch for them."""
    bot = SimpleNamespace(md=text(), shutdown=lambda: None)
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # somebody else's
    patches = ErrbotPatches(bot, wanted=False, on_shutdown=lambda: None)
    patches.apply()
    named = {patch.without: patch.name for patch in PATCHES}
    assert {named[sentence] for sentence in patches.without} == {"markdown_lock", "shutdown"}
    signal.signal(signal.SIGTERM, before)


def test_what_brings_the_chat_network_back_stays_when_it_drops_and_is_renewed_at_the_return(bot):
    patches = ErrbotPatches(bot, wanted=True, on_shutdown=lambda: None)
    patches.apply()

    def disconnect_callback() -> None:
        """Named as Errbot's, which is among the callers when it deactivates the plugin."""
        patches.undo()

    disconnect_callback()
    assert bot.changed() == ALL - {"send_message", "shutdown", "converter", "atexit"}
    back = ErrbotPatches(bot, wanted=True, on_shutdown=lambda: None)
    back.apply()
    assert bot.changed() == ALL
    back.undo()
    assert bot.changed() == set()


def test_a_bot_that_is_built_differently_is_left_alone(bot):
    bot.conn.recon = theirs = SimpleNamespace(run=lambda bot: None)
    patches = ErrbotPatches(bot, wanted=True, on_shutdown=lambda: None)
    patches.apply()
    assert patches.failed
    assert bot.conn.recon is theirs
    assert "connect" not in vars(bot.conn.connection)
    patches.undo()


def test_a_patch_that_fails_stops_neither_the_others_nor_the_plugin(bot):
    """Another version of Errbot may be built differently."""
    bot.md_broken = text()
    bot.md_broken.reset = None
    patches = ErrbotPatches(bot, wanted=True, on_shutdown=lambda: None)
    patches.apply()
    assert patches.failed
    assert len(patches.without) == 1
    assert not patches.applied("markdown_lock")
    assert "shutdown" in bot.changed()
    patches.undo()


def test_a_patch_that_fails_half_way_leaves_nothing_changed(bot):
    """Two converters, the second of them unusable: the first is as it was."""
    bot.md_broken = text()
    bot.md_broken.reset = None
    with pytest.raises(TypeError):
        markdown_lock.lock_converters(bot)
    assert "convert" not in vars(bot.md)


def test_mattermosts_driver_connects_again_after_each_connect_and_checks_whom_it_speaks_to(bot):
    """Each connect makes a new driver."""
    patches = ErrbotPatches(bot, wanted=True, on_shutdown=lambda: None)
    patches.apply()
    bot.driver = SimpleNamespace(options={"keepalive": False})
    for handler in bot.event_handlers["hello"]:
        handler({})
    assert bot.driver.options["keepalive"]
    made = sys.modules["mattermostdriver.websocket"].ssl.create_default_context(purpose=ssl.Purpose.CLIENT_AUTH)
    assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)
    patches.undo()
    bot.insecure = True
    patches.apply()
    made = sys.modules["mattermostdriver.websocket"].ssl.create_default_context(purpose=ssl.Purpose.CLIENT_AUTH)
    made.verify_mode = ssl.CERT_NONE  # as the driver does
    patches.undo()


def test_the_end_of_the_bot_ends_the_plugin_first(bot):
    """With a listener of its own the plugin outlives a drop of the chat network; the bot's end it does not."""
    patches = ErrbotPatches(bot, wanted=True, on_shutdown=lambda: bot.ends.append("plugin"))
    patches.apply()
    bot.shutdown()
    assert bot.ends == ["plugin", "errbot"]
    patches.undo()
    bot.shutdown()
    assert bot.ends == ["plugin", "errbot", "errbot"]


def test_sigterm_is_ctrl_c_once_and_nothing_after_that(bot):
    patches = ErrbotPatches(bot, wanted=True, on_shutdown=lambda: None)
    patches.apply()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    patches.undo()
