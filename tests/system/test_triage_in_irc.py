"""A person's session in IRC against a real Bugsink, command after command; what was said can be kept for the docs.

TRANSCRIPT=docs/irc-session.md pytest tests/system/test_triage_in_irc.py
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.servers.irc_client import IrcClient
from tests.system.irc_world import BOT, ROOM, IrcWorld, person_in_room
from tests.waiting import until

# What is typed, and what a line of the answer must match, the last one that is waited for.
SESSION = (
    ("!sentry", r"^More about a command"),
    ("!sentry issues", r"^#2 .*ValueError: no such basket"),
    ("!sentry issue #1", r"^tags: .*shop=berlin"),
    ("!sentry trace #1", r"^event [0-9a-f]{32}"),
    ("!sentry breadcrumbs #1", r"no breadcrumbs"),
    ("!sentry archive #2 —until 2h", r"archived for 2h by alice"),
    ("!sentry issues is:archived", r"^#1 .*ValueError.*archived"),
    ("!sentry reopen #1", r"reopened by alice: ValueError"),
    ("!sentry issues -s freq", r"^#2 .*ValueError"),
    ("!sentry events #1", r"^#2 [0-9a-f]{32}"),
    ("!sentry graph #1 -t 24h", r"█.* each$"),
    ("!sentry tags #1", r"^Bugsink.* count tags"),
    ("!sentry releases", r"^#2 shop@1\.4"),
    ("!sentry projects", r"^#1 bot-"),
    ("!sentry assign #1 me", r"^Bugsink has no assignee"),
    ("!sentry note #1 it's the empty basket “again”", r"^Note left on .*ZeroDivisionError"),
    ("!sentry resolve #2", r"#2 could mean two issues"),
    ("!sentry issues -p bot-*", r"^#2 .*ValueError"),
    ("!sentry resolve #1-2", r"resolved by alice: ValueError"),
    ("!sentry issues", r"^No unresolved issues"),
    ("!sentry isues", r"did you mean `!sentry issues`\?"),
    ("!sentry issues -s frequency", r"did you mean freq\? Usage: !sentry issues"),
    ("!sentry resolve #7", r"There's no #7; the last list has"),
    ("!sentry whoami", r"has no user accounts to link"),
    ("!sentry monitors", r"has no monitors"),
    ("!sentry #1", r"^#1|is a row|There's no #1"),
)


def test_a_session_as_a_new_user_has_it(tmp_path, ngircd, bugsink_project):
    bugsink_project.send_event("ValueError", "no such basket", release="shop@1.4")
    for release in ("shop@1.4", "shop@1.5"):
        bugsink_project.send_event("ZeroDivisionError", "division by zero", release=release, tags={"shop": "berlin"})
    world = IrcWorld(tmp_path, ngircd, bugsink_project, BOT_LOG_SENTRY=False, SENTRY_ALERTS=[], IRC_CHANNEL_RATE=0)
    said: list[str] = []
    with person_in_room(ngircd) as alice, person_in_room(ngircd, "bob") as bob, world.bot:
        alice.wait_for_join(BOT, ROOM)
        for typed, pattern in SESSION:
            said += _ask(alice, typed, pattern)
        assert all(row["is_resolved"] for row in bugsink_project.issues())
        (newest, *_) = bugsink_project.issues()
        said += _ask(bob, f"!sentry reopen {newest['friendly_id']}", r"Ask an operator to add you to SENTRY_WRITERS")
        address = f"{bugsink_project.url}/issues/issue/{newest['id']}/event/last/"
        said += _ask(bob, f"have you seen {address} ?", r"^resolved · ")
        assert bugsink_project.issue(newest["id"])["is_resolved"]
        assert max(len(line.text.encode()) for line in alice.lines(ROOM, BOT)) <= 450
    assert world.bot.log.count("Traceback") == 0
    if where := os.environ.get("TRANSCRIPT"):
        _keep(Path(where), said)


def _ask(person: IrcClient, typed: str, pattern: str) -> list[str]:
    before = person.count()
    person.say(ROOM, typed)

    def answer() -> list[str]:
        return [_plain(text) for text in person.texts(ROOM, BOT, after=before)]

    until(lambda: any(re.search(pattern, line) for line in answer()), 60, lambda: f"{pattern!r} in {answer()}")
    return [f"<{person.nick}> {typed}", *(f"<{BOT}> {line}" for line in answer() if line), ""]


def _plain(text: str) -> str:
    """A line as a client shows it; Errbot puts a space before each line but the first of a message."""
    seen = re.sub("[\x02\x03\x0f\x1d\x1f\u200b]", "", text).rstrip()
    return seen[1:] if re.match(r" \S", seen) else seen


def _keep(path: Path, said: list[str]) -> None:
    head = (
        "# A session on IRC",
        "",
        "`tests/system/test_triage_in_irc.py` recorded this session with a real Bugsink 2.6.1. Bold is left out.",
        "",
        "```",
    )
    path.write_text("\n".join([*head, *said]).rstrip() + "\n```\n", encoding="utf-8")
