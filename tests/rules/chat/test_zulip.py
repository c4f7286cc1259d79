"""Zulip's adapter without a server: names of channels, topics, and refusals by kind."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.networks.zulip import ZulipNetwork
from errbot_sentry.chat.typed_messages import room_name
from errbot_sentry.config.room_names import wrong_room
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.errors import NotAdmitted, NotConnected, RoomUnknown, SendError, SendLimited
from errbot_sentry.domain.outgoing import Card, Outgoing
from tests.fakes.dripping import Drip
from tests.fakes.http_server import HttpServer


class Client:
    """What the package `zulip` answers, or raises, to each call; `calls` are those with values."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.calls: list[dict[str, Any]] = []

    def ensure_session(self) -> None:
        self.session = requests.Session()

    def call_endpoint(self, *, url: str, request: dict[str, Any], **_: Any) -> dict[str, Any]:
        if url == "streams":
            return {"result": "success", "streams": [{"name": "Ops"}, {"name": "site reliability"}]}
        if url == "messages/5":
            return {"result": "success", "message": {"id": 5, "subject": "✔ SHOP-1 renamed"}}
        if url == "messages/6":
            return {"result": "error", "code": "BAD_REQUEST", "msg": "Invalid message(s)"}
        self.calls.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or {"result": "success", "id": 7}


class Room(SimpleNamespace):
    """The backend's room; `query_room` leaves the id out."""

    def __str__(self) -> str:
        return str(getattr(self, "id", None))


def network_of(client: Any) -> ZulipNetwork:
    bot: Any = SimpleNamespace(
        mode="zulip",
        message_size_limit=10_000,
        client=client,
        query_room=lambda title: Room(title=title, id=None),
        build_identifier=lambda text: SimpleNamespace(emails=[text]),
    )
    network = ZulipNetwork(bot, lambda: True, BackgroundQueue("files", SystemClock()))
    network._client = client  # it is copied, with what it has recorded
    return network


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ops", "Ops"),
        ("#OPS", "Ops"),
        ("#**ops**", "Ops"),
        ("#site reliability", "site reliability"),
        ("#new", "new"),
        ("#web-*", "web-*"),
        ("ann@zulip.test", "ann@zulip.test"),
    ],
)
def test_every_spelling_of_a_channel_is_one_room(written: str, name: str) -> None:
    assert network_of(Client()).room_named(written) == name
    assert wrong_room(written, "zulip") == ""


def test_a_room_is_its_channel_without_the_topic() -> None:
    assert room_name(Room(title="ops", id=None, subject="SHOP-1"), "zulip") == "ops"


@pytest.mark.parametrize("written", ["", "#", "##ops", "~ops", "@ann", " ops", "x" * 90])
def test_what_is_no_channel_is_refused(written: str) -> None:
    assert wrong_room(written, "zulip")


@pytest.mark.parametrize(
    ("card", "topic"),
    [
        (None, "Sentry"),
        (Card("New", "KeyError: x", short_id="SHOP-1"), "SHOP-1 KeyError: x"),
        (Card("New", "no\x07 \ud800\uffff\u202e\n\tid"), "no id"),
        (Card("New", "\uffff"), "Sentry"),
        (Card("New", "x" * 99, short_id="SHOP-1"), f"SHOP-1 {'x' * 50}…"),
        (
            Card("New", "https://evil.example/ www.evil.example"),
            "https:\u200b//evil\u200b\u200b.example/ www\u200b.evil\u200b.example",
        ),
    ],
)
def test_the_topic_of_a_problem_can_be_shown_and_leads_nowhere(card: Card | None, topic: str) -> None:
    client = Client()
    assert network_of(client).post("7", Outgoing("text", card)) == "7"
    assert client.calls == [{"type": "stream", "to": '"7"', "topic": topic, "content": "text"}]


@pytest.mark.parametrize(("thread", "topic"), [("5", "✔ SHOP-1 renamed"), ("6", "Sentry")])
def test_an_update_follows_its_notification_until_somebody_deletes_that(thread: str, topic: str) -> None:
    client = Client()
    network_of(client).post("ops", Outgoing("text"), thread)
    assert [call["topic"] for call in client.calls] == [topic]


def test_a_person_gets_a_direct_message() -> None:
    client = Client()
    network_of(client).post("ann@zulip.test", Outgoing("text"))
    assert client.calls == [{"type": "private", "to": ["ann@zulip.test"], "content": "text"}]


def error(code: str, **more: Any) -> dict[str, Any]:
    return {"result": "error", "code": code, "msg": "words", **more}


_REFUSED = requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "refused")))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("STREAM_DOES_NOT_EXIST"), RoomUnknown),
        (error("BAD_REQUEST", msg="Not authorized to send to channel 'ops'"), NotAdmitted),
        (error("BAD_REQUEST"), SendError),
        (error("STREAM_WILDCARD_MENTION_NOT_ALLOWED"), NotAdmitted),
        (error("RATE_LIMIT_HIT", **{"retry-after": 2.5}), SendLimited),
        (error("RATE_LIMIT_HIT"), SendLimited),
        (error("INVALID_API_KEY"), NotConnected),
        (error("USER_DEACTIVATED"), NotConnected),
        (error("of the future"), SendError),
        ({"result": "http-error", "status_code": 502, "msg": "x"}, NotConnected),
        ({"result": "http-error", "status_code": 504, "msg": "x"}, SendError),
        ({"result": "success"}, SendError),  # without an id nothing was taken
        (_REFUSED, NotConnected),
        (requests.ConnectTimeout(), NotConnected),
        (requests.ReadTimeout(), SendError),
        (requests.ConnectionError("reset"), SendError),
        (RuntimeError("of the client's own"), SendError),
    ],
)
def test_each_refusal_has_its_kind(answer: Any, kind: type[SendError]) -> None:
    with pytest.raises(kind) as refused:
        network_of(Client(answer)).post("ops", Outgoing("text"))
    others = {RoomUnknown, NotAdmitted, NotConnected, SendLimited} - {kind}
    assert not isinstance(refused.value, tuple(others))
    if isinstance(answer, dict) and isinstance(refused.value, SendLimited):
        assert refused.value.wait == answer.get("retry-after", 10.0)


class HttpClient(Client):
    """Makes calls as the package does: by its session, with a time limit for silence."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def call_endpoint(self, *, url: str, request: dict[str, Any], timeout: float, **_: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.session.post(f"{self.url}/{url}", data=request, timeout=timeout).json()
        return found


def test_no_server_keeps_a_message_longer_than_its_time() -> None:
    """Each byte begins the read timeout of requests anew."""
    drip = Drip()
    with HttpServer(lambda _request: drip.body()) as server:
        bot = SimpleNamespace(mode="zulip", message_size_limit=10_000, client=HttpClient(server.url))
        network = ZulipNetwork(bot, lambda: True, BackgroundQueue("files", SystemClock()))
        try:
            with pytest.raises(SendError):
                network._call("POST", "messages", {}, timeout=1.0)
            assert not drip.finished
        finally:
            drip.stopping.set()


@pytest.mark.parametrize("wait", [10**400, "soon", None, float("nan")])
def test_a_wait_that_is_no_time_is_the_usual_one(wait: object) -> None:
    with pytest.raises(SendLimited) as refused:
        network_of(Client(error("RATE_LIMIT_HIT", **{"retry-after": wait}))).post("ops", Outgoing("text"))
    assert refused.value.wait == 10.0
