"""The bounds of typed words: no command is longer, no number larger, and every parser's work grows with the length."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.alerting.notify.digest_reports import next_time
from errbot_sentry.commands.accounts import read_mail
from errbot_sentry.commands.changes.triage_options import read_resolve_in, read_until
from errbot_sentry.commands.issue_refs import expand_rows, read_reference
from errbot_sentry.commands.parser import parse, row_limit
from errbot_sentry.commands.registry import COMMANDS
from errbot_sentry.config.matchers import Matcher, is_matcher, read_matcher
from errbot_sentry.domain.conversation import Conversation, Invocation, Person
from errbot_sentry.domain.errors import UsageError, UserError
from errbot_sentry.domain.text import read_duration
from errbot_sentry.domain.typed_text import (
    LONGEST_TYPED,
    MOST_WORDS,
    check_length,
    leading_word,
    read_number,
    split_before,
    unquote,
)
from errbot_sentry.server.search import terms_of

NOW = datetime(2026, 11, 20, tzinfo=timezone.utc)
ALICE, OPS = Person("alice", "Alice"), Conversation("#ops")


def _options(text: str) -> object:
    issues = next(entry for entry in COMMANDS if entry.name == "issues")
    return parse(issues, Invocation(ALICE, OPS, text))


PARSERS: dict[str, Callable[[str], object]] = {
    "read_matcher": read_matcher,
    "is_matcher": is_matcher,
    "a matcher as text": lambda text: str(Matcher("title", "=", text)),
    "split_before nothing": lambda text: split_before(text, ()),
    "leading_word": leading_word,
    "unquote": unquote,
    "split_before": lambda text: split_before(text, ("-c", "--comment")),
    "read_number": lambda text: read_number(text, 1, 100),
    "read_duration": read_duration,
    "read_reference": read_reference,
    "expand_rows": lambda text: expand_rows([text]),
    "read_until": lambda text: read_until(text, NOW),
    "read_resolve_in": read_resolve_in,
    "read_mail": read_mail,
    "terms_of": terms_of,
    "next_time": lambda text: next_time(text, 0.0),
}
# A beginning, what is repeated, and an end that makes whoever searches by trial go back.
HOSTILE = [
    ('title="a', " ", 'b"'), ("title=a", " ", "b"), ("title", " ", "b"), ("a", "a", "!"), ("a.", "a.", "!"),
    ("", " ", "x"), ('"', '\\"', ""), ("", '"', ""), ("", "\\", '"'), ("", '"\\', ""), ("a:", "a:", '"'),
    ("", "-a", ""), ("", "(", '"'), ("", "1", ""), ("", "0", "x"), ("", "9", "x/5m"), ("", "1h", "x"),
    ("#", "1", "-"), ("a@", "a.", "@"), ("", "a-", "_"), ("-c", " ", ""), ("", " -c", ""), ("", "-c ", ""),
    ("weekly ", "a", " 1"), ("weekly mon", " ", "x"), ("<", "|", ">"), ("https://", "a/", " "), ("", "“", ""),
    ("", "\u200b", ""), ("@commit:", "@", "x"), ("daily", "\t", "09:00 \n"),
]  # fmt: skip


def _seconds(parser: Callable[[str], object], text: str) -> float:
    """What the thread itself has worked, however busy the machine is."""
    before, refusal = time.thread_time(), ""
    try:
        parser(text)
    except (ValueError, UserError) as error:
        refusal = str(error)
    worked = time.thread_time() - before
    assert len(refusal) < 400, "the reply does not repeat it all"
    return worked


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
def test_the_work_of_a_parser_grows_with_the_length_and_not_with_its_square(parser: Callable[[str], object]) -> None:
    """Fifty times the length is fifty times the work; with a square in it, it is 2500 times."""
    for start, middle, end in HOSTILE:
        short, long = (start + middle * (size // len(middle)) + end for size in (2_000, 100_000))
        base = max(1e-3, min(_seconds(parser, short) for _ in range(3)))
        worked = min(_seconds(parser, long) for _ in range(3))  # a collection of all garbage may fall into one
        assert worked < 400 * base, (start, middle, end)


@pytest.mark.parametrize("words", ["-n 1 ", "-p a ", "-x ", "a -p b ", "-- ", "-p= "])
def test_options_of_the_most_words_are_read_at_once(words: str) -> None:
    """argparse looks at every option again after each, which the number of words bounds."""
    text = " ".join((words * MOST_WORDS)[:LONGEST_TYPED].split()[:MOST_WORDS])
    check_length(text)
    assert _seconds(_options, text) < 2


def test_nothing_longer_becomes_an_ask() -> None:
    """Whatever way it comes in; so no parser, no log and no server sees it."""
    Invocation(ALICE, OPS, "x" * LONGEST_TYPED)
    Invocation(ALICE, OPS, "x " * MOST_WORDS)
    with pytest.raises(UsageError, match="at most 4000 characters"):
        Invocation(ALICE, OPS, "x" * (LONGEST_TYPED + 1))
    with pytest.raises(UsageError, match="at most 1000 words"):
        Invocation(ALICE, OPS, "x " * (MOST_WORDS + 1))


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("100", 100), ("007", 7), ("0" * 3000 + "42", 42)])
def test_a_number_is_read_by_its_value(text: str, number: int) -> None:
    assert read_number(text, 1, 100) == number
    assert row_limit(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "000", "101", "0000000010000", "000000001" + "0" * 30, "9" * 5000, "-1", "+1", "1.0", "1e2", " 1",
        "1_0", "²", "١", "１", "x", "0x10",
    ],
)  # fmt: skip
def test_what_is_no_number_in_the_bounds_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^'.{0,41}' is not a number from 1 to 100$"):
        read_number(text, 1, 100)


@given(st.integers(min_value=-(10**40), max_value=10**40), st.integers(0, 50))
def test_a_number_is_taken_exactly_within_its_bounds(number: int, zeros: int) -> None:
    text = "0" * zeros + str(number)
    if 1 <= number <= 100:
        assert read_number(text, 1, 100) == number
    else:
        with pytest.raises(ValueError, match="is not a number"):
            read_number(text, 1, 100)
