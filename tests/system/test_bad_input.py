"""Nonsense from both sides, against a real bot: a thousand webhook bodies, and a server that answers anything."""

from __future__ import annotations

import http.client
import json
import random
import sqlite3
from collections import Counter
from contextlib import closing

from demo.processes import free_port
from tests.alerting.bodies import SECRET, TOKEN, sentry_event_alert, sentry_issue
from tests.fakes.http_server import HttpServer, Reply, Request
from tests.servers.errbot_process import ErrbotProcess
from tests.system.plugin_copies import PLUGIN

BODIES = 1000
RIGHT = "a-long-random-word"
HEADERS = {"Content-Type": "application/json", "Sentry-Hook-Resource": "issue"}


def _nonsense(rng: random.Random) -> bytes:
    """One body that is no alert: broken on the way, of wrong types, huge, not UTF-8, or nested without end."""
    whole = json.dumps(rng.choice([sentry_issue, sentry_event_alert])()).encode()
    kind = rng.randrange(8)
    if kind == 0:
        return whole[: rng.randrange(len(whole) - 1)]
    if kind == 1:
        at = rng.randrange(len(whole))
        return whole[:at] + bytes([rng.choice((0x80, 0xC0, 0xFF, 0x00))]) + whole[at:]
    if kind == 2:
        depth = rng.choice((50, 1_000, 100_000))
        return b'{"data":' * depth + b"1" + b"}" * depth
    if kind == 3:
        return rng.choice((b"[" * 100_000, b"[]", b"null", b'"text"', b"12", b"NaN", b"", b"{}", b"\xef\xbb\xbf{}"))
    if kind == 4:
        return json.dumps({"action": _wrong(rng), "data": _wrong(rng), "installation": _wrong(rng)}).encode()
    if kind == 5:
        return json.dumps({"action": "created", "data": {"issue": _wrong(rng)}}).encode()
    if kind == 6:
        return rng.randbytes(rng.randrange(1, 4000))
    return b'{"data": "' + b"x" * rng.choice((10_000, 1_000_000)) + b'"}'


def _wrong(rng: random.Random) -> object:
    return rng.choice(
        (None, 0, -1, 1e308, True, "", "x" * 5000, [], [[]], {}, {"id": None}, {"id": {"id": []}}, [1, "2"])
    )


def _post(port: int, path: str, body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body, HEADERS)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_thousand_bad_bodies_are_refused_and_change_nothing(tmp_path):
    """Only 2xx and 4xx, no traceback, nothing stored, and the bot still answers."""
    port, rng = free_port(), random.Random(20261121)
    settings = {
        "SENTRY_ALERTS": [{"rooms": ["#ops"]}],
        "SENTRY_POLL_SECONDS": 0,
        "SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", port),
        "SENTRY_WEBHOOK_SECRET": SECRET.reveal(),
        "SENTRY_WEBHOOK_TOKENS": (TOKEN.reveal(),),
    }
    with ErrbotProcess(tmp_path / "bot", PLUGIN, settings) as bot:
        seen: Counter[int] = Counter()
        for number in range(BODIES):
            path = "/sentry/webhook" if number % 10 == 0 else f"/sentry/webhook/{TOKEN.reveal()}"
            seen[_post(port, path, _nonsense(rng))] += 1
        assert _post(port, f"/sentry/webhook/{TOKEN.reveal()}", b"x" * (5 * 1024 * 1024 + 1)) == 413
        assert set(seen) <= {200, 400, 401}, seen
        assert seen[401] == BODIES // 10
        bot.ask("!sentry status", "delivery")
        assert "Traceback" not in bot.log
        assert _post(port, f"/sentry/webhook/{TOKEN.reveal()}", json.dumps(sentry_issue()).encode()) == 202
    with closing(sqlite3.connect(bot.data / "sentry_reporter.sqlite3")) as state:
        assert state.execute("select count(*) from alerts").fetchone() == (1,), "only the last, good one"


class _Nonsense:
    """Answers each request with the next of many kinds of nonsense."""

    def __init__(self) -> None:
        self.rng = random.Random(7)
        self.asked = 0

    def __call__(self, request: Request) -> Reply:
        self.asked += 1
        rng = self.rng
        body = rng.choice(
            (
                b"",
                b"{}",
                b"[]",
                b"null",
                b"[null]",
                b'[{"id": null}]',
                b'{"results": null}',
                b'{"results": [{"id": []}], "next": 5}',
                b'{"next": "http://other.example/steal", "results": []}',
                b"<html>login</html>",
                b"\xff\xfe\x00",
                b"[" * 50_000,
                b'{"version": "0", "user": null, "auth": null}',
                rng.randbytes(300),
                json.dumps(
                    [{"id": 1, "slug": ["a"], "name": {}, "shortId": 5, "count": "many", "lastSeen": "soon"}]
                ).encode(),
            )
        )
        kind = rng.choice(("application/json", "application/json", "text/html", "", "application/json; charset=utf-16"))
        status = rng.choice((200, 200, 200, 200, 201, 204, 301, 302, 400, 401, 403, 404, 418, 422, 429, 500, 502, 503))
        headers = {"Content-Type": kind, "Link": rng.choice(("", '<x>; rel="next"; results="true"', "garbage"))}
        if status in (301, 302):
            headers["Location"] = rng.choice(("http://127.0.0.1:9/steal", "/", "://", "javascript:x"))
        if status == 429:
            headers["Retry-After"] = rng.choice(("60", "-1", "soon", "Wed, 21 Oct 2099 07:28:00 GMT"))
        return Reply(status, b"" if status == 204 else body, headers)


def test_a_server_that_answers_nonsense_gets_one_sentence_each_time(tmp_path):
    """On every dialect, and with the kind to be found out; the bot goes on."""
    nonsense = _Nonsense()
    with HttpServer(nonsense) as server:
        for kind in ("sentry", "glitchtip", "bugsink", "auto"):
            settings = {
                "SENTRY_URL": server.url,
                "SENTRY_SERVER": kind,
                "SENTRY_AUTH_TOKEN": "sntryu_0123456789abcdef0123456789",
                "SENTRY_ORG": "acme",
                "SENTRY_ALERTS": [{"rooms": ["#ops"]}],
                "SENTRY_POLL_SECONDS": 1,
            }
            with ErrbotProcess(tmp_path / kind, PLUGIN, settings) as bot:
                for words in ("issues", "issue 12", "issue WEB-1", "issues -p web foo", "resolve 12", "issue @latest"):
                    before = len(bot.output)
                    bot.ask(f"!sentry {words}", r"[a-z]{3}.*[.!?)\d…]")
                    assert "Computer says nooo" not in bot.output[before:]
                bot.ask("!sentry status", "delivery")
                assert "Traceback" not in bot.log
                assert "sntryu_0123" not in bot.log + bot.output
    assert nonsense.asked > 20


def test_words_and_numbers_beyond_reason_get_one_sentence(tmp_path):
    """From anybody who may write to the bot: no parser works on them, and none fails on them."""
    settings = {"SENTRY_ALERTS": [{"rooms": ["#ops"]}], "SENTRY_URL": "http://127.0.0.1:9", "SENTRY_SERVER": "bugsink"}
    with ErrbotProcess(tmp_path, PLUGIN, settings) as bot:
        bot.ask("!sentry status", "delivery")
        bot.ask(f'!sentry route web title="a{" " * 60_000}b"', "at most 4000 characters")
        bot.ask(f"!sentry feedback {'x ' * 1500}", "at most 1000 words")
        for number in ("0000000010000", "000000001" + "0" * 30, "9" * 3900):
            bot.ask(f"!sentry issues -n {number}", r"is not a number from\s+1\s+to\s+100")
        bot.ask(f"!sentry unsilence {'9' * 3900}", r"is not a number from\s+0\s+to\s+999999999")
        bot.ask("!sentry status", "delivery")
    assert "Traceback" not in bot.log
