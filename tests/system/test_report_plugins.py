"""What other plugins can do, in a real Errbot: the example of docs/reporting.md, tags, transactions, Flask, levels."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import requests

from errbot_sentry.domain.conversation import Person
from errbot_sentry.domain.errors import UserError
from tests.clocks import ShiftedClock
from tests.fakes.ingest_server import IngestServer
from tests.system.report_bot import crash_bot, start_web_server, title, titles
from tests.waiting import until

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reporting.md"
TRACED = {"traces_sample_rate": 1.0}

SPEAKING = """
    import requests
    from errbot import BotPlugin, botcmd

    class Speaking(BotPlugin):
        def sentry(self):
            return self._bot.plugin_manager.plugins["AReporting"]

        @botcmd
        def speak_tag(self, msg, args):
            self.sentry().set_tag("mood", args)
            self.sentry().set_tag("bad key!", "x")
            raise ValueError("tagged " + str(len(args)))

        @botcmd
        def speak_plain(self, msg, args):
            raise LookupError("untagged")

        @botcmd
        def speak_url(self, msg, args):
            requests.get(args, timeout=5)
            with self.sentry().span("work", "of our own"):
                return "spoken"
"""


def example() -> str:
    """The plugin in the docs."""
    (found,) = re.findall(r"<!-- a test runs this plugin.*?```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    return str(found)


def test_the_example_of_the_docs_runs(tmp_path: Path, server: IngestServer) -> None:
    source = example().replace('"SentryReporter"', '"AReporting"')
    config = {"SENTRY_OPTIONS": TRACED}
    with crash_bot(tmp_path, server, (("Bakery", source),), **config) as bot:
        place = tmp_path / "plugins" / "bakery" / "bakery_plugin.plug"
        assert place.exists()
        bot.bot.plugin_manager.plugins["Bakery"].dependencies = ["AReporting"]
        (reply,) = bot.say("!bake")
        event = bot.event()
        assert event["event_id"] in reply
        assert title(event) == "ValueError: dough over 40 degrees"
        assert event["tags"]["oven"] == "left"
        assert event["tags"]["step"] == "kneading"
        assert event["tags"]["bot.command"] == "bake"
        bot.bot.plugin_manager.plugins["Bakery"].nightly()
        bot.settle()
    transactions = {item["transaction"]: item for item in server.items("transaction")}
    assert [span["description"] for span in transactions["bake"]["spans"]] == ["heat the oven"]
    assert "count the flour" in transactions
    assert server.events()[1]["logentry"]["message"] == "flour is low"
    assert server.events()[1]["level"] == "warning"


def test_a_tag_ends_with_its_command_and_a_bad_one_is_logged(
    tmp_path: Path, server: IngestServer, caplog: pytest.LogCaptureFixture
) -> None:
    with crash_bot(tmp_path, server, (("Speaking", SPEAKING),), SENTRY_CHAT_TEXT="send", BOT_ASYNC_POOLSIZE=1) as bot:
        bot.say("!speak tag fine")
        bot.say("!speak plain")
        tagged, untagged = bot.events(2)
    assert tagged["tags"]["mood"] == "fine"
    assert "bad key!" not in tagged["tags"]
    assert "mood" not in untagged["tags"]
    assert "'bad key!' is not set: its key must be" in caplog.text


def test_every_command_is_a_transaction_with_its_calls_as_spans(tmp_path: Path, server: IngestServer) -> None:
    with crash_bot(tmp_path, server, (("Speaking", SPEAKING),), SENTRY_OPTIONS=TRACED) as bot:
        bot.say(f"!speak url http://127.0.0.1:{server.port}/some?password=hunter2hunter2")
        bot.say("!crash plain")
        bot.settle()
        until(lambda: len(server.items("transaction")) >= 2, what="two transactions")
    found = {item["transaction"]: item for item in server.items("transaction")}
    spoken, crashed = found["speak_url"], found["crash_plain"]
    assert spoken["contexts"]["trace"]["op"] == "bot.command"
    assert spoken["measurements"]["command.duration"]["unit"] == "millisecond"
    assert spoken["measurements"]["command.duration"]["value"] > 0
    assert [span["op"] for span in spoken["spans"]] == ["http.client", "work"]
    assert spoken["tags"]["bot.command"] == "speak_url"
    assert spoken["user"]["id"]
    assert crashed["contexts"]["trace"]["status"] == "internal_error"
    assert b"hunter2hunter2" not in server.bytes()


def test_without_a_rate_there_are_no_transactions(tmp_path: Path, server: IngestServer) -> None:
    with crash_bot(tmp_path, server) as bot:
        bot.say("!fine")
        bot.say("!crash plain")
        bot.event()
    assert server.items("transaction") == []


def test_the_command_is_put_back_on_close(tmp_path: Path, server: IngestServer) -> None:
    with crash_bot(tmp_path, server) as bot:
        assert "_execute_and_send" in vars(bot.bot)
        bot.reporter.close(5)
        assert "_execute_and_send" not in vars(bot.bot)
        assert bot.say("!fine") == ["fine"]


def test_feedback_goes_to_the_persons_last_error(tmp_path: Path, server: IngestServer) -> None:
    with crash_bot(tmp_path, server) as bot:
        bot.say("!crash plain")
        event = bot.event()
        person = Person(event["user"]["id"], "Gbin")
        assert bot.reporter.feedback(Person("stranger", "Stranger"), "hello") is None
        words = "I only wanted bread, my token=hunter2hunter2"
        assert bot.reporter.feedback(person, words) == event["event_id"]
        bot.settle()
    (report,) = server.items("user_report")
    assert report["event_id"] == event["event_id"]
    assert report["comments"].startswith("I only wanted bread")
    assert b"hunter2hunter2" not in server.bytes()


def test_feedback_takes_the_form_that_the_server_keeps(tmp_path: Path, server: IngestServer) -> None:
    """Sentry's own item whatever the event's age; words that would be thrown away are refused."""
    with crash_bot(tmp_path, server) as bot:
        bot.say("!crash plain")
        event = bot.event()
        person = Person(event["user"]["id"], "Gbin " * 50)
        assert bot.reporter.feedback(person, "token=hunter2hunter2 broke", "sentry") == event["event_id"]
        bot.reporter.feedback(person, "words")
        bot.reporter._clock = ShiftedClock(31 * 60)
        with pytest.raises(UserError, match="more than 30 minutes old"):
            bot.reporter.feedback(person, "too late")
        bot.reporter.feedback(person, "still taken", "sentry")
        bot.settle()
    (first, second) = server.items("feedback")
    said = first["contexts"]["feedback"]
    assert said["associated_event_id"] == event["event_id"] != first["event_id"]
    assert said["message"].endswith("broke")
    assert second["contexts"]["feedback"]["message"] == "still taken"
    (report,) = server.items("user_report")
    assert max(len(said["name"]), len(report["name"])) <= 128
    assert b"hunter2hunter2" not in server.bytes()


@pytest.mark.parametrize("core_wiring", [True, False])
@pytest.mark.parametrize("chat_text", ["send", "scrub"])
def test_web_errors_through_flask(tmp_path: Path, server: IngestServer, core_wiring: bool, chat_text: str) -> None:
    config: dict[str, Any] = {"BOT_LOG_SENTRY_FLASK": True, "SENTRY_CHAT_TEXT": chat_text}
    with crash_bot(tmp_path, server, core_wiring=core_wiring, **config) as bot:
        port = start_web_server(bot)
        answer = requests.post(
            f"http://127.0.0.1:{port}/crash?token=hunter2hunter2&page=7",
            json={"text": "POSTED_WORDS", "password": "hunter3hunter3"},
            headers={"Sentry-Hook-Signature": "5ca1ab1e" * 8, "Cookie": "a=hunter4hunter4"},
            timeout=10,
        )
        assert answer.status_code == 500
        event = bot.event()
    assert title(event) == "BufferError: in a webhook"
    assert event["exception"]["values"][-1]["mechanism"]["type"] == "flask"
    assert event["tags"]["bot.entry"] == "crash_hook"
    assert event["request"]["method"] == "POST"
    sent = server.bytes()
    for secret in (b"hunter2hunter2", b"hunter3hunter3", b"hunter4hunter4", b"5ca1ab1e"):
        assert secret not in sent
    assert (b"POSTED_WORDS" in sent) is (chat_text == "send")


def test_the_levels_of_errbots_own_template(tmp_path: Path, server: IngestServer) -> None:
    """Both INFO: every INFO line is an event, as the operator asked; an error is still one."""
    levels = {"SENTRY_LOGLEVEL": logging.INFO, "SENTRY_EVENTLEVEL": logging.INFO}
    with crash_bot(tmp_path, server, **levels) as bot:
        bot.say("!crash plain")
        bot.settle()
        errors = [event for event in server.events() if event["level"] == "error"]
        assert [title(event) for event in errors] == ["ZeroDivisionError: division by zero"], titles(server)
        assert len(server.events()) > 1
        assert b"STORED_TREASURE" not in server.bytes()


def test_deactivated_and_activated_again(tmp_path: Path, server: IngestServer) -> None:
    with crash_bot(tmp_path, server) as bot:
        for _ in range(3):
            bot.say("!plugin deactivate AReporting")
            bot.say("!crash generator", 2)
            bot.say("!plugin activate AReporting")
        bot.say("!crash plain")
        assert title(bot.event()).startswith("ZeroDivisionError")
