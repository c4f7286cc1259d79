"""Context from hostile or half-made objects: poorer, never an error. The whole: tests/scenario/test_report_bot.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from errbot_sentry.report import context
from errbot_sentry.report.context import CALLBACK, COMMAND, FLOW, NOWHERE, POLLER, BotContext


class Hostile:
    """Every attribute, and being printed, fails."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_outside_of_errbot_there_is_none() -> None:
    assert context.of_stack() is NOWHERE
    assert context.of_exception(None) is NOWHERE
    assert NOWHERE.transaction == ""


@pytest.mark.parametrize(
    "names",
    [{}, {"cmd": None, "msg": None}, {"cmd": Hostile()}, {"msg": Hostile()}, {"method": Hostile()},
        {"msg": SimpleNamespace(frm=Hostile(), body="x")}, {"msg": SimpleNamespace(frm=None, body=7)}],
)  # fmt: skip
def test_nothing_raises(names: dict[str, object]) -> None:
    assert isinstance(context.of_arguments(names), BotContext)


def test_a_command_of_a_backend_with_little() -> None:
    message = SimpleNamespace(frm=SimpleNamespace(person="bob"), body="!deploy now")
    found = context.of_arguments({"cmd": "deploy", "args": "now", "msg": message})
    assert (found.kind, found.command, found.person, found.room) == (COMMAND, "deploy", "bob", "direct")
    assert found.typed == ("!deploy now", "now")
    assert found.message is message


def test_texts_are_one_bounded_line() -> None:
    found = context.of_arguments({"cmd": "a\nb " + "x" * 1000})
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
