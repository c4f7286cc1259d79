"""docs/architecture.md names files that exist, and follows each flow through modules that really run, in this order."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.project.modules_passed import WatchedBot

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "plugins" / "sentry_reporter" / "errbot_sentry"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
WAY = re.compile(r"<!-- way: (\w+) -->(.*?)<!-- /way: (\d+) modules -->", re.DOTALL)
# Only calls in the package are watched.
PLUGIN_MODULE = "plugins/sentry_reporter/sentry_reporter.py"
_TRIES = 3  # another thread may call one of the files in the middle of a flow, for something of its own


def _modules(table: str) -> list[str]:
    return re.findall(r"^\| `([^`]+\.py)` \|", table, re.MULTILINE)


def _run_earlier(block: str) -> set[str]:
    """The files that the page lets run before their row."""
    return {*re.findall(r"^- `([^`]+\.py)`: ", block, re.MULTILINE)}


WAYS = {name: (_modules(block), _run_earlier(block)) for name, block, _ in WAY.findall(PAGE)}


def test_every_file_and_folder_on_the_page_exists() -> None:
    named = {name for name in re.findall(r"`([\w/.]+)`", PAGE) if "/" in name or name.endswith((".py", ".md"))}
    assert len(named) > 50
    assert [name for name in sorted(named) if not any((place / name).exists() for place in (PACKAGE, ROOT))] == []


@pytest.mark.parametrize(("way", "table", "number"), WAY.findall(PAGE), ids=["error", "command", "alert"])
def test_the_page_counts_the_modules_of_each_way(way: str, table: str, number: str) -> None:
    assert (way, len(_modules(table))) == (way, int(number))


def _follow(bot: WatchedBot, way: str, act: Callable[[], None]) -> list[str]:
    """The files of this way that do not run earlier with something else, in the order in which they ran."""
    rows, earlier = WAYS[way]
    wanted, ran = {*rows} - {PLUGIN_MODULE}, bot.all_modules(act)
    assert wanted <= {*ran}, f"{way}: {sorted(wanted - {*ran})} did not run"
    return [module for module in ran if module in wanted - earlier]


def _follow_all(folder: Path) -> dict[str, list[str]]:
    with ExitStack() as ends:
        bot = WatchedBot(folder, ends)
        bot.all_modules(bot.command)  # the first one finds out what the server is
        bot.note_idle_calls()
        return {act.__name__: _follow(bot, act.__name__, act) for act in (bot.error, bot.command, bot.alert)}


def test_every_module_on_a_way_really_runs_in_the_order_of_the_page(tmp_path: Path) -> None:
    page = {way: [row for row in rows if row not in earlier | {PLUGIN_MODULE}] for way, (rows, earlier) in WAYS.items()}
    for number in range(_TRIES):
        ran = _follow_all(tmp_path / str(number))
        if ran == page:
            return
    assert ran == page
