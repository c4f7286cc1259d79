"""A disk that hangs: nothing waits for it twice, and nothing is lost when it continues."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from errbot_sentry.reporting.deliver.spool import Spool
from errbot_sentry.reporting.deliver.spool_folder import DiskWriter
from tests.waiting import until


class HungDisk:
    """Every write waits until `gone` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gone = threading.Event()
        self.writes = 0
        real = os.write

        def write(writerle: int, data: bytes) -> int:
            self.writes += 1
            self.gone.wait(60)
            return real(writerle, data)

        monkeypatch.setattr(os, "write", write)


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[HungDisk]:
    disk = HungDisk(monkeypatch)
    yield disk
    disk.gone.set()


@pytest.fixture
def dropped() -> Counter[tuple[str, str]]:
    return Counter()


@pytest.fixture
def spool(tmp_path: Path, dropped: Counter[tuple[str, str]]) -> Iterator[Spool]:
    spool = Spool(
        tmp_path / "spool",
        10**6,
        lambda category, reason: dropped.update([(category, reason)]),
        DiskWriter(patience=0.05),
    )
    spool.open()
    yield spool
    spool.close()


def test_a_hung_disk_is_waited_for_once(spool: Spool, hung: HungDisk, tmp_path: Path) -> None:
    for number in range(50):
        spool.put(b"%d" % number, "error", f"{number:032x}")
    assert hung.writes == 1
    assert "does not answer" in spool.trouble
    assert (len(spool), spool.size) == (50, sum(len(str(number)) for number in range(50)))
    first = spool.oldest()
    assert first is not None
    assert spool.read(first) == b"0"
    spool.release()
    hung.gone.set()
    until(lambda: list(tmp_path.rglob("*.gz")), what="the first one, on the disk after all")
    until(lambda: spool.put(b"later", "error", "").data is None, what="a disk that is used again")
    assert spool.trouble == ""
    sent = []
    while (entry := spool.oldest()) is not None:
        sent.append(spool.read(entry))
        spool.done(entry)
    assert [text for text in sent if text != b"later"] == [b"%d" % number for number in range(50)]
    assert spool.size == 0
    assert not list(tmp_path.rglob("*.gz"))


def test_what_was_sent_while_the_disk_hung_leaves_no_file(spool: Spool, hung: HungDisk, tmp_path: Path) -> None:
    spool.put(b"sent from memory", "error", "")
    entry = spool.oldest()
    assert entry is not None
    spool.done(entry)
    hung.gone.set()
    until(lambda: not list(tmp_path.rglob("*.tmp")) and not list(tmp_path.rglob("*.gz")), what="an empty folder")
    assert (len(spool), spool.size) == (0, 0)


def test_closing_does_not_wait_for_a_hung_disk(spool: Spool, hung: HungDisk, dropped: Counter[tuple[str, str]]) -> None:
    spool.put(b"x", "error", "")
    closing = threading.Thread(target=spool.close)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    assert dropped == {("error", "closed"): 1}


def test_work_that_fails_counts_as_not_done() -> None:
    writer = DiskWriter()
    writer.start()

    def broken() -> bool:
        raise RuntimeError("a bug of ours")

    assert writer.do(broken, lambda result: None) is False
    assert writer.do(lambda: True, lambda result: None) is True
    writer.stop(10)
    assert writer.do(lambda: True, lambda result: None) is True  # by the caller


def test_many_threads_share_the_writer(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 10**7, lambda category, reason: None)
    spool.open()
    threads = [
        threading.Thread(target=lambda: [spool.put(b"x" * 100, "error", "") for _ in range(200)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(spool), spool.size) == (1600, 160_000)
    assert len(list(tmp_path.rglob("*.gz"))) == 1600
    spool.close()
