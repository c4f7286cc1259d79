"""What a room reads of each webhook body, as one page of Markdown that a person can review: golden.md.

Each body goes the real way: signed bytes into the real receiver, the real pipeline, the real templates; only the clock,
the server and the chat are in memory. `python -m tests.webhooks.golden` writes the page anew.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from errbot_sentry.config.secrets import Secret
from errbot_sentry.domain.alerts import ALERT_REASONS
from errbot_sentry.domain.issues import Issue, Project
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY
from tests.alerting.world import VirtualClock, World
from tests.webhooks.bodies import CLIENT_SECRET, FOLDER, HOOK_SECRET, SERVERS, Body, every, load

PAGE = FOLDER / "golden.md"
TOKEN = "a-token-in-the-address"
NOW = datetime(2026, 11, 20, 11, 0, tzinfo=timezone.utc)
OPS, PLAIN = "#ops", "#plain"  # the first has a route that names every reason, the second one that names none
PROJECT = Project("42", "my-proj", "My Proj")
KINDS = {"sentry": SENTRY, "glitchtip": GLITCHTIP, "bugsink": BUGSINK}
ZERO = "ZeroDivisionError: division by zero"
# What the server says of an issue whose short id the body lacks: id, short id, title, level.
ISSUES = {
    "sentry": [
        ("4510001", "2F", ZERO, "error"), ("4510002", "2G", "ValueError: order is not a number", "fatal"),
        ("4510004", "2J", "User Feedback: Pay button does nothing", "info"),
        ("4510006", "2L", "Stock of SKU-77 is low (3 left)", "warning"),
        ("4510010", "3A", "Monitor failure: Nightly <report> @here", "error"),
        ("4510011", "3B", "Downtime detected for https://shop.example.com/health", "error"),
        ("4510012", "3C", "Checkout p95 is slow", "error"), ("4510013", "3D", "N+1 Query", "info"),
    ],
    "glitchtip": [
        ("16", "4", "OrderError: order <42>", "fatal"), ("17", "5", "KeyError: 'basket'", "error"),
        ("18", "6", "TimeoutError: bank did not answer", "error"), ("21", "L", "Stock is low", "warning"),
        ("22", "M", "Nightly import took 93 s", "info"), ("23", "N", "cache miss", "debug"),
        ("61126", "1KR3", "TypeError: exceptions must derive", "error"),
        *((str(29 + n), "STUVWXYZ0123"[n], f"BurstError: shard {n}", "error") for n in range(1, 12)),
    ],
    "bugsink": [],
}  # fmt: skip
# A webhook that begins a problem, for what comes "after a notification".
BEGINNINGS = {
    "metric_alert_warning": "metric_alert_critical",
    "metric_alert": "metric_alert_warning",
    "uptime_up": "uptime_down",
    "still_open": "new",
    "regressed": "new",
    "unmuted": "new",
}
HEAD = """# What a room reads

Made by `python -m tests.webhooks.golden`; `test_golden.py` compares. Review each change as a person who reads the room.

- The settings are SENTRY_URL `https://sentry.example.com` and SENTRY_ORG `acme`. The room's route has no matcher and
  names every reason, as most routes do not. The network has no threads.
- **first message**: the room was not notified of the problem. **after a notification**: it was, ten minutes before.
- The text is as people see it, without marks of code and bold. ␣ stands where an unseen character keeps text from
  outside from mentioning anybody or becoming a link.
"""


@dataclass(frozen=True)
class Reading:
    """What became of one delivery: the answer, the names of the decisions, and the messages."""

    answer: str
    decisions: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    is_sent_by_default: bool = False


class Rooms:
    """Two rooms, and a bot that takes the webhooks of one kind of server."""

    def __init__(self, folder: Path, server: str) -> None:
        self.world = World(
            folder,
            [{"rooms": [OPS], "reasons": list(ALERT_REASONS), "continue": True}, {"rooms": [PLAIN]}],
            kind=KINDS[server],
            projects=(PROJECT,),
            poll=0,
            clock=VirtualClock(NOW),
            webhook_secrets=(Secret(CLIENT_SECRET), Secret(HOOK_SECRET)),
            webhook_tokens=(Secret(TOKEN),),
            server_url="https://sentry.example.com",
            org="acme",
        )
        for number, short, title, level in ISSUES[server]:
            link = f"https://sentry.example.com/organizations/acme/issues/{number}/"
            issue = Issue(number, f"MY-PROJ-{short}", title, PROJECT, level=level, link=link)
            self.world.server.by_id[number] = issue
        self._read = -1

    def take(self, body: Body, request_id: str | None = None) -> Reading:
        """Send this body, and read what the room gets."""
        headers, raw = body.delivery(request_id=request_id)
        answer = self.world.flow.receiver.take(headers, raw, None if body.is_signed else TOKEN)
        self.world.at(self.world.seconds + 10)
        sent = [(each.room, _visible(each.text)) for each in self.world.chat.sent]
        self.world.chat.sent.clear()
        with self.world.store.read() as tx:
            found = [each for room in (OPS, "") for each in tx.inbox.decided(room, 100)]
        names = tuple(each.name for each in found if each.received > self._read)
        self._read = self.world.clock.now().timestamp() - 5
        texts = tuple(text for room, text in sent if room == OPS)
        return Reading(f"{answer.status} {answer.text}", names, texts, any(room == PLAIN for room, _ in sent))


def _visible(text: str) -> str:
    shown = World.shown(text)
    return re.sub("[\u200b-\u200f\u2060]+", "␣", shown)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for server in SERVERS:
        parts += [f"## {server}\n", *map(_section, every(server))]
    return "\n".join(parts)


def _section(body: Body) -> str:
    with tempfile.TemporaryDirectory() as folder:
        first = Rooms(Path(folder), body.server).take(body)
    lines = [f"### `{body.name}`: {body.resource or _sender(body)}{_action(body)}", ""]
    if not first.decisions:
        return "\n".join([*lines, f"Answer {first.answer}", ""])
    lines += _reading("first message", first)
    if first.texts and not first.is_sent_by_default:
        lines += ["Only where a route names this reason.", ""]
    after = _after(body)
    if after is not None:
        lines += _reading("after a notification", after)
    return "\n".join(lines)


def _after(body: Body) -> Reading | None:
    """What the room gets ten minutes after its notification; what opens an issue again comes to a resolved one."""
    begins = _beginning(body)
    if begins is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        rooms = Rooms(Path(folder), body.server)
        rooms.take(begins, request_id="0" * 32)
        if re.search("unresolved|regress|escalat", body.name) and body.server == "sentry":
            rooms.take(_with_issue(load("sentry", "issue_resolved"), _issue_number(body)), request_id="1" * 32)
        rooms.world.at(rooms.world.seconds + 600)
        rooms.world.chat.sent.clear()
        return rooms.take(body)


def _beginning(body: Body) -> Body | None:
    key = next((key for key in BEGINNINGS if body.name.startswith(key)), None)
    if key is not None:
        return load(body.server, BEGINNINGS[key])
    number = _issue_number(body)
    return (
        _with_issue(load("sentry", "issue_created"), number)
        if number and not body.name.startswith("issue_created")
        else None
    )


def _issue_number(body: Body) -> str:
    data = body.content["data"] if body.resource else {}
    inner = next((data[name] for name in ("issue", "event", "error") if name in data), {})
    return str(inner.get("issue_id") or inner.get("id") or data.get("issue_id") or data.get("group_id") or "")


def _with_issue(body: Body, number: str) -> Body:
    short = next((short for known, short, _, _ in ISSUES["sentry"] if known == number), "")
    issue = {**body.content["data"]["issue"], "id": number, "shortId": f"MY-PROJ-{short}"}
    return replace(body, content={**body.content, "data": {**body.content["data"], "issue": issue}})


def _reading(when: str, reading: Reading) -> list[str]:
    texts = [line for text in reading.texts for line in ["    " + part for part in text.split("\n")]]
    return [f"{when}: {_names(reading)}", "", *texts, *([""] if texts else [])]


def _names(reading: Reading) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(reading.decisions))


def _sender(body: Body) -> str:
    if body.is_service_hook:
        return "service hook"
    return "legacy plugin" if body.server == "sentry" else "webhook"


def _action(body: Body) -> str:
    if not body.resource:
        return ""
    kind = body.content["data"].get("activity", {}).get("type", "")
    return f" {body.content['action']}" + (f" {kind}" if kind else "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
