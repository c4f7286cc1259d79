"""Errands: done in order, bounded, and over in time."""

from __future__ import annotations

import threading

from errbot_sentry.chat.background_queue import Errands


def test_a_failing_errand_does_not_stop_the_next(caplog):
    """Each backend raises what it likes."""
    errands, done = Errands(), threading.Event()
    errands.start()
    errands.do(lambda: 1 / 0)
    errands.do(done.set)
    assert done.wait(10)
    errands.close(5)
    assert "an errand failed" in caplog.text


def test_too_many_errands_are_refused_and_counted():
    """A slow chat network must not fill the memory."""
    errands, go, begun = Errands(), threading.Event(), threading.Event()
    errands.start()

    def block() -> None:
        begun.set()
        go.wait(30)

    errands.do(block)
    assert begun.wait(10)
    taken = sum(errands.do(lambda: None) for _ in range(500))
    assert taken == 100
    assert errands.refused == 400
    go.set()
    errands.close(5)


def test_an_errand_that_waits_is_told_of_the_end():
    """So that closing takes no longer than it must."""
    errands, begun, told = Errands(), threading.Event(), []
    errands.start()

    def wait() -> None:
        begun.set()
        told.append(errands.pause(60))

    errands.do(wait)
    assert begun.wait(10)
    errands.close(5)
    assert told == [True]
    assert not [thread for thread in threading.enumerate() if thread.name == "sentry-errands"]


def test_before_the_start_and_after_the_end_nothing_is_taken():
    """The plugin is not active then."""
    errands = Errands()
    assert not errands.do(lambda: None)
    errands.start()
    errands.close(5)
    assert not errands.do(lambda: None)
