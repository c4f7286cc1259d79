"""A click that is delivered twice acts once; the same click after another action acts again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from errbot.backends.base import Message

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.clicks import Click, ClickHandler
from errbot_sentry.chat.render.layout import Layout
from errbot_sentry.chat.render.templates import Replies, Templates
from errbot_sentry.commands.command_context import CommandSettings
from errbot_sentry.commands.dispatch import Commands
from errbot_sentry.domain.errors import NotAsAsked, Unreachable
from errbot_sentry.domain.issue_actions import REOPEN, RESOLVE, options_of
from tests.alerting import bodies
from tests.alerting.world import Chat, VirtualClock, World
from tests.fakes.memory_server import MemoryServer
from tests.waiting import until


class Plugin:
    name = "SentryReporter"

    def sentry_resolve(self) -> None: ...

    def sentry_reopen(self) -> None: ...


class Bot:
    """As much of Errbot's backend object as a click needs."""

    mode, prefix = "text", "!"

    def __init__(self) -> None:
        plugin = Plugin()
        self.all_commands = {"sentry_resolve": plugin.sentry_resolve, "sentry_reopen": plugin.sentry_reopen}

    def _process_command_filters(self, message: Message, name: str, words: str, dry_run: bool) -> Any:
        return message, name, words


class Somebody:
    """Errbot's identifier of a person."""

    nick, aclattr = "Ann", "@ann"


@pytest.fixture
def queue() -> Iterator[BackgroundQueue]:
    made = BackgroundQueue("clicks")
    made.start()
    yield made
    made.close(5)


def test_a_repeated_click_counts_once_and_counts_again_after_another_action(
    tmp_path: Path, queue: BackgroundQueue
) -> None:
    """Whoever resolved, reopened and resolved within ten seconds got nothing for the third click, and no answer."""
    clock = VirtualClock()
    world = World(tmp_path, [{"rooms": ["#ops"]}], poll=0, clock=clock, chat=Chat(clock, threads=True))
    world.server.event("1")
    world.hook(bodies.sentry_issue("1"))
    world.at(1)
    replies = Replies(Templates("text"), Layout("text", 10_000))
    handler = ClickHandler(Bot(), world.commands(), replies, world.chat, queue, world.flow)
    ended: list[str] = []
    for action in (RESOLVE, RESOLVE, REOPEN, RESOLVE):
        options = options_of(action)
        assert options is not None
        click = Click(Somebody(), "#ops", "m1", options, ended=lambda: ended.append(""))
        handler.clicked(lambda click=click: click)
    until(lambda: len(ended) == 4, 30, "all clicks are handled")
    marks = [edit.text.rpartition(" · ")[2] for edit in world.chat.edited]
    assert marks == ["resolved by Ann", "reopened by Ann", "resolved by Ann"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NotAsAsked("The server took the request, but SHOP-1 is unresolved."), "not changed as asked: The server took"),
        (Unreachable("The server cannot be reached."), "not changed: The server cannot be reached"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_click_that_fails_is_answered_marks_nothing_and_counts_again(
    tmp_path: Path, queue: BackgroundQueue, caplog: pytest.LogCaptureFixture, error: Exception, sentence: str
) -> None:
    """The alert said "resolved by Ann", and the log had a traceback."""
    clock = VirtualClock()
    world = World(tmp_path, [{"rooms": ["#ops"]}], poll=0, clock=clock, chat=Chat(clock, threads=True))
    server = MemoryServer([world.server.event("1")], now=clock.now)
    world.hook(bodies.sentry_issue("1"))
    world.at(1)
    world.texts()
    commands = Commands(lambda: server, world.access, CommandSettings(), clock, world.store, alerts=world.flow)
    replies = Replies(Templates("text"), Layout("text", 10_000))
    handler = ClickHandler(Bot(), commands, replies, world.chat, queue, world.flow)
    resolve = options_of(RESOLVE)
    assert resolve is not None
    for failing in (True, True, False):
        if failing:
            server.fail("resolve", error)
        ended: list[str] = []
        click = Click(Somebody(), "#ops", "m1", resolve, ended=lambda ended=ended: ended.append(""))
        handler.clicked(lambda click=click: click)
        until(lambda ended=ended: len(ended) == 1, 30, "the click is handled")
        assert bool(world.chat.edited) is not failing
        assert (sentence in world.texts()[0]) is failing
    logged = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert [record.levelname for record in logged] == ["WARNING"] * 2
    assert [str(error) in record.getMessage() for record in logged] == [True] * 2
    assert [record.exc_info for record in logged] == [None] * 2
