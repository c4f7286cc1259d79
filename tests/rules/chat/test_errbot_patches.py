"""What we change in Errbot: all of it or none of it, undone in full, and an operator reads what is lost without it."""

from __future__ import annotations

import atexit
import ssl
import sys
from multiprocessing.pool import ThreadPool
from types import ModuleType, SimpleNamespace
from typing import Any

import errbot.core
import pytest
from errbot.rendering import text

from errbot_sentry.chat.errbot_patches import markdown_lock
from errbot_sentry.chat.errbot_patches.patches import PATCHES, ErrbotPatches


class _Loop:
    """slixmpp's event loop, as far as it is used."""

    def call_soon_threadsafe(self, callback: Any) -> None: ...


class _Bot:
    """A bot object with everything that one of the patches changes."""

    def __init__(self) -> None:
        self.md = text()
        self.thread_pool = ThreadPool(1)
        self.conn = SimpleNamespace(client=SimpleNamespace(loop=_Loop()))
        self.ends: list[str] = []
        self.mode = "mattermost"
        self.driver = SimpleNamespace(options={"keepalive": False})
        self.event_handlers: dict[str, list[Any]] = {"hello": []}

    def register_handler(self, event: str, handler: Any) -> None:
        self.event_handlers[event].append(handler)

    def send_message(self, message: object) -> None: ...

    def shutdown(self) -> None:
        self.ends.append("errbot")

    def changed(self) -> set[str]:
        """Which of these things are not Errbot's own any more."""
        own = {"send_message", "shutdown"} & set(vars(self))
        return (
            own
            | ({"converter"} if "convert" in vars(self.md) else set())
            | ({"atexit"} if _atexit_is_ours() else set())
            | ({"keepalive"} if self.driver.options["keepalive"] else set())
            | ({"hello"} if self.event_handlers["hello"] else set())
            | ({"tls"} if sys.modules["mattermostdriver.websocket"].ssl is not ssl else set())
        )


def _atexit_is_ours() -> bool:
    return errbot.core.atexit is not atexit


@pytest.fixture
def bot(monkeypatch):
    driver = ModuleType("mattermostdriver.websocket")
    driver.ssl = ssl
    monkeypatch.setitem(sys.modules, driver.__name__, driver)
    made = _Bot()
    yield made
    made.thread_pool.terminate()


def test_all_patches_are_applied_and_all_of_them_are_undone(bot):
    patches = ErrbotPatches(bot, wanted=True, on_shutdown=lambda: None)
    patches.apply()
    assert bot.changed() == {"send_message", "shutdown", "converter", "atexit", "keepalive", "hello", "tls"}
    assert (patches.without, patches.failed) == ((), False)
    assert all(patches.applied(patch.name) for patch in PATCHES)
    patches.undo()
    assert bot.changed() == set()


def test_switched_off_nothing_is_changed_and_the_loss_is_named(bot):
    patches = ErrbotPatches(bot, wanted=False, on_shutdown=lambda: None)
    patches.apply()
    assert bot.changed() == set()
    assert patches.without == tuple(patch.without for patch in PATCHES)
    assert not patches.failed
    assert not any(patches.applied(patch.name) for patch in PATCHES)


def test_what_a_bot_does_not_have_is_neither_patched_nor_missed():
    """A bot without XMPP's loop and without a pool needs no patch for them."""
    bot = SimpleNamespace(md=text(), shutdown=lambda: None)
    patches = ErrbotPatches(bot, wanted=False, on_shutdown=lambda: None)
    patches.apply()
    named = {patch.without: patch.name for patch in PATCHES}
    assert {named[sentence] for sentence in patches.without} == {"markdown_lock", "shutdown"}


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
