"""Errands: done in order, bounded, and over in time."""

from __future__ import annotations

import threading

from errbot_sentry.chat.background_queue import BackgroundQueue


def test_a_failing_errand_does_not_stop_the_next(caplog):
    """Each backend raises what it likes."""
    background, done = BackgroundQueue(), threading.Event()
    background.start()
    background.do(lambda: 1 / 0)
    background.do(done.set)
    assert done.wait(10)
    background.close(5)
    assert "a job in the background failed" in caplog.text


def test_too_many_errands_are_refused_and_counted():
    """A slow chat network must not fill the memory."""
    background, go, begun = BackgroundQueue(), threading.Event(), threading.Event()
    background.start()

    def block() -> None:
        begun.set()
        go.wait(30)

    background.do(block)
    assert begun.wait(10)
    taken = sum(background.do(lambda: None) for _ in range(500))
    assert taken == 100
    assert background.refused == 400
    go.set()
    background.close(5)


def test_an_errand_that_waits_is_told_of_the_end():
    """So that closing takes no longer than it must."""
    background, begun, gave_up = BackgroundQueue(), threading.Event(), []
    background.start()

    def wait() -> None:
        begun.set()
        gave_up.append(background.pause(60))

    background.do(wait)
    assert begun.wait(10)
    background.close(5)
    assert gave_up == [True]
    assert not [thread for thread in threading.enumerate() if thread.name == "sentry-errands"]


def test_before_the_start_and_after_the_end_nothing_is_taken():
    """The plugin is not active then."""
    background = BackgroundQueue()
    assert not background.do(lambda: None)
    background.start()
    background.close(5)
    assert not background.do(lambda: None)
