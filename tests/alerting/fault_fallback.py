"""The fallback of a fault run: a real HTTP receiver behind the real Apprise, and whether its books agree."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from errbot_sentry.alerting.decide.messages import TEMPLATES
from errbot_sentry.chat.render.templates import PlainTemplates
from errbot_sentry.store.records import FallbackState, OutboxRow
from tests.fakes.http_server import HttpServer, Reply, Request

# Between the bot's decision to send and the arrival here; the chat may take something meanwhile.
_ON_THE_WAY = 4.0
# A bot that answers webhooks for so many seconds without a pause has looked for what is due: it looks every five
# seconds, eight after a disk that was full for ten, and machines are busy.
_CHANCE = 15.0
_PAUSE = 3.0
_MOST_IN_A_MINUTE = 5
_KILLED_WITHIN = 5.0

_PLAIN = PlainTemplates()


class FallbackReceiver:
    """The address of `SENTRY_FALLBACK`. It refuses while it is `broken`."""

    def __init__(self) -> None:
        self.server = HttpServer(self._answer)
        self.broken = False
        self.came: list[tuple[float, bool, str]] = []
        """When, whether it was taken, and the text."""

    @property
    def url(self) -> str:
        """As Apprise writes it."""
        return f"json://127.0.0.1:{self.server.port}/fallback"

    def break_(self) -> None:
        """Every message is refused."""
        self.broken = True

    def mend(self) -> None:
        """Messages are taken."""
        self.broken = False

    def took_since(self, since: float) -> bool:
        """Whether it has taken a message since then."""
        return any(taken and at >= since for at, taken, _ in self.came)

    def _answer(self, request: Request) -> Reply:
        broken = self.broken
        self.came.append((time.monotonic(), not broken, request.json["message"]))
        return Reply(500 if broken else 200)


@dataclass(frozen=True)
class StuckRow:
    """A notification or a list of them: its text at the fallback, when it was made and when it was in the room.

    `state` is what the bot wrote down about it at the fallback, "" for nothing; `went` whether that says that it went.
    """

    text: str
    made: float
    in_room: Sequence[float]
    state: str = ""
    went: bool = False


@dataclass
class FallbackBooks:
    """What went round the chat, against the rule: what the room has not taken for `after` seconds, once.

    All times are those of `time.monotonic`. `answered` is when the bot answered a webhook with 202, `deaths` when it
    died; `noticed` are the counts in the room's notices afterwards.
    """

    after: float
    rows: Sequence[StuckRow]
    came: Sequence[tuple[float, bool, str]]
    answered: Sequence[float]
    deaths: Sequence[float]
    noticed: Sequence[int]
    tries: dict[str, list[float]] = field(init=False)
    taken: dict[str, list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self.tries = {row.text: [at for at, _, text in self.came if row.text in text] for row in self.rows}
        self.taken = {
            row.text: [at for at, taken, text in self.came if taken and row.text in text] for row in self.rows
        }

    @property
    def again(self) -> int:
        """How many notifications were taken more than once, counted each time."""
        return sum(len(times) - 1 for times in self.taken.values() if times)

    def check(self, room: Sequence[float], settled: Sequence[float]) -> None:
        """Fail with the first thing that does not add up.

        `room` is when the room received anything, `settled` when something that it did not receive again.
        """
        for _, _, text in self.came:
            rest = text
            for row in self.rows:
                rest = rest.replace(row.text, "")
            assert rest.strip().startswith("Chat has been away since "), f"the state has nothing of this: {rest}"
        assert not [row for row in self.rows if row.state in (FallbackState.SENDING.value, FallbackState.SENT.value)]
        noted = [row for row in self.rows if row.state == FallbackState.NOTED.value]
        assert sum(self.noticed) == len(noted), f"the room was told of {self.noticed}, the state has {len(noted)}"
        for row in self.rows:
            self._check_row(row, room, settled)

    def _check_row(self, row: StuckRow, room: Sequence[float], settled: Sequence[float]) -> None:
        tries, taken = self.tries[row.text], self.taken[row.text]
        assert taken or not row.went, f"written down as sent, but never arrived: {row.text}"
        assert not taken or row.state == FallbackState.NOTED.value, f"arrived, and the room was not told: {row.text}"
        for at in taken[:-1]:
            assert self._died(at), f"arrived twice without a reason: {row.text} at {taken}"
        for at in tries:
            assert row.made + self.after <= at + 0.5, f"arrived too early: {row.text} at {at:.1f}, made {row.made:.1f}"
            early = [seen for seen in settled if at - self.after < seen < at - _ON_THE_WAY]
            assert not early, f"the room took something at {early}, and this still went round at {at:.1f}: {row.text}"
        if not tries:
            assert not self._was_stuck(row, room), f"the chat did not take it, and it did not go round: {row}"

    def _died(self, at: float) -> bool:
        """Whether the bot died before it wrote down what it had just sent."""
        return any(at - 1 <= death <= at + _KILLED_WITHIN for death in self.deaths)

    def _was_stuck(self, row: StuckRow, room: Sequence[float]) -> bool:
        """Whether the bot had time enough to send it while the room took nothing."""
        first = min(row.in_room)
        moments = [row.made, *(at for at in room if row.made < at < first), first]
        return any(self._had_chance(begin + self.after, end) for begin, end in pairwise(moments))

    def _had_chance(self, begin: float, end: float) -> bool:
        """Whether it answered webhooks for so long in a row, and had not sent its five of a minute."""
        start = last = float("-inf")
        for at in self.answered[bisect_left(self.answered, begin) : bisect_left(self.answered, end)]:
            if at - last > _PAUSE or self._is_busy(at):
                start = at
            last = at
            if at - start >= _CHANCE:
                return True
        return False

    def _is_busy(self, at: float) -> bool:
        return sum(1 for came, _, _ in self.came if at - 60 <= came <= at) >= _MOST_IN_A_MINUTE

    def lines(self) -> Iterator[str]:
        """The outcome in a line."""
        went = sum(1 for times in self.taken.values() if times)
        refused = sum(1 for _, taken, _ in self.came if not taken)
        yield (
            f"{went} of {len(self.rows)} notifications and lists also went to the fallback, in "
            f"{len(self.came) - refused} messages, {self.again} of them again; {refused} messages refused; "
            f"the room was told of {sum(self.noticed)}"
        )


def fallback_text(row: OutboxRow) -> str:
    """A message of the outbox as the fallback sends it."""
    return _PLAIN.render(TEMPLATES[row.message.kind], row.message.values)
