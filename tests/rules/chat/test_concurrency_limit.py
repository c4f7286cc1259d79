"""Our commands never take all of Errbot's threads."""

from __future__ import annotations

from contextlib import ExitStack

from errbot_sentry.chat.typed_messages import ConcurrencyLimit


def took(stack: ExitStack, turns: ConcurrencyLimit, who: str) -> bool:
    return stack.enter_context(turns.taken(who))


def test_two_threads_are_left_and_nobody_has_more_than_four() -> None:
    turns = ConcurrencyLimit(10)
    with ExitStack() as stack:
        assert [took(stack, turns, "mallory") for _ in range(6)] == [True] * 4 + [False] * 2
        assert [took(stack, turns, f"user{n}") for n in range(6)] == [True] * 4 + [False] * 2
    with ExitStack() as stack:
        assert [took(stack, turns, f"user{n}") for n in range(9)] == [True] * 8 + [False]


def test_a_small_bot_answers_too() -> None:
    for threads in (1, 2, 3):
        with ConcurrencyLimit(threads).taken("alice") as free:
            assert free
