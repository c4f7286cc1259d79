"""docs/architecture.md names files that exist, and follows the flows through modules that really run."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.project.modules_passed import WatchedBot
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "plugins" / "sentry_reporter" / "errbot_sentry"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
WAY = re.compile(r"<!-- way: (\w+) -->(.*?)<!-- /way: (\d+) modules -->", re.DOTALL)
# Only calls in the package are watched.
PLUGIN_MODULE = "plugins/sentry_reporter/sentry_reporter.py"


def _modules(table: str) -> list[str]:
    return re.findall(r"^\| `([^`]+\.py)` \|", table, re.MULTILINE)


def _ways() -> dict[str, list[str]]:
    return {name: _modules(table) for name, table, _ in WAY.findall(PAGE)}


def test_every_file_and_folder_on_the_page_exists() -> None:
    named = {name for name in re.findall(r"`([\w/.]+)`", PAGE) if "/" in name or name.endswith((".py", ".md"))}
    assert len(named) > 50
    assert [name for name in sorted(named) if not any((place / name).exists() for place in (PACKAGE, ROOT))] == []


@pytest.mark.parametrize(("way", "table", "number"), WAY.findall(PAGE), ids=["error", "command", "alert"])
def test_the_page_counts_the_modules_of_each_way(way: str, table: str, number: str) -> None:
    assert (way, len(_modules(table))) == (way, int(number))


def _follow(bot: WatchedBot, way: str, act: Callable[[], None]) -> None:
    wanted, called = {*_ways()[way]} - {PLUGIN_MODULE}, bot.modules(act)
    until(lambda: wanted <= {*called()}, 30, lambda: f"{way}: {sorted(wanted - {*called()})} run")


def test_every_module_on_a_way_really_runs(tmp_path: Path) -> None:
    with ExitStack() as ends:
        bot = WatchedBot(tmp_path, ends)
        _follow(bot, "error", bot.error)
        _follow(bot, "command", bot.command)
        _follow(bot, "alert", bot.alert)
