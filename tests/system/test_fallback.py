"""A real bot whose IRC network goes away: its notifications come by mail, through a real Apprise and SMTP server."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from email.message import EmailMessage
from pathlib import Path

import pytest

from demo.processes import free_port
from tests.alerting import bodies
from tests.servers.errbot_process import ErrbotProcess, irc_settings
from tests.servers.irc_client import IrcClient
from tests.servers.mail import PASSWORD, MailServer
from tests.servers.ngircd import Ngircd
from tests.servers.tcp_proxy import TcpProxy
from tests.system.network_world import NetworkWorld
from tests.system.plugin_copies import PLUGIN
from tests.waiting import until

BOT = "sentrybot"
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")  # the server is for loopback only


def post(port: int, number: str, **fields: str) -> None:
    """The server's webhook about a new issue."""
    bodies.post(bodies.address(port), bodies.sentry_issue(number, **fields), number)


def the_bot(folder: Path, ircd: Ngircd, port: int, url: str, room: str = "#ops") -> ErrbotProcess:
    """A bot with a fallback after two seconds, which logs all that anybody logs."""
    settings = {
        **irc_settings(ircd.port, nick=BOT, rooms=("#ops",)),
        "BOT_LOG_LEVEL": logging.DEBUG,
        "SENTRY_ALERTS": [{"rooms": [room]}],
        **bodies.listening(port),
        "SENTRY_FALLBACK": [{"urls": [url], "match": ["level>=error"], "after": "2s"}],
    }
    return ErrbotProcess(folder / "bot", [PLUGIN], settings, backend="IRC")


def body_of(mail: EmailMessage) -> str:
    """The text of a mail that is plain text and nothing else."""
    assert mail.get_content_type() == "text/plain"
    text: str = mail.get_content()
    return text


def test_mail_while_irc_is_away_and_a_line_in_the_room_afterwards(ngircd: Ngircd, tmp_path: Path) -> None:
    """Once, although the bot is killed in between."""
    port = free_port()
    with MailServer() as server, the_bot(tmp_path, ngircd, port, server.url()) as bot:
        ngircd.kill()
        bot.wait_for_log("the chat network dropped")
        post(port, "1", title="Boom\r\nBcc: eve@example.com\r\n\r\n<b>bold</b>")
        bot.wait_for_log("sent to the fallback: message 1", 60)
        bot.kill9()
        ngircd.start()
        with IrcClient("127.0.0.1", ngircd.port, "alice") as alice:
            alice.join("#ops")
            bot.start()
            alice.wait_for("New.*SHOP-1", 60, target="#ops", sender=BOT)
            alice.wait_for(
                r"Chat was away from .* UTC to .* UTC; 1 notification also went to the fallback\.", 60, target="#ops"
            )
        (mail,) = server.mails
        assert mail["Subject"].startswith("New in shop: SHOP-1 Boom Bcc: eve@example.com")
        assert mail["Bcc"] is None
        assert mail["To"] == "oncall@example.com"
        assert "<b>bold</b>" in body_of(mail)
        assert "Chat has been away since" in body_of(mail)
        assert "#ops took no message." in body_of(mail)
    assert "apprise" in bot.log
    assert PASSWORD not in bot.log
    assert "Traceback" not in bot.log.partition("the fallback")[2]


def test_mail_without_a_listener_before_the_first_connect_and_after_a_drop(ngircd: Ngircd, tmp_path: Path) -> None:
    """Errbot's own web server is off until Errbot has connected; the poller finds what happened."""
    with ExitStack() as ends:
        world = NetworkWorld(ends)
        proxy = ends.enter_context(TcpProxy(ngircd.port))
        server = ends.enter_context(MailServer())
        alice = ends.enter_context(IrcClient("127.0.0.1", ngircd.port, "alice"))
        alice.join("#ops")
        settings = {
            **irc_settings(proxy.port, nick=BOT, rooms=("#ops",)),
            **world.settings,
            "SENTRY_ALERTS": [{"rooms": ["#ops"]}],
            "SENTRY_POLL_SECONDS": 1,
            "SENTRY_FALLBACK": [{"urls": [server.url()], "after": "2s"}],
        }
        bot = ErrbotProcess(tmp_path / "bot", [PLUGIN], settings, backend="IRC")
        proxy.refuse()
        bot.start(wait=False)
        ends.callback(bot.stop)
        bot.wait_for_log("the chat network is not there yet", 90)
        until(lambda: any("issues" in each.path for each in world.sentry.requests), 60, "the poller has begun")
        first = world.issue()
        until(lambda: [mail for mail in server.mails if first.short_id in mail["Subject"]], 60, "the first mail")
        proxy.mend()
        alice.wait_for(first.short_id, 60, target="#ops", sender=BOT)
        proxy.refuse()
        proxy.end()
        bot.wait_for_log("the chat network dropped", 60)
        second = world.issue("another")
        until(lambda: [mail for mail in server.mails if second.short_id in mail["Subject"]], 60, "the second mail")
        proxy.mend()
        alice.wait_for(second.short_id, 60, target="#ops", sender=BOT)
        assert len(server.mails) == 2


def test_mail_for_a_room_that_does_not_admit_the_bot(ngircd: Ngircd, tmp_path: Path) -> None:
    port = free_port()
    with IrcClient("127.0.0.1", ngircd.port, "alice") as alice, MailServer() as server:
        alice.join("#ops")
        alice.join("#closed")
        alice.raw("MODE #closed +nk sesame")
        with the_bot(tmp_path, ngircd, port, server.url(), "#closed") as bot:
            alice.wait_for_join(BOT, "#ops")
            post(port, "1")
            until(lambda: server.mails, 60, "a mail arrives")
            assert "#closed took no message. " in body_of(server.mails[0])
            alice.raw("MODE #closed -k sesame")
            alice.wait_for("New.*SHOP-1", 60, target="#closed", sender=BOT)
            alice.wait_for("1 notification also went to the fallback", 60, target="#closed", sender=BOT)
            assert len(server.mails) == 1
        assert "cannot" not in bot.log.partition("the fallback")[2]
