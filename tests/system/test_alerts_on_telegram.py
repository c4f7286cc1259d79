"""Alerts on Telegram, with Errbot's own backend and python-telegram-bot: HTML, replies, edits, buttons, topics."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.telegram_server import ANN, BOB, FORUM, OLD, OPS, TOPIC, Sent, TelegramServer
from tests.fakes.telegram_text import plain
from tests.fakes.tracker import TrackedIssue
from tests.networks import GOLDEN, golden
from tests.servers.telegram_bot import TelegramBot
from tests.system.network_world import OWNER, NetworkWorld, subscribe
from tests.waiting import until

OPEN = {"Resolve": "resolve", "Archive ▾": "archive_menu", "Assign to me": "assign", "Silence 1h": "silence"}


class World(NetworkWorld):
    """Telegram, Sentry, and the bot between them; Ann may change issues."""

    def __init__(
        self, folder: Path, ends: ExitStack, room: str = str(OPS), privacy: bool = False, **settings: Any
    ) -> None:
        super().__init__(ends)
        self.telegram = TelegramServer()
        self.telegram.privacy = privacy
        ends.enter_context(self.telegram)
        self.bot = TelegramBot(
            folder,
            self.telegram,
            **{
                **self.settings,
                "SENTRY_ALERTS": [{"rooms": [room], "mention": "@oncall"}],
                "SENTRY_ROOM_PROJECTS": {str(OPS): ["shop"], str(FORUM): ["shop"], "direct": ["shop"]},
                "SENTRY_WRITERS": (str(ANN),),
                **settings,
            },
        )
        self.webhook = self.bot.webhook
        ends.enter_context(self.bot.process)

    def wait_for(self, pattern: str, under: Sent | None = None, chat: int = OPS, after: int = 0) -> Sent:
        """What the bot sent to a chat (and under this message, where one is given), as people read it."""
        return self.wait_for_one(
            lambda: self.telegram.in_chat(chat)[after:],
            lambda sent: re.search(pattern, read(sent)) and under in (None, self.replied(sent)),
            pattern,
        )

    def replied(self, sent: Sent) -> Sent | None:
        """What a message is under."""
        return next((each for each in self.telegram.sent if each.id == sent.reply_to), None)

    def notification(self, issue: TrackedIssue, chat: int = OPS, **fields: Any) -> Sent:
        """An issue is new, and the chat is notified."""
        self.hook(issue, **fields)
        sent = self.wait_for(rf"New in shop\n{issue.short_id}", chat=chat)
        self.bot.process.wait_until_stored(str(sent.id))
        return sent

    def wait_for_mark(self, sent: Sent, mark: str) -> None:
        until(lambda: read(sent).endswith(mark), 60, lambda: f"{mark!r} at the end of {sent.texts}")

    def answers(self) -> list[str]:
        """The private answers to clicks so far; "" for one without words."""
        return [each.get("text", "") for each in self.telegram.answered]


def read(sent: Sent) -> str:
    """What people read of a message, without what nobody sees."""
    return plain(sent.text, sent.parse_mode).replace("\u200b", "")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., World]]:
    with ExitStack() as ends:
        yield lambda **settings: World(tmp_path, ends, **settings)


@pytest.fixture
def world(start: Callable[..., World]) -> World:
    return start()


def test_a_notification_its_updates_and_what_people_type_under_it(world: World) -> None:
    """And nothing of this is an error in the log, neither are updates that the backend cannot read."""
    telegram, issue = world.telegram, world.issue("@here #now <b>it</b> broke")
    first = world.notification(issue)
    assert read(first).startswith("@oncall\n🟠 New in shop\n")
    assert f'<a href="https://sentry.example.com/organizations/acme/issues/{issue.id}/">{issue.short_id}' in first.text
    assert "&lt;b&gt;it" in first.text
    assert (first.buttons, first.reply_to) == (OPEN, None)
    assert first.values["disable_web_page_preview"] == "True"

    world.hook(issue, "assigned", assignedTo=OWNER)
    world.wait_for("assigned to The Bot by Carol", first)
    world.hook(issue, "resolved")
    world.wait_for("resolved by Carol", first)
    world.wait_for_mark(first, "resolved by Carol")
    assert first.buttons == {"Reopen": "reopen"}
    assert len([sent for sent in telegram.in_chat() if sent.reply_to is None]) == 1

    typed = telegram.say(BOB, "!sentry issue", OPS, reply_to=first.id)
    answer = world.wait_for(f"(?s){issue.short_id}.*division|broke", typed)
    assert answer.parse_mode == "HTML"
    telegram.say(BOB, "!sentry graph", OPS, reply_to=first.id)
    picture = until(lambda: next((sent for sent in telegram.in_chat() if sent.file), None), 60, "a chart")
    assert (picture.kind, picture.reply_to) == ("photo", first.id)
    assert picture.file is not None
    assert picture.file.content.startswith(b"\x89PNG")
    telegram.say(BOB, "!sentry digest now", OPS)
    until(lambda: [sent.kind for sent in telegram.in_chat()].count("photo") == 2, 60, "the digest's chart")

    telegram.edit(typed, "!sentry issue again")
    whoami = telegram.say(BOB, "!sentry whoami", OPS)
    answer = world.wait_for("In chat you are bob", whoami)
    assert f"<code>{BOB}</code>" in answer.text
    assert f"<code>{OPS}</code>" in answer.text
    telegram.say(ANN, "!sentry status", ANN)
    status = world.wait_for("threads, edits, cards, buttons, reactions, files", chat=ANN)
    assert "privacy" not in read(status)
    assert not re.search(r" ERROR |Traceback", world.bot.process.log)


def test_clicks_and_reactions_act_with_the_rights_of_who_clicked(world: World) -> None:
    """A reader is refused alone; a writer's click shows on the message; a double click and a restart are harmless."""
    telegram, issue = world.telegram, world.issue()
    first = world.notification(issue)

    telegram.click(BOB, first, "Resolve")
    until(world.answers, 60, "bob is refused")
    assert "SENTRY_WRITERS" in world.answers()[0]
    assert telegram.answered[0]["show_alert"] == "True"
    assert (issue.status, len(first.texts)) == ("unresolved", 1)

    telegram.click(ANN, first, "Archive ▾")
    until(lambda: "◂ Back" in first.buttons, 60, "the menu")
    telegram.click(ANN, first, "◂ Back")
    until(lambda: first.buttons == OPEN, 60, "the buttons again")
    telegram.click(ANN, first, "Archive ▾")
    until(lambda: "for a day" in first.buttons, 60, "the menu")
    world.bot.process.stop()
    world.bot.process.start()
    telegram.click(ANN, first, "for a day")
    world.wait_for_mark(first, "archived for a day by ann")
    assert (issue.status, first.buttons) == ("ignored", {"Reopen": "reopen"})

    keyboard = first.keyboard
    telegram.click(ANN, first, "Reopen")
    world.wait_for_mark(first, "reopened by ann")
    shown, first.keyboard = first.keyboard, keyboard
    telegram.click(ANN, first, "Reopen")  # what somebody clicks who does not see the edit yet
    first.keyboard = shown
    telegram.click(ANN, first, "Resolve")
    world.wait_for_mark(first, "resolved by ann")
    assert [len(set(world.answers())), world.answers().count("")] == [5, 4]
    assert [sent for sent in telegram.in_chat() if sent.reply_to] == [], "nobody else reads the answers"

    other = world.issue("another")
    second = world.notification(other)
    until(lambda: "message_reaction" in telegram.allowed, 60, "reactions are asked for")
    assert telegram.react(BOB, second, "🎉")
    world.wait_for("SENTRY_WRITERS", second)
    assert telegram.react(ANN, second, "👍", "😴")
    world.wait_for(r"Silence \d+: .*for 1h", second)
    assert telegram.react(ANN, second, "😴", "🎉")
    world.wait_for_mark(second, "resolved by ann")
    assert (issue.status, other.status) == ("resolved", "resolved")

    foreign = telegram.say(BOB, "said by a person", OPS)
    elsewhere = telegram.say(BOB, "said by a person", FORUM)
    for sent in (foreign, elsewhere):
        sent.keyboard = [[{"text": "x", "callback_data": "reopen"}]]
        telegram.click(ANN, sent, "x")
        telegram.react(ANN, sent, "🎉")
    queries = set()
    for data in ("delete", "archive:tomorrow", "archive_menu", "resolve:7", ""):
        foreign.keyboard = [[{"text": "x", "callback_data": data}]]
        queries.add(telegram.click(ANN, foreign, "x"))
    until(lambda: queries <= {each["callback_query_id"] for each in telegram.answered}, 60, "every click is answered")
    assert (issue.status, other.status) == ("resolved", "resolved")
    _direct_messages(world)
    assert not re.search(r" ERROR |Traceback", world.bot.process.log)


def _direct_messages(world: World) -> None:
    """Ann's own subscription: the card with its buttons, and a command under it that needs no REF."""
    telegram = world.telegram
    subscribe(
        world.tracker,
        lambda line: telegram.say(ANN, line, ANN),
        lambda pattern: read(world.wait_for(pattern, chat=ANN)),
    )
    mine = world.issue("for ann alone")
    world.hook(mine, assignedTo=OWNER)
    sent = world.wait_for(rf"New in shop\n{mine.short_id}", chat=ANN)
    world.bot.process.wait_until_stored(str(sent.id))
    typed = telegram.say(ANN, "!sentry issue", ANN, reply_to=sent.id)
    world.wait_for(rf"(?s){mine.short_id}.*first seen", chat=ANN, after=telegram.in_chat(ANN).index(sent))
    assert typed.reply_to == sent.id
    telegram.click(ANN, sent, "Resolve")
    world.wait_for_mark(sent, "resolved by ann")
    assert mine.status == "resolved"


def test_a_topic_is_a_room(start: Callable[..., World]) -> None:
    world = start(room=f"{FORUM}/{TOPIC}", privacy=True)
    telegram, issue = world.telegram, world.issue()
    first = world.notification(issue, FORUM)
    assert first.topic == TOPIC
    typed = telegram.say(BOB, "!sentry issue", FORUM, topic=TOPIC, reply_to=first.id)
    assert world.wait_for(issue.short_id, typed, FORUM).topic == TOPIC
    typed = telegram.say(BOB, "!sentry whoami", FORUM, topic=TOPIC)
    world.wait_for(f"this room is {FORUM}/{TOPIC}", typed, FORUM)
    typed = telegram.say(BOB, "!sentry alerts", FORUM, topic=TOPIC)
    assert world.wait_for(rf"ago: New .*{issue.short_id}", typed, FORUM).topic == TOPIC
    general = telegram.say(BOB, "!sentry alerts", FORUM)
    assert world.wait_for("No alerts", general, FORUM).topic is None
    until(lambda: "message_reaction" in telegram.allowed, 60, "reactions are asked for")
    telegram.react(ANN, first, "🎉")
    world.wait_for_mark(first, "resolved by ann")
    telegram.click(ANN, first, "Reopen")
    world.wait_for_mark(first, "reopened by ann")
    telegram.say(BOB, "!sentry graph", FORUM, topic=TOPIC, reply_to=first.id)
    picture = until(lambda: next((sent for sent in telegram.in_chat(FORUM) if sent.file), None), 60, "a chart")
    assert picture.topic == TOPIC
    asked = telegram.say(ANN, "!sentry status", FORUM, topic=TOPIC)
    assert "privacy mode is on" in read(world.wait_for("chat", asked, FORUM))


def test_what_telegram_refuses_is_never_called_delivered(start: Callable[..., World]) -> None:
    world = start(SENTRY_ALERTS=[{"rooms": [str(OPS), str(OLD)]}], SENTRY_ROOM_PROJECTS={})
    telegram = world.telegram
    for status, words in (
        (400, "Bad Request: chat not found"),
        (400, "Bad Request: message thread not found"),
        (400, "Bad Request: TOPIC_CLOSED"),
        (400, "Bad Request: something new"),
        (401, "Unauthorized"),
        (403, "Forbidden: bot was kicked from the supergroup chat"),
        (500, "Internal Server Error"),
        (429, ""),
        (400, "Bad Request: can't parse entities: unsupported start tag"),
    ):
        telegram.refuse("sendMessage", status, times=1, words=words)
        issue, count = world.issue(), len(telegram.in_chat())
        first = world.notification(issue)
        assert len(telegram.in_chat()) == count + 1, words
        assert (first.parse_mode == "") is ("parse" in words)

    first.chat = 0  # an administrator deletes it
    world.hook(issue, "resolved")
    assert world.wait_for(f"{issue.short_id} resolved by Carol").reply_to is None

    telegram.refuse("sendMessage", 400, times=1, words="Bad Request: message is too long")
    issue = world.issue()
    world.hook(issue)
    world.bot.process.wait_for_log(rf"for {OPS} is set aside, nobody takes it: .*too long")
    assert not [sent for sent in telegram.in_chat() if issue.short_id in sent.text]
    telegram.say(ANN, "!sentry status", OPS)
    world.wait_for("1 could not be delivered")
    assert telegram.in_chat(OLD) == []
    assert [call for call in telegram.called("sendMessage") if call.values["chat_id"] == str(OLD) and call.refused]


def test_a_token_that_is_refused_for_a_while_loses_nothing(world: World) -> None:
    telegram = world.telegram
    world.lose_token(
        lambda: telegram.refuse("sendMessage", 401, words="Unauthorized"),
        telegram.allow,
        "Unauthorized",
        lambda: [read(sent) for sent in telegram.in_chat()],
    )


def test_a_reconnect_in_the_middle_of_a_delivery_loses_nothing(world: World) -> None:
    telegram, first, second, third = world.telegram, world.issue("a"), world.issue("b"), world.issue("c")
    telegram.lose_answer("sendMessage")
    world.hook(first)
    until(lambda: len([sent for sent in telegram.in_chat() if first.short_id in sent.text]) == 2, 60, "it came again")
    telegram.wait_for_poll()
    telegram.offline = True
    telegram.cut()
    world.bot.process.wait_for_log("Error reading from Telegram updates stream")
    world.hook(second)
    world.hook(third)
    waits = re.compile(r"Reconnecting in (\d+) seconds")
    until(lambda: len(waits.findall(world.bot.process.log)) >= 5, 120, "the bot tries to connect, again and again")
    telegram.offline = False
    sent = [world.wait_for(issue.short_id) for issue in (second, third)]
    assert len(telegram.in_chat()) == 4
    # Errbot's own waits grow by three quarters and a random part, the fifth to nine seconds or more.
    assert max(map(int, waits.findall(world.bot.process.log))) <= 8
    telegram.click(ANN, sent[0], "Resolve")
    world.wait_for_mark(sent[0], "resolved by ann")

    telegram.refuse("getUpdates", 409)
    telegram.say(BOB, "which ends the long poll", OPS)
    health = f"{world.bot.listener}/sentry/health"
    until(lambda: '"chat": "trouble"' in fetched(health), 60, lambda: f"the trouble in {fetched(health)}")
    telegram.allow()
    until(lambda: '"chat": "ok"' in fetched(health), 60, lambda: f"no trouble in {fetched(health)}")


def fetched(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())


def test_what_is_sent_is_what_the_golden_file_shows(world: World) -> None:
    """The raw calls, so that a reader sees what a room sees. `GOLDEN=1` writes the file anew."""
    issue = world.issue("@here /start #now *it* <a href='https://evil.example'>broke</a> in shop.py &amp; _again_")
    first = world.notification(issue)
    world.hook(issue, "resolved")
    world.wait_for("resolved by Carol", first)
    calls = [(call.name, call.values) for call in world.telegram.calls]
    golden(GOLDEN / "telegram.json", calls, {world.sentry.url: "https://sentry.example.com"})
