"""The sender step by step, with a manual clock: order, pauses, and what is given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from errbot_sentry.domain.errors import NoAnswer, ServerError, Unreachable
from errbot_sentry.reporting.deliver.envelope_sender import EnvelopeSender
from errbot_sentry.reporting.deliver.http_poster import PostResponse
from errbot_sentry.reporting.deliver.spool import Spool
from errbot_sentry.reporting.report_status import Counters
from tests.clocks import VirtualClock

HUNG_UP = NoAnswer("the server closed the connection")


class Rig:
    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock()
        self.counters = Counters()
        self.spool = Spool(folder, 10**6, self.counters.drop)
        self.spool.open()
        self.sent: list[bytes] = []
        self.tried: Counter[bytes] = Counter()
        self.confirmed: list[str] = []
        self.bad: dict[bytes, int | ServerError] = {}
        self.down = False
        self.sender = EnvelopeSender(self.spool, self.post, self.counters, self.clock, on_sent=self.confirmed.append)

    def post(self, data: bytes) -> PostResponse:
        self.tried[data] += 1
        if self.down:
            raise Unreachable("no connection to the server")
        status = self.bad.get(data, 200)
        if isinstance(status, ServerError):
            raise status.again()
        if status == 200:
            self.sent.append(data)
        return PostResponse(status, {})

    def put(self, data: bytes, event_id: str = "") -> None:
        self.spool.put(data, "error", event_id)

    def run(self, seconds: float) -> None:
        """Let time pass, as the thread would."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.advance(max(self.sender._step(), 0.01))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "spool")
    yield rig
    rig.spool.close()


def test_envelopes_leave_in_order_and_are_reported_as_sent(rig: Rig) -> None:
    rig.put(b"one", "a" * 32)
    rig.put(b"two", "b" * 32)
    rig.run(1)
    assert rig.sent == [b"one", b"two"]
    assert rig.confirmed == ["a" * 32, "b" * 32]
    assert rig.counters.last_sent is not None


def test_an_outage_of_hours_loses_nothing_and_knocks_seldom(rig: Rig) -> None:
    rig.down = True
    for number in range(5):
        rig.put(b"%d" % number)
    rig.run(6 * 3600)
    assert sum(rig.tried.values()) < 6 * 3600 / 40
    assert rig.counters.dropped() == {}
    rig.down = False
    rig.run(120)
    assert rig.sent == [b"0", b"1", b"2", b"3", b"4"]
    assert rig.sender.healthy


@pytest.mark.parametrize("answer", [503, HUNG_UP])
def test_a_server_that_fails_at_everything_for_hours_loses_nothing(rig: Rig, answer: int | ServerError) -> None:
    for number in range(5):
        rig.put(b"%d" % number)
        rig.bad[b"%d" % number] = answer
    rig.run(12 * 3600)
    assert rig.counters.dropped() == {}
    rig.bad.clear()
    rig.run(300)
    assert sorted(rig.sent) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_single_envelope_during_an_outage_of_5xx_is_kept(rig: Rig) -> None:
    rig.put(b"alone")
    rig.bad[b"alone"] = 502
    rig.run(12 * 3600)
    assert rig.counters.dropped() == {}
    rig.bad.clear()
    rig.run(120)
    assert rig.sent == [b"alone"]


def test_refusals_of_an_outage_do_not_count_against_an_envelope(rig: Rig) -> None:
    rig.put(b"old")
    rig.bad[b"old"] = 502
    rig.run(12 * 3600)
    rig.put(b"new")
    rig.run(120)
    assert rig.sent == [b"new"]
    assert rig.counters.dropped() == {}
    rig.bad.clear()
    rig.run(120)
    assert rig.sent == [b"new", b"old"]


def test_a_poison_that_others_outlive_is_given_up_and_counted(rig: Rig) -> None:
    rig.put(b"poison")
    rig.bad[b"poison"] = 500
    for number in range(100):
        rig.put(b"%d" % number)
        rig.run(120)
    assert len(rig.sent) == 100
    assert rig.counters.dropped() == {"server_failed": 1}
    assert 27 <= rig.tried[b"poison"] <= 30
    assert len(rig.spool) == 0


@pytest.mark.parametrize("choking", [302, 403, 500, HUNG_UP])
@pytest.mark.parametrize("poisons", [1, 5])
def test_what_the_server_chokes_on_comes_last_and_is_given_up(
    rig: Rig, choking: int | ServerError, poisons: int
) -> None:
    for number in range(poisons):
        rig.put(b"poison %d" % number)
        rig.bad[b"poison %d" % number] = choking
    for number in range(20):
        rig.put(b"%d" % number)
    rig.run(300)
    assert rig.sent == [b"%d" % number for number in range(20)]
    for number in range(100):
        rig.put(b"later %d" % number)
        rig.run(240 * poisons)
    assert len(rig.sent) == 120
    assert rig.counters.dropped() == {"server_failed": poisons}
    assert all(rig.tried[b"poison %d" % number] <= 31 for number in range(poisons))


@pytest.mark.parametrize("failing", [403, 503, HUNG_UP])
def test_a_poison_that_an_outage_hid_does_not_stand_before_the_others(rig: Rig, failing: int | ServerError) -> None:
    """Everything was refused, so everything waits in the back; still each gets its turn."""
    for number in range(5):
        rig.put(b"%d" % number)
        rig.bad[b"%d" % number] = failing
    rig.run(12 * 3600)
    rig.bad = {b"0": failing}
    rig.run(300)
    assert sorted(rig.sent) == [b"1", b"2", b"3", b"4"]
    assert rig.counters.dropped() == {}


@pytest.mark.parametrize(("status", "reason"), [(400, "refused_400"), (413, "too_large"), (422, "refused_422")])
def test_the_hopeless_is_given_up_at_once(rig: Rig, status: int, reason: str) -> None:
    rig.put(b"bad")
    rig.put(b"good")
    rig.bad[b"bad"] = status
    rig.run(1)
    assert rig.sent == [b"good"]
    assert rig.counters.dropped() == {reason: 1}


def test_a_wrong_key_waits_and_says_what_to_do(rig: Rig) -> None:
    rig.put(b"x")
    rig.bad[b"x"] = 401
    rig.run(3600)
    assert "SENTRY_DSN" in rig.counters.last_failure
    assert not rig.sender.healthy
    assert rig.counters.dropped() == {}


def test_flush_does_not_wait_for_a_server_that_is_away(rig: Rig) -> None:
    rig.down = True
    rig.put(b"x")
    rig.run(1)
    assert rig.sender.flush(3600) is False


def test_what_is_not_worth_waiting_for_is_not_even_taken(rig: Rig) -> None:
    assert rig.sender.accepts("transaction")
    rig.sender._limits.read(200, {"x-sentry-rate-limits": "60:transaction;error:x"}, rig.clock.monotonic())
    assert not rig.sender.accepts("transaction")
    assert rig.sender.accepts("error")
    rig.clock.advance(60)
    assert rig.sender.accepts("transaction")
