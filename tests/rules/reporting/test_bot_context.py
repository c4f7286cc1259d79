"""Context from hostile or half-made objects: poorer, never an error. The whole: tests/system/test_report_bot.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from errbot_sentry.reporting.collect import bot_context
from errbot_sentry.reporting.collect.bot_context import CALLBACK, COMMAND, FLOW, NOWHERE, POLLER, BotContext
from errbot_sentry.reporting.redact import chat_redaction


class Hostile:
    """Every attribute, and being printed, fails."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_outside_of_errbot_there_is_none() -> None:
    assert bot_context.of_stack() is NOWHERE
    assert bot_context.of_exception(None) is NOWHERE
    assert NOWHERE.transaction == ""


@pytest.mark.parametrize(
    "names",
    [{}, {"cmd": None, "msg": None}, {"cmd": Hostile()}, {"msg": Hostile()}, {"method": Hostile()},
        {"msg": SimpleNamespace(frm=Hostile(), body="x")}, {"msg": SimpleNamespace(frm=None, body=7)}],
)  # fmt: skip
def test_nothing_raises(names: dict[str, object]) -> None:
    assert isinstance(bot_context.of_arguments(names), BotContext)


def test_a_command_of_a_backend_with_little() -> None:
    message = SimpleNamespace(frm=SimpleNamespace(person="bob"), body="!deploy now")
    found = bot_context.of_arguments({"cmd": "deploy", "args": "now", "msg": message})
    assert (found.kind, found.command, found.person, found.room) == (COMMAND, "deploy", "bob", "direct")
    assert found.typed == ("!deploy now", "now")
    assert found.message is message


class Broken:
    """A person of a backend whose rooms are gone."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


def test_the_words_are_known_whatever_else_is_not() -> None:
    found = bot_context.of_arguments(
        {"cmd": "deploy", "msg": SimpleNamespace(frm=Broken(), body="!deploy PRIVATE_WORD")}
    )
    assert found.typed == ("!deploy PRIVATE_WORD",)


@pytest.mark.parametrize(
    "posted",
    [
        [{"text": f"word{number}"} for number in range(5000)],
        [["deep"] * 2, *([{}] * 3)],
        "x" * 200_000,
    ],
)
def test_every_text_of_a_posted_body_is_known_or_too_much(posted: object) -> None:
    deep: object = ["PRIVATE_WORD"]
    for _ in range(5000):
        deep = [deep]

    def dispatch_request(data: object) -> BotContext:
        return bot_context.of_stack()

    names = {"__name__": "errbot.core_plugins.wsview"}
    made = type(dispatch_request)(dispatch_request.__code__, {**globals(), **names})
    found = made([posted, deep])
    assert (
        chat_redaction.mask_of(found.typed, ())("about PRIVATE_WORD") == chat_redaction.CHAT
        or "PRIVATE_WORD" in found.typed
    )


def test_texts_are_one_bounded_line() -> None:
    found = bot_context.of_arguments({"cmd": "a\nb " + "x" * 1000})
    assert found.command.startswith("a b x")
    assert len(found.command) == 200


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (BotContext(COMMAND, "deploy", "Deploy"), "deploy"),
        (BotContext(FLOW, "deploy", entry="release"), "deploy"),
        (BotContext(POLLER, plugin="Deploy", entry="_poll"), "poller Deploy _poll"),
        (BotContext(CALLBACK, "deploy", "Deploy", entry="callback_botmessage"), "callback Deploy callback_botmessage"),
        (BotContext("load"), "load"),
    ],
)
def test_what_an_event_is_filed_under(where: BotContext, name: str) -> None:
    assert where.transaction == name
