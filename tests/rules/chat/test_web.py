"""The webhook's two front doors, over real sockets: our listener, and Errbot's Flask application on its own server."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import errbot.core_plugins
import pytest
from errbot.core_plugins.wsview import reset_app
from werkzeug.serving import ThreadedWSGIServer

from errbot_sentry.alerting.receive.receiver import LARGEST_BODY
from errbot_sentry.domain.errors import SettingsError
from errbot_sentry.web.application import Reply, Web
from errbot_sentry.web.errbot_route import mount
from errbot_sentry.web.listener import Listener
from tests.waiting import until


@dataclass
class Answer:
    status: int
    text: str


@dataclass
class RecordingReceiver:
    """Keeps what it is given, as the alert flow does."""

    taken: list[tuple[dict[str, str], bytes, str | None]] = field(default_factory=list)

    def take(self, headers, body, token=None):
        self.taken.append((dict(headers), body, token))
        return Answer(202, "stored")


@pytest.fixture(autouse=True)
def _fresh_flask_application() -> Iterator[None]:
    """Errbot's application is one for the process; once asked, it takes no rules of other tests' bots."""
    reset_app()
    yield
    reset_app()


@pytest.fixture(params=["own listener", "errbot's web server"])
def door(request) -> Iterator[tuple[int, Web]]:
    web = Web()
    if request.param == "own listener":
        listener = Listener(("127.0.0.1", 0), web)
        yield listener.port, web
        listener.close(5)
        return
    mount(web)
    server = ThreadedWSGIServer("127.0.0.1", 0, errbot.core_plugins.flask_app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.port, web
    server.shutdown()
    server.server_close()
    thread.join()


def _ask(port, method, path, body=None, headers=None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _open(web: Web) -> RecordingReceiver:
    receiver = RecordingReceiver()
    web.open(receiver.take, {"health": lambda: Reply(200, "{}", "application/json")})
    return receiver


def test_deliveries_reach_the_intake_byte_by_byte(door):
    """The signature is over the raw bytes: re-encoding them would break it."""
    port, web = door
    receiver = _open(web)
    body = b'{"a": 1}\xff\x00 \r\n'
    assert _ask(port, "POST", "/sentry/webhook", body, {"Sentry-Hook-Signature": "ab", "Request-ID": "1"})[0] == 202
    assert _ask(port, "POST", "/sentry/webhook/tok-en", body)[0] == 202
    (headers, first, token), (_, second, path_token) = receiver.taken
    assert (first, second, token, path_token) == (body, body, None, "tok-en")
    assert {name.lower(): value for name, value in headers.items()}["sentry-hook-signature"] == "ab"


def test_closed_it_answers_503_and_opened_again_it_takes(door):
    """Also for the health question; a deactivated plugin is not a healthy one."""
    port, web = door
    assert _ask(port, "POST", "/sentry/webhook", b"{}")[0] == 503
    assert _ask(port, "GET", "/sentry/health")[0] == 503
    receiver = _open(web)
    assert _ask(port, "POST", "/sentry/webhook", b"{}")[0] == 202
    web.close()
    assert _ask(port, "POST", "/sentry/webhook", b"{}")[0] == 503
    assert len(receiver.taken) == 1


def test_health_is_json_and_its_status_code_is_enough(door):
    """For load balancers."""
    port, web = door
    web.open(None, {"health": lambda: Reply(503, '{"database": "locked"}', "application/json")})
    status, body = _ask(port, "GET", "/sentry/health")
    assert (status, json.loads(body)["database"]) == (503, "locked")
    assert _ask(port, "POST", "/sentry/webhook", b"{}")[0] == 503, "alerts are off"


@pytest.mark.parametrize("error", [ValueError("int()"), TypeError("non-ASCII"), RecursionError("deep")])
def test_what_is_no_click_is_answered_and_is_no_error_of_the_bot(door, caplog, error):
    """Slack's library raises at a signature that is no text, Python at JSON of a hundred thousand brackets."""

    def take(headers, body):
        raise error

    port, web = door
    web.open(None, {}, take)
    assert _ask(port, "POST", "/sentry/clicks", b"x")[0] == 400
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/sentry/webhook", 405),
        ("PUT", "/sentry/webhook/x", 405),
        ("POST", "/sentry/webhook/a/b", 404),
        ("GET", "/sentry/nothing", 404),
        ("POST", "/sentry/health", 405),
        ("GET", "/other", 404),
        ("POST", "/sentry/%2e%2e/webhook", 404),
    ],
)
def test_other_paths_and_verbs_are_refused(door, method, path, status):
    """And reach nobody."""
    port, web = door
    receiver = _open(web)
    assert _ask(port, method, path, b"{}")[0] == status
    assert not receiver.taken


def test_an_answer_to_head_has_no_body(door):
    """Load balancers ask so, and keep the connection: the next answer would begin with the rest of this one."""
    port, web = door
    web.open(RecordingReceiver().take, {"health": lambda: Reply(200, "{}", "application/json")})
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"HEAD /sentry/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.partition(b"\r\n")[0] + b" "
    assert body == b""


def test_a_body_over_five_megabytes_is_refused(door):
    """With 413, announced or not; the bound itself is taken."""
    port, web = door
    receiver = _open(web)
    assert _ask(port, "POST", "/sentry/webhook", b"x" * LARGEST_BODY)[0] == 202
    for size in (LARGEST_BODY + 1, 3 * LARGEST_BODY):
        assert _ask(port, "POST", "/sentry/webhook", b"x" * size)[0] == 413, "and the sender gets to read it"
    assert len(receiver.taken) == 1


def test_an_announced_large_body_is_refused_unread():
    """Errbot's web server would read any size into memory; what is read away goes piece by piece."""
    sizes: list[int] = []

    class Watched:
        def read(self, size: int, /) -> bytes:
            sizes.append(size)
            return b""

    web = Web()
    _open(web)
    assert web.answer("POST", "webhook", {}, Watched(), 500 * LARGEST_BODY).status == 413
    assert sizes == []
    assert web.answer("POST", "webhook", {}, Watched(), LARGEST_BODY + 1).status == 413
    assert max(sizes) <= 64 * 1024


def test_a_sender_that_stops_in_the_middle_does_no_harm(door):
    """The next delivery is taken as ever."""
    port, web = door
    receiver = _open(web)
    with socket.create_connection(("127.0.0.1", port)) as broken:
        broken.sendall(b"POST /sentry/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert _ask(port, "POST", "/sentry/webhook", b"{}")[0] == 202
    assert [body for _, body, _ in receiver.taken if body] == [b"{}"]


def test_a_sender_that_drips_is_cut_off_and_others_are_not():
    """Two hundred of them would hold all connections; the time for a request counts from its first byte."""
    web = Web()
    receiver = RecordingReceiver()
    web.open(receiver.take, {})
    listener = Listener(("127.0.0.1", 0), web, patience=2)
    steady = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=30)
    dripper = socket.create_connection(("127.0.0.1", listener.port), timeout=30)
    dripper.setblocking(False)
    dripper.sendall(b"POST /sentry/webhook HTTP/1.1\r\nHost: bot\r\nContent-Length: 100000\r\n\r\n")

    def is_cut_off() -> bool:
        steady.request("POST", "/sentry/webhook", b"{}")
        assert steady.getresponse().read() == b"stored"
        try:
            dripper.send(b"x")
            return dripper.recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    until(is_cut_off, timeout=30)
    assert steady.sock is not None, "the other connection was kept"
    steady.close()
    dripper.close()
    listener.close(5)


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"-1\r\n", b"2\r\n{}X", b"\xff\r\n"])
def test_broken_chunks_are_the_senders_fault(door, caplog, chunks):
    """A stranger needs no secret to send them: an ERROR in the log would be an event on the server, each time."""
    port, web = door
    _open(web)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = b"POST /sentry/webhook/hunter2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + chunks)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100)
    assert answer.split()[1:2] in ([b"400"], []), answer
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_mounting_twice_keeps_one_route_and_the_newest_web():
    """Every activation mounts; Flask's URL map cannot forget a rule."""
    app = errbot.core_plugins.flask_app
    mount(Web())
    assert app.test_client().post("/sentry/webhook", data=b"{}").status_code == 503
    second = Web()
    mount(second)  # after the first request, when Flask refuses add_url_rule
    _open(second)
    assert app.test_client().post("/sentry/webhook", data=b"{}").status_code == 202
    assert len([rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/sentry")]) == 1


def test_the_secret_part_of_an_address_stays_out_of_the_log(door, caplog):
    """Errbot's web server logs every path, at a level that makes breadcrumbs too."""
    port, web = door
    _open(web)
    caplog.set_level(logging.DEBUG)
    for path in (
        "/sentry/webhook/hunter2-Token~1.x",
        "/sentry//webhook//hunter2-Token~1.x?a=b",
        "/sentry/webhook/hunter2-Token~1.x/",
        "/sentry%2Fwebhook/hunter2-Token~1.x",
        "/%73entry/webhook%2fhunter2-Token~1.x",
    ):
        _ask(port, "POST", path, b"{}")
    assert "hunter2" not in caplog.text
    assert "POST /sentry/webhook/… HTTP/1.1" in caplog.text or "werkzeug" not in caplog.text


def test_mounting_again_masks_once():
    """A reload makes the filter's class anew; the logger is the same."""
    mount(Web())
    mount(Web())
    assert len([each for each in logging.getLogger("werkzeug").filters if type(each).__name__ == "TokenMask"]) == 1


def test_an_address_in_use_is_said_in_words():
    """Errbot's own web server leaves nothing in the log."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{port}"):
            Listener(("127.0.0.1", port), Web())


def _threads_of_ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "sentry" in thread.name or "waitress" in thread.name]


def test_closing_leaves_no_thread_and_frees_the_port():
    """Also with a connection that is kept open."""
    before = set(threading.enumerate())
    listener = Listener(("127.0.0.1", 0), Web())
    idle = socket.create_connection(("127.0.0.1", listener.port))
    try:
        assert _ask(listener.port, "GET", "/sentry/health")[0] == 503
        listener.close(5)
        until(
            lambda: (
                not [
                    thread
                    for thread in threading.enumerate()
                    if thread not in before and ("sentry" in thread.name or "waitress" in thread.name)
                ]
            ),
            60,
            "no thread",
        )
    finally:
        idle.close()
    Listener(("127.0.0.1", listener.port), Web()).close(5)
