"""Ways out that are no part of the failing command's own event: threads, headers, logs, metrics, other hosts."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.http_server import HttpServer, Reply
from tests.fakes.ingest_server import IngestServer
from tests.system.report_bot import CrashBot, crash_bot
from tests.waiting import until

LEAKY = '''
    import logging
    import sys
    import threading
    from concurrent.futures import ThreadPoolExecutor
    import requests
    import sentry_sdk
    from errbot import BotPlugin, botcmd

    KEY = """-----BEGIN RSA PRIVATE KEY-----
    UEVNX0xJTkVfT05F
    UEVNX0xJTkVfVFdP
    -----END RSA PRIVATE KEY-----"""

    class Leaky(BotPlugin):
        @botcmd
        def leak_key(self, msg, args):
            key = """-----BEGIN RSA PRIVATE KEY-----
            UEVNX0xJTkVfT05F
            UEVNX0xJTkVfVFdP
            -----END RSA PRIVATE KEY-----""" and 1 / 0

        @botcmd
        def leak_thread(self, msg, args):
            thread = threading.Thread(target=self._work, args=(args.split()[0],))
            thread.start()
            thread.join()
            return "done"

        @botcmd
        def leak_pool(self, msg, args):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(self._log, args.split()[0]).result()
            return "done"

        def _work(self, what):
            self.log.info("working on %s", what)
            raise ValueError("in the thread")

        def _log(self, what):
            self.log.info("pooled %s", what)
            try:
                return 1 / 0
            except ZeroDivisionError:
                self.log.exception("pooled")

        @botcmd
        def leak_crumb(self, msg, args):
            thread = threading.Thread(target=self.log.info, args=("received %s", args.split()[0]))
            thread.start()
            thread.join()
            return "done"

        @botcmd
        def leak_again(self, msg, args):
            self.log.error(f"cannot find {args}")
            self.log.error("cannot find %s", args)
            try:
                raise LookupError(args)
            except LookupError:
                self.log.exception("no %s", args)
            return "done"

        @botcmd
        def leak_keys(self, msg, args):
            word = args.split()[0]
            sentry_sdk.set_extra("plain", list(range(50)))
            for secret in (word, "sntrys_0123456789abcdef", "carol@mail.example.org"):
                long = {secret: list(range(50)), "deep": {secret: {"x": {"y": {"z": {"end": {secret: 1}}}}}}}
                sentry_sdk.set_extra(secret, long)
                sentry_sdk.set_context(secret, {secret: "x" * 9000})
                sentry_sdk.set_tag(secret, "x")
                sentry_sdk.add_breadcrumb(message="by key", data={secret: list(range(50))})
                sentry_sdk.set_user({secret: secret})
                try:
                    exec("1 / 0", {}, {secret: 1, "ok": {secret: secret}})
                except ZeroDivisionError:
                    self.log.exception("executed")
            return 1 / 0

        @botcmd
        def leak_plain(self, msg, args):
            return [][1]

        @botcmd
        def leak_names(self, msg, args):
            word = args.split()[0]
            with sentry_sdk.start_transaction(op="x", name=f"look at {word} sntrys_0123456789abcdef"):
                with sentry_sdk.start_span(op="y", name=f"span of {word}"):
                    return 1 / 0

        @botcmd
        def leak_fetch(self, msg, args):
            url, word = args.split()
            requests.get(url, params={"q": word}, timeout=5)
            return "done"

        def callback_message(self, msg):
            if msg.body.startswith("look up"):
                *_, url, word = msg.body.split()
                requests.get(url, params={"q": word}, timeout=5)

        @botcmd
        def leak_telemetry(self, msg, args):
            word = args.split()[0]
            sentry_sdk.metrics.count("asked", 1, attributes={"what": word, "token": "PLAIN_TOKEN"})
            self.log.warning("telemetry of %s and password=PLAIN_TOKEN", word)
            return "done"

        @botcmd
        def leak_attachment(self, msg, args):
            word = args.split()[0]
            scope = sentry_sdk.get_isolation_scope()
            scope.add_attachment(bytes=f"{word} password=PLAIN_TOKEN".encode(), filename="notes.txt")
            scope.add_attachment(bytes=b"x", filename=f"notes of {word} and sntrys_0123456789abcdef.txt")
            return 1 / 0

        @botcmd
        def leak_deep(self, msg, args):
            class Job:
                def __init__(self, msg):
                    self.msg = msg
                def __repr__(self):
                    return f"Job({self.msg!r}, {self.msg})"
            deep = msg
            for _ in range(12):
                deep = {"x": deep}
            job = Job(msg)
            by_word = {args.split()[0]: 1}
            return 1 / 0

        @botcmd
        def leak_type(self, msg, args):
            raise type(args.split()[0], (Exception,), {})("typed")

        @botcmd
        def leak_group(self, msg, args):
            word = args.split()[0]
            inner = ValueError(f"about {word}")
            inner.add_note(f"note of {word} with password=PLAIN_TOKEN")
            try:
                raise KeyError(word)
            except KeyError:
                raise ExceptionGroup(f"group of {word}", [inner, TypeError(word)])
'''


@pytest.fixture
def bot(tmp_path: Path, server: IngestServer) -> Iterator[CrashBot]:
    with leaky_bot(tmp_path, server) as bot:
        yield bot


def leaky_bot(folder: Path, server: IngestServer, **config: Any) -> Any:
    return crash_bot(folder, server, (("Leaky", LEAKY),), **config)


def sent(bot: CrashBot) -> str:
    bot.settle()
    return bot.server.bytes().decode()


@pytest.mark.parametrize("mode", ["drop", "scrub"])
def test_words_do_not_leave_by_the_event_that_reports_a_count(tmp_path: Path, server: IngestServer, mode: str) -> None:
    with leaky_bot(tmp_path, server, SENTRY_CHAT_TEXT=mode, SENTRY_REPEAT_SECONDS=3600) as bot:
        for word in ("ONE_WORD", "SECOND_WORD", "THIRD_WORD"):
            bot.say(f"!leak again {word}")
        bot.settle()
    counts = [event for event in server.events() if "repeated" in event.get("tags", {})]
    assert [event["tags"]["repeated"] for event in counts] == ["2", "2"], counts
    for event in server.events():
        for value in event.get("exception", {}).get("values", ()) if mode == "scrub" else ():
            value["value"] = ""  # there the exception's own text stays
        assert "_WORD" not in json.dumps(event)


@pytest.mark.parametrize("mode", ["drop", "scrub"])
def test_keys_do_not_leave_by_what_the_sdk_notes_about_them(tmp_path: Path, server: IngestServer, mode: str) -> None:
    with leaky_bot(tmp_path, server, SENTRY_CHAT_TEXT=mode) as bot:
        bot.say("!leak keys PRIVATE_WORD")
        left = sent(bot)
        for event in server.events():
            assert event["_meta"]["extra"]["plain"] == {"": {"len": 50}}
        for secret in ("PRIVATE_WORD", "sntrys_0123456789abcdef", "carol@mail"):
            assert secret not in left, left[left.index(secret) - 200 :][:300]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("command", ["thread", "pool"])
def test_words_do_not_leave_by_a_thread_of_the_command(bot: CrashBot, command: str) -> None:
    """Neither on the thread's own event nor on the breadcrumbs of somebody else's."""
    bot.say(f"!leak {command} PRIVATE_WORD")
    bot.events(1)
    bot.say_in_room("!leak plain other", who="bob")
    bot.events(2)
    assert "PRIVATE_WORD" not in sent(bot)


def test_a_line_that_a_thread_logs_is_masked_for_everybody(bot: CrashBot) -> None:
    bot.say("!leak crumb PRIVATE_WORD")
    bot.say_in_room("!leak plain other", who="bob")
    event = bot.event()
    assert "received [chat]" in [crumb.get("message") for crumb in event["breadcrumbs"]["values"]]
    assert "PRIVATE_WORD" not in sent(bot)


def test_names_of_transactions_and_spans(tmp_path: Path, server: IngestServer) -> None:
    """They are also in the header of every envelope, beside what the event's hooks see."""
    with leaky_bot(tmp_path, server, SENTRY_OPTIONS={"traces_sample_rate": 1.0}) as bot:
        bot.say("!leak names PRIVATE_WORD")
        until(lambda: len(server.items("transaction")) >= 2, what="both transactions")
        left = sent(bot)
        assert "PRIVATE_WORD" not in left
        assert "sntrys_0123" not in left
        assert "look at [chat]" in left


@pytest.fixture
def other_host() -> Iterator[HttpServer]:
    """Some server that plugins ask."""
    with HttpServer(lambda _: Reply()) as server:
        yield server


def test_other_hosts_get_no_header_of_ours(bot: CrashBot, other_host: HttpServer) -> None:
    """The SDK would give them the DSN's key, the release and the environment, as `baggage`."""
    bot.say(f"!leak fetch {other_host.url} PRIVATE_WORD")
    (request,) = other_host.requests
    assert not {"baggage", "sentry-trace"} & set(request.headers)


def test_what_a_plugin_asked_elsewhere_is_no_breadcrumb_of_others(bot: CrashBot, other_host: HttpServer) -> None:
    """Callbacks share a thread, and with it the SDK's own breadcrumbs of requests."""
    bot.say_in_room(f"look up {other_host.url} PRIVATE_WORD", who="carol")
    bot.say_in_room("callback please", who="bob")
    event = bot.event()
    assert any(other_host.url in json.dumps(crumb) for crumb in event["breadcrumbs"]["values"])
    assert "PRIVATE_WORD" not in sent(bot)


def test_logs_and_metrics_of_the_sdk(tmp_path: Path, server: IngestServer) -> None:
    with leaky_bot(tmp_path, server, SENTRY_OPTIONS={"enable_logs": True}) as bot:
        bot.say("!leak telemetry PRIVATE_WORD")
        bot.plugin.deactivate()
        until(lambda: server.items("trace_metric") and server.items("log"), what="logs and metrics")
        left = server.bytes().decode()
        assert "telemetry of" in left
        assert "PRIVATE_WORD" not in left
        assert "PLAIN_TOKEN" not in left


def test_a_text_that_is_attached(bot: CrashBot) -> None:
    bot.say("!leak attachment PRIVATE_WORD")
    bot.event()
    left = sent(bot)
    assert "notes.txt" in left
    assert "PRIVATE_WORD" not in left
    assert "sntrys_0123456789abcdef" not in left
    assert "PLAIN_TOKEN" not in left


def test_objects_are_only_named_however_deep(bot: CrashBot) -> None:
    bot.say("!leak deep PRIVATE_WORD")
    bot.event()
    assert "PRIVATE_WORD" not in sent(bot)


def test_an_exception_whose_type_is_a_word(tmp_path: Path, server: IngestServer) -> None:
    with leaky_bot(tmp_path, server, SENTRY_CHAT_TEXT="drop") as bot:
        bot.say("!leak type PRIVATE_WORD")
        bot.event()
        assert "PRIVATE_WORD" not in sent(bot)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has neither notes nor groups")
@pytest.mark.parametrize("mode", ["drop", "scrub"])
def test_notes_groups_and_causes(tmp_path: Path, server: IngestServer, mode: str) -> None:
    with leaky_bot(tmp_path, server, SENTRY_CHAT_TEXT=mode) as bot:
        bot.say("!leak group PRIVATE_WORD")
        event = bot.event()
        assert len(event["exception"]["values"]) >= 4
        assert "PLAIN_TOKEN" not in sent(bot)
        if mode == "drop":
            assert "PRIVATE_WORD" not in sent(bot)
        else:  # there the exceptions' own texts stay, and nothing else
            for value in event["exception"]["values"]:
                value["value"] = ""
                value["mechanism"] = {}
            assert "PRIVATE_WORD" not in json.dumps(event)


def test_the_lines_of_a_key_in_the_source(bot: CrashBot) -> None:
    bot.say("!leak key")
    event = bot.event()
    frame = event["exception"]["values"][-1]["stacktrace"]["frames"][-1]
    assert frame["function"] == "leak_key"
    assert "UEVNX0xJTkV" not in sent(bot)


def test_raw_lines_of_the_chat_network_are_no_breadcrumbs(tmp_path: Path, server: IngestServer) -> None:
    """With breadcrumbs from DEBUG on, backends' libraries log everybody's messages as they receive them."""
    with leaky_bot(tmp_path, server, SENTRY_LOGLEVEL=logging.DEBUG) as bot:
        for name in ("irc.client", "slixmpp.xmlstream.xmlstream", "slack_sdk.socket_mode", "errbot.backends.irc"):
            logging.getLogger(name).debug("FROM SERVER: :carol PRIVMSG #ops :PRIVATE_WORD")
        logging.getLogger("errbot.plugins.Leaky").debug("harmless detail")
        bot.say("!leak plain")
        event = bot.event()
        assert "harmless detail" in json.dumps(event["breadcrumbs"])
        assert "PRIVATE_WORD" not in sent(bot)


def test_the_operators_before_breadcrumb_is_asked(tmp_path: Path, server: IngestServer) -> None:
    def before_breadcrumb(crumb: Any, hint: Any) -> Any:
        if "unwanted" in crumb["message"]:
            return None
        if "broken" in crumb["message"]:
            raise RuntimeError("their bug")
        return {**crumb, "message": f"{hint['log_record'].levelname}: {crumb['message']}"}

    with leaky_bot(tmp_path, server, SENTRY_OPTIONS={"before_breadcrumb": before_breadcrumb}) as bot:
        for word in ("unwanted", "wanted", "broken"):
            logging.getLogger("some.plugin").info("a line %s", word)
        bot.say("!leak plain")
        event = bot.event()
        messages = [crumb.get("message", "") for crumb in event["breadcrumbs"]["values"]]
        assert "INFO: a line wanted" in messages
        assert not any("unwanted" in message or "broken" in message for message in messages)
