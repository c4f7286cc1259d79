"""Every entry point of a real Errbot: one error, one event, with its context, and nothing of what people typed."""

from __future__ import annotations

import logging
import pkgutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import sentry_sdk

from tests.fakes.ingest_server import IngestServer
from tests.servers.tiny_plugin import write_plugin
from tests.system import report_bot
from tests.system.report_bot import CrashBot, crash_bot, start_web_server, title, titles
from tests.waiting import until


@pytest.fixture(params=[True, False], ids=["core-wired", "core-off"])
def bot(request: pytest.FixtureRequest, tmp_path: Path, server: IngestServer) -> Iterator[CrashBot]:
    with crash_bot(tmp_path, server, core_wiring=request.param) as bot:
        yield bot


def test_a_start_makes_no_event(bot: CrashBot) -> None:
    bot.settle()
    assert titles(bot.server) == []


def test_a_command_that_crashes_is_one_event_with_its_context(bot: CrashBot) -> None:
    bot.say("!crash plain PRIVATE_WORD sesame_open")
    event = bot.event()
    last = event["exception"]["values"][-1]
    assert (last["type"], last["value"]) == ("ZeroDivisionError", "division by zero")
    assert "logentry" not in event
    assert event["transaction"] == "crash_plain"
    assert event["user"]["id"]
    tags = event["tags"]
    assert tags["bot.command"] == "crash_plain"
    assert tags["bot.plugin"] == "Crash"
    assert tags["bot.room"] == "direct"
    assert tags["bot.backend"] == "test"
    assert tags["errbot.version"] == "6.2.1"
    assert event["contexts"]["errbot"]["backend"] == "test"
    assert event["contexts"]["plugin"]["name"] == "Crash"
    assert event["level"] == "error"
    assert event["logger"] == "errbot.core"
    assert event["server_name"]
    assert event["environment"] == "production"
    frame = last["stacktrace"]["frames"][-1]
    assert frame["function"] == "crash_plain"
    assert frame["context_line"].strip() == "return 1 / 0"
    assert frame["in_app"] is True


def test_neither_words_nor_objects_leave(bot: CrashBot) -> None:
    bot.say("!crash plain PRIVATE_WORD sesame_open")
    event = bot.event()
    sent = bot.server.bytes().decode()
    assert "PRIVATE_WORD" not in sent
    assert "sesame_open" not in sent
    assert "STORED_TREASURE" not in sent
    found = event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["vars"]
    assert found["self"] == "<Crash>"
    assert found["msg"] == "<Message>"
    assert found["room"] == "<TestPerson>"
    outer = event["exception"]["values"][-1]["stacktrace"]["frames"][0]["vars"]
    assert outer["self"].startswith("<")
    crumbs = [crumb.get("message", "") for crumb in event["breadcrumbs"]["values"]]
    assert any(crumb.startswith('Processing command "crash_plain" with parameters "[chat]"') for crumb in crumbs)
    assert "asked for [chat]" in crumbs


def test_chat_text_may_be_sent_when_the_operator_says_so(tmp_path: Path, server: IngestServer) -> None:
    with crash_bot(tmp_path, server, SENTRY_CHAT_TEXT="send") as bot:
        bot.say("!crash plain PRIVATE_WORD token=hunter2hunter2")
        event = bot.event()
    assert event["contexts"]["chat"]["message"].startswith("!crash plain PRIVATE_WORD")
    assert b"hunter2hunter2" not in server.bytes()
    assert b"STORED_TREASURE" not in server.bytes()


def test_the_same_error_is_one_title_whatever_was_typed(tmp_path: Path, server: IngestServer) -> None:
    with crash_bot(tmp_path, server, SENTRY_REPEAT_SECONDS=0) as bot:
        for number in range(5):
            bot.say(f"!crash plain {number} times different words")
        events = bot.events(5)
    assert {title(event) for event in events} == {"ZeroDivisionError: division by zero"}
    assert {event["transaction"] for event in events} == {"crash_plain"}


@pytest.mark.parametrize(
    ("typed", "replies", "wanted", "command"),
    [
        ("!crash generator", 2, "ValueError: in a generator", "crash_generator"),
        ("!crash arg bob", 1, "LookupError: in an arg_botcmd", "crash_arg"),
        ("crash by pattern x", 1, "OSError: in a re_botcmd", "crash_pattern"),
        ("!crash template", 1, "TemplateNotFound: nowhere_to_be_found.md", "crash_template"),
        ("!crash logged x", 1, "KeyError: 'no key'", "crash_logged"),
    ],
)
def test_every_kind_of_command(bot: CrashBot, typed: str, replies: int, wanted: str, command: str) -> None:
    bot.say(typed, replies)
    event = bot.event()
    assert title(event) == wanted
    assert event["tags"]["bot.command"] == command
    assert event["tags"]["bot.plugin"] == "Crash"
    assert event["transaction"] == command


def test_a_command_error_and_a_kept_exception_are_no_events(bot: CrashBot) -> None:
    bot.say("!crash politely")
    bot.say("!crash kept")
    bot.say("!crash plain")
    assert title(bot.event()).startswith("ZeroDivisionError")


def test_an_error_that_is_only_logged(bot: CrashBot) -> None:
    bot.say("!crash error log")
    event = bot.event()
    assert event["logentry"]["message"] == "no luck with %s"
    assert event["logentry"]["formatted"] == "no luck with the thing"
    assert event["logger"] == "errbot.plugins.Crash"
    assert event["tags"]["bot.command"] == "crash_error_log"


def test_a_poller(bot: CrashBot) -> None:
    bot.say("!crash poll")
    event = bot.event()
    assert title(event) == "ArithmeticError: in a poller"
    assert event["tags"]["bot.plugin"] == "Crash"
    assert event["tags"]["bot.entry"] == "_poll"
    assert event["transaction"] == "poller Crash _poll"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_of_a_plugin(bot: CrashBot) -> None:
    bot.say("!crash thread")
    event = bot.event()
    assert title(event) == "RuntimeError: in a thread"
    assert event["exception"]["values"][-1]["mechanism"]["handled"] is False


def test_a_callback(bot: CrashBot) -> None:
    bot.say("callback please SECRETLY", replies=0)
    event = bot.event()
    assert title(event) == "EOFError: in a callback"
    assert event["tags"]["bot.plugin"] == "Crash"
    assert event["tags"]["bot.entry"] == "callback_message"
    assert b"SECRETLY" not in bot.server.bytes()


def test_a_botmessage_callback(bot: CrashBot) -> None:
    bot.say("!say it botmessage please")
    event = bot.event()
    assert title(event) == "StopAsyncIteration: in a botmessage callback"
    assert event["tags"]["bot.entry"] == "callback_botmessage"


def test_a_command_filter(bot: CrashBot) -> None:
    bot.say("!fine filter", replies=0)
    event = bot.event()
    assert title(event) == "NotADirectoryError: in a filter"
    assert event["tags"]["bot.command"] == "fine"
    assert event["transaction"] == "filter Crash crash_filter"


def test_a_flow_step(bot: CrashBot) -> None:
    bot.say("!flow first", replies=2)
    event = bot.event()
    assert title(event) == "ChildProcessError: in a flow step"
    assert event["tags"]["bot.command"] == "flow_second"


def test_a_webhook(bot: CrashBot) -> None:
    port = start_web_server(bot)
    answer = requests.post(f"http://127.0.0.1:{port}/crash", json={"text": "POSTED_WORDS"}, timeout=10)
    assert answer.status_code == 500
    event = bot.event()
    assert title(event) == "BufferError: in a webhook"
    assert event["tags"]["bot.plugin"] == "Crash"
    assert event["tags"]["bot.entry"] == "crash_hook"
    assert event["logger"].startswith("errbot.core_plugins")
    assert "request" not in event


@pytest.mark.parametrize(
    ("name", "source", "wanted"),
    [
        ("BrokenLoad", report_bot.BROKEN_LOADING, "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("BrokenActivation", report_bot.BROKEN_ACTIVATION, "InterruptedError: in activate"),
        ("BrokenConfiguration", report_bot.BROKEN_CONFIGURATION, "ProcessLookupError: in configure"),
    ],
)
@pytest.mark.parametrize("core_wiring", [True, False])
def test_plugins_that_break_at_the_start(
    tmp_path: Path, server: IngestServer, name: str, source: str, wanted: str, core_wiring: bool
) -> None:
    with crash_bot(tmp_path, server, ((name, source),), core_wiring=core_wiring) as bot:
        event = bot.event()
    assert title(event) == wanted
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert frames[-1]["context_line"].strip()


def test_a_configuration_that_does_not_parse(bot: CrashBot) -> None:
    bot.say("!plugin config Webserver {'token': 'hunter2hunter2', ((")
    event = bot.event()
    assert title(event).startswith("SyntaxError")
    assert event["tags"]["bot.command"] == "plugin_config"
    assert b"hunter2hunter2" not in bot.server.bytes()


def test_a_second_connection(tmp_path: Path, server: IngestServer) -> None:
    with crash_bot(tmp_path, server, (("Connecting", report_bot.CONNECTING),)) as bot:
        bot.bot.plugin_manager.plugins["Connecting"].broken = True
        bot.bot.signal_connect_to_all_plugins()
        event = bot.event()
    assert title(event) == "ConnectionAbortedError: in callback_connect"
    assert event["tags"]["bot.plugin"] == "Connecting"
    assert event["transaction"] == "callback Connecting callback_connect"


def test_a_flow_that_cannot_be_set_up(tmp_path: Path, server: IngestServer) -> None:
    write_plugin(tmp_path / "plugins", report_bot.BROKEN_FLOW, "BrokenFlow", kind="flow", home="crash")
    with crash_bot(tmp_path, server) as bot:
        event = bot.event()
    assert title(event) == "TimeoutError: in a flow's set-up"
    assert event["transaction"] == "flow BrokenFlow broken_flow"


def test_an_enormous_error_is_slimmed_not_lost(tmp_path: Path, server: IngestServer) -> None:
    with crash_bot(tmp_path, server, (("Enormous", report_bot.ENORMOUS),)) as bot:
        bot.say("!enormous")
        event = bot.event()
    assert title(event) == "MemoryError: too much"
    assert len(server.taken[0].raw) < 1_000_000
    assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["context_line"]


def test_a_room_and_its_person(bot: CrashBot) -> None:
    bot.say_in_room("!crash plain in the room")
    event = bot.event()
    assert event["tags"]["bot.room"] == "ops"
    assert event["user"]["id"] == "bob"


def test_breadcrumbs_are_of_this_persons_commands(bot: CrashBot) -> None:
    bot.say("!fine")
    bot.say_in_room("!fine today", who="bob")
    bot.testbot.pop_message()
    bot.say("!crash plain")
    crumbs = [crumb.get("message", "") for crumb in bot.event()["breadcrumbs"]["values"]]
    commands = [crumb.partition(" with ")[0] for crumb in crumbs if crumb.startswith("Processing command")]
    assert commands[-2:] == ['Processing command "fine"', 'Processing command "crash_plain"']
    assert not any("bob" in crumb for crumb in crumbs)
    assert any("Activate plugin" in crumb for crumb in crumbs)


def test_a_storm_is_one_event_and_its_count(tmp_path: Path, server: IngestServer) -> None:
    with crash_bot(tmp_path, server, SENTRY_REPEAT_SECONDS=3600) as bot:
        for _ in range(20):
            bot.say("!crash plain")
        bot.event()
        status = bot.reporter.status()
        assert (status.captured, status.repeated) == (1, 19)
        reporter = bot.reporter
    events = server.events()
    assert len(events) == 2, titles(server)
    assert events[1]["tags"]["repeated"] == "19"
    assert events[1]["contexts"]["repeats"]["count"] == 19
    assert title(events[1]) == title(events[0])
    assert reporter.status().captured == 2


def test_an_error_that_is_logged_twice_is_counted_once(tmp_path: Path, server: IngestServer) -> None:
    with crash_bot(tmp_path, server, SENTRY_REPEAT_SECONDS=3600) as bot:
        for _ in range(3):
            bot.say("!crash logged x")
        bot.settle()
        status = bot.reporter.status()
    assert (status.captured, status.repeated) == (1, 2)


def test_the_person_is_notified_once(bot: CrashBot) -> None:
    bot.say("!crash plain")
    event = bot.event()
    errors = until(lambda: bot.plugin.notified, what="the notification")
    assert [item.event_id for item in errors] == [event["event_id"]]
    assert errors[0].command == "crash_plain"
    assert errors[0].message.body == "!crash plain"
    assert errors[0].sent is True


@pytest.mark.parametrize("stage", ["setup", "start"])
def test_a_bot_that_does_not_come_up_leaves_nothing(
    tmp_path: Path, server: IngestServer, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """About the fixture: else one failure makes those of all tests after it."""
    name = "errbot.backends.test.setup_bot" if stage == "setup" else "errbot.backends.test.TestBot.start"
    real = pkgutil.resolve_name(name)

    def failing(*args: Any) -> None:
        real(*args)
        raise RuntimeError("it does not come up")

    monkeypatch.setattr(name, failing)
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(RuntimeError, match="does not come up"), crash_bot(tmp_path, server):
        pytest.fail("it has come up")
    assert logging.getLogger().handlers == handlers
    assert not sentry_sdk.get_client().is_active()
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("errbot-sentry")], what="no thread")
