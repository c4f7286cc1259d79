"""Foreign JSON: any value in any place is read as something or nothing, and never breaks the reader."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.domain.errors import BadAnswer
from errbot_sentry.domain.json_values import level, line, moment, text, web_link, whole
from errbot_sentry.server.payloads.json_fields import Fields, an_object, objects

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
UTC = timezone.utc


@given(ANY_JSON)
def test_every_reader_takes_every_value(value):
    """None, empty or of the right type: nothing else comes out, and no exception."""
    fields = Fields({"a": value})
    assert isinstance(fields.text("a"), str)
    assert fields.text("a").encode("utf-8") is not None
    assert "\0" not in fields.text("a")
    assert not set(fields.line("a")) & {"\n", "\r", "\u2028", "\x1b"}
    assert line(value) == fields.line("a")
    number = fields.whole("a")
    assert number is None or (type(number) is int and abs(number) < 2**63)
    at = fields.time("a")
    assert at is None or at.utcoffset() == timedelta(0)
    assert isinstance(fields.fields("a"), Fields)
    assert isinstance(fields.rows("a"), list)
    assert fields.yes("a") is (value is True)
    assert isinstance(web_link(value), str)


@given(ANY_JSON)
def test_what_is_demanded_is_there_or_a_bad_answer(value):
    """An issue without an id is no issue."""
    demands = (
        lambda: Fields(value).need("id", "an issue"),
        lambda: objects(value, "issues"),
        lambda: an_object(value, "an issue"),
    )
    for demand in demands:
        with suppress(BadAnswer):
            assert demand() is not None


def test_a_missing_id_is_named():
    """The sentence says what to look at."""
    with pytest.raises(BadAnswer, match='an issue without "id": is SENTRY_SERVER right'):
        Fields({"id": ""}).need("id", "an issue")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-21T10:20:30Z", datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)),
        ("2026-11-21T10:20:30.5Z", datetime(2026, 11, 21, 10, 20, 30, 500000, tzinfo=UTC)),
        ("2026-11-21T10:20:30.123456789+02:00", datetime(2026, 11, 21, 8, 20, 30, 123456, tzinfo=UTC)),
        ("2026-11-21 10:20:30+0130", datetime(2026, 11, 21, 8, 50, 30, tzinfo=UTC)),
        ("2026-11-21T10:20-05", datetime(2026, 11, 21, 15, 20, tzinfo=UTC)),
        ("2026-11-21T10:20:30", datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)),
        (1700000000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1700000000.25, datetime(2023, 11, 14, 22, 13, 20, 250000, tzinfo=UTC)),
        ("2026-13-21T10:20:30Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
        (datetime(9999, 12, 31, tzinfo=UTC), None),
        ("yesterday", None),
        ("", None),
        (1e20, None),
        (True, None),
        ([], None),
    ],
)
def test_times_are_read_as_servers_write_them(written, read):
    """Always aware and in UTC."""
    assert moment(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [("150", 150), (150, 150), (1.9, 1), ("-3", -3), (" 7 ", 7), ("1e3", None), (float("inf"), None), (True, None),
     (2**63, None), ("9" * 19, None), ("٣", None), (None, None), ({}, None)],
)  # fmt: skip
def test_whole_numbers_also_come_as_texts(written, read):
    """Sentry's `count` is a text."""
    assert whole(written) == read


def test_texts_are_cut_and_clean():
    """PostgreSQL takes no NUL, no socket takes a lone surrogate, and a room wants no megabyte."""
    assert text("a" * 600) == "a" * 499 + "…"
    assert text("a\0b\ud800c") == "ab?c"
    assert text(12) == "12"
    assert text(True) == ""
    assert text(10**5000) == ""


@pytest.mark.parametrize(
    "blank",
    ["\u2800", "\u3164", "\u115f\u1160", "\uffa0", "\u00ad", "\u200b", "\u2060\ufeff", "\ufe0f", "\U000e0100", "\u00a0",
     "\u180e", "\u034f", "\U0001d159", "\ufffe", " \u2800 \n\u3164\t"],
    ids=lambda blank: "-".join(f"{ord(each):x}" for each in blank),
)  # fmt: skip
def test_a_line_begins_with_something_visible_or_is_empty(blank):
    """Of a title that begins with enough of these, a room would see nothing once it is cut."""
    assert line(blank) == line(blank * 700) == ""
    assert line(blank * 700 + "größer") == "größer"
    assert line("\u0301a") == "\u0301a"


def test_the_first_name_that_reads_wins():
    """GlitchTip's snake_case after a change."""
    fields = Fields({"userCount": None, "user_count": 3, "a": {}, "b": {"x": 1}})
    assert fields.whole("userCount", "user_count") == 3
    assert fields.raw("nothing", "b") == {"x": 1}


@pytest.mark.parametrize(
    ("value", "link"),
    [
        ("https://sentry.io/x?y=1", "https://sentry.io/x?y=1"),
        ("javascript:alert(1)", ""),
        ("https://a b", ""),
        ("https://a\n", ""),
        ("Not implemented", ""),
        ("https://x/" + "y" * 600, ""),
    ],
)
def test_only_web_addresses_are_links(value, link):
    """What stands behind a link is what a person clicks."""
    assert web_link(value) == link


@pytest.mark.parametrize(
    ("written", "read"),
    [("error", "error"), ("Critical", "fatal"), ("warn", "warning"), ("unknown", None), (None, None), (3, None)],
)
def test_levels_have_one_name(written, read):
    """SDKs of other languages have their own words."""
    assert level(written) == read


def test_a_line_is_one_line():
    """A title with a line break would become an IRC line of its own."""
    assert line("a\r\nPRIVMSG #ops :b\x1b[31m\u2028c") == "a PRIVMSG #ops :b [31m c"
    assert len(line("a b" * 1000)) == 500
