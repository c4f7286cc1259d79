"""When to try again, and when a silent connection is dead: decisions from the time and from what happened."""

from __future__ import annotations

import pytest

from errbot_sentry.chat.errbot_patches.irc_nick import other_nick
from errbot_sentry.chat.errbot_patches.irc_ping import SilenceWatch
from errbot_sentry.chat.errbot_patches.irc_reconnect import ReconnectWaits


class Time:
    """A clock that stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("lives", "waits"),
    [
        pytest.param([None, None, None, None, None], [1, 2, 3, 3, 3], id="unreachable: often, because it costs nobody"),
        pytest.param([5, 5, 5, 5, 5, 5, 5], [1, 3, 9, 27, 81, 243, 300], id="turned away: ever more seldom"),
        pytest.param([5, 5, 60, 5], [1, 3, 1, 3], id="a connection that lasted makes up for it"),
        pytest.param([500, None, None, 5], [1, 1, 2, 3], id="a restart: away, then turned away once"),
        pytest.param([5, None, 5, None, 5], [1, 1, 3, 1, 9], id="unreachable between does not hide it"),
    ],
)
def test_the_wait_before_the_next_try(lives: list[float | None], waits: list[float]) -> None:
    """`lives` are the seconds for which each connection stood, None where the server never said anything."""
    time = Time()
    rule = ReconnectWaits(time, lambda: 0.5)
    found = []
    for life in lives:
        if life is not None:
            rule.spoke()
            time.now += life
        found.append(rule.after_end())
    assert found == waits


@pytest.mark.parametrize(
    ("lines", "ended_before", "asked_at", "dead_at"),
    [
        pytest.param(0, 0, 2.5, 6.5, id="idle"),
        pytest.param(5, 0, 2.5, 6.5, id="a server takes five lines at once"),
        pytest.param(15, 0, 2.5, 26.5, id="a server that brakes our lines"),
        pytest.param(0, 2, 2.5, 18.5, id="a slow network, given up twice already"),
    ],
)
def test_a_silent_connection(lines: int, ended_before: int, asked_at: float, dead_at: float) -> None:
    time = Time()
    watch = SilenceWatch(time)
    for _ in range(ended_before):
        watch.received()
        time.now += 100
        assert watch.asks()
        assert watch.is_dead()
    watch.received()
    for _ in range(lines):
        watch.said()
    start, asked = time.now, 0.0
    while not watch.is_dead():
        time.now += 0.5
        asked = asked or (time.now - start if watch.asks() else 0.0)
    assert (asked, time.now - start) == (asked_at, dead_at)


def test_a_server_that_takes_long_to_greet_gets_more_time_with_each_try() -> None:
    time = Time()
    watch = SilenceWatch(time)
    for patience in (4, 6, 9, 13.5):
        time.now += 2.5
        assert watch.asks()
        time.now += patience - 0.1
        assert not watch.is_dead()
        time.now += 0.1
        assert watch.is_dead()


def test_a_connection_that_was_given_up_stays_silent_until_something_comes() -> None:
    """Else what was written into it would count as arrived in the moment before it is taken down."""
    time = Time()
    watch = SilenceWatch(time)
    watch.received()
    time.now += 10
    assert watch.asks()
    assert watch.is_dead()
    assert watch.silence() == 10
    watch.begin()
    assert watch.silence() == 10
    watch.received()
    assert watch.silence() == 0


def test_a_sign_of_life_saves_the_connection() -> None:
    time = Time()
    watch = SilenceWatch(time)
    for _ in range(20):
        time.now += 5
        assert watch.asks()
        watch.received()
        assert not watch.is_dead()


def test_other_nicks_become_short_where_long_ones_are_refused() -> None:
    assert [other_nick("sentryreporter", attempt) for attempt in (1, 2, 3, 4, 12)] == [
        "sentryreporter_",
        "sentryreporter_2",
        "sentryreporter_3",
        "sentryr_4",
        "sentry_12",
    ]
