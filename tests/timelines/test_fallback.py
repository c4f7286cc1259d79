"""Notifications that the chat does not take: by which second they are at an HTTP receiver, through a real Apprise."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.config.fallback_entries import read_fallback_entry
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import MessageKind
from errbot_sentry.domain.errors import NotAdmitted, RoomUnknown, SendLimited, TokenRefused
from errbot_sentry.domain.outgoing import Outgoing
from errbot_sentry.store.records import Message
from tests.alerting import bodies
from tests.alerting.world import START, Chat, VirtualClock, World
from tests.clocks import SteppedClock
from tests.fakes.http_server import HttpServer, Reply, Request

# Apprise imports it for signed mail, on Pythons that still have it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
ROUTES = [{"rooms": ["#ops"]}]
AWAY = "Chat has been away since 2026-03-02 12:00 UTC: #ops took no message."


@dataclass
class Receiver:
    """What came to the fallback, as `SECOND TITLE | BODY`; `status` is how it answers."""

    server: HttpServer
    clock: VirtualClock = field(default_factory=VirtualClock)
    status: dict[str, int] = field(default_factory=dict)
    came: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> Reply:
        status = self.status.get(request.path, 200)
        if status == 200:
            second = round(self.clock.at.timestamp() - VirtualClock().at.timestamp())
            body = " | ".join(line.split(" · ")[0] for line in request.json["message"].split("\n") if line)
            self.came.append(f"{second} {request.json['title']} | {body}")
        return Reply(status)

    def url(self, path: str = "first") -> str:
        return f"json://127.0.0.1:{self.server.port}/{path}"

    def take(self) -> list[str]:
        """What came since the last call."""
        came, self.came = self.came, []
        return came


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with HttpServer(lambda request: Reply()) as server:
        receiver = Receiver(server)
        server.answer = receiver.answer
        yield receiver


def world_with(folder: Path, receiver: Receiver, entries: list[dict[str, Any]] | None = None, **more: Any) -> World:
    """A flow whose fallback is the receiver, after five minutes."""
    read = tuple(read_fallback_entry(each) for each in entries or [{"urls": [receiver.url()]}])
    return World(
        folder, more.pop("routes", ROUTES), poll=more.pop("poll", 0), clock=receiver.clock, fallback=read,
        chat=more.pop("chat", None) or Chat(receiver.clock), **more,
    )  # fmt: skip


def lines(number: int, second: int, sentence: str = AWAY) -> str:
    """A new issue that went out alone at this second."""
    title = f"ZeroDivisionError: division by zero {number} in checkout in shop.py"
    text = f"New in shop: SHOP-{number} {title} — error, 1 event"
    return f"{second} {text} | {text} | {sentence}"


def test_an_outage_goes_round_once_and_the_room_is_told_when_it_is_over(tmp_path: Path, receiver: Receiver) -> None:
    world = world_with(tmp_path, receiver)
    world.chat.drop()
    world.hook(bodies.sentry_issue("1"))
    world.at(100)
    world.hook(bodies.sentry_issue("2"))
    world.at(299)
    assert receiver.take() == []
    world.at(310)
    assert receiver.take() == [lines(1, 300)]
    world.boot()
    world.at(1200)
    assert receiver.take() == [lines(2, 400, AWAY.replace("12:00", "12:01"))]
    world.chat.up = True
    assert [text.split(" Zero")[0] for text in world.at(1300).texts()] == [
        "New in shop: SHOP-1",
        "New in shop: SHOP-2",
        "Chat was away from 2026-03-02 12:00 UTC to 2026-03-02 12:20 UTC; 2 notifications also went to the fallback.",
    ]
    assert world.at(1700).texts() == receiver.take() == []


def test_the_fallback_reads_no_credentials_of_an_error(tmp_path: Path, receiver: Receiver) -> None:
    world = world_with(tmp_path, receiver)
    world.chat.drop()
    secret = "postgres://bob:hunter2@db"
    world.hook(bodies.sentry_issue("1", title=f"OSError: no {secret}", culprit=secret))
    world.at(310)
    (came,) = receiver.take()
    assert "OSError: no postgres://[Filtered]@db" in came.replace("\u200b", "")
    assert "hunter2" not in came


def test_chat_is_away_since_the_connection_was_lost(tmp_path: Path, receiver: Receiver) -> None:
    """Or since the start of a bot that never had one; the alert came later."""
    world = world_with(tmp_path, receiver)
    world.chat.drop()
    world.away_since = receiver.clock.now().timestamp()
    world.at(100)
    world.hook(bodies.sentry_issue("1"))
    world.at(500)
    assert receiver.take() == [lines(1, 400)]


def test_a_refused_token_sends_everything_to_the_fallback_with_its_cause_and_loses_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    """It is no matter of one message: more than an hour of refusals sets none aside."""
    world = world_with(tmp_path, receiver)
    refusal = TokenRefused("Slack", "invalid_auth")
    world.chat.refuses["#ops"] = refusal
    world.hook(bodies.sentry_issue("1"))
    world.at(310)
    assert receiver.take() == [lines(1, 300, f"{AWAY} {refusal}")]
    world.hook(bodies.sentry_issue("2"))
    world.at(4200)
    assert (world.flow.status().queue, world.flow.status().failed) == (2, 0)
    world.chat.refuses.clear()
    assert [text.split(" Zero")[0] for text in world.at(4300).texts()][:2] == [
        "New in shop: SHOP-1",
        "New in shop: SHOP-2",
    ]


def test_a_warning_about_the_bot_goes_to_each_address_once(tmp_path: Path, receiver: Receiver) -> None:
    """As the canary gives it; also while the chat is well."""
    entries = [
        {"urls": [receiver.url("a")]},
        {"urls": [receiver.url("a"), receiver.url("b")], "match": ["level=fatal"]},
    ]
    world = world_with(tmp_path, receiver, entries)
    world.at(10).flow.warn("No webhook has arrived since 14:10 UTC.")
    world.at(20)
    assert sorted(request.path.strip("/") for request in receiver.server.requests) == ["a", "b"]
    first, _ = receiver.take()
    assert "No webhook has arrived since 14:10 UTC." in first
    assert world.at(1000).texts() == receiver.take() == []


def test_a_warning_that_is_refused_holds_up_no_later_one(tmp_path: Path, receiver: Receiver) -> None:
    """The later one waited behind it, for up to sixteen minutes."""
    world = world_with(tmp_path, receiver)
    receiver.status["/first"] = 500
    world.at(10).flow.warn("one")
    world.at(400)
    receiver.status.clear()
    world.flow.warn("two")
    world.at(410)
    assert [each.split(" ")[-1] for each in receiver.take()] == ["two"]
    world.at(1500)
    assert [each.split(" ")[-1] for each in receiver.take()] == ["one"]


def test_a_clock_that_is_put_back_delays_no_fallback(tmp_path: Path, receiver: Receiver) -> None:
    """What went out by the wrong time counted as sent in the last minute, until that time came round."""
    receiver.clock = SteppedClock()
    world = world_with(tmp_path, receiver)
    world.chat.drop()
    for number in range(1, 6):
        world.hook(bodies.sentry_issue(str(number)))
        world.at(number * 10)
    world.at(345)
    assert len(receiver.take()) == 5
    world.put_right(-3000)
    world.at(world.seconds + 100)
    receiver.status["/first"] = 500
    world.flow.warn("one")
    world.at(world.seconds + 10)
    world.put_right(-3000)
    receiver.status.clear()
    world.hook(bodies.sentry_issue("9"))
    world.at(world.seconds + 500)
    assert sorted("SHOP-9" in each for each in receiver.take()) == [False, True]


def test_a_warning_that_an_address_refuses_is_tried_again_there(tmp_path: Path, receiver: Receiver) -> None:
    world = world_with(tmp_path, receiver, [{"urls": [receiver.url("a"), receiver.url("b")]}])
    receiver.status = {"/b": 500}
    world.at(10).flow.warn("No webhook has arrived since 14:10 UTC.")
    world.at(20)
    assert len(receiver.take()) == 1
    receiver.status = {}
    world.at(400)
    assert [each.split(" ", 1)[1] for each in receiver.take()] == [
        "SentryReporter | No webhook has arrived since 14:10 UTC."
    ]
    assert world.at(4000).texts() == receiver.take() == []


def test_a_storm_goes_in_one_list(tmp_path: Path, receiver: Receiver) -> None:
    world = world_with(tmp_path, receiver, routes=[{"rooms": ["#ops", "#web"]}])
    world.chat.drop()
    for number in range(1, 31):
        world.hook(bodies.sentry_issue(str(number)))
    world.at(900)
    storm, *lists = receiver.take()
    assert storm.startswith("300 40 notifications while chat is away | New in shop: SHOP-1 ")
    assert storm.endswith("| … and 20 more | " + AWAY.replace("#ops", "#ops, #web"))
    assert [text.split(" | ")[0] for text in lists] == ["360 10 more problems in a minute in shop"] * 2


def test_many_single_ones_are_few_messages_a_minute(tmp_path: Path, receiver: Receiver) -> None:
    world = world_with(tmp_path, receiver)
    world.chat.drop()
    for number in range(1, 19):
        world.hook(bodies.sentry_issue(str(number)))
        world.at(number * 3)
    world.at(600)
    came = [text.split(" Zero")[0].split(" |")[0] for text in receiver.take()]
    assert came == [
        *[f"{second} New in shop: SHOP-{number}" for number, second in enumerate((300, 305, 310, 310, 315), start=1)],
        "360 13 notifications while chat is away",
    ]


@pytest.mark.parametrize(
    ("refusal", "after", "second", "sentence"),
    [
        (NotAdmitted("The bot is not admitted to #ops."), "5m", 300, "The bot is not admitted to #ops."),
        (RoomUnknown("There is no room #ops."), "15m", 900, "There is no room #ops."),  # set aside at 511
    ],
)
def test_a_room_that_does_not_take_it(
    tmp_path: Path, receiver: Receiver, refusal: Exception, after: str, second: int, sentence: str
) -> None:
    world = world_with(tmp_path, receiver, [{"urls": [receiver.url()], "after": after}])
    world.chat.refuses["#ops"] = refusal
    world.hook(bodies.sentry_issue("1"))
    world.at(second - 1)
    assert receiver.take() == []
    world.at(2000)
    assert receiver.take() == [lines(1, second, f"{AWAY} {sentence}")]
    world.chat.refuses.clear()
    world.hook(bodies.sentry_issue("2"))
    assert world.at(2100).texts()[-1].startswith("Chat was away from 2026-03-02 12:00 UTC to 2026-03-02 12:33 UTC; 1 ")


@pytest.mark.parametrize(
    ("entries", "came"),
    [
        ([{"match": ["level>=error"]}], ["first"]),
        ([{"match": ["level>=fatal"]}], []),
        ([{"match": ["level>=fatal"]}, {"match": ["project=sh*"], "after": "10m"}], ["second"]),
        ([{"after": "20m"}, {"after": "1m"}], []),  # the first that matches takes it, and is not due
        ([{"match": ["environment=production"]}], []),
    ],
)
def test_which_entry_takes_it(
    tmp_path: Path, receiver: Receiver, entries: list[dict[str, Any]], came: list[str]
) -> None:
    names = ("first", "second")
    world = world_with(
        tmp_path,
        receiver,
        [{"urls": [receiver.url(name)], **entry} for name, entry in zip(names, entries, strict=False)],
    )
    world.chat.drop()
    world.hook(bodies.sentry_issue("1"))
    world.at(1000)
    assert [request.path.strip("/") for request in receiver.server.requests] == came


def test_matchers_look_at_each_problem_of_a_list(tmp_path: Path, receiver: Receiver) -> None:
    entries = [{"urls": [receiver.url()], "match": ["title=*zero 25"]}]
    world = world_with(tmp_path, receiver, entries)
    world.chat.drop()
    for number in range(1, 31):
        world.hook(bodies.sentry_issue(str(number)))
    world.at(900)
    (one,) = receiver.take()
    assert "10 more problems in a minute" in one


def test_the_list_of_what_came_while_the_bot_was_away(tmp_path: Path, receiver: Receiver) -> None:
    world = world_with(tmp_path, receiver, poll=60)
    world.server.event("old")
    world.at(1)
    world.flow.close()
    receiver.clock.advance(300)
    for number in range(5):
        world.server.event(f"n{number}")
    receiver.clock.advance(120)
    world.chat.drop()
    world.boot()
    world.at(3600)
    (one,) = receiver.take()
    assert "5 problems in shop since 2026-03-02 12:00 UTC, while I was away | New SHOP-n" in one
    world.chat.up = True
    assert "; 1 notification also went to the fallback." in world.at(3700).texts()[-1]


class _SlowChat(Chat):
    def post(self, room: str, message: Outgoing, thread: str = "") -> str:
        last = self.sent[-1].at if self.sent else -60.0
        wait = 8.0 - ((self.clock.now() - START).total_seconds() - last)
        if wait > 0:
            raise SendLimited("Slower.", wait)
        return super().post(room, message, thread)


def test_a_chat_that_takes_messages_slowly_is_not_away(tmp_path: Path, receiver: Receiver) -> None:
    world = world_with(tmp_path, receiver, [{"urls": [receiver.url()], "after": "10s"}], chat=_SlowChat(receiver.clock))
    for number in range(1, 8):
        world.hook(bodies.sentry_issue(str(number)))
    assert len(world.at(80).texts()) == 7
    assert receiver.take() == []


@pytest.mark.parametrize("room_projects", [{}, {"#ops": ("shop",)}])
def test_hidden_projects_stay_hidden(tmp_path: Path, receiver: Receiver, room_projects: dict[str, Any]) -> None:
    """The address gets what its room may see, by the settings of now."""
    world = world_with(tmp_path, receiver, access=Access(room_projects={"#ops": ("shop", "web")}))
    world.chat.drop()
    world.hook(bodies.sentry_issue("1"))
    world.hook(bodies.sentry_issue("2", project="web"))
    world.at(10)
    world.restart(Access(projects=("shop",), room_projects=room_projects))
    world.at(900)
    assert receiver.take() == [lines(1, 300)]


def test_one_address_refuses(tmp_path: Path, receiver: Receiver) -> None:
    """It alone is tried again, with growing pauses, and not for ever."""
    receiver.status["/second"] = 500
    world = world_with(tmp_path, receiver, [{"urls": [receiver.url(), receiver.url("second")]}])
    world.chat.drop()
    world.hook(bodies.sentry_issue("1"))
    world.at(500)
    status = world.flow.status().fallback
    assert status is not None
    assert (status.sent, status.refused, status.trouble) == (
        1, 3, ("json (entry 1) refused the last message; Apprise logged the cause",)
    )  # fmt: skip
    world.at(2400)
    paths = [request.path for request in receiver.server.requests]
    assert (paths.count("/first"), paths.count("/second")) == (1, 6)


def test_an_address_that_is_back_is_used(tmp_path: Path, receiver: Receiver) -> None:
    receiver.status["/first"] = 500
    world = world_with(tmp_path, receiver)
    world.chat.drop()
    world.hook(bodies.sentry_issue("1"))
    world.at(310)
    receiver.status.clear()
    world.at(900)
    assert receiver.take() == [lines(1, 360)]
    assert world.flow.status().fallback.trouble == ()


def test_one_that_cannot_be_shown_stops_no_other(tmp_path: Path, receiver: Receiver) -> None:
    world = world_with(tmp_path, receiver)
    world.chat.drop()
    with world.store.write() as tx:
        tx.outbox.add(Message("#ops", MessageKind.STORM_LIST, {"rows": 5}), START.timestamp())
    for number in range(1, 4):
        world.hook(bodies.sentry_issue(str(number)))
    world.at(400)
    (text,) = receiver.take()
    assert text.startswith("300 4 notifications while chat is away | One notification cannot be shown")
    assert all(f"SHOP-{number}" in text for number in range(1, 4))


def test_an_address_that_apprise_does_not_know_is_said_at_the_start(tmp_path: Path, receiver: Receiver) -> None:
    world = world_with(tmp_path, receiver, [{"urls": ["nosuch://x", receiver.url()]}])
    status = world.at(1).flow.status().fallback
    assert status is not None
    assert status.trouble == (
        "Apprise cannot use the address nosuch (entry 1); compare it with Apprise's documentation",
    )
    assert receiver.server.requests == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_bots_on_one_state_send_it_once(
    tmp_path: Path, receiver: Receiver, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres").url() if kind == "postgresql" else ""
    world = world_with(tmp_path, receiver, url=url)
    world.chat.drop()
    world.hook(bodies.sentry_issue("1"))
    world.at(290)
    other = world_with(tmp_path, receiver, url=url, chat=world.chat)
    receiver.clock.advance(20)
    for each in (world, other, world, other):
        each.step("fallback")
    assert len(receiver.take()) == 1


@pytest.mark.parametrize(("up", "repeats"), [(400, 1), (330, 0)])
def test_a_kill_while_an_address_takes_it(tmp_path: Path, receiver: Receiver, up: int, repeats: int) -> None:
    """Nobody knows whether it went: it is repeated once, when the claim has run out and chat still did not take it."""
    copy = tmp_path / "killed.sqlite3"

    def answer(request: Request) -> Reply:
        with closing(sqlite3.connect(tmp_path / "state.sqlite3")) as state, closing(sqlite3.connect(copy)) as killed:
            state.backup(killed)
        receiver.server.answer = receiver.answer
        return receiver.answer(request)

    receiver.server.answer = answer
    world = world_with(tmp_path, receiver)
    world.chat.drop()
    world.hook(bodies.sentry_issue("1"))
    world.at(300)
    assert len(receiver.take()) == 1
    world = world_with(tmp_path, receiver, url=f"sqlite:///{copy}", chat=world.chat)
    world.at(up)
    world.chat.up = True
    room = world.at(900).texts()
    assert len(receiver.take()) == repeats
    assert room[0].startswith("New in shop: SHOP-1")
    assert room[1].endswith("; 1 notification also went to the fallback.")
    assert len(room) == 2


def test_the_chat_is_back_while_an_address_takes_it(tmp_path: Path, receiver: Receiver) -> None:
    """The room is told, although nothing else comes."""

    def answer(request: Request) -> Reply:
        world.chat.up = True
        world.step("alert delivery")
        receiver.clock.advance(1)
        return receiver.answer(request)

    receiver.server.answer = answer
    world = world_with(tmp_path, receiver)
    world.chat.drop()
    world.hook(bodies.sentry_issue("1"))
    room = world.at(900).texts()
    assert len(receiver.take()) == 1
    assert room[0].startswith("New in shop: SHOP-1")
    assert room[1:] == [
        "Chat was away from 2026-03-02 12:00 UTC to 2026-03-02 12:05 UTC; 1 notification also went to the fallback."
    ]


def test_nothing_secret_is_logged(tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """Not by Apprise, which logs whole addresses below DEBUG, and not by the HTTP library, which logs paths."""
    token, password = "topsecrettokenofservice", "hunter-2-hunter"
    port = receiver.server.port
    urls = [f"json://user:{password}@127.0.0.1:{port}/{token}", f"json://user:{password}@127.0.0.1:9/{token}"]
    urls += [f"nosuch://{password}@{token}", f"tgram://123456789:{token}"]
    with caplog.at_level(1):
        world = world_with(tmp_path, receiver, [{"urls": urls}])
        world.chat.drop()
        world.hook(bodies.sentry_issue("1"))
        world.at(310)
    assert any(record.name == "apprise" and record.levelno <= logging.DEBUG for record in caplog.records)
    assert any(record.name.startswith("urllib3") for record in caplog.records)
    written = caplog.text + repr(world.flow.status()) + repr(world.settings)
    assert not [secret for secret in (token, password) if secret in written]
    assert "nosuch (entry 1)" in repr(world.flow.status())


def test_hostile_text_is_one_line_of_plain_text(tmp_path: Path, receiver: Receiver) -> None:
    world = world_with(tmp_path, receiver)
    world.chat.drop()
    world.hook(bodies.sentry_issue("1", title="Boom\r\nBcc: eve@example.org\r\n\r\n@everyone <b>"))
    world.at(400)
    sent = receiver.server.requests[0].json
    assert sent["title"].splitlines() == [sent["title"]]
    assert sent["message"].count("\n") == 2
    assert "@everyone" not in sent["message"]
