"""Regular expressions out of chat and settings: none of them can take long, and what people write works."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from errbot_sentry.config import safe_regex
from errbot_sentry.config.matchers import read_matcher
from errbot_sentry.config.safe_regex import LONGEST_EXPRESSION, LONGEST_TESTED, compile_linear, matches_whole
from errbot_sentry.domain.alerts import NEW, Alert

WORST_FOR_BACKTRACKING = [
    "(a+)+b", "(a|a)*b", "(a|ab|b)*c", "(.*)*b", "(x+x+)+y", r"(\w+\s?)*!", "(a?){400}b", "a?" * 150 + "b",
    ".*a.*a.*a.*a.*b", "(?:(?:a{1,9}){1,9}){1,9}b", "(a|a)(a|a)" * 40, ".*.*.*(?:[^b]" + ".?" * 60 + "a){2}b",
]  # fmt: skip


@pytest.mark.parametrize("pattern", WORST_FOR_BACKTRACKING)
@pytest.mark.parametrize("text", ["a" * LONGEST_TESTED, "é" * LONGEST_TESTED, "ac" * LONGEST_TESTED])
def test_what_stops_python_for_hours_is_answered(pattern: str, text: str) -> None:
    """In a linear engine; with `re` this test hangs."""
    assert not matches_whole(pattern, text + "!")


def test_the_engine_is_the_linear_one() -> None:
    assert isinstance(compile_linear("a"), type(re2.compile("a")))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*"()[]{}|*+?.^$\\,-a19éd\0", "(?i)", "\\d", "{9}", "{1000}", "[^a]", "\\pL", "\ud800"]))
)
def test_whatever_is_typed_is_taken_or_refused_in_words_and_small(pieces: list[str]) -> None:
    """The steps for one character of text are at most the size of the compiled expression, so that is bounded."""
    sentence, size = "", 0
    try:
        size = compile_linear("".join(pieces)[: LONGEST_EXPRESSION + 1]).programsize
    except ValueError as error:
        sentence = str(error)
    assert 0 < size <= safe_regex._LARGEST_PROGRAM or len(sentence.split()) > 5


@pytest.mark.parametrize(
    ("pattern", "text", "holds"),
    [
        ("Time.*", "Timeout", True),
        ("Time", "Timeout", False),
        ("out", "Timeout", False),
        ("a|ab", "ab", True),
        (r"web-(api|front)-\d+", "web-front-12", True),
        (r"\d{3}-\d{4}", "123-4567", True),
        ("(?i)TIMEOUT.*", "timeout: é", True),
        ("(foo|bar)?", "", True),
        ("", "", True),
        ("", "a", False),
        ("x.", "xé", True),
        ("x.", "x\ud800", True),
        (r"\pL+", "Größe", True),
        (".*\\.py", "a/b.py", True),
    ],
)
def test_the_whole_value_must_match(pattern: str, text: str, holds: bool) -> None:
    """As Alertmanager anchors; in any script, and also where JSON carried half a character."""
    assert matches_whole(pattern, text) is holds


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("(?!x).*", "without look-ahead"),
        ("(?=x).*", "without look-ahead"),
        ("(?<=x).*", "without look-ahead"),
        ("(?<!x)y", "without look-ahead"),
        (r"(a)\1", "back references"),
        ("(?P<n>a)(?P=n)", "back references"),
        ("a++", "possessive repetition"),
        ("(?>a)", "without look-ahead"),
        (r"a\Z", "without look-ahead"),
        ("(", "correct it"),
        ("[a", "correct it"),
        ("*", "correct it"),
        ("[b-a]", "correct it"),
        (r"(?i)[\x00-\x{ffff}\pL]{900}", "smaller numbers"),
        (r"(?:.?){1000}", "smaller numbers"),
        ("(((((a{9}){9}){9}){9}){9}){9}", "smaller numbers"),
        ("\ud800", "type it again"),
        ("a" * (LONGEST_EXPRESSION + 1), f"at most {LONGEST_EXPRESSION}"),
    ],
)
def test_what_is_not_taken_is_refused_with_what_to_do(pattern: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        compile_linear(pattern)


def test_the_reply_says_so() -> None:
    with pytest.raises(
        ValueError, match=r"'title=~\(\?!x\)y' uses a syntax that RE2 doesn't have .*add a second matcher"
    ):
        read_matcher("title=~(?!x)y")


def test_an_alert_is_matched_up_to_the_bound() -> None:
    """What stands behind it can neither match nor cost anything."""
    title = "a" * LONGEST_TESTED
    alert = Alert(
        delivery="d", reason=NEW, source="webhook", at=datetime(2026, 1, 1, tzinfo=timezone.utc), title=title + "b"
    )
    assert read_matcher("title=~a*").matches(alert)
    assert read_matcher("title!~a*b").matches(alert)
