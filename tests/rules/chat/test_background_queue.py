"""Background jobs: done in order, bounded, and over in time."""

from __future__ import annotations

import threading

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.domain.errors import NotConnected
from tests.alerting.world import VirtualClock


def test_a_failing_job_does_not_stop_the_next(caplog):
    """Each backend raises what it likes."""
    background, done = BackgroundQueue(), threading.Event()
    background.start()
    background.do(lambda: 1 / 0)
    background.do(refuse)
    background.do(done.set)
    assert done.wait(10)
    background.close(5)
    logged = {each.getMessage(): each.exc_info is not None for each in caplog.records}
    assert logged == {
        "a job in the background failed: division by zero": True,
        "a job in the background failed: Offline. (cause: None)": False,
    }


def refuse() -> None:
    raise NotConnected("Offline.")


def test_too_many_jobs_are_refused_and_counted_and_logged_once_a_minute(caplog):
    """A slow chat network must not fill the memory, nor the log."""
    clock = VirtualClock()
    background, go, begun = BackgroundQueue("reactions", clock), threading.Event(), threading.Event()
    background.start()

    def block() -> None:
        begun.set()
        go.wait(30)

    background.do(block)
    assert begun.wait(10)
    taken = sum(background.do(lambda: None) for _ in range(500))
    assert taken == 100
    assert background.refused == 400
    assert [each.getMessage() for each in caplog.records if "too many" in each.getMessage()] == [
        "too many reactions wait in the background: 1 dropped since the start"
    ]
    clock.advance(60)
    assert not background.do(lambda: None)
    assert "401 dropped since the start" in caplog.text
    go.set()
    background.close(5)


def test_a_job_that_waits_is_notified_of_the_end():
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
    assert not [thread for thread in threading.enumerate() if thread.name == "sentry-jobs"]


def test_before_the_start_and_after_the_end_nothing_is_taken():
    """The plugin is not active then."""
    background = BackgroundQueue()
    assert not background.do(lambda: None)
    background.start()
    background.close(5)
    assert not background.do(lambda: None)
