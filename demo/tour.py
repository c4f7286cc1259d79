"""The steps of the tour: what to type, what the screen must show then, and what must be true on the server.

The same steps are the guide for a person at the keyboard. Standard library only.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from demo.bugsink import Bugsink, Project
from demo.processes import Process

START_SECONDS = 90.0
STEP_SECONDS = 60.0

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PROMPT = re.compile(rf"(?:{_COLOUR.pattern})*\[[^\s\[]+ ➡ \S+\] (?:{_COLOUR.pattern})*>>> (?:{_COLOUR.pattern})*")


class Failed(Exception):
    """A step did not show or do what it promises."""


@dataclass(frozen=True)
class World:
    """What a check may look at."""

    server: Bugsink
    project: Project

    def issues(self) -> list[dict[str, Any]]:
        """The issues of the demo's crash."""
        found = self.server.api("GET", f"issues/?project={self.project.id}")["results"]
        return [issue for issue in found if issue["calculated_type"] == "ZeroDivisionError"]


@dataclass(frozen=True)
class Step:
    """One command to type. `expect` has regular expressions that the screen must match then, each with a description.

    `check` looks at the server and returns a description of what it found, or raises Failed.
    """

    why: str
    typed: str
    expect: tuple[tuple[str, str], ...]
    check: Callable[[World], str] | None = None


@dataclass(frozen=True)
class Played:
    """A step that was played: `shown` is what the bot wrote, including colour codes."""

    why: str
    typed: str
    shown: str


def crash_is_one_issue(world: World) -> str:
    """One crash, one issue, one event, with the command that failed."""
    issues = world.issues()
    if [issue["digested_event_count"] for issue in issues] != [1]:
        raise Failed(f"The server should have one issue with one event; it has {issues}")
    (row,) = world.server.api("GET", f"events/?issue={issues[0]['id']}")["results"]
    event = world.server.api("GET", f"events/{row['id']}/")["data"]
    tags = dict(event.get("tags") or {})
    if tags.get("bot.command") != "shop_checkout":
        raise Failed(f"The event should name the command that failed; its tags are {tags}")
    return f"the server has it as {issues[0]['friendly_id']}, one event, command shop_checkout"


def alert_was_taken(world: World) -> str:
    """The server has recorded no failure of the webhook."""
    said = world.server.shell(
        "from alerts.models import MessagingServiceConfig as M\n"
        "print([m.last_failure_error_message for m in M.objects.all() if m.has_recent_failure()])"
    )
    if said.strip() != "[]":
        raise Failed(f"The server could not post its alert to the bot: {said.strip()}")
    return "the bot accepted the server's alert"


def issue_is_resolved(world: World) -> str:
    """The issue is resolved on the server."""
    (issue,) = world.issues()
    if not issue["is_resolved"]:
        raise Failed(f"{issue['friendly_id']} should be resolved on the server; it is not.")
    return f"the server says that {issue['friendly_id']} is resolved"


def crash_was_posted(world: World) -> str:
    """The event came to the server, and the alert to the bot."""
    return f"{crash_is_one_issue(world)}; {alert_was_taken(world)}"


STEPS = (
    Step(
        "Crash a command. The bot reports it, and the server's alert arrives in the room.",
        "!shop checkout",
        (
            (r"reported as|\bevent [0-9a-f]{4}", "the event's reference, for the person whose command failed"),
            (r"New\b.*SHOP-1.*ZeroDivisionError", "the alert"),
        ),
        crash_was_posted,
    ),
    Step(
        "List the unresolved issues.",
        "!sentry issues",
        ((r"#1\b.*SHOP-1", "the crash as row #1"),),
    ),
    Step(
        "Show one issue, with the line that failed.",
        "!sentry issue #1",
        ((r"share_of", "the failing frame"), (r"SHOP-1", "the issue's short id")),
    ),
    Step(
        "Show its stack trace, with the values of the variables.",
        "!sentry trace #1",
        ((r"return total / people", "the source line"), (r"people\W+0", "the variable that was zero")),
    ),
    Step(
        "Resolve it.",
        "!sentry resolve #1",
        ((r"SHOP-1 resolved", "the bot's confirmation"),),
        issue_is_resolved,
    ),
)

ROOM_STEPS = (
    Step(
        "Go into the room. Its alerts are changed from there.",
        "!inroom #ops",
        ((r"Joined Room #ops", "the way in"),),
    ),
    Step(
        "Silence the shop for two hours.",
        "!sentry silence project=shop -d 2h",
        ((r"Silence 1\b", "the silence's number"),),
    ),
    Step(
        "Crash again, with another bug: this time the room stays quiet.",
        "!shop order tea",
        ((r"SHOP-2", "the error, for the person whose command failed"),),
    ),
    Step(
        "See what became of each alert.",
        "!sentry alerts",
        ((r"SHOP-2.*silenced", "the silenced alert"), (r"SHOP-1", "the alert from before")),
    ),
    Step(
        "End the silence.",
        "!sentry unsilence 1",
        ((r"Silence 1 ended", "the bot's confirmation"),),
    ),
    Step(
        "Subscribe the room to more alerts than config.py gives it.",
        "!sentry subscribe project=shop",
        ((r"Subscription 1\b", "the subscription's number"),),
    ),
    Step(
        "Read a digest of the last 24 hours.",
        "!sentry digest now",
        ((r"last 24 hours: 2 new", "the digest"),),
    ),
)


_BACK = Step("Leave the room, and talk to the bot alone again.", "!inperson", ())


def _guide(steps: tuple[Step, ...]) -> str:
    return "\n".join(f"    {step.typed:<36} {step.why}" for step in steps)


GUIDE = f"{_guide(STEPS)}\n\nThen in the room:\n\n{_guide((*ROOM_STEPS, _BACK))}"
"""All steps, for a person at the keyboard."""


def plain(screen: str) -> str:
    """The screen without colours and prompts."""
    return _COLOUR.sub("", without_prompt(screen))


def without_prompt(text: str) -> str:
    """A text without the Text backend's prompts."""
    return _PROMPT.sub("", text)


class Player:
    """Types the steps into a bot on the Text backend, and reads its screen."""

    def __init__(
        self, bot: Process, world: World, say: Callable[[str], None], step_seconds: float = STEP_SECONDS
    ) -> None:
        self._bot = bot
        self._world = world
        self._say = say
        self._step_seconds = step_seconds
        self._read = 0

    def play(self, steps: tuple[Step, ...]) -> list[Played]:
        """Play all steps. Raises Failed at the first one that goes wrong, CannotStart if the bot ends."""
        self._bot.wait_until(lambda: _PROMPT.search(self._new()), START_SECONDS, "the bot asks for input")
        return [self._play(number, step) for number, step in enumerate(steps, 1)]

    def _play(self, number: int, step: Step) -> Played:
        self._say(f"\n{number}. {step.why}\n   > {step.typed}\n")
        self._read += len(self._new())
        self._bot.type(step.typed)
        shown = self._wait(step)
        for line in plain(shown).strip().split("\n"):
            self._say(f"     {line}")
        for _, words in step.expect:
            self._say(f"   ✓ {words}")
        if step.check:
            self._say(f"   ✓ {step.check(self._world)}")
        return Played(step.why, step.typed, shown)

    def _wait(self, step: Step) -> str:
        """Wait until the screen shows everything expected and the prompt is back; return the new part of it."""
        deadline = time.monotonic() + self._step_seconds
        while True:
            shown = self._new()
            missing = [words for pattern, words in step.expect if not re.search(pattern, plain(shown))]
            if not missing and _PROMPT.search(shown) and shown == self._after_a_moment():
                return shown
            if time.monotonic() > deadline or not self._bot.running:
                state = f"{self._step_seconds:g} s after" if self._bot.running else "when the bot ended, after"
                raise Failed(
                    f"Not on the screen {state} `{step.typed}`: {'; '.join(missing)}.\nThe screen:\n{plain(shown)}"
                )
            time.sleep(0.05)  # what is awaited is in another process

    def _after_a_moment(self) -> str:
        """The screen a moment later, so that a message that is just being printed is complete."""
        time.sleep(0.3)  # the end of a message has no mark to wait for
        return self._new()

    def _new(self) -> str:
        return self._bot.log.read_bytes().decode(errors="replace")[self._read :]


def save(played: list[Played], path: Path) -> None:
    """Save a tour for `demo/picture.py`."""
    path.write_text(json.dumps([asdict(step) for step in played], indent=1, ensure_ascii=False))


def load(path: Path) -> list[Played]:
    """A tour saved by `save`."""
    return [Played(**step) for step in json.loads(path.read_text())]
