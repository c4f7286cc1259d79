"""The chart that goes with a report: what it shows, and that it never costs the report."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from errbot_sentry.alerting.notify.digest_reports import chart_of, series
from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.networks.selection import network_of
from errbot_sentry.domain import charts
from errbot_sentry.domain.alerts import MessageKind
from errbot_sentry.domain.conversation import Upload
from errbot_sentry.store.records import Message, RoomSums
from tests.alerting import bodies
from tests.alerting.world import START, World
from tests.waiting import until

DAY = 86_400.0
NOW = 100 * DAY


def sums(*times: float) -> RoomSums:
    return RoomSums(len(times), {}, tuple((at, 1) for at in times))


def report(counts: list[int], before: list[int], schedule: str = "daily 09:00", room: str = "#ops") -> Message:
    drawn = {"start": START.timestamp(), "step": 3600, "counts": counts, "before": before}
    return Message(room, MessageKind.DIGEST, {"schedule": schedule, "facts": ["1 new"], "series": drawn})


@pytest.mark.parametrize(
    ("length", "step", "count"),
    [(60.0, 300, 1), (3600.0, 300, 12), (DAY, 1800, 48), (DAY * 1.5, 3600, 36), (7 * DAY, 21_600, 28),
     (90 * DAY, 86_400, 90)],
)  # fmt: skip
def test_slices_are_as_long_as_people_count_time(length: float, step: int, count: int) -> None:
    made = series(sums(), sums(), NOW - length, NOW)
    assert (made["step"], len(made["counts"]), len(made["before"])) == (step, count, count)
    assert made["start"] == NOW - step * count


def test_every_alert_of_both_times_is_in_its_slice_and_none_twice() -> None:
    now = sums(NOW - DAY, NOW - 1, NOW)
    before = sums(NOW - DAY - 1, NOW - 2 * DAY)
    made = series(now, before, NOW - DAY, NOW)
    assert (made["counts"][0], made["counts"][-1], sum(made["counts"])) == (1, 2, 3)
    assert (made["before"][0], made["before"][-1], sum(made["before"])) == (1, 1, 2)


def test_there_is_a_chart_only_where_there_is_something_to_draw_and_to_draw_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, the optional extra, is not installed")
    assert chart_of(Message("#ops", MessageKind.NOTIFICATION, {})) is None
    assert chart_of(Message("#ops", MessageKind.DIGEST, {"schedule": "daily 09:00", "facts": []})) is None, (
        "an older report"
    )
    assert chart_of(report([0, 0], [0, 0])) is None
    assert chart_of(report([0, 0], [0, 2])) is not None
    monkeypatch.setattr(charts, "can_draw", lambda: False)
    assert chart_of(report([1], [0])) is None


@pytest.mark.parametrize(
    ("room", "schedule"),
    [
        ("#ops", "daily 09:00 Europe/Paris"),
        ("#$\\frac{1}{0}$ 🔥漢\x00\n" * 20, "the last day"),
        ("", "weekly mon 09:00"),
    ],
    ids=["plain", "hostile", "empty"],
)
def test_it_is_a_png_whatever_the_room_is_called(room: str, schedule: str) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, the optional extra, is not installed")
    upload = chart_of(report([3, 0, 5], [0, 2, 0], schedule, room))
    assert upload is not None
    assert upload.make().startswith(b"\x89PNG")


def with_digest(folder: Path) -> World:
    world = World(folder, [{"rooms": ["#ops"]}], poll=0)
    world.type("digest daily 18:00")
    world.hook(bodies.sentry_issue("1"))
    return world


def test_the_chart_follows_the_report(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, the optional extra, is not installed")
    world = with_digest(tmp_path)
    lines = world.at(6 * 3600 + 1).messages()
    assert lines[-1].startswith("21600 #ops Digest, daily 18:00: 1 new")
    ((room, upload),) = world.chat.files
    assert (room, upload.name) == ("#ops", "report.png")


def test_a_chart_that_fails_costs_no_report_and_repeats_none(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, the optional extra, is not installed")
    world = with_digest(tmp_path)
    world.chat.file_failure = RuntimeError("no files today")
    world.at(6 * 3600 + 1)
    world.hook(bodies.sentry_issue("2"))
    lines = world.at(12 * 3600).messages()
    assert len([line for line in lines if "Digest" in line]) == 1
    assert lines[-1].startswith("21601 #ops New in shop: SHOP-2")
    assert world.flow.status().failed == 0


class Backend(SimpleNamespace):
    """As much of a backend that takes files as sending one needs; `failure` is what it raises."""

    mode, message_size_limit, failure = "test", 10_000, None

    def query_room(self, room: str) -> str:
        return f"<{room}>"

    def send_stream_request(self, target: Any, source: Any, **about: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append((target, source.read(), about["name"]))


def test_drawing_a_chart_delays_no_message() -> None:
    """It is made and sent in another thread, one at a time; one that fails is followed by the next."""
    backend, background, go = Backend(sent=[]), BackgroundQueue(), threading.Event()
    rooms = network_of(backend, lambda: True, background)
    background.start()

    def slowly() -> bytes:
        assert go.wait(30)
        return b"slow"

    def badly() -> bytes:
        raise ZeroDivisionError

    rooms.send_file("#ops", Upload("a.png", "image/png", slowly))
    rooms.send_file("#ops", Upload("b.png", "image/png", badly))
    rooms.send_file("#ops", Upload("c.png", "image/png", lambda: b"quick"))
    assert backend.sent == [], "the sending thread is free although nothing is made yet"
    go.set()
    until(lambda: len(backend.sent) == 2, 30, "both good ones are sent")
    assert backend.sent == [("<#ops>", b"slow", "a.png"), ("<#ops>", b"quick", "c.png")]
    background.close(5)


def test_a_network_without_files_never_has_one_made() -> None:
    backend, background = Backend(sent=[], mode="irc"), BackgroundQueue()
    background.start()
    made: list[int] = []
    network_of(backend, lambda: True, background).send_file(
        "#ops", Upload("a.png", "image/png", lambda: bytes(made.append(1) or 1))
    )
    background.close(5)
    assert (made, backend.sent) == ([], [])
