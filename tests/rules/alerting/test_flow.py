"""The flow with its threads: quick, bounded in its end, restartable, and nothing left behind."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from errbot_sentry.alerting.worker import Worker
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.outgoing import Outgoing
from tests.alerting import bodies
from tests.alerting.world import Chat, World
from tests.waiting import until


def world_on(folder: Path, poll: float = 0, chat: Chat | None = None) -> World:
    return World(folder, [{"rooms": ["#ops"]}], poll=poll, clock=SystemClock(), chat=chat, threads=True)


def post(world: World, issue: str) -> int:
    return world.hook(bodies.sentry_issue(issue)).status


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sentry-")]


def test_from_webhook_to_room_by_its_own_threads_and_ten_restarts_leave_none(tmp_path: Path) -> None:
    world = world_on(tmp_path, poll=0.05)
    flow, chat = world.flow, world.chat
    assert post(world, "early") == 503
    for number in range(10):
        flow.start()
        flow.start()
        assert post(world, str(number)) == 202
        until(lambda n=number: len(chat.sent) == n + 1, what="the message")
        begun = time.monotonic()
        assert flow.close()
        assert time.monotonic() - begun < 5.0
        assert post(world, "late") == 503
    assert own_threads() == []
    assert flow.status().queue == 0


def test_the_end_does_not_wait_for_a_send_that_hangs(tmp_path: Path) -> None:
    chat, hang, entered = Chat(SystemClock()), threading.Event(), threading.Event()

    def hanging(room: str, message: Outgoing, thread: str = "") -> str:
        entered.set()
        hang.wait(30)
        return "id"

    chat.post = hanging
    world = world_on(tmp_path, chat=chat)
    flow = world.flow
    flow.start()
    post(world, "1")
    assert entered.wait(60)
    assert flow.close(timeout=0.2) is False
    hang.set()
    until(lambda: own_threads() == [], what="the end of the thread")


def test_what_is_on_disk_goes_on_at_the_start(tmp_path: Path) -> None:
    first = world_on(tmp_path)
    first.flow.receiver.open()
    assert post(first, "1") == 202
    second = world_on(tmp_path)
    second.flow.start()
    until(lambda: second.chat.sent, what="the message")
    assert second.flow.close()


def test_the_status_without_a_database(tmp_path: Path) -> None:
    status = world_on(tmp_path / "none").flow.status()
    assert not status.database_ok
    assert "cannot be opened" in status.database_error


def test_a_worker_goes_on_after_errors_and_says_the_same_one_once(caplog: object) -> None:
    calls: list[int] = []

    def step() -> float | None:
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("once more")
        return None

    worker = Worker("test", step)
    worker._pause = 0.001
    worker.start()
    until(lambda: len(calls) >= 3, what="the third call")
    until(lambda: worker.error == "", what="peace")
    worker.stop()
    assert worker.join(time.monotonic() + 5)
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1
