"""Storms: what is captured, what is counted, and that every count is reported."""

from __future__ import annotations

import builtins
import gc
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.reporting.collect.event_filter import (
    RepeatCount,
    RepeatCounter,
    key_of_exception,
    key_of_record,
    sum_of,
)


def test_the_first_is_captured_and_the_next_are_counted() -> None:
    repeats = RepeatCounter(60)
    assert repeats.add(1, 0.0).capture
    assert not repeats.add(1, 1.0).capture
    assert not repeats.add(1, 59.9).capture
    again = repeats.add(1, 60.0)
    assert again.capture
    assert again.earlier is not None
    assert (again.earlier.count, again.earlier.first, again.earlier.last) == (2, 1.0, 59.9)


def test_a_captured_one_carries_a_count_once() -> None:
    repeats = RepeatCounter(60)
    for now in (0.0, 1.0, 60.0):
        repeats.add(1, now)
    assert repeats.add(1, 120.0).earlier is None


def test_other_keys_are_other_errors() -> None:
    repeats = RepeatCounter(60)
    assert repeats.add(1, 0.0).capture
    assert repeats.add(2, 0.0).capture


def test_a_count_that_nothing_follows_is_due_when_the_time_is_over() -> None:
    repeats = RepeatCounter(60)
    repeats.add(1, 0.0)
    assert repeats.next_due() is None
    assert repeats.add(1, 10.0).first_repeat
    repeats.remember(1, "summary")
    assert repeats.next_due() == 60.0
    assert repeats.due(59.9) == []
    (found,) = repeats.due(60.0)
    assert (found.count, found.summary) == (1, "summary")
    assert repeats.due(1000.0) == []
    assert repeats.next_due() is None


def test_a_summary_is_asked_for_once() -> None:
    repeats = RepeatCounter(60)
    assert [repeats.add(1, float(now)).first_repeat for now in range(4)] == [False, True, False, False]


def test_a_summary_that_comes_too_late_is_forgotten() -> None:
    repeats = RepeatCounter(60)
    repeats.remember(1, "summary")
    assert repeats.drain() == []


def test_switched_off_everything_is_captured() -> None:
    repeats = RepeatCounter(0)
    assert all(repeats.add(1, 0.0).capture for _ in range(5))
    assert repeats.drain() == []


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 50)), max_size=300), st.integers(1, 10))
def test_every_error_is_captured_or_reported_whatever_happens(steps: list[tuple[int, float]], room: int) -> None:
    """Exact counts with a table far too small, spans that end, and counts that nobody takes for a while."""
    repeats = RepeatCounter(60, most_keys=room)
    now, captured, reported = 0.0, 0, 0
    for number, (key, wait) in enumerate(steps):
        now += wait
        seen = repeats.add(key, now)
        captured += seen.capture
        reported += seen.earlier.count if seen.earlier else 0
        if number % 7 == 0:
            reported += sum(one.count for one in repeats.due(now))
        assert len(repeats._entries) <= room
        assert len(repeats._evicted) <= room
    reported += sum(one.count for one in repeats.drain())
    assert captured + reported == len(steps)


def test_many_threads_count_exactly() -> None:
    repeats, captured = RepeatCounter(3600), []

    def run() -> None:
        captured.extend(1 for _ in range(2000) if repeats.add(7, 1.0).capture)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(captured) == 1
    assert sum(one.count for one in repeats.drain()) == 8 * 2000 - 1


def fail(error: Exception, cause: Exception | None = None) -> None:
    raise error from cause


def raised(error: Exception, cause: Exception | None = None) -> int:
    try:
        fail(error, cause)
    except Exception as caught:  # noqa: BLE001 - its traceback is the subject
        return key_of_exception(caught, caught.__traceback__)


def test_a_key_is_type_causes_and_position() -> None:
    assert raised(ValueError("one")) == raised(ValueError("two"))
    assert raised(ValueError("one")) != raised(KeyError("one"))
    assert raised(ValueError("one")) != raised(ValueError("one"), OSError("cause"))
    elsewhere = None
    try:
        fail(ValueError("one"))
    except ValueError as caught:
        elsewhere = key_of_exception(caught, caught.__traceback__)
    assert elsewhere != raised(ValueError("one"))


def test_a_cause_that_is_its_own_cause_ends() -> None:
    one, two = ValueError(), KeyError()
    one.__cause__, two.__cause__ = two, one
    assert key_of_exception(one, None)


def test_classes_made_at_run_time_are_reported_apart_after_their_death() -> None:
    """A dead class leaves its address to the next one."""
    keys = set()
    for number in range(100):
        kind = type(f"Error{number}", (Exception,), {})
        keys.add(raised(kind("x"), kind("cause")))
        del kind
        gc.collect()
    assert len(keys) == 100


def test_a_class_that_was_loaded_again_is_the_same_class() -> None:
    first, second = (type("Reloaded", (Exception,), {"__module__": "errbot.plugins.deploy"}) for _ in range(2))
    other = type("Reloaded", (Exception,), {"__module__": "errbot.plugins.other"})
    assert raised(first("x")) == raised(second("x")) != raised(other("x"))


def test_a_class_with_an_odd_name_has_a_key_all_the_same() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> object:
            raise RuntimeError(name)

    odd = type("Odd", (Exception,), {"__module__": ["not", "hashable"]})
    assert isinstance(raised(odd("x")), int)
    assert isinstance(key_of_exception(Meta("Hostile", (Exception,), {})("x"), None), int)


def test_a_record_is_known_by_its_place_and_sentence() -> None:
    def record(line: int, text: str, *args: object) -> logging.LogRecord:
        return logging.LogRecord("a", logging.ERROR, "/a.py", line, text, args, None)

    assert key_of_record(record(1, "x %s", 1)) == key_of_record(record(1, "x %s", 2))
    assert key_of_record(record(1, "x %s", 1)) != key_of_record(record(2, "x %s", 1))
    assert key_of_record(record(1, "x")) != key_of_record(record(1, "y"))


@pytest.mark.skipif(not hasattr(builtins, "ExceptionGroup"), reason="Python 3.10 has no groups")
def test_a_group_is_what_its_members_are() -> None:
    group = builtins.ExceptionGroup

    def key(*members: Exception) -> int:
        return key_of_exception(group("several", members), None)

    assert key(ValueError("a"), KeyError("b")) == key(ValueError("c"), KeyError("d"))
    assert key(ValueError("a")) != key(KeyError("a"))
    assert key(group("inner", [ValueError()])) != key(group("inner", [KeyError()]))
    deep = ValueError()
    for _ in range(100):
        deep = group("deeper", [deep] * 30)
    assert isinstance(key(deep), int)


def test_several_counts_in_one() -> None:
    assert sum_of([RepeatCount(1, 3, 10.0, 20.0), RepeatCount(2, 4, 5.0, 15.0)]) == RepeatCount(0, 7, 5.0, 20.0)
