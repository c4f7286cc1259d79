"""What is wrong or odd about the settings is said at the start, to the admins, and by `!sentry status`; a real bot."""

from __future__ import annotations

import re
import socket
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from demo.processes import free_port
from tests.fakes.glitchtip_server import GlitchTipServer
from tests.fakes.http_server import as_json
from tests.fakes.sentry_server import SentryServer
from tests.fakes.tracker import Tracker
from tests.servers.errbot_process import ErrbotProcess
from tests.system.plugin_copies import PLUGIN, copy_folder
from tests.waiting import until


def said_twice(bot: ErrbotProcess, *sentences: str) -> None:
    """To the admins at the start (after the heading), and in the status."""
    for sentence in sentences:
        bot.wait_for_output(r"(?s)SentryReporter: .*" + _shown(sentence))
    before = len(bot.output)
    bot.say("!sentry status")
    for sentence in sentences:
        bot.wait_for_output(_shown(sentence), after=before)


def _shown(sentence: str) -> str:
    """Addresses are taken apart by unseen characters, so that no chat network makes a link of them."""
    return "\u200b*".join(map(re.escape, sentence))


def test_oddities_are_said_with_the_near_match_and_switch_nothing_off(tmp_path: Path) -> None:
    settings = {
        "SENTRY_POLL_SECOND": 5,
        "SENTRY_WEBHOOK_TOKENS": ("a-long-random-word",),
        "SENTRY_ROOM_PROJECTS": {"ops": ["*"]},
    }
    with ErrbotProcess(tmp_path / "bot", PLUGIN, settings) as bot:
        said_twice(
            bot,
            "SENTRY_POLL_SECOND is not a setting; did you mean SENTRY_POLL_SECONDS?",
            "'ops' is not a room's name on this chat network; did you mean '#ops'?",
        )
        bot.wait_for_output("webhook.* trouble.*Errbot's web server is off: set SENTRY_WEBHOOK_LISTEN")
        assert bot.output.count("settings in config.py") == 1


def test_a_wrong_room_and_a_taken_port_are_refused_with_their_reasons(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        settings = {"SENTRY_ALERTS": [{"rooms": ["#a"]}, {"rooms": ["ops"]}]}
        with ErrbotProcess(tmp_path / "bot", PLUGIN, settings) as bot:
            said_twice(bot, "route 2: 'ops' is not a room's name on this chat network; did you mean '#ops'?")
        listening = {"SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", port), "SENTRY_WEBHOOK_TOKENS": ("a-long-random-word",)}
        with ErrbotProcess(tmp_path / "other", PLUGIN, listening) as bot:
            said_twice(bot, f"cannot listen on 127.0.0.1:{port}: another program uses this port already")


@pytest.mark.parametrize("address", [("no-such-host.invalid", 3142), ("192.0.2.1", 3142)])
def test_an_address_that_is_not_ours_is_refused_with_its_reason(tmp_path: Path, address: tuple[str, int]) -> None:
    settings = {"SENTRY_WEBHOOK_LISTEN": address, "SENTRY_WEBHOOK_TOKENS": ("a-long-random-word",)}
    with ErrbotProcess(tmp_path / "bot", PLUGIN, settings) as bot:
        bot.wait_for_log(r"cannot listen on \S+: (this host name has no address|this machine has no such address)\.")


def test_projects_that_match_nothing_are_said_once_the_server_answers(tmp_path: Path, bugsink_project) -> None:
    """The status, which everybody may read, names no project that its reader may not see."""
    server = bugsink_project.server
    settings = {
        "SENTRY_URL": server.url,
        "SENTRY_AUTH_TOKEN": server.token,
        "SENTRY_PROJECTS": (f"x{bugsink_project.slug}",),
    }
    sentence = f"SENTRY_PROJECTS: no project of the server matches 'x{bugsink_project.slug}'"
    with ErrbotProcess(tmp_path / "bot", PLUGIN, settings) as bot:
        said_twice(bot, sentence)
        assert f"; did you mean '{bugsink_project.slug}'?" in bot.output.partition("!sentry")[0]
        assert "did you mean" not in bot.output[bot.output.rindex(sentence) :]


def test_a_server_that_answers_later_is_asked_for_its_projects_then(tmp_path: Path) -> None:
    """Where no project is hidden from anybody, everybody may read the near match."""
    tracker = Tracker("t0ken", datetime.now(timezone.utc))
    tracker.add_project("shop")
    with SentryServer(tracker) as server:
        answer, server.answer = server.answer, lambda _: as_json({"detail": "not yet"}, 403)
        settings = {
            "SENTRY_URL": server.url,
            "SENTRY_SERVER": "sentry",
            "SENTRY_AUTH_TOKEN": tracker.token,
            "SENTRY_ORG": tracker.org,
            "SENTRY_ALERTS": [{"rooms": ["#a"], "match": ["project=shpo"]}],
            "SENTRY_POLL_SECONDS": 1,
        }
        with ErrbotProcess(tmp_path / "bot", PLUGIN, settings) as bot:
            until(lambda: any("projects" in request.path for request in server.requests), 30, lambda: "it is asked")
            bot.ask("!sentry status", "server.* trouble")
            server.answer = answer
            bot.wait_for_output("no project of the server matches 'shpo'; did you mean 'shop'", 90)
            bot.ask("!sentry status", "setting.* warning.*matches 'shpo'; did you mean 'shop'")


def test_a_second_copy_of_the_plugin_is_said_with_both_folders(tmp_path: Path) -> None:
    """Errbot loads the first and is silent about the other; an update of that one changes nothing."""
    copies = [copy_folder(tmp_path / "one"), copy_folder(tmp_path / "two")]
    with ErrbotProcess(tmp_path / "bot", [tmp_path / "one", tmp_path / "two"]) as bot:
        said_twice(bot, "SentryReporter is installed more than once")
        for copy in copies:
            bot.wait_for_log(re.escape(str(copy)))


def test_a_wrong_dsn_in_the_environment_does_not_end_the_bot(tmp_path: Path) -> None:
    """In config.py it does: Errbot itself hands that one to the SDK before any plugin is loaded."""
    port = free_port()
    settings = {"BOT_LOG_SENTRY": True, "SENTRY_DSN": "", "SENTRY_LOGLEVEL": 20, "SENTRY_EVENTLEVEL": 40}
    env = {"SENTRY_DSN": f"0123456789abcdef@127.0.0.1:{port}/1"}
    with ErrbotProcess(tmp_path / "bot", PLUGIN, settings, env=env) as bot:
        said_twice(bot, "SENTRY_DSN: expected a DSN such as https://PUBLIC_KEY@sentry.example.com/1")
        assert "0123456789abcdef" not in bot.output


def test_a_matcher_that_the_server_can_never_answer_is_said_at_the_start(tmp_path: Path) -> None:
    """Also where the server is never polled."""
    tracker = Tracker("t0ken", datetime.now(timezone.utc))
    tracker.add_project("shop")
    with GlitchTipServer(tracker) as server:
        settings = {
            "SENTRY_URL": server.url,
            "SENTRY_SERVER": "glitchtip",
            "SENTRY_AUTH_TOKEN": tracker.token,
            "SENTRY_ORG": tracker.org,
            "SENTRY_ALERTS": [{"rooms": ["#a"], "match": ["priority=high"]}],
            "SENTRY_POLL_SECONDS": 0,
        }
        with ErrbotProcess(tmp_path / "bot", PLUGIN, settings) as bot:
            said_twice(bot, "priority=high")
