"""Durations as people type them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from errbot_sentry.durations import read_duration, write_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("30m", 1800), ("2H", 7200), ("1h30m", 5400), ("7d", 604800), ("2w", 1209600)],
)
def test_reading(text, seconds):
    """Any unit, any case, several parts."""
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "1.5h", "5 m", "soon", "5m!", "999999999w", "99999999999s"])
def test_refusing(text):
    """With an example of what is wanted, or the bound."""
    with pytest.raises(ValueError, match=r"such as|ten years"):
        read_duration(text)


def test_writing_is_the_inverse():
    """What is shown can be typed."""
    for text in ("0s", "1m30s", "2h", "7d", "1d1h1m1s"):
        assert write_duration(read_duration(text)) == text
