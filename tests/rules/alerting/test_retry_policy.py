"""When a refused message is tried again, as a table: tries so far, since when its room refuses, and the answer."""

from __future__ import annotations

from errbot_sentry.alerting.notify.retry_policy import Retry, SetAside, after_refusal
from tests.tables import table

NOW = 10_000.0

ROWS: tuple[tuple[str, int, float | None, Retry | SetAside], ...] = (
    ("the first refusal", 1, None, Retry(NOW + 1, 1)),
    ("the second refusal", 2, None, Retry(NOW + 2, 2)),
    ("the fourth refusal", 4, None, Retry(NOW + 8, 4)),
    ("the ninth refusal", 9, None, Retry(NOW + 256, 9)),
    ("the tenth refusal", 10, None, SetAside()),
    ("the room refuses: the longest pause at once", 1, NOW - 100, Retry(NOW + 256, 8)),
    ("the room refuses: the last but one try", 8, NOW - 100, Retry(NOW + 256, 8)),
    ("the room refuses: the last try follows soon", 9, NOW - 100, Retry(NOW + 2, 9)),
    ("the room refuses: set aside alone", 10, NOW - 3599, SetAside()),
    ("the room refuses for an hour: with what is older", 10, NOW - 3600, SetAside(NOW - 3600)),
)


@table(("tries", "refuses_since", "expected"), ROWS)
def test_after_refusal(tries: int, refuses_since: float | None, expected: Retry | SetAside) -> None:
    assert after_refusal(tries, NOW, refuses_since) == expected
