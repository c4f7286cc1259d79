"""What may go into a path."""

from __future__ import annotations

import pytest

from errbot_sentry.domain import identifiers
from errbot_sentry.domain.errors import BadReference

UUID = "0190d1a5-7b3c-7c4e-9d1f-2a3b4c5d6e7f"


@pytest.mark.parametrize("text", ["WEB-1A", "web-1a", "my-web-app-9Z", "a.b_c-1", "X-1"])
def test_short_ids(text):
    """Project, dash, number in base 32; in upper case afterwards."""
    assert identifiers.short_id(text) == text.upper()


@pytest.mark.parametrize(
    "text", ["", "WEB", "-1", "WEB-", "WEB-1/2", "WEB-1 2", "WÉB-1", "../x-1", "A" * 200 + "-1", "WEB-1\n"]
)
def test_no_short_ids(text):
    """Anything else stays out of paths."""
    with pytest.raises(BadReference):
        identifiers.short_id(text)


@pytest.mark.parametrize("text", ["", "-1", "1a", "١", "1" * 20, "9223372036854775808", "1\n", " 1"])
def test_no_numbers(text):
    """Only ASCII digits."""
    with pytest.raises(BadReference):
        identifiers.number(text)


def test_uuids():
    """With or without dashes, in any case."""
    assert identifiers.uuid(UUID.upper()) == UUID
    assert identifiers.uuid(UUID.replace("-", "")) == UUID
    assert identifiers.is_uuid(UUID)
    assert not identifiers.is_uuid("")
    assert not identifiers.is_uuid(UUID.replace("-", ""))
    for wrong in ("", "x", UUID + "0", "{" + UUID + "}" * 9):
        with pytest.raises(BadReference):
            identifiers.uuid(wrong)


def test_event_ids():
    """32 hex digits."""
    assert identifiers.event_id(UUID.upper()) == UUID.replace("-", "")
    assert identifiers.event_id("latest") is None
    assert identifiers.event_id("") is None
