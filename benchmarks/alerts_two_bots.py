"""How much two bots on one PostgreSQL carry, compared with one.

    python -m benchmarks.alerts_two_bots [--seconds 10] [--rounds 3] [--share 0.4] [--rate 0]

One bot and two take turns, each on a new database, in the flood of `alerts_flood`: as fast as the webhooks are
answered, or at `--rate` a second. Where two bots, PostgreSQL, the IRC server and the senders share two cores, the cores
are the bound, whatever the bots do. So each bot gets only a share of a core: it is stopped (SIGSTOP) when it has used
more, as the tool cpulimit does it. `--share 1` takes the limit away. The last columns show who used how much of a core.
The ratio is that of the alerts decided a second, until the last one was.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from benchmarks.alerts_flood import FULL, Flood, quantile
from tests.servers.ngircd import Ngircd
from tests.servers.postgres import Postgres

_PERIOD = 0.02  # seconds: what a bot may save up
_TICK = 0.002
_PER_SECOND = os.sysconf("SC_CLK_TCK")


@contextmanager
def limited(pids: Sequence[int], share: float) -> Iterator[None]:
    """Each of these processes uses at most this share of a core in this block."""
    ended = threading.Event()

    def limit(pid: int) -> None:
        saved, stopped = 0.0, False
        used, at = _used(pid), time.monotonic()
        while not ended.wait(_TICK):
            used_before, before = used, at
            used, at = _used(pid), time.monotonic()
            saved = min(saved + share * (at - before), _PERIOD) - (used - used_before)
            if stopped != (saved < 0):
                stopped = not stopped
                os.kill(pid, signal.SIGSTOP if stopped else signal.SIGCONT)

    threads = [threading.Thread(target=limit, args=(pid,)) for pid in pids if share < 1]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _used(pid: int) -> float:
    """The processor seconds of one process, of all its threads; its clock's number is Linux's clock_getcpuclockid."""
    return time.clock_gettime((~pid << 3) | 2)


def _used_by_all(pid: int) -> float:
    """Those of a process and all that it has started, ended ones included."""
    used = 0.0
    with suppress(FileNotFoundError):  # one of them has ended, and its starter counts it
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += sum(map(int, fields[11:15])) / _PER_SECOND
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            used += _used_by_all(int(child))
    return used


def measure(server: Postgres, bots: int, rate: int, seconds: float, share: float) -> float:
    """One run on a new database: prints it; the alerts decided a second."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ircd = stack.enter_context(Ngircd(folder))
        flood = stack.enter_context(Flood(folder, ircd, server.url(), bots).running())
        first = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
        users: list[Callable[[], float]] = [partial(_used, pid) for pid in flood.pids]
        users += [partial(_used_by_all, first), lambda: sum(os.times()[:4])]
        before, begun = [used() for used in users], time.monotonic()
        with limited(flood.pids, share):
            found = flood.measure(rate, seconds)
        took = time.monotonic() - begun
        *each, database, rest = ((used() - at_first) / took for used, at_first in zip(users, before, strict=True))
        cost = 1000 * sum(each) / found.decided
        print(
            f"| {bots} | {found.rate:.0f} /s | {found.decided:.0f} /s | {quantile(found.messages, 0.5):.2f} s "
            f"| {quantile(found.answers, 0.5):.1f} / {quantile(found.answers, 0.99):.1f} ms "
            f"| {' + '.join(f'{one:.2f}' for one in each)} | {database:.2f} | {rest:.2f} | {cost:.2f} ms "
            f"| {os.getloadavg()[0]:.1f} |",
            flush=True,
        )
        return found.decided


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--share", type=float, default=0.4)
    options.add_argument("--rate", type=int, default=FULL)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Postgres(Path(folder))
        server.start()
        print(f"{os.cpu_count()} cores, at most {chosen.share} of one for each bot, {chosen.seconds:.0f} s each\n")
        titles = ("bots", "answered", "decided", "message p50", "answer p50 / p99")
        titles += ("cores: bots", "database", "senders", "bots per alert", "load")
        print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
        try:
            ratios = []
            for _ in range(chosen.rounds):
                one, two = (measure(server, bots, chosen.rate, chosen.seconds, chosen.share) for bots in (1, 2))
                ratios.append(two / one)
        finally:
            server.stop()
    found = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"\nTwo bots carry {statistics.median(ratios):.2f} times what one does ({found}).")


if __name__ == "__main__":
    main()
