"""Regular expressions out of chat and settings: those that could take for ever are refused, others are as in `re`."""

from __future__ import annotations

import re

import pytest

from errbot_sentry.matchers import read_matcher
from errbot_sentry.patterns import LONGEST_TESTED, compile_bounded


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b", "(a|a)*b", "(a|ab|b)*c", "(.*)*", "(x+x+)+y", r"(\w+\s?)*!", "(a?){400}b", "a?" * 150 + "b",
        ".*a.*a.*a.*a.*b", "(?:(?:a{1,9}){1,9}){1,9}b", "(a|a)(a|a)" * 40, "(?=(a+)+b)", "(" * 5000 + "a" + ")" * 5000,
    ],
)  # fmt: skip
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str) -> None:
    """Every one of these stops Python for hours over fifty letters, and with it the bot."""
    with pytest.raises(ValueError, match=r"take for ever|no regular expression"):
        compile_bounded(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "Time.*", ".*timeout.*", "Zero .*|Zero.*", r"web-(api|front)-\d+", "(db|redis|kafka)", ".*(db|redis).*down.*",
        r"\d{3}-\d{4}", "(?i)timeout.*", "(foo|bar)?", "[a-z]+@[a-z]+", "(abc)*", "(?:a|b)+", "(?<!x)y.*", "",
    ],
)  # fmt: skip
def test_what_people_write_is_taken(pattern: str) -> None:
    assert compile_bounded(pattern) == re.compile(pattern)


@pytest.mark.parametrize("pattern", [".*a.*a.*b", "(a*)(a*)(a*)b", "(a|aa)?a*a*b"])
def test_what_is_taken_ends_soon(pattern: str) -> None:
    """The worst text for the worst patterns that are taken; the test would hang."""
    assert compile_bounded(pattern).fullmatch("a" * LONGEST_TESTED) is None


def test_the_person_is_told_so() -> None:
    with pytest.raises(ValueError, match="could take for ever over a long text"):
        read_matcher("title=~(a+)+b")
