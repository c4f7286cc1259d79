"""Durations as people type them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from errbot_sentry.domain.text import read_duration, write_duration, write_roughly


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("90s", 90),
        ("30m", 1800),
        ("2H", 7200),
        ("1h30m", 5400),
        ("7d", 604800),
        ("2w", 1209600),
        ("2hours", 7200),
        ("1 day", 86400),
        ("1 hour 30 minutes", 5400),
    ],
)
def test_reading(text, seconds):
    """Any unit, any case, several parts."""
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "1.5h", "hour", "5 x", "5m!", "999999999w", "99999999999s"])
def test_refusing(text):
    """With an example of what is wanted, or the bound."""
    with pytest.raises(ValueError, match=r"isn't a valid duration; try|ten years"):
        read_duration(text)


def test_writing_is_the_inverse():
    """What is shown can be typed."""
    for text in ("0s", "1m30s", "2h", "7d", "1d1h1m1s"):
        assert write_duration(read_duration(text)) == text


@pytest.mark.parametrize(
    ("exact", "rough"),
    [
        ("59s", "59s"),
        ("9m59s", "9m59s"),
        ("10m20s", "10m"),
        ("41m59s", "42m"),
        ("23h59m59s", "1d"),
        ("1d2h31m", "1d3h"),
    ],
)
def test_writing_roughly(exact, rough):
    """The longer the span, the less its end matters."""
    assert write_roughly(read_duration(exact)) == rough
