"""The form of tags."""

from __future__ import annotations

import pytest

from errbot_sentry.reporting.reporter import tag_fault


@pytest.mark.parametrize(("key", "value"), [("a", "b"), ("team:x.y-z_1", 3), ("x" * 32, "y" * 200), ("a", "")])
def test_good_tags(key: str, value: object) -> None:
    assert tag_fault(key, value) == ""


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("", "b", "key"),
        ("x" * 33, "b", "key"),
        ("with space", "b", "key"),
        ("ümlaut", "b", "key"),
        (3, "b", "key"),
        ("a", "y" * 201, "200"),
        ("a", "two\nlines", "line"),
        ("bot.command", "b", "itself"),
    ],
)
def test_bad_tags(key: object, value: object, word: str) -> None:
    assert word in tag_fault(key, value)
