"""The flow with its threads: quick, bounded in its end, restartable, and nothing left behind."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from errbot_sentry.alerting.service import AlertService
from errbot_sentry.alerting.worker import Worker
from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.config.routes import read_route
from errbot_sentry.config.settings import AlertSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.outgoing import Outgoing
from tests.alerting import bodies
from tests.alerting.world import Chat, IssueServer, VirtualClock
from tests.stores import store_at
from tests.waiting import until


def flow_on(folder: Path, chat: Chat, server: IssueServer, poll: float = 0.05) -> AlertService:
    settings = AlertSettings(
        routes=(read_route({"rooms": ["#ops"]}),), webhook_secrets=(bodies.SECRET,), poll_seconds=poll
    )
    store = store_at(f"sqlite:///{folder / 'state.sqlite3'}")
    return AlertService(settings, Access(), store, lambda: server, chat, Templates("text"), SystemClock())


def post(flow: AlertService, issue: str) -> int:
    raw = bodies.encode(bodies.sentry_issue(issue))
    return flow.receiver.take(bodies.signed(raw), raw, None).status


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sentry-")]


def test_from_webhook_to_room_by_its_own_threads_and_ten_restarts_leave_none(tmp_path: Path) -> None:
    clock = VirtualClock()
    chat, server = Chat(clock), IssueServer(clock)
    flow = flow_on(tmp_path, chat, server)
    assert post(flow, "early") == 503
    for number in range(10):
        flow.start()
        flow.start()
        assert post(flow, str(number)) == 202
        until(lambda n=number: len(chat.sent) == n + 1, what="the message")
        begun = time.monotonic()
        assert flow.close()
        assert time.monotonic() - begun < 5.0
        assert post(flow, "late") == 503
    assert own_threads() == []
    assert flow.status().queue == 0


def test_the_end_does_not_wait_for_a_send_that_hangs(tmp_path: Path) -> None:
    clock = VirtualClock()
    chat, hang, entered = Chat(clock), threading.Event(), threading.Event()

    def hanging(room: str, message: Outgoing, thread: str = "") -> str:
        entered.set()
        hang.wait(30)
        return "id"

    chat.post = hanging  # type: ignore[method-assign]
    flow = flow_on(tmp_path, chat, IssueServer(clock), poll=0)
    flow.start()
    post(flow, "1")
    assert entered.wait(10)
    assert flow.close(timeout=0.2) is False
    hang.set()
    until(lambda: own_threads() == [], what="the end of the thread")


def test_what_is_on_disk_goes_on_at_the_start(tmp_path: Path) -> None:
    clock = VirtualClock()
    chat, server = Chat(clock), IssueServer(clock)
    first = flow_on(tmp_path, chat, server, poll=0)
    first.receiver.open()
    assert post(first, "1") == 202
    second = flow_on(tmp_path, chat, server, poll=0)
    second.start()
    until(lambda: chat.sent, what="the message")
    assert second.close()


def test_the_status_without_a_database(tmp_path: Path) -> None:
    clock = VirtualClock()
    flow = AlertService(
        AlertSettings(), Access(), store_at(f"sqlite:///{tmp_path / 'none' / 's'}"), lambda: IssueServer(clock),
        Chat(clock), Templates("text"), SystemClock(),
    )  # fmt: skip
    status = flow.status()
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
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]  # type: ignore[attr-defined]
    assert len(said) == 1
