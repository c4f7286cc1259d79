"""Kill the bot and drop the chat at random moments under load, then check the books.

    python -m benchmarks.alerts_faults [SECONDS] [SEED]

A real process with the alert flow on SQLite gets webhooks all the time, each about one of many issues. At random
moments it is killed with SIGKILL and started again, or its chat is away for a while. Afterwards: every webhook answered
202 has exactly one decision per room, every first word and every list is in the room, and what is there twice is no
more than what the kills had in flight.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from errbot_sentry.store.store import Store
from tests.alerting import bodies
from tests.alerting.killable import Bot
from tests.waiting import until


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 7)
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        url = f"sqlite:///{folder / 'state.sqlite3'}"
        run(url, folder, seconds, chance)


def run(url: str, folder: Path, seconds: float, chance: random.Random) -> None:
    """The faults, and the check."""
    bot = Bot(url, folder)
    bot.up.touch()
    answers: Counter[str] = Counter()
    kills = drops = sent = 0
    end = time.monotonic() + seconds
    back_at = 0.0
    while time.monotonic() < end:
        number = sent if chance.random() < 0.3 else chance.randrange(max(1, sent))
        sent += 1
        try:
            answers[str(bot.hook(bodies.sentry_issue(str(number), count=str(sent)), f"r{sent}"))] += 1
        except (ValueError, BrokenPipeError):
            answers["no answer"] += 1
        if back_at and time.monotonic() >= back_at:
            bot.up.touch()
            back_at = 0.0
        dice = chance.random()
        if dice < 0.01:
            bot.kill()
            kills += 1
            bot = Bot(url, folder)
        elif dice < 0.02 and not back_at:
            bot.up.unlink(missing_ok=True)
            drops += 1
            back_at = time.monotonic() + chance.uniform(0.2, 3)
        time.sleep(chance.expovariate(100))
    bot.up.touch()
    until(lambda: at_rest(bot), 180, "everything told")
    bot.close()
    check(url, bot.said(), answers, kills, drops)


def at_rest(bot: Bot) -> bool:
    """Whether nothing waits any more."""
    status = bot.status()
    return not (status["waiting"] or status["queue"] or status["held"])


def check(url: str, said: list[str], answers: Counter[str], kills: int, drops: int) -> None:
    """The books, and the room."""
    store = Store(url)
    with store.read() as work:
        decided = work.inbox.counts()
        waiting, _ = work.inbox.waiting_count()
        rows = work.outbox.rows("#ops")
    store.close()
    firsts = [line for line in said if line.startswith("#ops sentry_alert ")]
    lists = [line for line in said if line.startswith("#ops sentry_held")]
    twice = len(said) - len(rows)
    print(f"{sum(answers.values()):,} webhooks, {kills} kills, {drops} times offline; answers {dict(answers)}")
    print(f"decided {decided}; in the room: {len(set(firsts))} first words, {len(lists)} lists, {twice} said twice")
    assert waiting == 0
    assert sum(decided.values()) == answers["202"], "every promise has one decision"
    assert len(said) >= len(rows), "every message is in the room"
    assert len(set(firsts)) + decided.get("storm", 0) >= decided.get("first", 0)
    assert 0 <= twice <= kills, "twice only what a kill had in flight"
    print("the books agree")


if __name__ == "__main__":
    main()
