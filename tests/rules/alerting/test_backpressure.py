"""Answers go before decisions, and decisions are never starved."""

from __future__ import annotations

from errbot_sentry.alerting.receive.backpressure import LONGEST_REST, REST, SLICE, Backpressure


class World:
    """A time and a number of senders that wait, both set by the test."""

    def __init__(self, *, reads: bool = True) -> None:
        self.now = 100.0
        self.waiting = 0
        self.backpressure = Backpressure(lambda: self.waiting, lambda: self.now, reads=reads)

    def step(self, seconds: float) -> None:
        self.backpressure.begin()
        self.now += seconds
        self.backpressure.end()


def test_nobody_waits_then_nothing_delays_a_step() -> None:
    world = World()
    world.backpressure.begin()
    world.now += 10.0
    assert not world.backpressure.enough()
    world.backpressure.end()
    assert world.backpressure.rest() == 0
    assert not world.backpressure.resting


def test_a_step_ends_soon_when_somebody_waits_but_not_before_it_has_done_something() -> None:
    world = World()
    world.waiting = 1
    world.backpressure.begin()
    assert not world.backpressure.enough()
    world.now += 2 * SLICE
    assert world.backpressure.enough()


def test_with_a_database_server_the_slice_begins_with_the_first_decision() -> None:
    world = World(reads=False)
    world.waiting = 1
    for _ in range(2):
        world.backpressure.begin()
        world.now += 2 * SLICE
        assert not world.backpressure.enough()
        world.now += 1.5 * SLICE
        assert world.backpressure.enough()


def test_after_a_step_it_rests_while_somebody_waits_and_says_so() -> None:
    world = World()
    world.step(0.01)
    world.waiting = 64
    assert 0 < world.backpressure.rest() <= 0.01 * REST
    assert world.backpressure.resting
    world.waiting = 0
    assert world.backpressure.rest() == 0
    assert not world.backpressure.resting


def test_under_endless_load_it_still_gets_its_share() -> None:
    world = World()
    world.waiting = 64
    worked = 0.0
    begun = world.now
    while world.now < begun + 60:
        rest = world.backpressure.rest()
        if rest:
            world.now += rest
        else:
            world.step(SLICE)
            worked += SLICE
    assert worked / 60 > 0.9 / (1 + REST)


def test_one_slow_step_does_not_make_it_rest_for_long() -> None:
    world = World()
    world.waiting = 1
    world.step(30.0)
    world.now += LONGEST_REST
    assert world.backpressure.rest() == 0
