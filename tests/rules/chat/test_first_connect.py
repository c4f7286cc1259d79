"""A bot that has not connected yet: when the app starts without a chat network, and when it waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from errbot_sentry.app import CONNECT_SECONDS, App
from tests.clocks import VirtualClock
from tests.waiting import until

Make = Callable[..., App]


@pytest.fixture
def warnings() -> list[str]:
    """What the bot's admins were sent."""
    return []


@pytest.fixture
def make(tmp_path: Path, warnings: list[str]) -> Iterator[Make]:
    """Makes an app on a bot with one more plugin, five seconds after it was loaded."""
    made: list[App] = []

    def build(*, patched: bool = True, other_is_active: bool = False, **settings: Any) -> App:
        config = SimpleNamespace(
            BOT_DATA_DIR=str(tmp_path), BOT_IDENTITY={}, BOT_PREFIX="!", SENTRY_PATCH_ERRBOT=patched, **settings
        )
        plugins = {"Help": SimpleNamespace(is_activated=other_is_active)}
        bot = SimpleNamespace(
            mode="text",
            prefix="!",
            message_size_limit=10_000,
            bot_config=config,
            all_commands={},
            plugin_manager=SimpleNamespace(
                plugins=plugins, plugin_places=[], get_plugin_obj_by_name=lambda _name: None
            ),
            shutdown=lambda: None,
            disconnect_callback=lambda: None,
        )
        clock = VirtualClock()
        app = App(bot, lambda: True, warnings.append, clock)
        made.append(app)
        app.prepare()
        clock.advance(CONNECT_SECONDS)
        return app

    yield build
    for app in made:
        app.close()


def test_it_starts_once_and_the_connect_takes_it_over(make: Make, warnings: list[str]) -> None:
    app = make(SENTRY_ALERTS=[{"rooms": "no list"}])
    app.await_connection()
    until(lambda: app.messages, 30, "it runs")
    running = app.messages
    assert app._network.connection() == ""
    assert warnings == []  # nobody could be reached
    assert app.start()
    assert app.messages is running
    assert app._network.connection() != ""
    assert "settings in config" in warnings[0]


def test_the_connect_comes_first(make: Make) -> None:
    app = make()
    assert app.start()
    running = app.messages
    assert app._start_unconnected() is None
    assert app.messages is running


def test_it_waits_while_errbot_activates_plugins_and_starts_no_more_after_the_end(make: Make) -> None:
    app = make(other_is_active=True)
    assert app._start_unconnected() == 1.0
    assert app.messages is None
    app._bot.plugin_manager.plugins.clear()
    app.close()
    assert app._start_unconnected() is None
    assert app.messages is None


def test_with_an_unchanged_errbot_it_waits_for_the_connect(make: Make) -> None:
    app = make(patched=False)
    app.await_connection()
    assert app._unconnected._thread is None


def test_names_of_rooms_that_were_wrong_need_another_app(make: Make) -> None:
    app = make(SENTRY_ALERTS=[{"rooms": ["#ops"]}])
    assert app._start_unconnected() is None
    app._rooms._named = lambda name: f"{name}-1"
    assert not app.start()
    assert app._closed
