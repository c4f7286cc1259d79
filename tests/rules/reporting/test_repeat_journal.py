"""Counts on the disk: what an event has is gone from there, and the rest comes back in another life."""

from __future__ import annotations

import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from errbot_sentry.reporting.collect.bot_context import BotContext
from errbot_sentry.reporting.collect.event_filter import ErrorSummary, RepeatCounter
from errbot_sentry.reporting.deliver.repeat_journal import FILE, RepeatJournal
from errbot_sentry.reporting.deliver.spool import Spool

PLACE = BotContext("command", "split", "Bills", typed=("secret words",), person="@ann")


def redact(summary: ErrorSummary) -> dict[str, Any]:
    return {"masked": summary.event["level"]}


class Life:
    """A process that counts, as far as this is concerned."""

    def __init__(
        self, folder: Path, most: int = 1000, redact: Callable[[ErrorSummary], dict[str, Any]] = redact
    ) -> None:
        self.repeats = RepeatCounter(60, most)
        self.journal = RepeatJournal(self.repeats, redact)
        self.journal.open(folder)

    def count(self, key: int, times: int, now: float = 0.0, *, write: bool = True) -> None:
        for number in range(times + 1):
            if self.repeats.add(key, now + number / 1000).first_repeat:
                self.repeats.remember(key, ErrorSummary({"level": "error"}, PLACE))
        if write:
            self.journal.write()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spool" / "0").mkdir(parents=True)
    return tmp_path / "spool" / "0"


def found(folder: Path) -> list[int]:
    """The counts that the next life would read after a kill now."""
    copy = Path(mkdtemp(dir=folder.parent.parent)) / "0"
    shutil.copytree(folder.parent, copy.parent, dirs_exist_ok=True)
    return sorted(each.count for each in Life(copy).repeats.due(0.0))


def test_what_was_counted_comes_back_with_its_place_and_no_words(folder: Path) -> None:
    Life(folder).count(1, 3)
    assert "secret" not in (folder / FILE).read_text()
    (count,) = Life(folder).repeats.due(0.0)
    assert count.count == 3
    assert isinstance(count.summary, ErrorSummary)
    assert count.summary == ErrorSummary({"masked": "error"}, BotContext("command", "split", "Bills"))


def test_a_count_that_an_event_has_does_not_come_back_and_the_others_do(folder: Path) -> None:
    life = Life(folder)
    life.count(1, 3)
    life.count(2, 5)
    assert life.repeats.add(1, 61.0).earlier is not None
    assert found(folder) == [3, 5]  # a kill here loses nothing
    life.journal.take_reported()()
    assert found(folder) == [5]


def test_the_envelope_of_one_event_takes_out_no_count_of_another(folder: Path) -> None:
    """Of two counts that are due the second is on the disk until its own envelope is, whoever writes meanwhile."""
    life = Life(folder)
    life.count(1, 3)
    life.count(2, 5)
    first, second = life.repeats.due(61.0)
    life.repeats.report(first)
    with ThreadPoolExecutor(1) as other:
        other.submit(life.journal.take_reported).result()()
    assert found(folder) == [3, 5]
    life.journal.take_reported()()
    assert found(folder) == [5]
    life.repeats.report(second)
    life.journal.take_reported()()
    assert found(folder) == []


def test_a_count_that_is_given_away_while_it_is_written_does_not_come_back(folder: Path) -> None:
    def give_away(summary: ErrorSummary) -> dict[str, Any]:
        if summary.event["level"] == "given away":
            assert life.repeats.add(1, 61.0).earlier is not None
            life.journal.take_reported()()
        return redact(summary)

    life = Life(folder, redact=give_away)
    life.count(1, 3, write=False)
    life.repeats.remember(1, ErrorSummary({"level": "given away"}, PLACE))
    life.count(2, 5)
    assert found(folder) == [5]


def test_a_count_whose_event_can_only_wait_in_memory_does_not_come_back(folder: Path, tmp_path: Path) -> None:
    """The event is larger than its share of the spool; on a disk that hangs it is the same."""
    life = Life(folder)
    life.count(1, 3)
    life.count(2, 5)
    assert life.repeats.add(1, 61.0).earlier is not None
    spool = Spool(tmp_path / "other", 1_000, lambda *_: None, before_write=life.journal.take_reported)
    spool.open()
    assert spool.put(b"x" * 5_000, "error", "e" * 32).data is not None
    life.journal.write()
    assert found(folder) == [5]
    spool.close()


def test_two_restarts_give_what_was_not_reported_once_each(folder: Path) -> None:
    Life(folder).count(1, 3)
    assert found(folder) == [3]
    assert found(folder) == [3]
    life = Life(folder)
    (count,) = life.repeats.due(0.0)
    life.repeats.report(count)
    life.journal.take_reported()()
    assert found(folder) == []
    assert (folder / FILE).read_text() == ""


def test_what_a_dead_process_left_in_its_own_folder_is_taken_over(folder: Path) -> None:
    other = folder.parent / "1"
    other.mkdir()
    Life(other).count(1, 4)
    assert found(folder) == [4]
    Life(folder)
    assert not (other / FILE).exists()


def test_no_more_windows_are_written_than_the_bound(folder: Path) -> None:
    life = Life(folder)
    for key in range(300):
        life.count(key, 1, write=False)
    life.journal.write()
    assert len(found(folder)) == 200


def test_a_full_table_loses_no_count_on_the_disk(folder: Path) -> None:
    life = Life(folder, most=2)
    for key in range(4):
        life.count(key, 2)
    assert sum(found(folder)) == 8


@contextmanager
def full_disk(folder: Path, room: int) -> Iterator[None]:
    """No file can grow by more than `room` bytes beyond what the journal has."""
    limits, on_limit = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / FILE).stat().st_size + room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, on_limit)


@pytest.mark.parametrize("room", [0, 10])
def test_half_a_line_of_a_full_disk_spoils_no_other(folder: Path, room: int) -> None:
    life = Life(folder)
    life.count(1, 3)
    with full_disk(folder, room):
        life.count(2, 4)
    assert found(folder) == [3]
    life.count(3, 5)
    life.count(2, 1, 0.5)
    assert found(folder) == [3, 5, 6]


def test_a_count_that_cannot_be_taken_out_is_lost_and_not_reported_twice(folder: Path) -> None:
    life = Life(folder)
    life.count(1, 3)
    life.count(2, 5)
    assert life.repeats.add(1, 61.0).earlier is not None
    with full_disk(folder, 0):
        life.journal.take_reported()()
    assert found(folder) == []
