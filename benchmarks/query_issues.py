"""`!sentry issues` end to end in the bot, against its floor: a trivial command plus the bare HTTP call.

    python -m benchmarks.query_issues [ROUNDS]

Errbot's test backend in this process, a server of prepared answers in another, on a warm connection; all arms take
turns, and medians are compared. The goal is at most 1.5 times the floor. A command that returns the same lines from
memory shows what Errbot takes for sending them. A list without any care (no columns, no chart, no ages, nothing escaped
or checked) shows the least that a list written in Python can take. The same text as ours by hand, in one function for
this one server, still without any check, shows what the text itself takes. Then Sentry's own command-line client takes
turns with ours.
"""

from __future__ import annotations

import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import requests

from benchmarks.query_peer import NotMeasured, compare

ROOT = Path(__file__).resolve().parent.parent
ROWS = (10, 25, 100)
WARM_UP = 30
GOAL = 1.5
MOST_MESSAGES = 10
FLOOR_PLUGIN = '''
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from operator import add

import humanize
import msgspec
import requests
from errbot import BotPlugin, botcmd

BLOCKS = "▁▂▃▄▅▆▇█"


class Row(msgspec.Struct, gc=False):
    shortId: str
    title: str
    lastSeen: str
    count: str
    permalink: str


class Whole(msgspec.Struct):
    id: str
    shortId: str
    title: str
    level: str
    culprit: str
    firstSeen: datetime
    lastSeen: datetime
    count: str
    userCount: int
    stats: dict[str, list[tuple[int, int]]]


@lru_cache(1024)
def age(seconds):
    return humanize.naturaldelta(timedelta(seconds=seconds))


def coarse(span):
    seconds = span.days * 86400 + span.seconds
    return seconds - seconds % (86400 if seconds >= 86400 else 3600 if seconds >= 3600 else 60)


@lru_cache(256)
def blocks(top):
    return [BLOCKS[round(count * 7 / top) or 1 if count else 0] for count in range(top + 1)]


def short(number):
    return str(number) if number < 1000 else f"{number / 1000:.1f}k"


def column(cells):
    widest = max(map(len, cells))
    return [cell.ljust(widest) for cell in cells]


class Floor(BotPlugin):
    """The least that a command can cost."""

    messages = []
    address = ""
    session = requests.Session()
    decoder = msgspec.json.Decoder(list[Row])
    whole = msgspec.json.Decoder(list[Whole])
    site = "https://sentry.example.com/organizations/acme/issues/"

    @botcmd
    def floor(self, msg, args):
        return "done"

    @botcmd
    def floorlines(self, msg, args):
        yield from self.messages

    @botcmd
    def floorlist(self, msg, args):
        lines = [
            f"#{number}  {row.shortId}  {row.title}\\n    {row.lastSeen}  {row.count} events\\n    {row.permalink}"
            for number, row in enumerate(self.decoder.decode(self.session.get(self.address).content), 1)
        ]
        for start in range(0, len(lines), 40):
            yield "```\\n\\n" + "\\n".join(lines[start : start + 40]) + "\\n```"

    @botcmd
    def floorwhole(self, msg, args):
        rows, now = self.whole.decode(self.session.get(self.address).content), datetime.now(timezone.utc)
        charts = []
        for row in rows:
            counts = [count for _at, count in row.stats["24h"]]
            counts = list(map(add, counts[::2], counts[1::2]))
            of = blocks(max(counts))
            charts.append("".join([of[count] for count in counts]))
        heads = zip(
            column([f"#{number}" for number in range(1, len(rows) + 1)]),
            column([row.shortId for row in rows]),
            column([f"✗ {row.level}" for row in rows]),
            [row.title for row in rows],
        )
        facts = zip(
            column([age(coarse(now - row.lastSeen)) + " ago" for row in rows]),
            column([age(coarse(now - row.firstSeen)) + " old" for row in rows]),
            column([short(int(row.count)) + " events" for row in rows]),
            column([short(row.userCount) + " users" for row in rows]),
            charts,
            [row.culprit for row in rows],
        )
        lines = [
            f"{'  '.join(head)[:80]}\\n      {'  '.join(fact)[:74]}\\n      {self.site}{row.id}/"
            for head, fact, row in zip(heads, facts, rows)
        ]
        for start in range(0, len(lines), 40):
            yield "```\\n\\n" + "\\n".join(lines[start : start + 40]) + "\\n```"
'''


def write_plugins(folder: Path) -> None:
    """Our product and the floor, side by side."""
    shutil.copytree(ROOT / "plugins" / "sentry_reporter", folder / "sentry_reporter")
    (folder / "floor").mkdir()
    (folder / "peer").mkdir()
    (folder / "floor" / "floor.py").write_text(FLOOR_PLUGIN)
    (folder / "floor" / "floor.plug").write_text("[Core]\nName = Floor\nModule = floor\n[Python]\nVersion = 3\n")


def median_ms(arms: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The arms in turn, so that whatever else the machine does meets all of them."""
    took: dict[str, list[float]] = defaultdict(list)
    for turn in range(WARM_UP + rounds):
        for name, run in arms.items():
            start = time.perf_counter()
            run()
            if turn >= WARM_UP:
                took[name].append((time.perf_counter() - start) * 1000)
    return {name: statistics.median(values) for name, values in took.items()}


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.query_server_worker"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _measure(Path(folder), url, rounds)
        finally:
            server.communicate(timeout=10)


def _measure(folder: Path, url: str, rounds: int) -> int:
    from errbot.backends.test import TestBot

    # The bot runs a copy, and refuses a second one on the path, where the other benchmarks want it.
    sys.path[:] = [place for place in sys.path if not place.endswith("plugins/sentry_reporter")]
    write_plugins(folder)
    settings = {
        "SENTRY_URL": url,
        "SENTRY_SERVER": "sentry",
        "SENTRY_ORG": "acme",
        "SENTRY_AUTH_TOKEN": "benchmark-token",
        "SENTRY_POLL_SECONDS": 0,
        "BOT_LOG_SENTRY": False,
        "AUTOINSTALL_DEPS": False,
    }
    bot = TestBot(extra_plugin_dir=str(folder), loglevel=logging.WARNING, extra_config=settings)
    bot.start()
    logging.getLogger().setLevel(logging.WARNING)
    session = requests.Session()
    plugins = bot.bot.plugin_manager
    missed = []
    try:
        print(
            "| rows | messages | trivial command | bare warm GET | floor | the same lines from memory | the least list "
            "| / floor | the same text by hand | / floor | !sentry issues | / floor | / by hand |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
        for rows in ROWS:
            address = f"{url}/api/0/organizations/acme/issues/?limit={rows}"
            plugins.get_plugin_obj_by_name("Floor").messages = messages = _messages_of(plugins, rows)
            plugins.get_plugin_obj_by_name("Floor").address = address
            last = f"#{rows} "
            arms: dict[str, Callable[[], object]] = {
                "trivial": partial(_answer, bot, "!floor", "done"),
                "get": partial(_get, session, address),
                "lines": partial(_answer, bot, "!floorlines", last),
                "least": partial(_answer, bot, "!floorlist", last),
                "by hand": partial(_answer, bot, "!floorwhole", last),
                "ours": partial(_answer, bot, f"!sentry issues -n {rows}", last),
            }
            found = median_ms(arms, rounds)
            floor = found["trivial"] + found["get"]
            ratio = found["ours"] / floor
            print(
                f"| {rows} | {len(messages)} | {found['trivial']:.2f} ms | {found['get']:.2f} ms | {floor:.2f} ms "
                f"| {found['lines']:.2f} ms | {found['least']:.2f} ms | {found['least'] / floor:.2f} "
                f"| {found['by hand']:.2f} ms | {found['by hand'] / floor:.2f} "
                f"| {found['ours']:.2f} ms | {ratio:.2f} | {found['ours'] / found['by hand']:.2f} |",
                flush=True,
            )
            if ratio > GOAL:
                missed.append(rows)
        print(f"\nGoal: at most {GOAL} times the floor.")
        for command, wanted in (("!sentry issues", "#10 "), ("!sentry issue WEB-1", "WEB-1 ")):
            print(f"Requests of `{command}`: {_requests_of(bot, url, command, wanted)}.")
        _print_peer(folder, url, partial(_answer, bot, "!sentry issues", "#10 "))
    finally:
        bot.stop()
    if missed:
        print(f"Missed with {' and '.join(map(str, missed))} rows.")
    return 0


def _answer(bot: Any, command: str, wanted: str) -> None:
    """Type a command and wait for its last message, which has `wanted` in it; a long list comes in several."""
    bot.push_message(command)
    answers = [bot.pop_message(timeout=20)]
    while wanted not in answers[-1]:
        if len(answers) == MOST_MESSAGES:
            raise SystemExit(f"{command} was answered with: {answers}")
        answers.append(bot.pop_message(timeout=20))


def _get(session: requests.Session, address: str) -> bytes:
    return session.get(address, timeout=10).content


def _messages_of(plugins: Any, rows: int) -> list[str]:
    """The Markdown that our command answers with, as it is handed to Errbot; a long list comes in several messages."""
    from errbot_sentry.domain.conversation import Conversation, Invocation, Person

    current = plugins.get_plugin_obj_by_name("SentryReporter")._app
    ask = Invocation(Person("gbin", "gbin"), Conversation(), f"-n {rows}")
    return list(current._replies.of("issues", current._commands.run("issues", ask)))


def _requests_of(bot: Any, url: str, command: str, wanted: str) -> int:
    before = _asked(url)
    _answer(bot, command, wanted)
    return _asked(url) - before


def _asked(url: str) -> int:
    with urllib.request.urlopen(f"{url}/asked", timeout=10) as answer:
        return int(answer.read())


def _print_peer(folder: Path, url: str, ours: Callable[[], object]) -> None:
    try:
        print("\n" + "\n".join(compare(url, folder / "peer", ours, partial(_asked, url))))
    except NotMeasured as why:
        print(f"Sentry's own command-line client was not measured: {why}.")


if __name__ == "__main__":
    sys.exit(main())
