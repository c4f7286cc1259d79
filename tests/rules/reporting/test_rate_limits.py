"""Rate limits, from the headers that servers send."""

from __future__ import annotations

import pytest

from errbot_sentry.reporting.deliver.envelope_sender import RateLimits


@pytest.mark.parametrize(
    ("status", "headers", "category", "wait"),
    [
        (200, {"x-sentry-rate-limits": "60:error:organization"}, "error", 60),
        (200, {"x-sentry-rate-limits": "60:error:organization"}, "transaction", 0),
        (200, {"x-sentry-rate-limits": "86400:transaction;span:organization"}, "span", 86400),
        (200, {"x-sentry-rate-limits": "86400:transaction;span:organization"}, "error", 0),
        (429, {"x-sentry-rate-limits": "60::key, 2700:default;error;security:organization:quota"}, "error", 2700),
        (429, {"x-sentry-rate-limits": "60::key, 2700:default;error:organization"}, "attachment", 60),
        (429, {"retry-after": "7"}, "error", 7),
        (429, {}, "error", 60),
        (429, {"retry-after": "soon"}, "error", 60),
        (429, {"x-sentry-rate-limits": "nonsense"}, "error", 60),
        (429, {"retry-after": "99999999"}, "error", 3600),
        (200, {"retry-after": "7"}, "error", 0),
        (503, {"retry-after": "7"}, "error", 0),
        (200, {"x-sentry-rate-limits": "-5:error:x"}, "error", 0),
        (429, {"retry-after": "9" * 400}, "error", 3600),
        (429, {"retry-after": "9" * 5000}, "error", 3600),
        (429, {"retry-after": "-1"}, "error", 60),
        (429, {"retry-after": "in a while"}, "error", 60),
        (429, {"retry-after": "Mon, 01 Jan 99999999999 00:00:00 GMT"}, "error", 60),
        (200, {"x-sentry-rate-limits": "9" * 400 + ":error:x"}, "error", 24 * 3600),
    ],
)
def test_headers(status: int, headers: dict[str, str], category: str, wait: float) -> None:
    limits = RateLimits()
    limits.read(status, headers, now=1000.0)
    assert limits.wait(category, 1000.0) == wait
    assert limits.wait(category, 1000.0 + wait) == 0


def test_a_date_is_understood() -> None:
    limits = RateLimits()
    limits.read(429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, now=0.0)
    assert 0 <= limits.wait("error", 0.0) <= 60


def test_what_is_closed_and_until_when() -> None:
    limits = RateLimits()
    limits.read(200, {"x-sentry-rate-limits": "60:error:x, 30:session:x"}, now=0.0)
    assert limits.closed(10.0) == {"error", "session"}
    assert limits.next_change(10.0) == 20.0
    assert limits.closed(60.0) == set()
    assert limits.next_change(60.0) is None


def test_a_server_cannot_fill_the_memory_with_categories() -> None:
    limits = RateLimits()
    for number in range(50):
        names = ";".join(f"c{number}x{count}" for count in range(100))
        limits.read(200, {"x-sentry-rate-limits": f"60:{names}:x"}, now=0.0)
    assert len(limits.closed(1.0)) <= 200
    limits.read(200, {"x-sentry-rate-limits": "60:error:x"}, now=100.0)
    assert limits.closed(101.0) == {"error"}
