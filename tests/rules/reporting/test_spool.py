"""The spool on a real disk: order, bounds, restarts, kills, and disks that refuse."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from errbot_sentry.reporting.deliver.spool import MEMORY_FULL, SPOOL_FULL, TOO_LARGE, UNREADABLE, Spool
from errbot_sentry.reporting.deliver.spool_folder import DiskWriter
from tests.waiting import until

ID = "0123456789abcdef0123456789abcde"


class Rig:
    def __init__(self, folder: Path | None, limit: int = 10**6) -> None:
        self.folder = folder
        self.limit = limit
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.spools: list[Spool] = []

    def open(self) -> Spool:
        spool = Spool(self.folder, self.limit, lambda category, reason: self.dropped.update([(category, reason)]))
        spool.open()
        self.spools.append(spool)
        return spool

    def close(self) -> None:
        for spool in self.spools:
            spool.close()


@pytest.fixture
def rig(tmp_path: Path) -> object:
    rig = Rig(tmp_path / "spool")
    yield rig
    rig.close()


def drained(spool: Spool) -> list[bytes | None]:
    """Everything, in the order in which it would be sent."""
    found = []
    while (entry := spool.oldest()) is not None:
        found.append(spool.read(entry))
        spool.done(entry)
    return found


def test_oldest_first_and_gone_when_done(rig: Rig) -> None:
    spool = rig.open()
    for number in range(5):
        spool.put(b"%d" % number, "error", f"{ID}{number}")
    assert len(spool) == 5
    assert drained(spool) == [b"0", b"1", b"2", b"3", b"4"]
    assert (len(spool), spool.size) == (0, 0)
    assert list((rig.folder or Path()).rglob("*.gz")) == []


def test_what_waits_survives_and_new_ones_go_behind(rig: Rig) -> None:
    first = rig.open()
    first.put(b"old", "error", f"{ID}1")
    first.put(b"old transaction", "transaction", "")
    first.close()
    second = rig.open()
    second.put(b"new", "error", f"{ID}2")
    entry = second.oldest()
    assert entry is not None
    assert (entry.category, entry.event_id) == ("error", f"{ID}1")
    assert drained(second) == [b"old", b"old transaction", b"new"]
    assert rig.dropped == {}


def test_order_is_not_the_clocks(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = rig.open()
    spool.put(b"one", "error", "")
    for file in (rig.folder or Path()).rglob("*.gz"):
        os.utime(file, (4e9, 4e9))
    spool.close()
    again = rig.open()
    again.put(b"two", "error", "")
    assert drained(again) == [b"one", b"two"]


def test_the_bound_drops_the_oldest_and_counts(rig: Rig) -> None:
    rig.limit = 1000
    spool = rig.open()
    for number in range(30):
        spool.put(bytes([number]) * 100, "error", "")
    assert spool.size <= 1000
    assert drained(spool)[0] == bytes([20]) * 100
    assert rig.dropped == {("error", SPOOL_FULL): 20}


def test_the_bound_spares_what_is_being_sent(rig: Rig) -> None:
    rig.limit = 250
    spool = rig.open()
    spool.put(b"a" * 100, "error", "")
    taken = spool.oldest()
    assert taken is not None
    for _ in range(5):
        spool.put(b"b" * 100, "error", "")
    assert spool.read(taken) == b"a" * 100
    spool.done(taken)
    assert rig.dropped[("error", SPOOL_FULL)] == 4


def test_a_smaller_bound_is_kept_at_the_next_start(rig: Rig) -> None:
    spool = rig.open()
    for _ in range(10):
        spool.put(b"x" * 100, "error", "")
    spool.close()
    rig.limit = 300
    assert len(rig.open()) == 3


def test_categories_can_be_passed_over(rig: Rig) -> None:
    spool = rig.open()
    spool.put(b"t", "transaction", "")
    spool.put(b"e", "error", "")
    entry = spool.oldest(without={"transaction"})
    assert entry is not None
    assert spool.read(entry) == b"e"
    stubborn = spool.oldest()
    assert stubborn is not None
    assert spool.read(spool.oldest(tried={stubborn.seq: 3}) or stubborn) == b"e"
    spool.done(entry)
    assert spool.oldest(tried={stubborn.seq: 3}) == stubborn


def test_two_bots_on_one_folder_do_not_meet(rig: Rig) -> None:
    one, two = rig.open(), rig.open()
    one.put(b"one", "error", "")
    two.put(b"two", "error", "")
    assert drained(one) == [b"one"]
    assert drained(two) == [b"two"]


def test_what_a_dead_bot_left_is_taken_over_by_the_other(rig: Rig) -> None:
    one, two = rig.open(), rig.open()
    two.put(b"first of two", "error", f"{ID}2")
    two.put(b"second of two", "error", f"{ID}3")
    one.close()
    two.close()
    assert drained(rig.open()) == [b"first of two", b"second of two"]


def test_a_read_only_folder_leaves_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("a file where a folder should be")
    rig = Rig(blocker / "spool")
    spool = rig.open()
    spool.put(b"kept", "error", "")
    assert spool.trouble
    assert drained(spool) == [b"kept"]
    assert caplog.text.count("cannot be used") == 1


def test_a_full_disk_leaves_memory_and_is_noticed_when_it_is_over(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = rig.open()
    spool.put(b"before", "error", "")
    real = os.write

    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    spool.put(b"while full", "error", "")
    assert "No space" in spool.trouble
    monkeypatch.setattr(os, "write", real)
    spool.put(b"after", "error", "")
    assert spool.trouble == ""
    assert drained(spool) == [b"before", b"while full", b"after"]
    assert not list((rig.folder or Path()).rglob("*.tmp"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """The kernel's own ENOSPC: the temporary file of the next envelope is a link to /dev/full."""
    rig = Rig(tmp_path / "spool")
    spool = rig.open()
    (tmp_path / "spool/0/0000000000000001.tmp").symlink_to("/dev/full")
    spool.put(b"x", "error", "")
    assert spool.trouble
    assert drained(spool) == [b"x"]
    rig.close()


def test_a_short_write_is_finished(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = rig.open()
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:7]))
    spool.put(b"a long envelope in many pieces", "error", "")
    monkeypatch.setattr(os, "write", real)
    assert drained(spool) == [b"a long envelope in many pieces"]


def test_memory_is_bounded_too() -> None:
    rig = Rig(None)
    spool = rig.open()
    for _ in range(30):
        spool.put(b"x" * 1024 * 1024, "error", "")
    assert spool.size <= 8 * 1024 * 1024
    assert rig.dropped == {("error", MEMORY_FULL): 22}
    rig.close()
    assert rig.dropped == {("error", MEMORY_FULL): 22, ("error", "closed"): 8}


def test_a_file_that_vanished_is_counted(rig: Rig) -> None:
    spool = rig.open()
    spool.put(b"x", "error", "")
    next((rig.folder or Path()).rglob("*.gz")).unlink()
    entry = spool.oldest()
    assert entry is not None
    assert spool.read(entry) is None
    assert rig.dropped == {("error", UNREADABLE): 1}
    assert len(spool) == 0


def test_foreign_files_are_left_alone_and_torn_ones_swept(rig: Rig) -> None:
    rig.open().close()
    slot = (rig.folder or Path()) / "0"
    (slot / "notes.txt").write_text("mine")
    (slot / "0000000000000009.tmp").write_bytes(b"half an enve")
    (slot / "x.error.gz").write_bytes(b"?")
    assert len(rig.open()) == 0
    assert sorted(file.name for file in slot.iterdir()) == ["lock", "notes.txt", "x.error.gz"]


def test_files_are_for_the_bots_user_only(rig: Rig) -> None:
    rig.open().put(b"x", "error", "")
    file = next((rig.folder or Path()).rglob("*.gz"))
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0


WRITER = """
import sys
from pathlib import Path
from errbot_sentry.reporting.deliver.spool import Spool
spool = Spool(Path(sys.argv[1]), 10**9, lambda category, reason: None)
spool.open()
number = 0
while True:
    number += 1
    spool.put(b"%08d" % number * 4000, "error", "")
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 17, 60, 200])
def test_kill_9_at_any_instant_loses_nothing_that_was_put(tmp_path: Path, after: int) -> None:
    package = Path(__file__).resolve().parents[3] / "plugins" / "sentry_reporter"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "spool")],
        env={**os.environ, "PYTHONPATH": str(package)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    seen = 0
    for line in writer.stdout:
        seen = int(line)
        if seen >= after:
            writer.kill()
            break
    rest = writer.stdout.read()
    writer.stdout.close()
    writer.wait(10)
    seen = int(rest.split()[-1]) if rest.strip() else seen
    rig = Rig(tmp_path / "spool", limit=10**9)
    found = drained(rig.open())
    assert found[:seen] == [b"%08d" % number * 4000 for number in range(1, seen + 1)]
    assert len(found) in (seen, seen + 1)  # one more may have been whole before the process said so
    rig.close()


def test_what_is_larger_than_the_bound_pushes_nothing_out(rig: Rig) -> None:
    rig.limit = 1000
    spool = rig.open()
    spool.put(b"small", "error", "")
    spool.put(b"x" * 9 * 1024 * 1024, "attachment", "")
    spool.put(b"y" * 1001, "error", "")  # memory has room for it
    assert len(list((rig.folder or Path()).rglob("*.gz"))) == 1
    assert drained(spool) == [b"small", b"y" * 1001]
    assert rig.dropped == {("attachment", TOO_LARGE): 1}


def test_in_memory_too() -> None:
    rig = Rig(None)
    spool = rig.open()
    spool.put(b"small", "error", "")
    spool.put(b"x" * 9 * 1024 * 1024, "attachment", "")
    assert drained(spool) == [b"small"]
    assert rig.dropped == {("attachment", TOO_LARGE): 1}


def test_what_comes_after_the_end_is_counted(rig: Rig) -> None:
    spool = rig.open()
    spool.close()
    spool.put(b"x", "error", "")
    assert rig.dropped == {("error", "closed"): 1}


@pytest.mark.parametrize("slot", ["0", "1"])
def test_only_plain_files_are_taken_for_envelopes(rig: Rig, slot: str, tmp_path: Path) -> None:
    """A pipe would be read for ever, a link could lead to anything that the bot may read."""
    place = (rig.folder or Path()) / slot
    place.mkdir(parents=True)
    (tmp_path / "private").write_text("not for Sentry")
    (place / "0000000000000001.error..gz").symlink_to(tmp_path / "private")
    (place / "0000000000000002.error..gz").mkdir()
    os.mkfifo(place / "0000000000000003.error..gz")
    (place / "0000000000000004.error..gz").write_bytes(b"ours")
    spool = rig.open()
    assert drained(spool) == [b"ours"]
    assert rig.dropped == {}
    assert (place / "0000000000000001.error..gz").is_symlink()


@pytest.mark.parametrize("number", [0, 5, 10**15 - 2, 10**15 - 1, 10**15, 10**16 - 1])
def test_a_planted_number_strands_nothing(rig: Rig, number: int) -> None:
    """Whatever numbers the files have, each is sent, and the one that is written next is found again."""
    place = (rig.folder or Path()) / "0"
    place.mkdir(parents=True)
    (place / f"{number:016d}.error..gz").write_bytes(b"planted")
    for life in range(3):
        spool = rig.open()
        spool.put(b"ours %d" % life, "error", f"{ID}1")
        spool.put(b"and %d" % life, "error", f"{ID}2")
        spool.close()
    assert drained(rig.open()) == [b"planted", b"ours 0", b"and 0", b"ours 1", b"and 1", b"ours 2", b"and 2"]
    assert list((rig.folder or Path()).rglob("*.gz")) == []
    assert rig.dropped == {}


def test_one_number_twice_strands_nothing(rig: Rig) -> None:
    place = (rig.folder or Path()) / "0"
    place.mkdir(parents=True)
    for name in ("1.error..gz", "1.default..gz", f"1.error.{ID}1.gz", "2.error..gz"):
        (place / f"{'0' * 15}{name}").write_bytes(name.encode())
    assert len(drained(rig.open())) == 4
    assert list(place.glob("*.gz")) == []


def test_a_planted_giant_pushes_nothing_out(rig: Rig) -> None:
    spool = rig.open()
    spool.put(b"ours", "error", "")
    spool.close()
    with ((rig.folder or Path()) / "0" / "0000000000000009.error..gz").open("wb") as giant:
        giant.truncate(10**12)
    assert drained(rig.open()) == [b"ours"]
    assert rig.dropped == {("error", SPOOL_FULL): 1}


@pytest.mark.parametrize("category", ["default", "feedback", "transaction", "monitor"])
@pytest.mark.parametrize("on_disk", [True, False])
def test_nothing_pushes_errors_out_but_errors(tmp_path: Path, category: str, on_disk: bool) -> None:
    limit = 10_000 if on_disk else 8 * 1024 * 1024
    rig = Rig(tmp_path / "spool" if on_disk else None, limit)
    spool = rig.open()
    piece = limit // 100
    for _ in range(50):
        spool.put(b"e" * piece, "error", "")
    for _ in range(200):
        spool.put(b"o" * piece, category, "")
    full = SPOOL_FULL if on_disk else MEMORY_FULL
    assert rig.dropped == {(category, full): 175}  # a quarter of the bound is theirs
    for _ in range(60):
        spool.put(b"n" * piece, "error", "")
    assert rig.dropped == {(category, full): 200, ("error", full): 10}
    spool.put(b"o" * piece, category, "")
    assert rig.dropped == {(category, full): 201, ("error", full): 10}
    assert spool.size <= limit
    assert drained(spool) == [b"e" * piece] * 40 + [b"n" * piece] * 60
    rig.close()


def test_the_category_that_takes_most_goes_first(rig: Rig) -> None:
    rig.limit = 1000
    spool = rig.open()
    for category, count in (("feedback", 10), ("transaction", 20), ("error", 70)):
        for number in range(count):
            spool.put(b"%010d" % number, category, "")
    for _ in range(15):
        spool.put(b"a new error", "error", "")
    assert {category for category, _reason in rig.dropped} == {"transaction", "feedback"}
    assert rig.dropped["transaction", SPOOL_FULL] > rig.dropped["feedback", SPOOL_FULL] > 0


def test_shares_hold_for_what_an_earlier_life_left(rig: Rig) -> None:
    spool = rig.open()
    for number in range(10):
        spool.put(b"%0100d" % number, "transaction", "")
        spool.put(b"%0100d" % number, "error", "")
    spool.close()
    rig.limit = 1000
    assert sum(b"0" in (data or b"") for data in drained(rig.open())) == 10
    assert rig.dropped == {("transaction", SPOOL_FULL): 10}


def test_what_waits_is_synced_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    spool = rig.open()
    spool.sync()
    assert synced == []
    spool.put(b"one", "error", "")
    spool.put(b"two", "error", "")
    assert synced == []  # the capturing thread does not wait for it
    spool.sync()
    assert len(synced) == 3  # two files and their folder
    spool.sync()
    assert len(synced) == 3
    spool.put(b"three", "error", "")
    spool.sync()
    assert len(synced) == 5
    spool.close()
    rig.open().sync()  # what an earlier life left is as safe as it will get
    assert len(synced) == 5


def test_nobody_else_can_put_a_folder_in_place_of_the_spools(tmp_path: Path) -> None:
    """Where the umask lets everybody write, the folder above the project's was open to all."""
    before = os.umask(0)
    try:
        spool = Spool(tmp_path / "sentry_spool" / "project", 1000, lambda _category, _reason: None)
        spool.open()
        spool.close()
    finally:
        os.umask(before)
    assert [oct(place.stat().st_mode & 0o777) for place in sorted(tmp_path.rglob("*")) if place.is_dir()] == [
        "0o700"
    ] * 3


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
