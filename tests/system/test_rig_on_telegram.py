"""The rig for Telegram: the real backend and library against the stand-in, without our plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.telegram_server import ANN, BOB, BOT, FORUM, OLD, OPS, TOPIC, TelegramServer
from tests.servers.network_bot import Failed, Greeter
from tests.servers.telegram_bot import TelegramBot
from tests.waiting import until


class World:
    """Telegram, and a bot that can only speak and answer."""

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        self.telegram = TelegramServer()
        ends.enter_context(self.telegram)
        self.greeter = Greeter(folder)
        self.bot = TelegramBot(folder, self.telegram, [self.greeter.folder])
        ends.enter_context(self.bot.process)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """For tests that only call and leave nothing behind that others would see."""
    with ExitStack() as ends:
        yield World(tmp_path_factory.mktemp("shared"), ends)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as ends:
        yield World(tmp_path, ends)


def test_the_bot_speaks_answers_and_is_refused(world: World) -> None:
    server = world.telegram
    world.greeter.say(str(OPS), "hello, team")
    until(lambda: [sent.text for sent in server.in_chat()] == ["hello, team"], 30)

    server.say(ANN, "!ping", OPS)
    until(lambda: server.in_chat()[-1].text == "pong", 30)
    server.say(BOB, "!ping")
    until(lambda: [sent.text for sent in server.in_chat(BOB)] == ["pong"], 30)

    server.kicked.add(OPS)
    with pytest.raises(Failed, match="Unauthorized: Forbidden: bot was kicked"):
        world.greeter.say(str(OPS), "nobody reads this")
    assert server.called("sendMessage")[-1].status == 403
    assert len(server.in_chat()) == 2

    server.refuse("sendMessage", 429, times=1, retry_after=7)
    with pytest.raises(Failed, match=r"RetryAfter: .* Retry in 7"):
        world.greeter.say(str(FORUM), "too fast")
    with pytest.raises(Failed, match="BadRequest: Chat not found"):
        world.greeter.say("-1009", "to nobody")
    with pytest.raises(Failed, match=r"ChatMigrated: .* New chat id: -1001000000001"):
        world.greeter.say(str(OLD), "it moved")


def test_the_librarys_calls_reach_the_stand_in(world: World) -> None:
    server = world.telegram
    key = world.greeter.run(f"""
        import io
        from telegram import InlineKeyboardButton, InlineKeyboardMarkup
        chat, client = {FORUM}, bot.telegram
        keys = InlineKeyboardMarkup([[InlineKeyboardButton("Resolve", callback_data="r:7")]])
        topic = {{"message_thread_id": {TOPIC}}}
        sent = client.sendMessage(
            chat, "<b>it broke</b> &amp; <a href='https://s.example'>here</a>", parse_mode="HTML", reply_markup=keys,
            disable_web_page_preview=True, api_kwargs=topic,
        )
        client.sendPhoto(chat, io.BytesIO(bytes(range(256)) * 9), filename="chart.png", caption="chart",
                         reply_to_message_id=sent.message_id, api_kwargs=topic)
        client.editMessageText("mended", chat, sent.message_id)
        reaction = [{{"type": "emoji", "emoji": "👍"}}]
        client._post("setMessageReaction", {{"chat_id": chat, "message_id": sent.message_id, "reaction": reaction}})
        return sent.message_id
    """)
    sent, picture = server.in_chat(FORUM)
    assert (sent.id, sent.texts[0][:8], sent.text, sent.topic) == (key, "<b>it br", "mended", TOPIC)
    assert sent.buttons == {}  # an edit that does not name them takes them away
    assert sent.reactions == {BOT: ["👍"]}
    assert picture.file is not None
    assert (picture.kind, picture.text, picture.reply_to) == ("photo", "chart", key)
    assert picture.file.content == bytes(range(256)) * 9


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("sendMessage({chat}, 'x' * 4097)", "Message is too long"),
        ("sendMessage({chat}, '<b>' + '&lt;' * 4096 + '</b>', parse_mode='HTML') and None", ""),
        ("sendMessage({chat}, '<h1>x</h1>', parse_mode='HTML')", "Can't parse entities: unsupported start tag"),
        ("sendMessage({chat}, 'x', reply_to_message_id=99)", "Message to be replied not found"),
        ("sendMessage({chat}, 'x', api_kwargs={{'message_thread_id': 9}})", "Message thread not found"),
        ("answerCallbackQuery('9')", "Query is too old"),
    ],
)
def test_telegram_refuses_what_it_does_not_take(shared: World, call: str, words: str) -> None:
    asked = f"return bot.telegram.{call.format(chat=FORUM)}"
    if not words:
        shared.greeter.run(asked)
        return
    with pytest.raises(Failed, match=f"(?i)BadRequest: {words}"):
        shared.greeter.run(asked)


def test_a_click_and_a_reaction_come_to_who_asks_for_them(world: World) -> None:
    server = world.telegram
    world.greeter.run(f"""
        from telegram import InlineKeyboardButton, InlineKeyboardMarkup
        keys = InlineKeyboardMarkup([[InlineKeyboardButton("Resolve", callback_data="r:7")]])
        bot.telegram.sendMessage({OPS}, "it broke", reply_markup=keys)
        get = bot.telegram._post
        seen = bot.telegram.__dict__.setdefault("seen", [])
        def post(method, data=None, *rest, **more):
            if method != "getUpdates":
                return get(method, data, *rest, **more)
            # The backend's own offset knows nothing of updates that it does not get to see.
            data["offset"] = max([data.get("offset", 0), *(update["update_id"] + 1 for update in seen)])
            data["allowed_updates"] = ["message", "callback_query", "message_reaction"]
            answer = get(method, data, *rest, **more)
            seen.extend(update for update in answer if "message" not in update)
            return [update for update in answer if "message" in update]
        object.__setattr__(bot.telegram, "_post", post)
    """)
    (sent,) = server.in_chat()
    server.say(ANN, "the next poll is the new one")
    until(lambda: "message_reaction" in server.allowed, 30)
    assert server.react(ANN, sent, "👀")
    server.click(ANN, sent, "Resolve")
    until(lambda: world.greeter.run("return len(bot.telegram.seen)") >= 2, 30)
    reaction, click = world.greeter.run("return bot.telegram.seen")
    assert reaction["message_reaction"]["new_reaction"] == [{"type": "emoji", "emoji": "👀"}]
    assert click["callback_query"]["data"] == "r:7"


def test_the_bot_receives_edits_clicks_and_topics_only_as_far_as_the_backend_can(world: World) -> None:
    server = world.telegram
    typed = server.say(ANN, "!ping", FORUM, topic=TOPIC)
    until(lambda: server.in_chat(FORUM), 30)
    assert server.in_chat(FORUM)[0].topic is None  # the backend answers in the general topic

    assert not server.react(ANN, server.in_chat(FORUM)[0], "👍")  # it asks for no reactions
    server.edit(typed, "!pong")
    world.bot.process.wait_for_log("'NoneType' object has no attribute 'text'")
    server.say(ANN, "!ping", FORUM)
    until(lambda: len(server.in_chat(FORUM)) == 2, 30)


def test_a_cut_long_poll_is_asked_again(world: World) -> None:
    server = world.telegram
    server.wait_for_poll()
    server.cut()
    server.wait_for_call("getMe", 2, 60)
    server.say(ANN, "!ping", OPS)
    until(lambda: server.in_chat(), 30)
