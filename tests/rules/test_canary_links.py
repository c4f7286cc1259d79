"""How the links of a canary's round are judged, and the sentences about them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from errbot_sentry.alerting.canary_links import (
    LINKS,
    CanaryRound,
    again_sentence,
    broken_sentence,
    is_over,
    judge,
    limits,
)
from errbot_sentry.domain.alerts import CANARY_TITLE, is_canary

START = datetime(2026, 3, 2, 14, 10, tzinfo=timezone.utc)
ALL = "sent shown webhook poller decision"
LIMITS = {"sent": 120, "shown": 120, "webhook": 180, "poller": 180, "decision": 60}

# What is expected, seconds at which links were reached, the present, the states, and the sentence.
CASES = {
    "nothing yet": (ALL, {}, 10, "waiting unknown unknown unknown unknown", ""),
    "late": (ALL, {}, 60, "late unknown unknown unknown unknown", ""),
    "the server is down: one broken link": (
        ALL, {}, 120, "broken unknown unknown unknown unknown", "Events have not reached the server since 14:10 UTC.",
    ),
    "a link has its time from the one before it": (ALL, {"sent": 100}, 150, "ok waiting unknown unknown unknown", ""),
    "the API is down, events arrive": (
        ALL, {"sent": 1}, 121, "ok broken unknown unknown unknown",
        "Events are sent, but the server has not shown them since 14:10 UTC.",
    ),
    "the API is down, but a webhook came": (
        ALL, {"sent": 1, "webhook": 2, "decision": 3}, 121, "ok broken ok unknown ok",
        "Events are sent, but the server has not shown them since 14:10 UTC.",
    ),
    "both ways under way": (ALL, {"sent": 1, "shown": 2}, 30, "ok ok waiting waiting unknown", ""),
    "webhooks are missing, polling works": (
        ALL, {"sent": 1, "shown": 2, "poller": 50, "decision": 51}, 182, "ok ok broken ok ok",
        "Events reach the server, but no webhook has arrived since 14:10 UTC. Alerts still arrive by polling.",
    ),
    "polling fails, webhooks arrive": (
        ALL, {"sent": 1, "shown": 2, "webhook": 3, "decision": 3}, 182, "ok ok ok broken ok",
        "Events reach the server, but polling has not found them since 14:10 UTC. Alerts still arrive by webhook.",
    ),
    "neither way": (
        ALL, {"sent": 1, "shown": 2}, 182, "ok ok broken broken unknown",
        "Events reach the server, but neither webhooks nor polling have brought alerts since 14:10 UTC.",
    ),
    "nobody decides": (
        ALL, {"sent": 1, "shown": 2, "webhook": 3, "poller": 50}, 63, "ok ok ok ok broken",
        "Alerts arrive, but have not been processed since 14:10 UTC.",
    ),
    "no alerts here": ("sent shown", {"sent": 1, "shown": 2}, 500, "ok ok", ""),
    "well": (ALL, dict(zip(ALL.split(), range(5), strict=True)), 5, "ok ok ok ok ok", ""),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "reached", "now", "states", "sentence"), CASES.values(), ids=CASES)
def test_each_link_is_judged_from_the_one_before_it(
    expected: str, reached: dict[str, int], now: int, states: str, sentence: str
) -> None:
    moments = {name: START + timedelta(seconds=at) for name, at in reached.items()}
    current = CanaryRound(START, "e" * 32, tuple(expected.split()), moments)
    links = judge(current, START + timedelta(seconds=now), LIMITS)
    assert [link.name for link in links] == expected.split()
    assert [link.state.value for link in links] == states.split()
    assert broken_sentence(links, dict.fromkeys(LINKS, START)) == sentence
    assert is_over(links) == ("waiting" not in states and "late" not in states)


def test_a_sentence_names_the_cause_that_is_known() -> None:
    current = CanaryRound(START, "e" * 32, trouble={"sent": "No connection."})
    links = judge(current, START + timedelta(hours=1), limits(60))
    assert (
        broken_sentence(links, {"sent": START}) == "Events have not reached the server since 14:10 UTC (No connection)."
    )
    assert again_sentence(["sent", "webhook"]) == "Events reach the server again. Webhooks arrive again."


def test_the_poller_has_three_intervals() -> None:
    assert [limits(seconds)["poller"] for seconds in (0, 60, 600)] == [180, 180, 1800]


@pytest.mark.parametrize(
    ("title", "level", "expected"),
    [
        (CANARY_TITLE, "info", True),
        (CANARY_TITLE, None, True),
        (f"Log Message: {CANARY_TITLE}", None, True),
        (CANARY_TITLE, "error", False),
        (f"ValueError: {CANARY_TITLE}", None, False),
        (f"{CANARY_TITLE} and more", "info", False),
        ("", None, False),
    ],
)
def test_no_text_of_an_error_hides_the_error(title: str, level: str | None, expected: bool) -> None:
    assert is_canary(title, level) is expected
