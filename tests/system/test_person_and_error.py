"""The person whose command failed: one reply, where they typed, says where the error went."""

from __future__ import annotations

import logging

from tests.fakes.ingest_server import IngestServer
from tests.servers.errbot_process import ErrbotProcess
from tests.system.irc_world import shop
from tests.system.plugin_copies import PLUGIN
from tests.waiting import until


def _bot(folder, server: IngestServer) -> ErrbotProcess:
    settings = {
        "BOT_LOG_SENTRY": True,
        "SENTRY_DSN": server.dsn,
        "SENTRY_LOGLEVEL": logging.INFO,
        "SENTRY_EVENTLEVEL": logging.ERROR,
    }
    return ErrbotProcess(folder / "bot", [PLUGIN, shop(folder / "shop")], settings)


def test_the_reference_comes_once_and_feedback_reaches_that_event(tmp_path):
    """A storm of the same error is one reply to the person; their words travel in a feedback envelope."""
    server = IngestServer()
    with _bot(tmp_path, server) as bot:
        bot.ask("!sentry feedback too early", "You haven't run into an error")
        said = bot.ask("!checkout", r"Reported as event ([0-9a-f]{32})").group(1)
        for _ in range(3):
            bot.ask("!checkout", "Computer says nooo")
        bot.ask("!sentry feedback the till was <!here> closed", f"Your words go with event {said}")
        until(
            lambda: any(header.get("type") == "user_report" for taken in server.taken for header, _ in taken.items),
            20,
            "feedback",
        )
        assert bot.output.count("Reported as event") == 1
    (event,) = [event for taken in server.taken for event in taken.events][:1]
    assert event["event_id"] == said
    words = [
        str(payload) for taken in server.taken for header, payload in taken.items if header.get("type") == "user_report"
    ]
    assert any(event["event_id"] in text and "the till was" in text for text in words)
    server.stop()


def test_with_the_server_away_the_person_learns_that_the_report_waits(tmp_path):
    """And it is sent, under the same id, when the server is back."""
    server = IngestServer()
    server.stop()
    with _bot(tmp_path, server) as bot:
        said = bot.ask("!checkout", r"Saved as event ([0-9a-f]{32})").group(1)
        server.resume()
        until(lambda: [event for taken in server.taken for event in taken.events], 90, "the event arrives")
    (event,) = [event for taken in server.taken for event in taken.events]
    assert event["event_id"] == said
    server.stop()
