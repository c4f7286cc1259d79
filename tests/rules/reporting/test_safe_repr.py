"""What is only named, and how much of the rest is printed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from errbot import BotPlugin
from errbot.backends.base import Message
from errbot.backends.test import TestPerson

from errbot_sentry.reporting.redact.safe_repr import LONGEST_VALUE, make_repr_processor, named_only


class Plugin(BotPlugin):
    """Not made in these tests: its class says enough."""


@dataclass
class Order:
    """What a plugin defines for itself."""

    number: int


Order.__module__ = "errbot.plugins.shop"


def test_errbots_objects_and_their_kin_are_named_only() -> None:
    assert named_only(Plugin)
    assert named_only(Message)
    assert named_only(TestPerson)


@pytest.mark.parametrize("kind", [dict, str, int, Order, Exception, object])
def test_other_objects_are_not(kind: type) -> None:
    assert not named_only(kind)


def test_a_name_and_nothing_else() -> None:
    process = make_repr_processor()
    assert process(Message("PRIVATE"), {"memo": object()}) == "<Message>"
    assert process({"a": 1}, {"memo": object()}) is NotImplemented


def test_long_texts_are_cut_before_they_are_printed() -> None:
    process, memo = make_repr_processor(), object()
    cut = process("x" * 10**6, {"memo": memo})
    assert isinstance(cut, str)
    assert len(cut) <= LONGEST_VALUE + 3
    assert process(b"x" * 10**6, {"memo": memo}) != NotImplemented


def test_all_texts_of_one_run_have_a_bound_that_the_next_run_starts_anew() -> None:
    process, first, second = make_repr_processor(), object(), object()
    printed = [process("x" * 1000, {"memo": first}) for _ in range(100)]
    assert printed[0] is NotImplemented
    assert printed[-1] == "…"
    assert process("x" * 1000, {"memo": second}) is NotImplemented
