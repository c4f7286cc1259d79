"""The canary's rounds on a virtual clock: what the admins are sent when a link breaks, and that no room sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from errbot_sentry.canary import Canary
from errbot_sentry.domain.alerts import CANARY_TITLE
from errbot_sentry.domain.conversation import Person
from errbot_sentry.domain.errors import MissingScope, StoreError, Unreachable, UserError
from errbot_sentry.domain.issues import RESOLVED, UNRESOLVED, Issue
from tests.alerting import bodies
from tests.alerting.world import World
from tests.clocks import ServersClock, SteppedClock

ALICE, BOB = Person("@alice", "alice"), Person("@bob", "bob")
ISSUE = "900"


class Sentry:
    """The server's side of the way: takes events, shows their issue and posts webhooks, as far as they are not cut."""

    def __init__(self, folder: Path, every: float = 900, **settings: Any) -> None:
        self.takes = self.shows = self.posts = True
        self.token_may_write = True
        self.warnings: list[str] = []
        self.captured = 0
        self.world = World(folder, [{"rooms": ["#ops"]}], find_server=lambda: self, **settings)
        self.canary = Canary(
            every,
            self,
            self.world.flow,
            self.world.store,
            lambda: self,
            self.world.clock,
            lambda sentence: self.warnings.append(f"{round(self.world.seconds)} {sentence}"),
            has_webhooks=True,
            poll_seconds=self.world.settings.poll_seconds,
            make_worker=self.world.make_worker,
        )
        self.canary.start()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world.server, name)

    # The reporter.

    def capture_canary(self) -> str | None:
        self.captured += 1
        return f"{self.captured:032x}"

    def unsent_reason(self, event_id: str) -> str | None:
        if not self.takes:
            return "No connection."
        if event_id not in self.__dict__.setdefault("_taken", set()):
            self._taken.add(event_id)
            self._digest()
        return None

    def _digest(self) -> None:
        before = self.world.server.by_id.get(ISSUE)
        comes_back = before is not None and before.status == RESOLVED
        title = {"title": CANARY_TITLE, "level": "info"}
        self.world.server.event(ISSUE, status=UNRESOLVED, substatus="regressed" if comes_back else None, **title)
        if self.posts and (before is None or comes_back):
            action = "unresolved" if comes_back else "created"
            self.world.hook(bodies.sentry_issue(ISSUE, action, substatus="regressed", **title))

    # The API.

    def issue_of_event(self, event_id: str) -> Issue | None:
        if not self.shows:
            raise Unreachable("The API is away.")
        return self.world.server.by_id.get(ISSUE) if event_id in self.__dict__.get("_taken", ()) else None

    def resolve(self, issue: Issue) -> Issue:
        if not self.token_may_write:
            raise MissingScope("The token may not write.")
        return self.world.server.resolve(issue)

    def states(self) -> str:
        return " ".join(f"{link.name}:{link.state.value}" for link in self.canary.status().links)


WELL = "sent:ok shown:ok webhook:ok poller:ok decision:ok"


def test_all_is_well_and_nobody_sees_the_canary(tmp_path: Path) -> None:
    sentry = Sentry(tmp_path)
    for hours in range(1, 4):
        sentry.world.at(hours * 3600)
        assert sentry.states() == WELL
        assert sentry.world.server.by_id[ISSUE].status == RESOLVED
    assert sentry.captured == 12
    assert sentry.warnings == []
    assert sentry.world.messages() == []
    assert set(sentry.world.reasons("")) == {"canary"}
    sentry.world.server.event("1")
    sentry.world.at(4 * 3600)
    (text,) = sentry.world.texts()
    assert "KeyError: 1" in text
    sentry.world.server.change(ISSUE, status=UNRESOLVED)
    digest = sentry.world.type("digest now")
    assert "1 new" in digest
    assert CANARY_TITLE not in digest
    listed = sentry.world.type("issues")
    assert "KeyError: 1" in listed
    assert CANARY_TITLE not in listed
    assert "KeyError: 1" in sentry.world.type("issue @latest")


# What is cut at the first hour and mended at the second; what the admins are sent, with the second of the day.
BREAKS = {
    "webhooks": (
        ["posts"],
        "Events reach the server, but no webhook has arrived since 12:46 UTC. Alerts still arrive by polling.",
        "Webhooks arrive again.",
    ),
    "the server": (
        ["takes", "shows"], "Events have not reached the server since 12:46 UTC (No connection).",
        "Events reach the server again.",
    ),
    "the API": (
        ["shows"], "Events are sent, but the server has not shown them since 12:46 UTC (The API is away).",
        "The server shows events again.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("cut", "broken", "again"), BREAKS.values(), ids=BREAKS)
def test_a_break_is_named_once_and_its_end_once(tmp_path: Path, cut: list[str], broken: str, again: str) -> None:
    sentry = Sentry(tmp_path)
    sentry.world.at(3600)
    for name in cut:
        setattr(sentry, name, False)
    sentry.world.at(2 * 3600)
    assert [each.partition(" ")[2] for each in sentry.warnings] == [broken]
    assert 3600 < int(sentry.warnings[0].partition(" ")[0]) < 3600 + 900
    for name in cut:
        setattr(sentry, name, True)
    sentry.world.at(3 * 3600)
    assert [each.partition(" ")[2] for each in sentry.warnings] == [broken, again]
    assert sentry.states() == WELL
    assert sentry.world.messages() == []


@pytest.mark.parametrize(
    ("worker", "named", "end"),
    [
        ("poller", "polling has not found them since", " Alerts still arrive by webhook."),
        ("alert pipeline", "Alerts arrive, but have not been processed since", ""),
    ],
)
def test_a_worker_that_is_stuck_is_named(tmp_path: Path, worker: str, named: str, end: str) -> None:
    sentry = Sentry(tmp_path)
    sentry.world.at(3600)
    sentry.world.workers[worker].running = False
    sentry.world.at(2 * 3600)
    (warning,) = sentry.warnings
    assert named in warning
    assert warning.endswith(end)


def test_where_the_issue_cannot_be_resolved_no_webhook_is_missed(tmp_path: Path) -> None:
    """An issue that is open brings none; the status says so."""
    sentry = Sentry(tmp_path)
    sentry.token_may_write = False
    sentry.world.at(3 * 3600)
    assert sentry.warnings == []
    assert sentry.states() == "sent:ok shown:ok poller:ok decision:ok"
    assert "could not be resolved" in sentry.canary.status().note


def test_without_a_poller_nothing_waits_for_one(tmp_path: Path) -> None:
    sentry = Sentry(tmp_path, poll=0)
    sentry.world.at(3600)
    assert sentry.states() == "sent:ok shown:ok webhook:ok decision:ok"


def test_by_hand_once_a_minute_for_each_person(tmp_path: Path) -> None:
    sentry = Sentry(tmp_path, every=0)
    sentry.world.at(3600)
    assert sentry.captured == 0
    event_id = sentry.canary.begin(ALICE)
    with pytest.raises(UserError, match=r"less than a minute ago\. Try again in 60 s\."):
        sentry.canary.begin(ALICE)
    sentry.world.at(3800)
    assert [link.state.value for link in sentry.canary.progress(event_id).links] == ["ok"] * 5
    sentry.posts = False
    second = sentry.canary.begin(BOB)
    sentry.world.at(4200)
    assert sentry.canary.progress(event_id).links == ()
    assert "webhook:broken" in sentry.states()
    found = sentry.canary.progress(second).issue
    assert found is not None
    assert found.id == ISSUE
    assert sentry.warnings == [], "the person reads the result"


def test_nobody_keeps_a_break_from_being_named_by_testing_all_the_time(tmp_path: Path) -> None:
    """Each test by hand began a round in place of the one under way, and put off the next."""
    sentry = Sentry(tmp_path)
    sentry.world.at(3600)
    sentry.takes = False
    begun = set()
    for second in range(3661, 3600 + 2 * 900, 61):
        begun.add(sentry.world.at(second).clock.now() and sentry.canary.begin(ALICE))
    (warning,) = sentry.warnings
    assert "Events have not reached the server" in warning
    assert len(begun) > 10, "the others were rounds of their own"


@pytest.mark.parametrize("step", [-100, 3600])
def test_a_clock_that_is_put_right_breaks_no_link(tmp_path: Path, step: float) -> None:
    """Back, nothing had arrived since the round's start; forward, all had taken an hour. The admins were called."""
    clock = SteppedClock()
    sentry = Sentry(tmp_path, clock=clock)
    sentry.world.server.clock = ServersClock(clock)
    sentry.world.at(3600)
    sentry.takes = False
    while sentry.canary._round is None:
        sentry.world.at(sentry.world.seconds + 1)
    sentry.world.put_right(step)
    sentry.world.at(sentry.world.seconds + 1)
    sentry.takes = True
    sentry.world.at(sentry.world.seconds + 1800)
    assert sentry.warnings == []
    assert sentry.states() == WELL


def test_equal_webhooks_of_two_rounds_are_two(tmp_path: Path) -> None:
    """GlitchTip's are equal byte for byte, and for errors the second one is a copy."""
    sentry = Sentry(tmp_path)
    body = bodies.glitchtip(900)
    for title, answers in ((CANARY_TITLE, [202, 202]), ("KeyError: x", [202, 200])):
        body["attachments"][0]["title"] = title
        found = []
        for _ in range(2):
            found.append(sentry.world.plain_hook(body).status)
            sentry.world.clock.advance(60)
        assert found == answers


def test_a_state_that_cannot_be_read_is_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentry = Sentry(tmp_path)
    sentry.world.at(3600)

    def fail(*_args: object, **_more: object) -> None:
        raise StoreError("The database is gone.")

    monkeypatch.setattr(sentry.world.store, "read", fail)
    for _ in range(40):
        sentry.world.clock.advance(30)
        sentry.world.step("canary")
    (warning,) = sentry.warnings
    assert "since" in warning
    assert warning.endswith("(The database is gone).")


def test_of_two_bots_on_one_state_one_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentry = Sentry(tmp_path)
    monkeypatch.setattr(type(sentry.world.store), "shared", property(lambda store: True))
    sent: list[str] = []
    other = Canary(
        900, sentry, sentry.world.flow, sentry.world.store, lambda: sentry, sentry.world.clock, sent.append,
        has_webhooks=True, poll_seconds=60, make_worker=lambda name, step: sentry.world.make_worker("other", step),
    )  # fmt: skip
    other.start()
    sentry.world.at(3600)
    assert sentry.captured == 4
    sentry.world.workers["canary"].running = False
    sentry.world.at(2 * 3600)
    assert sentry.captured in (7, 8), "the other one takes over"
