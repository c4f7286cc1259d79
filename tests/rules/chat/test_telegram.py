"""Telegram: what its HTML shows, and which updates the backend gets to see."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.errbot_patches.patches import ErrbotPatches
from errbot_sentry.chat.errbot_patches.telegram_updates import Place, updates_of
from errbot_sentry.chat.networks.telegram import TelegramNetwork
from errbot_sentry.chat.networks.telegram_html import card_html, html_of, plain_text
from errbot_sentry.chat.render.escaping import Escape
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.outgoing import Card
from tests.fakes.telegram_text import TEXT_LIMIT, length, plain

CHAT = {"id": -1007, "type": "supergroup"}


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**New** in `shop_1`\n\nsecond _line_", "<b>New</b> in <code>shop_1</code>\nsecond <i>line</i>"),
        (r"a \*b\* &lt;b> &amp;amp;", "a *b* &lt;b&gt; &amp;amp;"),
        ("```\n\n  x <b>\n\n  y.py\n```\n\nend", "<pre><code>  x &lt;b&gt;\n\n  y.py</code></pre>\nend"),
        ("[A](https://s.test/a?b=1&c=2)", '<a href="https://s.test/a?b=1&amp;c=2">A</a>'),
        ("x · https://s.test/a\\_b/ (y)", 'x · <a href="https://s.test/a_b/">s.test</a> (y)'),
        ("(https://s.test/a).", '(<a href="https://s.test/a">s.test</a>).'),
        ("[Ann](tg://user?id=17) [x](javascript:y) [z](tg://resolve?x)", '<a href="tg://user?id=17">Ann</a> x z'),
        ("- a\n- b", "• a\n• b"),
        ("/start #now $USD +123 in shop.py", "/|start #|now $|USD +|123 in shop|.py"),
        ("1/2 SHOP#1 v2.0 \\#1 \\#1", "1/2 SHOP#1 v2.0 #1 #1"),
    ],
)
def test_markdown_becomes_html_in_which_only_our_links_can_be_clicked(markdown: str, html: str) -> None:
    assert html_of(markdown) == html.replace("|", "\u200b")


EVIL = "@here /start <b>x</b> **y** [z](https://e.test) shop.py www.e.test #t \u202e &amp;"


def test_a_card_reads_as_its_values_are_and_fits_however_long_they_are() -> None:
    card = Card(
        heading=EVIL,
        title=EVIL,
        culprit=EVIL,
        detail=EVIL,
        facts=(("Rule", EVIL),),
        mark=EVIL,
        level="fatal",
        link="https://s.test/1/",
        short_id="A-1",
    )
    html = card_html(card, "@oncall")
    lines = plain_text(html).replace("\u200b", "").split("\n")
    shown = EVIL.replace("\u202e ", "")
    assert lines == [
        "@oncall",
        f"🔴 {shown}",
        f"A-1 {shown}",
        shown,
        shown,
        f"Rule: {shown}",
        shown[:99] + "…" if len(shown) > 100 else shown,
    ]
    assert (html.count("<b>"), html.count("<a "), html.count("<code>")) == (1, 1, 1)
    long = "\U0001f4a5" * 5000
    most = Card(long, long, "https://s.test/1/", long, long, "error", ((long, long), (long, long)), long, long)
    assert length(plain(card_html(most, ""), "HTML")) <= TEXT_LIMIT


def test_an_escaped_text_reads_as_it_is() -> None:
    assert plain_text(html_of(Escape("telegram").text(EVIL))).replace("\u200b", "") == EVIL.replace("\u202e ", "")


def test_without_the_patch_there_are_no_buttons_that_nobody_would_hear_of() -> None:
    bot = SimpleNamespace(mode="telegram", message_size_limit=1024, telegram=None)
    network = TelegramNetwork(bot, lambda: True, BackgroundQueue("files", SystemClock()))
    network.listen(lambda find: None)
    assert str(network.capabilities) == "confirms, threads, edits, cards, files"


def test_the_way_back_from_the_menu_shows_the_buttons_that_were_there() -> None:
    """Not each server can do what each button stands for; the menu brought back all of them."""
    library, calls = ModuleType("telegram.error"), []
    library.TelegramError = Exception
    client = SimpleNamespace(
        answer_callback_query=lambda **_: None, edit_message_reply_markup=lambda **values: calls.append(values)
    )
    network = TelegramNetwork(
        SimpleNamespace(mode="telegram", message_size_limit=1024, telegram=client),
        lambda: True,
        BackgroundQueue("files", SystemClock()),
    )

    def click(keyboard: Any, data: str) -> Any:
        shown = {"message_id": 7, "chat": CHAT, "reply_markup": keyboard}
        query = {"id": "1", "from": {"id": 2}, "data": data, "message": shown}
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "telegram.error", library)
            assert network._click(query) is None
        return calls.pop()["reply_markup"] if calls else None

    before = {"inline_keyboard": [[{"text": "Resolve", "callback_data": "resolve"}, ARCHIVE_MENU]]}
    menu = click(before, "archive_menu")
    back = menu["inline_keyboard"][-1][0]["callback_data"]
    assert len(back.encode()) <= 64
    assert click(menu, back) == before
    assert click(menu, "back:resolve,assign") is None, "a client made it up"


ARCHIVE_MENU = {"text": "Archive ▾", "callback_data": "archive_menu"}


class _Client:
    """python-telegram-bot's Bot, as far as the patch changes it; `answers` are what Telegram says next."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[Any] = []

    def _post(self, endpoint: str, data: Any = None, timeout: float = 0) -> Any:
        self.asked.append((endpoint, data))
        answer = self.answers.pop(0)
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def bot(monkeypatch: pytest.MonkeyPatch) -> Any:
    library = ModuleType("telegram")
    library.Bot = type("Bot", (_Client,), {"_post": _Client._post})
    monkeypatch.setitem(sys.modules, "telegram", library)
    return SimpleNamespace(telegram=library.Bot(), shutdown=lambda: None, mode="telegram", _reconnection_max_delay=600)


def patched(bot: Any) -> ErrbotPatches:
    patches = ErrbotPatches(bot, wanted=True, on_shutdown=lambda: None)
    patches.apply()
    assert patches.applied("telegram_updates")
    return patches


def message(number: int, **more: Any) -> dict[str, Any]:
    return {"update_id": number, "message": {"message_id": number, "chat": CHAT, "text": "x", **more}}


def test_the_backend_sees_messages_and_we_the_rest_which_is_confirmed(bot: Any) -> None:
    patches = patched(bot)
    updates = updates_of(bot)
    assert updates is not None
    seen: list[Any] = []
    updates.listener = seen.append
    click, reaction = {"update_id": 8, "callback_query": {}}, {"update_id": 9, "message_reaction": {}}
    bot.telegram.answers = [[message(7), click, reaction], [], RuntimeError("Conflict"), [message(10)]]
    assert bot.telegram._post("getUpdates", {"timeout": 60, "offset": 5}) == [message(7)]
    assert seen == [click, reaction]
    assert bot.telegram._post("getUpdates", {"timeout": 60, "offset": 8}) == []
    assert [asked["offset"] for _, asked in bot.telegram.asked] == [5, 10]
    assert bot.telegram.asked[0][1]["allowed_updates"] == ["message", "callback_query", "message_reaction"]

    Conflict = type("Conflict", (Exception,), {})  # noqa: N806 - python-telegram-bot's name
    bot.telegram.answers[0] = Conflict()
    with pytest.raises(Conflict):
        bot.telegram._post("getUpdates", {})
    assert "another program" in updates.trouble
    bot.telegram._post("getUpdates", {})
    assert updates.trouble == ""

    other = type(bot.telegram)()  # another plugin's client
    other.answers = [[click]]
    assert other._post("getUpdates", {"offset": 1}) == [click]
    assert bot._reconnection_max_delay < 10
    patches.undo()
    bot.telegram.answers = [[click]]
    assert bot.telegram._post("getUpdates", {"offset": 1}) == [click]
    assert updates_of(bot) is None
    assert bot._reconnection_max_delay == 600


def test_a_click_that_comes_while_the_plugin_is_reloaded_comes_again(bot: Any) -> None:
    """The long poll of before ends after the plugin was loaded anew: it confirms nothing."""
    patches = patched(bot)
    click = {"update_id": 8, "callback_query": {}}
    seen: list[Any] = []

    def reload() -> list[Any]:
        patches.undo()
        patched(bot)
        updates_of(bot).listener = seen.append
        return [click]

    bot.telegram.answers = [reload, [click]]
    assert bot.telegram._post("getUpdates", {"offset": 8}) == []
    assert seen == []
    assert bot.telegram._post("getUpdates", {"offset": 8}) == []
    assert seen == [click]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({}, Place()),
        ({"message_thread_id": 45, "is_topic_message": True, "reply_to_message": {"message_id": 45}}, Place(topic=45)),
        ({"message_thread_id": 45, "is_topic_message": True, "reply_to_message": {"message_id": 50}}, Place(45, 50)),
        ({"message_thread_id": 50, "reply_to_message": {"message_id": 51}}, Place(reply_to=51)),
        ({"reply_to_message": 7}, Place()),
    ],
)
def test_topic_and_reply_of_a_message_are_remembered(bot: Any, fields: dict[str, Any], place: Place) -> None:
    patched(bot)
    bot.telegram.answers = [[message(7, **fields)]]
    assert bot.telegram._post("getUpdates", {}) == [message(7, **fields)]
    assert updates_of(bot).place_of(-1007, 7) == place
