"""Delivery: order per room, growing pauses, nothing lost while the chat is away, poison set aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from errbot_sentry.domain.alerts import MessageKind
from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.errors import NotConnected, RoomUnknown, SendError, SendLimited, StoreError
from errbot_sentry.domain.outgoing import Outgoing
from errbot_sentry.server.protocol import BUGSINK, SENTRY
from errbot_sentry.store.records import FAILED, Message
from tests.alerting import bodies
from tests.alerting.world import START, Chat, VirtualClock, World
from tests.stores import outbox_of

ROUTES = [{"rooms": ["#ops"]}]


def message(room: str, title: str) -> Message:
    """A notification."""
    values = dict.fromkeys(("project", "short_id", "culprit", "facts", "rule", "text", "link", "mark"), "")
    return Message(room, MessageKind.NOTIFICATION, {**values, "word": "New", "title": title})


def post(world: World, room: str, title: str) -> None:
    """A message, straight into the outbox."""
    with world.store.write() as tx:
        tx.outbox.add(message(room, title), world.clock.now().timestamp())
    world.flow.wake()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, ROUTES, poll=0)


def test_order_per_room_and_no_room_waits_for_another(world: World) -> None:
    world.chat.refuses["#a"] = SendError("No.")
    for title in ("one", "two"):
        post(world, "#a", title)
        post(world, "#b", title)
    assert world.at(10).texts() == ["New: one", "New: two"]
    world.chat.refuses.clear()
    assert world.at(60).texts("#a") == ["New: one", "New: two"]


@pytest.mark.parametrize(
    ("kind", "buttons"),
    [
        ("", ("resolve", "archive", "assign", "silence")),
        (SENTRY, ("resolve", "archive", "assign", "silence")),
        (BUGSINK, ("resolve", "archive", "silence")),
    ],
)
def test_buttons_are_there_for_what_the_server_can_do(tmp_path: Path, kind: str, buttons: tuple[str, ...]) -> None:
    """All of them while the server is not known."""
    world = World(tmp_path, ROUTES, poll=60 if kind else 0, kind=kind or BUGSINK)
    world.at(10)
    post(world, "#ops", "one")
    (sent,) = world.at(20).chat.sent
    assert sent.buttons == buttons


def test_a_message_that_nobody_takes_is_set_aside_and_shown(world: World) -> None:
    world.chat.refuses["#a"] = RoomUnknown("There is no room #a.")
    post(world, "#a", "poison")
    world.at(400)
    assert world.flow.status().queue == 1
    world.at(600)
    assert (world.flow.status().queue, world.flow.status().failed) == (0, 1)
    world.chat.refuses.clear()
    post(world, "#a", "next")
    assert world.at(700).texts() == ["New: next"]
    assert outbox_of(world.store, "#a", FAILED)[0].error == "There is no room #a."


def test_a_thousand_messages_for_a_dead_room_are_set_aside_within_the_hour_and_counted(world: World) -> None:
    world.chat.refuses["#dead"] = RoomUnknown("There is no room #dead.")
    with world.store.write() as tx:
        for number in range(1000):
            tx.outbox.add(message("#dead", str(number)), START.timestamp())
    post(world, "#alive", "sent")
    assert world.at(3600).texts() == ["New: sent"]
    post(world, "#dead", "a late one")
    status = world.at(4300).flow.status()
    assert (status.queue, status.failed, status.failed_lately) == (1, 1000, 1000 - 1)
    assert {row.error for row in outbox_of(world.store, "#dead", FAILED)} == {"There is no room #dead."}
    world.chat.refuses.clear()
    assert world.at(4560).texts("#dead") == ["New: a late one"]


def test_a_room_that_takes_messages_again_gets_all_that_is_left_at_once_and_in_order(world: World) -> None:
    world.chat.refuses["#a"] = SendError("No.")
    for number in range(20):
        post(world, "#a", str(number))
    world.at(2000)
    assert world.flow.status().failed == 6  # one in the first eight and a half minutes, then one in four
    world.chat.refuses.clear()
    assert world.at(2060).texts("#a") == [f"New: {number}" for number in range(6, 20)]
    world.chat.refuses["#a"] = SendError("No.")  # a room that has taken messages since begins with short pauses again
    post(world, "#a", "short")
    world.at(2064)
    world.chat.refuses.clear()
    assert world.at(2068).texts("#a") == ["New: short"]


class _Picky(Chat):
    def post(self, room: str, message: Outgoing, thread: str = "") -> str:
        if "poison" in message.text:
            raise SendError("Not this one.")
        return super().post(room, message, thread)


def test_messages_that_are_refused_do_not_take_good_ones_with_them_after_hours_offline(tmp_path: Path) -> None:
    clock = VirtualClock()
    world = World(tmp_path, ROUTES, poll=0, clock=clock, chat=_Picky(clock))
    world.chat.drop()
    for title in ("poison", "poison", "good", "better"):
        post(world, "#a", title)
    world.at(7200)
    world.chat.up = True
    assert world.at(9000).texts() == ["New: good", "New: better"]
    assert world.flow.status().failed == 2


def test_time_offline_uses_up_no_try(world: World) -> None:
    world.chat.drop()
    for number in range(3):
        post(world, "#a", str(number))
    assert world.at(1200).texts() == []
    assert world.flow.status().queue == 3
    world.chat.up = True
    assert world.at(1203).texts() == ["New: 0", "New: 1", "New: 2"]


def test_the_mention_of_the_route_stands_in_front_and_is_not_defused(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["#ops"], "mention": "@oncall"}])
    world.at(1)
    world.server.event("x", title="@here look")
    (line,) = world.at(100).texts()
    assert line.startswith("@oncall New in shop")
    assert "@here" not in line


def test_a_message_that_cannot_be_rendered_does_not_stop_the_room(world: World) -> None:
    with world.store.write() as tx:
        tx.outbox.add(Message("#a", MessageKind.UPDATE_LIST, {"sums": 5}), START.timestamp())
    post(world, "#a", "next")
    assert world.at(700).texts() == ["New: next"]
    assert world.flow.status().failed == 1


def test_what_was_sent_into_a_silent_connection_counts_when_it_speaks_again(tmp_path: Path) -> None:
    clock = VirtualClock()
    world = World(tmp_path, ROUTES, poll=0, clock=clock, chat=Chat(clock, settle=5.0))
    post(world, "#a", "lost")
    world.chat.silent = True
    world.at(60)
    world.texts()
    world.chat.drop()
    world.at(62)
    world.chat.up, world.chat.silent = True, False
    assert world.at(64).texts() == ["New: lost"]
    world.chat.silent = True
    world.at(90)
    world.chat.silent = False
    world.at(92)
    world.chat.drop()
    world.at(93)
    world.chat.up = True
    assert world.at(120).texts() == []


@pytest.mark.parametrize("has_ids", [False, True])
def test_what_was_sent_into_a_dying_connection_is_sent_again_in_order(tmp_path: Path, has_ids: bool) -> None:
    """An id that nobody but the bot has given proves nothing."""
    clock = VirtualClock()
    world = World(tmp_path, ROUTES, poll=0, clock=clock, chat=Chat(clock, settle=5.0, edits=has_ids))
    post(world, "#a", "settled")
    world.at(10)
    post(world, "#a", "lost 1")
    post(world, "#a", "lost 2")
    world.at(12)
    world.texts()
    world.chat.drop()
    world.at(20)
    post(world, "#a", "later")
    world.at(30)
    world.chat.up = True
    assert world.at(40).texts() == ["New: lost 1", "New: lost 2", "New: later"]
    assert world.at(60).texts() == []


def test_an_orderly_end_settles_what_was_sent_and_a_broken_one_sends_it_again(tmp_path: Path) -> None:
    clock = VirtualClock()
    world = World(tmp_path, ROUTES, poll=0, clock=clock, chat=Chat(clock, settle=5.0))
    post(world, "#a", "orderly")
    world.at(1)
    world.flow.close()
    world.boot()
    world.at(2)
    assert world.texts() == ["New: orderly"]
    post(world, "#a", "broken")
    world.at(3)
    world.chat.drop()
    world.flow.close()  # Errbot deactivates every plugin when the chat network drops
    world.chat.up = True
    world.boot()
    world.at(4)
    assert world.texts() == ["New: broken", "New: broken"]


def test_sent_but_not_marked_is_marked_first_and_not_sent_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    post(world, "#a", "once")
    real, failures = world.store.write, 0

    def fails_after_sending() -> object:
        nonlocal failures
        if world.chat.sent and failures < 3:
            failures += 1
            raise StoreError("The disk is full.")
        return real()

    monkeypatch.setattr(world.store, "write", fails_after_sending)
    for _ in range(6):
        try:
            world.step("alert delivery")
        except StoreError:
            continue
    assert failures == 3
    assert world.texts() == ["New: once"]
    assert world.flow.status().queue == 0


def test_a_message_that_breaks_the_connection_each_time_is_set_aside_and_stops_no_other(tmp_path: Path) -> None:
    """An XMPP server ends the connection over a character, an IRC network over a word: it was sent again for ever."""
    clock = VirtualClock()
    chat = Breaking(clock, settle=5.0)
    world = World(tmp_path, ROUTES, poll=0, clock=clock, chat=chat)
    for title in ("poison", "two", "three"):
        post(world, "#a", title)
    post(world, "#b", "other")
    texts = world.at(600).texts()
    assert texts.count("New: poison") == 10
    assert [row.error for row in outbox_of(world.store, "#a", FAILED)] == [
        "Each time it was sent, the connection broke."
    ]
    assert world.flow.status().queue == 0
    assert {texts.count(f"New: {title}") for title in ("two", "three", "other")} <= {1, 2, 3}
    post(world, "#a", "later")
    assert world.at(700).texts() == ["New: later"]


@pytest.mark.parametrize("wait", [float("nan"), float("inf"), -5.0, 1e300])
def test_a_wait_that_is_no_time_stops_no_delivery(world: World, wait: float) -> None:
    """JSON of a chat network may have NaN in it, which the state cannot store: nothing was ever sent any more."""
    world.chat.refuses["#a"] = SendLimited("No.", wait)
    post(world, "#a", "one")
    world.at(5)
    world.chat.refuses.clear()
    post(world, "#b", "two")
    assert world.at(20).texts("#b") == ["New: two"]
    post(world, "#a", "three")
    assert world.at(300).texts() == ["New: one", "New: three"]


def test_a_network_that_is_away_is_asked_once_a_second_however_many_rooms_wait(world: World) -> None:
    tried = []
    world.chat.post = lambda room, *_: tried.append(room) or _raise(NotConnected("It failed."))
    for number in range(30):
        post(world, f"#{number}", "waits")
    world.at(60)
    assert len(tried) <= 62
    assert len(set(tried)) == 30


def test_an_edit_that_the_network_refuses_is_made_later(tmp_path: Path) -> None:
    """A rate limit met by an edit lost what became of the problem. Of two marks the later one stays."""
    clock = VirtualClock()
    chat = Chat(clock, threads=True)
    world = World(tmp_path, ROUTES, poll=0, clock=clock, chat=chat)
    world.hook(bodies.sentry_issue("1"))
    world.at(1)
    chat.edit_refuses = SendLimited("Slower.", 40.0)
    world.hook(bodies.sentry_issue("1", "assigned", assignedTo={"type": "user", "id": "1", "name": "Bob"}))
    world.at(10)
    world.hook(bodies.sentry_issue("1", "resolved"))
    world.at(30)
    assert chat.edited == []
    assert len(world.texts()) == 3, "the updates do not wait for it"
    chat.edit_refuses = None
    world.at(600)
    (edited,) = chat.edited
    assert "resolved" in edited.text
    chat.edit_refuses = SendError("It is deleted.")
    world.hook(bodies.sentry_issue("1", "unresolved"))
    world.at(5000)
    tries = chat.edits_tried
    assert 2 < tries < 30
    assert world.at(9000).chat.edits_tried == tries


def test_the_mark_of_a_click_that_is_refused_is_made_later_though_nothing_else_happens(tmp_path: Path) -> None:
    clock = VirtualClock()
    chat = Chat(clock, threads=True)
    world = World(tmp_path, ROUTES, poll=0, clock=clock, chat=chat)
    world.hook(bodies.sentry_issue("1"))
    world.at(700)
    chat.edit_refuses = SendLimited("Slower.", 40.0)
    world.flow.mark(Conversation("#ops", "m1"), "resolved by Ann")
    world.at(710)
    chat.edit_refuses = None
    world.at(800)
    assert ["resolved by Ann" in each.text for each in chat.edited] == [True]
    assert 730 < chat.edited[0].at < 750


class Breaking(Chat):
    """Its server ends the connection over some messages."""

    def post(self, room: str, message: Outgoing, thread: str = "") -> str:
        sent_id = super().post(room, message, thread)
        self.generation += "poison" in message.whole
        return sent_id


def _raise(error: Exception) -> str:
    raise error
