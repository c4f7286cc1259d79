"""One measurement in a process of its own, for report_capture.py: `python -m benchmarks.report_worker ARM JOB DSN`.

Prints one JSON line. ARM: "none", "sdk" (sentry-sdk as Errbot wires it), "ours", "raven". JOB: see JOBS.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins" / "sentry_reporter"))

log = logging.getLogger("bench.plugin")
CAPTURES = 60
STORM = 10_000


def start(arm: str, dsn: str, folder: Path) -> Callable[[], None]:
    """Switch an arm on; returns what waits until all is sent."""
    if arm == "sdk":
        import sentry_sdk
        from sentry_sdk.integrations.logging import LoggingIntegration

        sentry_sdk.init(dsn=dsn, integrations=[LoggingIntegration(level=logging.INFO, event_level=logging.ERROR)])
        return lambda: sentry_sdk.flush(10)
    if arm == "ours":
        from errbot_sentry.config.secrets import Secret
        from errbot_sentry.config.settings import ReportSettings
        from errbot_sentry.reporting.collect.bot_context import BotFacts
        from errbot_sentry.reporting.reporter import Reporter

        reporter = Reporter(ReportSettings(enabled=True, dsn=Secret(dsn)), BotFacts("bench", "6.2.1"), folder)
        assert reporter.start()
        globals()["reporter"] = reporter
        import sentry_sdk

        return lambda: sentry_sdk.flush(10)
    if arm == "raven":
        from raven import Client
        from raven.handlers.logging import SentryHandler

        client = Client(dsn, install_sys_hook=False)
        logging.getLogger().addHandler(SentryHandler(client, level=logging.ERROR))
        return lambda: None
    return lambda: None


def written_module(folder: Path, frames: int) -> ModuleType:
    """A module of as many functions as there are captures, each raising from another line, `frames` deep."""
    lines = ["def down(depth, action, label, numbers, table):", "    inner = {'depth': depth, 'label': label}",
        "    if depth <= 0:", "        return action(label)",
        "    return down(depth - 1, action, label, numbers, table)", ""]  # fmt: skip
    for number in range(CAPTURES):
        lines += [f"def fail_{number}(label):", f"    marker = {number}", "    text = 'a local variable ' + label",
            "    raise ValueError('failure ' + text)", ""]  # fmt: skip
    path = folder / f"failing_{frames}.py"
    path.write_text("\n".join(lines), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def crumbs(count: int) -> None:
    for number in range(count):
        log.info("did step %s of the work for %s", number, "somebody")


def timed_capture(call: Callable[[], Any]) -> float:
    try:
        call()
    except ValueError:
        began = time.perf_counter()
        log.exception("it went wrong")
        return time.perf_counter() - began
    raise AssertionError("nothing failed")


def capture(frames: int, fresh: int) -> Callable[[Path, Callable[[], None]], dict[str, float]]:
    """Distinct exceptions; `fresh` new breadcrumbs before each."""

    def run(folder: Path, flush: Callable[[], None]) -> dict[str, float]:
        module = written_module(folder, frames)
        crumbs(100)
        taken = []
        for number in range(CAPTURES):
            crumbs(fresh)
            action = getattr(module, f"fail_{number}")
            depth = frames - 3
            taken.append(
                timed_capture(lambda: module.down(depth, action, "label", [1, 2, 3], {"a": 1, "b": "two"}))  # noqa: B023 - it is called at once
            )
            flush()
        return {"us": statistics.median(taken[5:]) * 1e6}

    return run


def breadcrumb(_folder: Path, _flush: Callable[[], None]) -> dict[str, float]:
    """One log record that becomes a breadcrumb."""
    crumbs(500)
    rounds = []
    for _ in range(20):
        began = time.perf_counter()
        crumbs(500)
        rounds.append((time.perf_counter() - began) / 500)
    return {"us": statistics.median(rounds) * 1e6}


def storm(_folder: Path, flush: Callable[[], None]) -> dict[str, float]:
    """Ten thousand times the same error from the same line, in a loop."""

    def fail() -> None:
        number = 1
        raise ValueError("the same" if number else "")

    crumbs(100)
    began = time.perf_counter()
    for _ in range(STORM):
        try:
            fail()
        except ValueError:
            log.exception("it went wrong")
    taken = time.perf_counter() - began
    flush()
    reporter = globals().get("reporter")
    counted = {}
    if reporter is not None:
        status = reporter.status()
        counted = {"captured": status.captured, "repeated": status.repeated}
    return {"us": taken / STORM * 1e6, **counted}


JOBS: dict[str, Callable[[Path, Callable[[], None]], dict[str, float]]] = {
    "breadcrumb": breadcrumb,
    "capture-3": capture(3, 0),
    "capture-30": capture(30, 0),
    "capture-3-fresh": capture(3, 100),
    "capture-30-fresh": capture(30, 100),
    "storm": storm,
}


def main() -> None:
    arm, job, dsn = sys.argv[1:4]
    logging.getLogger().setLevel(logging.INFO)
    # A handler that formats and throws away: what Errbot's log file costs, without the disk.
    logging.getLogger().addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flush = start(arm, dsn, folder)
        print(json.dumps(JOBS[job](folder, flush)))
        if arm == "ours":
            globals()["reporter"].close(5)


if __name__ == "__main__":
    main()
