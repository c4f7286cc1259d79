"""The border: what goes out, what may come in, and what a person reads when it goes wrong."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest
import requests

from errbot_sentry.config.secrets import Secret
from errbot_sentry.domain import errors
from errbot_sentry.domain.errors import (
    BadAnswer,
    BadQuery,
    BadToken,
    MissingScope,
    NotFound,
    RateLimited,
    RedirectRefused,
    ServerError,
    ServerFailed,
    TimedOut,
    TooLarge,
    Unreachable,
)
from errbot_sentry.server.http import client as border
from errbot_sentry.server.http.calls import Exchange, Limits
from errbot_sentry.server.http.client import Transport
from tests.fakes.dripping import Drip
from tests.fakes.http_server import Answering, HttpServer, Reply, Request, as_html, as_json
from tests.waiting import until

TOKEN = "sntryu_0123456789abcdef"
FAST = Limits(connect=10.0, read=1.5, total=3.0, bytes=200_000)


@pytest.fixture
def serve() -> Iterator[Callable[[Answering], HttpServer]]:
    servers: list[HttpServer] = []

    def start(answer: Answering) -> HttpServer:
        server = HttpServer(answer)
        servers.append(server)
        return server.__enter__()

    yield start
    for server in servers:
        server.__exit__()


class Pauses(list[float]):
    """A sleep that only notes."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client(url: str, **options: object) -> Transport:
    return Transport(url, Secret(TOKEN), **{"limits": FAST, "sleep": Pauses(), **options})


def test_a_call_carries_the_token_and_says_who_asks(serve):
    """Bearer is the one scheme that all three servers take."""
    server = serve(lambda request: as_json({"ok": True}))
    assert client(server.url).get("/api/0/").json == {"ok": True}
    headers = server.requests[0].headers
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["user-agent"].startswith("errbot-sentry-reporter/")
    assert headers["accept"] == "application/json"


def test_a_netrc_does_not_replace_the_token(serve, monkeypatch, tmp_path):
    """requests prefers ~/.netrc over a plain Authorization header when it reads the environment."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = serve(lambda request: as_json({}))
    client(server.url).get("/api/0/")
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_proxy_of_the_environment_is_used(serve, monkeypatch):
    """Bots in closed networks reach the server only through one."""
    proxy = serve(lambda request: as_json({"through": "the proxy"}))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert client("http://sentry.example.com").get("/api/0/").json == {"through": "the proxy"}


def test_connections_are_kept(serve):
    """The warm call is what the speed of a command rests on."""
    seen: set[int] = set()

    def answer(request: Request) -> Reply:
        seen.add(threading.get_ident())  # one thread per connection in this server
        return as_json({})

    transport = client(serve(answer).url)
    for _ in range(5):
        transport.get("/api/0/")
    assert len(seen) == 1


def test_many_threads_share_one_transport(serve):
    """The command pool and the poller ask at the same time; no answer goes to another question."""
    server = serve(lambda request: as_json({"n": request.value("n")}))
    transport = client(server.url)
    wrong: list[object] = []

    def ask(start: int) -> None:
        for number in range(start, start + 30):
            found = transport.get("/api/0/", [("n", str(number))]).json
            if found != {"n": str(number)}:
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(100 * place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert transport.health("sentry").calls == 240


def test_cookies_are_not_kept(serve):
    """A session cookie would make later calls another person's: GlitchTip looks at it before the token."""
    server = serve(lambda request: as_json({}, Set_Cookie="sessionid=abc; Path=/"))
    transport = client(server.url)
    transport.get("/api/0/")
    transport.get("/api/0/")
    assert "cookie" not in server.requests[1].headers


@pytest.mark.parametrize("part", ["a/b", "a?b=c", "a#b", "../x", "a b", "ä", "%2e", "{x}", ";", "a\nb", "\ud800"])
def test_a_part_of_a_path_stays_one_part(serve, part):
    """Whatever is in an id or a slug, the path around it is the one we meant."""
    server = serve(lambda request: as_json({}))
    client(server.url).get("/api/0/issues/{issue}/x/", issue=part)
    path = server.requests[0].path
    assert path.startswith("/api/0/issues/")
    assert path.endswith("/x/")
    assert len(server.requests[0].segments) == len(path.strip("/").split("/")) == 5


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_a_part_that_means_another_folder_is_refused(serve, part):
    """It would be resolved away on the path to the server, quoted or not."""
    server = serve(lambda request: as_json({}))
    with pytest.raises(BadQuery):
        client(server.url).get("/api/0/organizations/{org}/issues/", org=part)
    assert not server.requests


# --- what the answer's status means ---------------------------------------------------------------------------------

STATUSES = [
    (400, {"detail": "Invalid query"}, BadQuery, "does not accept this request (400)"),
    (401, {"detail": "Invalid token"}, BadToken, "check SENTRY_AUTH_TOKEN in config.py"),
    (
        401,
        {"detail": {"code": "member-disabled-over-limit", "message": "no"}},
        BadToken,
        "the plan has no seat for it (401)",
    ),
    (403, {"detail": "Permission denied"}, MissingScope, "event:write"),
    (404, {"detail": "Not Found"}, NotFound, "has no issue 7 that"),
    (405, "Method not allowed", NotFound, "does not offer this"),
    (409, {}, BadQuery, "(409)"),
    (410, {"message": "This API no longer exists."}, NotFound, "no longer offers this (410)"),
    (422, {"detail": [{"loc": ["query", "sort"], "msg": "Input should be"}]}, BadQuery, "(422)"),
    (429, "You are attempting to use this endpoint too frequently.", RateLimited, "Try again in a minute"),
    (500, {"detail": "Internal Error"}, ServerFailed, "failed on its side (500)"),
    (502, None, ServerFailed, "(502)"),
]


@pytest.mark.parametrize(("status", "body", "kind", "words"), STATUSES)
def test_each_status_has_its_error_and_sentence(serve, status, body, kind, words):
    """The class says whether trying again helps; the sentence names the host and what to do."""
    server = serve(lambda request: as_json(body, status))
    with pytest.raises(ServerError) as caught:
        client(server.url).get("/api/0/issues/{issue}/", what="issue 7", issue="7")
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert words in str(caught.value)
    assert str(caught.value).startswith(server.url.removeprefix("http://"))


def test_the_servers_own_words_stay_out_of_the_sentence_and_the_token_out_of_both(serve):
    """GlitchTip's root shows the token; an error body is foreign text of any length."""
    server = serve(lambda request: as_json({"detail": f"<!channel> {TOKEN}\n" + "x" * 5000}, 400))
    with pytest.raises(BadQuery) as caught:
        client(server.url).get("/api/0/")
    assert "channel" not in str(caught.value)
    assert caught.value.detail.startswith("<!channel> …cdef x")
    assert len(caught.value.detail) <= 300
    assert TOKEN not in caught.value.detail


def test_an_error_page_of_a_proxy_is_read_by_its_status(serve):
    """HTML with 502 is no BadAnswer: the status says more."""
    server = serve(lambda request: as_html("<h1>Bad Gateway</h1>", 502))
    with pytest.raises(ServerFailed):
        client(server.url).get("/api/0/")


# --- trying again ---------------------------------------------------------------------------------------------------


def in_turn(*replies: Reply) -> Answering:
    left = list(replies)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


PASSING = [Reply(raw=hang_up), as_json(None, 502), as_json(None, 503), as_json(None, 504)]


@pytest.mark.parametrize("failure", PASSING)
def test_reading_is_tried_again_after_what_passes(serve, failure):
    """Three tries with growing pauses, then the answer."""
    pauses = Pauses()
    server = serve(in_turn(failure, failure, as_json({"at": "last"})))
    assert client(server.url, sleep=pauses).get("/api/0/").json == {"at": "last"}
    assert [round(pause, 2) for pause in pauses] == [0.2, 0.6]


@pytest.mark.parametrize("failure", PASSING)
def test_reading_gives_up_after_three_tries(serve, failure):
    """A person waits for the answer."""
    server = serve(lambda request: failure)
    with pytest.raises(ServerError):
        client(server.url).get("/api/0/")
    assert len(server.requests) == 3


@pytest.mark.parametrize("failure", [*PASSING, as_json("slow down", 429, Retry_After="1")])
def test_changes_are_never_made_twice(serve, failure):
    """After a broken connection nobody knows whether the change was made, and the sentence says so."""
    server = serve(lambda request: failure)
    with pytest.raises(ServerError) as caught:
        client(server.url).send("PUT", "/api/0/", {"status": "resolved"})
    assert len(server.requests) == 1
    assert ("may have been made" in str(caught.value)) == (failure.status != 429)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 501])
def test_what_does_not_pass_is_not_tried_again(serve, status):
    """It would only cost time and rate limit."""
    server = serve(lambda request: as_json({}, status))
    with pytest.raises(ServerError):
        client(server.url).get("/api/0/")
    assert len(server.requests) == 1


def test_a_short_rate_limit_is_waited_for(serve):
    """Retry-After within three seconds costs less than an error in the room."""
    pauses = Pauses()
    server = serve(in_turn(as_json({"message": "Please retry later"}, 429, Retry_After="2"), as_json([])))
    assert client(server.url, sleep=pauses, limits=Limits()).get("/api/0/").json == []
    assert pauses == [2.0]


@pytest.mark.parametrize(
    ("headers", "wait", "words"),
    [
        ({"Retry_After": "60"}, 60, "in 60 s"),
        ({"Retry_After": "150"}, 150, "in 3 minutes"),
        ({"Retry_After": "999999999999"}, 3600, "in 60 minutes"),
        ({"Retry_After": "soon"}, None, "in a minute"),
        ({"Retry_After": "-5"}, None, "in a minute"),
        ({}, None, "in a minute"),
    ],
)
def test_a_long_rate_limit_is_in_the_sentence(serve, headers, wait, words):
    """The poller waits that long; the person reads it."""
    server = serve(lambda request: as_json("too frequently", 429, **headers))
    with pytest.raises(RateLimited) as caught:
        client(server.url).get("/api/0/")
    assert len(server.requests) == 1
    assert caught.value.wait == wait
    assert words in str(caught.value)


def test_sentrys_own_rate_limit_has_only_a_reset_time(serve):
    """No Retry-After, a bare text as the body, and the moment in X-Sentry-Rate-Limit-Reset."""
    reset = str(int(time.time()) + 40)
    server = serve(
        lambda request: as_json(
            "You are attempting to use this endpoint too frequently.",
            429,
            X_Sentry_Rate_Limit_Reset=reset,
            X_Sentry_Rate_Limit_Limit="40",
            X_Sentry_Rate_Limit_Remaining="0",
        )
    )
    transport = client(server.url)
    with pytest.raises(RateLimited) as caught:
        transport.get("/api/0/")
    assert 35 < (caught.value.wait or 0) <= 40
    assert (transport.health("sentry").limit, transport.health("sentry").remaining) == (40, 0)


def test_a_reset_in_the_past_waits_a_second(serve):
    """Its clock may run ahead of ours, or ours of its: at once would be too early again."""
    server = serve(lambda request: as_json({}, 429, X_Sentry_Rate_Limit_Reset=str(int(time.time()) - 5)))
    with pytest.raises(RateLimited) as caught:
        client(server.url).get("/api/0/")
    assert caught.value.wait == 1.0


# --- redirects: the token stays -------------------------------------------------------------------------------------


def test_a_redirect_on_the_same_host_is_followed_for_reading(serve):
    """A missing slash, say."""
    server = serve(
        lambda request: (
            as_json({"here": True}) if request.path == "/new/" else Reply(301, headers={"Location": "/new/"})
        )
    )
    assert client(server.url).get("/old").json == {"here": True}


def elsewhere(url: str) -> list[str]:
    host = url.removeprefix("http://")
    return [
        "http://evil.example/",
        f"https://{host}/",
        f"http://{host.replace('127.0.0.1', 'localhost')}/",
        "//evil.example/x",
        f"http://{host}@evil.example/",
        f"http://{host}.evil.example/",
        "http://127.0.0.1:1/",
        "ftp://127.0.0.1/",
        "http://[::1/",
        "http://127.0.0.1:99999999/",
        "",
        "\\\\evil.example",
        "http:evil.example",
    ]


@pytest.mark.parametrize("place", range(len(elsewhere("http://127.0.0.1:1234"))))
def test_a_redirect_elsewhere_is_refused(serve, place):
    """Another host, port or scheme never sees the token, however it is spelt."""
    server = serve(lambda request: Reply(302, headers={"Location": elsewhere(server.url)[place]}))
    with pytest.raises(RedirectRefused) as caught:
        client(server.url).get("/api/0/")
    assert "evil" not in str(caught.value)


def test_the_token_goes_to_no_other_server(serve):
    """Seen from the other server."""
    other = serve(lambda request: as_json({}))
    server = serve(lambda request: Reply(302, headers={"Location": other.url + "/api/0/"}))
    with pytest.raises(RedirectRefused):
        client(server.url).get("/api/0/")
    assert not other.requests


def test_a_user_part_in_a_redirect_does_not_replace_the_token(serve):
    """The same host with other credentials is asked with ours, without them."""

    def answer(request: Request) -> Reply:
        if request.path == "/new/":
            return as_json({})
        return Reply(302, headers={"Location": server.url.replace("http://", "http://user:pass@") + "/new/"})

    server = serve(answer)
    client(server.url).get("/old/")
    assert server.requests[1].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_change_is_not_redirected(serve):
    """It would be made as a GET, or made twice."""
    server = serve(lambda request: Reply(307, headers={"Location": "/new/"}))
    with pytest.raises(RedirectRefused):
        client(server.url).send("PUT", "/old/", {})
    assert len(server.requests) == 1


def test_a_circle_of_redirects_ends(serve):
    """Three are followed."""
    server = serve(lambda request: Reply(302, headers={"Location": request.path}))
    with pytest.raises(RedirectRefused):
        client(server.url).get("/api/0/")
    assert len(server.requests) == 4


# --- bodies ---------------------------------------------------------------------------------------------------------

JSON = {"Content-Type": "application/json"}


def test_a_web_page_is_no_answer(serve):
    """A login page comes with 200; the sentence says which settings to look at."""
    server = serve(lambda request: as_html())
    with pytest.raises(BadAnswer, match=r"web page.*SENTRY_URL.*SENTRY_AUTH_TOKEN"):
        client(server.url).get("/api/0/")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": ',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\xff\xfe"}',
        b"[" * 100_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b"1" * 10_000,
        b"null null",
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
    ],
)
def test_what_is_not_json_is_a_bad_answer(serve, body):
    """Broken, not UTF-8, nested beyond measure, NaN: one error, no traceback of the parser."""
    server = serve(lambda request: Reply(200, body, JSON))
    with pytest.raises(BadAnswer):
        client(server.url).get("/api/0/")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/problem+json"]
)
def test_json_is_known_by_its_content_type(serve, content_type):
    """In the spellings that servers use."""
    server = serve(lambda request: Reply(200, b"{}", {"Content-Type": content_type}))
    assert client(server.url).get("/api/0/").json == {}


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/octet-stream"])
def test_other_content_types_are_refused(serve, content_type):
    """Even if they would parse."""
    server = serve(lambda request: Reply(200, b"{}", {"Content-Type": content_type} if content_type else {}))
    with pytest.raises(BadAnswer, match="did not answer with JSON"):
        client(server.url).get("/api/0/")


def test_an_empty_answer_is_none(serve):
    """204 after a bulk change that matched nothing."""
    server = serve(lambda request: Reply(204))
    assert client(server.url).send("PUT", "/api/0/", {}).json is None


def test_packed_answers_are_unpacked(serve):
    """gzip is what proxies put on."""
    packed = gzip.compress(json.dumps({"a": "b" * 5000}).encode())
    server = serve(lambda request: Reply(200, packed, {**JSON, "Content-Encoding": "gzip"}))
    assert client(server.url).get("/api/0/").json == {"a": "b" * 5000}
    assert "gzip" in server.requests[0].headers["accept-encoding"]


def test_a_large_answer_is_cut_off(serve):
    """The server is not read to the end."""
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while not server.stopping.is_set():
            sent.append(65536)
            yield b"x" * 65536

    server = serve(lambda request: Reply(200, headers=JSON, pieces=endless()))
    with pytest.raises(TooLarge):
        client(server.url).get("/api/0/")
    assert sum(sent) < 50_000_000  # what the sockets hold in between


@pytest.mark.parametrize("times", [1, 2])
def test_a_bomb_is_stopped_at_the_limit(serve, times):
    """10 KB that unpack to 10 MB, once and packed twice: TooLarge or unreadable, never in memory."""
    bomb = b"[" + b" " * 50_000_000 + b"]"
    for _ in range(times):
        bomb = gzip.compress(bomb)
    coding = ", ".join(["gzip"] * times)
    server = serve(lambda request: Reply(200, bomb, {**JSON, "Content-Encoding": coding}))
    transport = client(server.url)
    tracemalloc.start()
    try:
        with pytest.raises((TooLarge, BadAnswer)):
            transport.get("/api/0/")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(b'{"a": 1}')[:-9]),
        ("deflate", zlib.compress(b"{}")[:3]),
        ("br", b"{}"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}"))),
    ],
    ids=["no gzip", "half of it", "half a deflate", "unknown", "twice"],
)
def test_broken_packing_is_a_bad_answer(serve, coding, body):
    """Also what we did not ask for."""
    server = serve(lambda request: Reply(200, body, {**JSON, "Content-Encoding": coding}))
    with pytest.raises(BadAnswer):
        client(server.url).get("/api/0/")


def test_values_of_a_header_that_came_twice_are_joined(serve):
    """Neither of two packings wins."""
    twice = {**JSON, "Content-Encoding": "gzip", "content-encoding": "identity"}
    server = serve(lambda request: Reply(200, b"{}", twice))
    with pytest.raises(BadAnswer):
        client(server.url).get("/api/0/")


def test_an_answer_that_breaks_off_is_tried_again_and_then_unreachable(serve):
    """The length in the header was not reached."""
    server = serve(lambda request: Reply(200, headers={**JSON, "Content-Length": "100"}, pieces=[b'{"a":']))
    with pytest.raises(Unreachable):
        client(server.url).get("/api/0/")
    assert len(server.requests) == 3


# --- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        ("body", TimedOut),
        ("chunks", TimedOut),
        ("headers", TimedOut),
        ("status", TimedOut),
        ("silence", TimedOut),
        ("error", NotFound),
        ("redirect", RedirectRefused),
    ],
)
def test_no_server_holds_a_call_longer_than_its_time(serve, way, kind):
    """Each drop begins the library's read timeout anew, in the headers as in the body; the end of the call stands."""
    drip = Drip()
    server = serve(lambda request: getattr(drip, way)())
    try:
        with pytest.raises(kind):
            client(server.url).get("/api/0/")
        assert not drip.finished
    finally:
        drip.stopping.set()


def test_silence_ends_a_call_before_its_whole_time(serve):
    """The read timeout counts silence; the whole time is for those who keep sending."""
    drip = Drip()
    server = serve(lambda request: drip.silence())
    try:
        with pytest.raises(TimedOut):
            client(server.url, limits=Limits(read=0.6, total=600)).get("/api/0/")
        assert not drip.finished
    finally:
        drip.stopping.set()


def test_closing_ends_calls_under_way(serve):
    """The plugin stops within five seconds, whatever a server does."""
    drip = Drip()
    server = serve(lambda request: drip.silence())
    transport = client(server.url, limits=Limits(read=60, total=60))
    failed: list[ServerError] = []

    def ask() -> None:
        try:
            transport.get("/api/0/")
        except ServerError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: server.requests, what="the request to arrive")
    transport.close()
    thread.join(10)
    assert not thread.is_alive()
    assert "the plugin is stopping" in str(failed[0])
    drip.stopping.set()
    with pytest.raises(Unreachable, match="the plugin is stopping"):
        transport.get("/api/0/")


def test_closing_ends_a_pause_between_tries(serve):
    """The default sleep is one that close wakes."""
    server = serve(lambda request: as_json(None, 503))
    transport = Transport(server.url, Secret(TOKEN), limits=Limits(first_pause=50, total=1000))

    def ask() -> None:
        with pytest.raises(ServerError):
            transport.get("/api/0/")

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: server.requests, what="the first try")
    transport.close()
    thread.join(10)
    assert not thread.is_alive()


# --- no connection --------------------------------------------------------------------------------------------------


def test_nobody_there_is_unreachable():
    """The port was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} cannot be reached"):
        client(f"http://127.0.0.1:{port}").get("/api/0/")


def test_a_name_that_does_not_resolve_is_unreachable():
    """The reserved name never does."""
    with pytest.raises(Unreachable, match=r"sentry\.invalid cannot be reached"):
        client("http://sentry.invalid").get("/api/0/")


def test_tls_where_none_is_spoken_is_unreachable(serve):
    """And the sentence is about TLS."""
    server = serve(lambda request: as_json({}))
    with pytest.raises(Unreachable, match="certificate"):
        client(server.url.replace("http://", "https://")).get("/api/0/")


def foreign_exceptions() -> list[type[Exception]]:
    return sorted(
        (
            found
            for found in vars(requests.exceptions).values()
            if isinstance(found, type)
            and issubclass(found, requests.RequestException)
            and found is not requests.RequestException
        ),
        key=lambda found: found.__name__,
    )


@pytest.mark.parametrize("foreign", foreign_exceptions())
def test_every_exception_of_requests_is_mapped(foreign):
    """By a row of its own or of a base class below the root: a new one in a later release fails here."""
    assert any(issubclass(foreign, row[0]) for row in border._FOREIGN)
    error = foreign.__new__(foreign)
    kind, sentence = border.classify(error)
    assert issubclass(kind, errors.ServerError)
    assert "{host}" in sentence


def test_an_error_keeps_its_cause_for_the_log():
    """The foreign exception is chained."""
    with pytest.raises(Unreachable) as caught:
        client("http://sentry.invalid").get("/api/0/")
    assert isinstance(caught.value.__cause__, requests.RequestException)


# --- counting and observing -----------------------------------------------------------------------------------------


def test_calls_are_counted_and_observed_by_template(serve):
    """No id or slug gets into a metric; retries are calls of their own."""
    seen: list[Exchange] = []
    server = serve(in_turn(as_json(None, 503), as_json({}), as_json({}, 404)))
    transport = client(server.url, observe=seen.append)
    transport.get("/api/0/issues/{issue}/", issue="12")
    with pytest.raises(NotFound):
        transport.send("PUT", "/api/0/issues/{issue}/", {}, issue="12")
    assert [(each.method, each.path, each.status, each.error) for each in seen] == [
        ("GET", "/api/0/issues/{issue}/", 503, "ServerFailed"),
        ("GET", "/api/0/issues/{issue}/", 200, ""),
        ("PUT", "/api/0/issues/{issue}/", 404, "NotFound"),
    ]
    assert all(each.seconds >= 0 for each in seen)
    counts = transport.health("sentry")
    assert (counts.calls, counts.failures) == (3, 1)  # looking for what is not there is no failure


def test_what_was_not_found_is_no_trouble_to_report(serve):
    """It is what somebody asked for, in another room perhaps: `status` must not repeat it."""
    server = serve(in_turn(as_json({}, 404), as_json({}, 403), as_json({}, 404)))
    transport = client(server.url)
    for expected, last in ((NotFound, ""), (MissingScope, "(403)"), (NotFound, "(403)")):
        with pytest.raises(expected):
            transport.get("/api/0/issues/{issue}/", what="issue SECRET-1", issue="12")
        assert last in transport.health("sentry").last_error
        assert "SECRET" not in transport.health("sentry").last_error


def test_a_path_prefix_of_the_server_is_kept(serve):
    """Sentry below https://host/sentry."""
    server = serve(lambda request: as_json({}))
    client(server.url + "/sentry").get("/api/0/")
    assert server.requests[0].path == "/sentry/api/0/"
