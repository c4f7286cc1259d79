"""What a fault run came to: what was promised, what the server knows, what the state says, what the room saw."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from errbot_sentry.store.records import DecidedAlert
from tests.alerting.fault_fallback import FallbackBooks

# A message that was sent less than this many seconds before the bot or the connection died may be said again: five to
# count as arrived (chat/rooms.py), and what the bot needs to look at the clock and write it down on a busy machine.
TWICE_WITHIN = 5.0 + 3.0

PROBLEM = re.compile(r"problem (\d+) of this run")

_NOTIFIED = ("first", "storm", "away")


@dataclass
class FaultReport:
    """What the run came to; `check` says whether it adds up."""

    answers: Counter[str]
    kills: Counter[str]
    issues: dict[int, str]
    alerts: list[DecidedAlert]
    waiting: int
    broken_promises: int
    messages: list[list[str]]
    """The lines of each, in the order of the outbox."""
    is_shared: bool
    beyond: int
    received: list[tuple[float, str]]
    faults: list[float]
    full: list[tuple[float, float]]
    unseen: int
    slowest_end: float
    tracebacks: int
    fallback: FallbackBooks
    decided: Counter[str] = field(init=False)
    outbox: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        self.decided = Counter(alert.name for alert in self.alerts)
        self.outbox = Counter(line for lines in self.messages for line in lines)

    @property
    def first_sent(self) -> dict[int, list[float]]:
        """Problem to the moments at which its notification was in the room, alone or in a list."""
        sent: dict[int, list[float]] = {}
        for at, text in self.received:
            for number in PROBLEM.findall(text):
                sent.setdefault(int(number), []).append(at)
        return sent

    @property
    def found_by_poller(self) -> int:
        """Problems of which the room's notification came from the poller."""
        return sum(1 for alert in self.alerts if alert.alert.source == "poll" and alert.name in _NOTIFIED)

    @property
    def twice(self) -> Counter[str]:
        """Lines that were in the room more often than the outbox has them."""
        return Counter(text for _, text in self.received) - self.outbox

    def check(self) -> None:
        """Fail with the first thing that does not add up."""
        assert self.unseen == 0, "the bot was in the room before the one who writes down: try another seed"
        refused = {answer for answer in self.answers if answer.startswith("4")}
        assert not refused, f"the bot understands each webhook, but answered {refused}"
        assert self.waiting == 0, "every alert is decided"
        assert self.broken_promises == 0, "what was answered 202 is decided"
        assert sum(self.decided.values()) == len({alert.alert.delivery for alert in self.alerts}), "decided once"
        firsts = Counter(each.alert.issue_id for each in self.alerts if each.name in _NOTIFIED)
        assert firsts == Counter(self.issues.values()), "one notification for each problem that the server knows"
        unsent = set(self.issues) - set(self.first_sent)
        stormed = {each.alert.issue_id for each in self.alerts if each.name in ("storm", "away")}
        assert {self.issues[number] for number in unsent} <= stormed, f"sent alone or in a list, but not: {unsent}"
        assert len(unsent) == self.beyond, f"{len(unsent)} are in no list, the lists say that {self.beyond} are"
        missing = self.outbox - Counter(text for _, text in self.received)
        assert not missing, f"all that counts as delivered was in the room; missing: {missing.most_common(3)}"
        for text in self.twice:
            times = [at for at, other in self.received if other == text]
            for earlier, later in pairwise(times):
                until = min(later, self._not_marked_until(earlier))
                dead = [fault for fault in self.faults if earlier - 1 <= fault <= until]
                ours = self.outbox[text] > 1  # the same words, meant twice: "SHOP-1 3 more alerts in 1m"
                assert dead or ours, f"said twice without a reason: {text} at {earlier:.1f} and {later:.1f}"

        last = {text: at for at, text in self.received if self.outbox[text] == 1}
        if not self.is_shared:  # what a dead bot may have sent of a shared state is sent again later, by any of them
            self._check_order(last)
        settled = sorted(at for at in last.values() if self._not_marked_until(at) <= at + TWICE_WITHIN)
        self.fallback.check([at for at, _ in self.received], settled)

    def _check_order(self, last: dict[str, float]) -> None:
        """The room received the messages for the last time in the order of the outbox."""
        firsts = [next((line for line in lines if line in last), "") for lines in self.messages]
        for earlier, later in pairwise(line for line in firsts if line):
            assert last[earlier] <= last[later], f"out of order: {earlier} at {last[earlier]}, {later} at {last[later]}"

    def _not_marked_until(self, sent: float) -> float:
        """How long a message may take to be written down as arrived; while the disk is full none can be."""
        ends = (end for begin, end in self.full if begin - TWICE_WITHIN <= sent <= end)
        return max(ends, default=sent) + TWICE_WITHIN

    def lines(self) -> Iterator[str]:
        """The outcome in lines."""
        names = ", ".join(f"{count} {name}" for name, count in sorted(self.decided.items()))
        answers = ", ".join(f"{count:,} {name}" for name, count in self.answers.most_common())
        yield f"broken: {', '.join(f'{what} {count} times' for what, count in sorted(self.kills.items()))}"
        yield f"{sum(self.answers.values()):,} webhooks: {answers}"
        yield f"{len(self.alerts):,} alerts, webhook's and poller's, each decided once: {names}"
        named = f"{len(self.first_sent)} named, {self.beyond} in the 'and … more' of a list"
        yield f"{len(self.issues)} problems on the server: {named}; {self.found_by_poller} found by the poller first"
        yield f"{len(self.received):,} lines in the room, {sum(self.twice.values())} of them again, each around a kill"
        yield from self.fallback.lines()
        if self.slowest_end:
            yield f"SIGTERM ended the bot in {self.slowest_end:.1f} s at most"
        yield f"tracebacks in the bot's log: {self.tracebacks}"
