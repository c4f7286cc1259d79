"""Alerts on Mattermost, with its real backend and driver: cards, threads, edits, clicks, reactions, refusals, a cut."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.mattermost_server import MattermostServer
from tests.fakes.mattermost_team import ANN, BOB, MESSAGE_LIMIT, OPS, WEB, Post
from tests.fakes.tracker import TrackedIssue
from tests.networks import GOLDEN, golden
from tests.servers.certificates import self_made
from tests.servers.mattermost_bot import OURS, MattermostBot
from tests.system.network_world import OWNER, NetworkWorld, link
from tests.waiting import until


class World(NetworkWorld):
    """Mattermost, Sentry, and the bot between them. Each setting spells the room in another way."""

    def __init__(self, folder: Path, ends: ExitStack, *, https: bool = False, **settings: Any) -> None:
        super().__init__(ends)
        certificate = self_made(folder / "server.pem") if https else None
        self.chat = ends.enter_context(MattermostServer(certificate))
        self.bot = MattermostBot(
            folder,
            self.chat,
            shims=OURS,
            trust=certificate,
            **{
                **self.settings,
                "SENTRY_ALERTS": [{"rooms": ["ops"], "mention": "@oncall"}],
                "SENTRY_ROOM_PROJECTS": {OPS: ["shop"], "direct": ["shop"]},
                **settings,
            },
        )
        self.webhook = self.bot.webhook
        ends.enter_context(self.bot.process)
        self.chat.wait_for_socket()

    def post_click(self, click: object) -> int:
        """What somebody else than Mattermost sends to where clicks go; the status of the answer."""
        raw = click if isinstance(click, bytes) else json.dumps(click).encode()
        request = urllib.request.Request(f"{self.bot.listener}/sentry/clicks", data=raw)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code

    def shown(self, channel: str = OPS) -> list[Post]:
        return self.chat.in_channel(channel)

    def wait_for(self, pattern: str, root: str | None = None, channel: str = OPS) -> Post:
        """What the bot posted into a channel (and into this thread of it), waiting for it."""
        return self.wait_for_one(
            lambda: self.shown(channel), lambda post: root in (None, post.root) and _reads(post, pattern), pattern
        )

    def notification(self, issue: TrackedIssue) -> Post:
        self.hook(issue)
        post = self.wait_for(rf"New.*{issue.short_id}", root="")
        self.bot.process.wait_until_stored(post.id)
        return post

    def wait_for_mark(self, post: Post, mark: str) -> None:
        until(lambda: _reads(post, mark), 60, lambda: f"{mark!r} on {post}")


def _reads(post: Post, pattern: str) -> re.Match[str] | None:
    """What the post shows now, with escapes taken out."""
    text = f"{post.message} {json.dumps(post.props.get('attachments', []), ensure_ascii=False)}"
    return re.search(pattern, text.replace("\\", "").replace("\u200b", ""), re.DOTALL)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as ends:
        yield World(tmp_path, ends)


def test_cards_threads_clicks_and_reactions(world: World) -> None:
    chat = world.chat
    issue = world.issue("@here ~ops *it* <b> broke: `now`")
    first = world.notification(issue)
    assert first.message == "@oncall **New in shop**"
    (card,) = first.props["attachments"]
    assert card["title"].replace("\u200b", "") == f"{issue.short_id} KeyError: @here ~ops *it* <b> broke: `now`"
    assert "@here" not in json.dumps(first.props)

    # Commands in the thread need no REF; the room is known by each of its names, and no other room sees the project.
    chat.say(BOB, "!sentry issue", OPS, first.id)
    world.wait_for(issue.short_id + ".*KeyError", channel=OPS)
    chat.say(BOB, f"!sentry issue {issue.short_id}", WEB)
    world.wait_for("not found here", channel=WEB)
    chat.say(ANN, "!sentry whoami", OPS)
    until(lambda: any("`@ann`" in post.message for post in world.shown()), 60, "an id that can be pasted")
    chat.say(ANN, "!sentry graph", OPS, first.id)
    chart = until(lambda: next((post for post in world.shown() if post.files), None), 60, "a chart")
    assert chart.root == first.id
    assert chat.team.files[chart.files[0]].content.startswith(b"\x89PNG")

    # An update is in the thread, and the notification shows it.
    world.hook(issue, "resolved")
    world.wait_for("resolved by Carol", first.id)
    world.wait_for_mark(first, "resolved by Carol.*Reopen")
    world.hook(issue, "unresolved")
    world.wait_for_mark(first, "Resolve.*Archive")
    assert len([post for post in world.shown() if not post.root and "New" in post.message]) == 1

    # Who may not change issues reads so alone; a click of before the restart works, and a double click once.
    assert chat.click(BOB, first.id, "resolve").status == 200
    world.wait_for("SENTRY_WRITERS", channel=chat.direct(BOB))
    assert issue.status == "unresolved"
    world.bot.process.stop()
    world.bot.process.start()
    chat.wait_for_socket()
    chat.may_whisper = True
    assert chat.click(ANN, first.id, "archive", "1d").status == 200
    world.wait_for_mark(first, "archived for a day by ann")
    assert issue.status == "ignored"
    assert chat.click(ANN, first.id, "reopen").status == 200
    assert world.post_click(chat.clicks[-1]) == 200  # clicked again before the edit is seen
    world.wait_for_mark(first, "reopened by ann")
    assert issue.status == "unresolved"
    until(lambda: len(chat.ephemeral) == 2, 60, lambda: f"two replies, not {chat.ephemeral}")
    assert {user for user, _ in chat.ephemeral} == {ANN}

    # A forged click, one of before the last edit, and one for another post change nothing.
    second = world.issue("another")
    other = world.notification(second)
    old = chat.clicks[0]
    assert chat.click(BOB, first.id, "resolve").status == 200
    good = chat.clicks[-1]
    context = good["context"]
    assert old["context"]["action"] == context["action"] == "resolve"
    for click, status in (
        ({**good, "user_id": ANN, "context": {**context, "action": "assign"}}, 401),
        ({**good, "user_id": ANN, "context": {**context, "signature": "é"}}, 401),
        ({**good, "user_id": ANN, "context": {**context, "token": "x"}}, 401),
        ({**good, "user_id": ANN, "post_id": other.id}, 200),
        ({**good, "user_id": "../users/me"}, 200),
        ({**old, "user_id": ANN}, 200),
        ({**good, "context": 7}, 400),
        (b"\xff", 400),
        ([], 400),
    ):
        assert world.post_click(click) == status, click
    world.wait_for_mark(first, "reopened by ann")

    # Reactions are clicks too.
    chat.react(BOB, "white_check_mark", first.id)
    chat.react(ANN, "tada", first.id)
    chat.react(ANN, "mute", first.id)
    world.wait_for_mark(first, "silenced for 1h by ann")
    assert (issue.status, second.status) == ("unresolved", "unresolved")
    chat.react(ANN, "white_check_mark", first.id)
    world.wait_for_mark(first, "resolved by ann")
    assert issue.status == "resolved"

    calls = [(call.name, _steady(call.values)) for call in chat.calls if call.name.startswith(("POST /posts", "PUT"))]
    replaced = {world.sentry.url: "https://sentry.example.com", world.bot.listener: "https://bot.example.com"}
    update = next(call for call in calls if call[1].get("root_id") and "resolved" in call[1]["message"])
    golden(GOLDEN / "mattermost.json", [calls[0], update, calls[-1]], replaced)


def _steady(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a call, without what is made by chance."""
    text = json.dumps(values)
    text = re.sub(r'("(?:token|sentry_reporter|signature|pending_post_id)": )"[^"]+"', r'\1"…"', text)
    steady: dict[str, Any] = json.loads(text)
    return steady


def test_what_mattermost_refuses_is_never_called_delivered(world: World) -> None:
    """Tried again, obeyed or set aside; a lost answer repeats nothing."""
    chat = world.chat

    def tried(count: int) -> None:
        until(lambda: len(chat.called("POST /posts")) >= before + count, 60, "it was tried")

    for status, error in (
        (403, ""),
        (404, ""),
        (400, "api.post.create_post.can_not_post_to_deleted.error"),
        (500, ""),
        (401, ""),
    ):
        before, shown = len(chat.called("POST /posts")), len(world.shown())
        chat.refuse("POST /posts", status, times=2, error=error)
        issue = world.issue(f"refused with {status}")
        world.hook(issue)
        tried(2)
        assert len(world.shown()) == shown, status
        world.wait_for(rf"New.*{issue.short_id}")
        chat.allow()

    before = len(chat.called("POST /posts"))
    chat.refuse("POST /posts", 429, times=1, retry_after=2)
    issue = world.issue("limited")
    world.notification(issue)
    assert len(chat.called("POST /posts")) == before + 2

    # A card that is refused for its form is said as text.
    chat.refuse("POST /posts", 400, times=1, error="model.post.is_valid.props.app_error")
    issue = world.issue("no card")
    assert not world.notification(issue).props

    chat.lose_answer("POST /posts")
    issue = world.issue("lost answer")
    before = len(chat.called("POST /posts"))
    world.hook(issue)
    tried(2)
    world.wait_for(rf"New.*{issue.short_id}")
    chat.offline, before_last = True, len(chat.requests)
    last = world.issue("while it is away")
    world.hook(last)
    until(lambda: len(chat.requests) > before_last, 60, "it was tried")
    chat.offline = False
    world.wait_for(rf"New.*{last.short_id}")
    for each in (issue, last):
        assert len([post for post in world.shown() if _reads(post, each.short_id)]) == 1

    # What is never taken is set aside at once, and the room's next message goes through.
    chat.refuse("POST /posts", 400, times=1, error="model.post.is_valid.message_length.app_error")
    world.hook(world.issue("x" * MESSAGE_LIMIT))
    world.bot.process.wait_for_log("is set aside, nobody takes it: .*message_length")

    # The beginning of a thread was deleted: what follows goes into the channel.
    gone = world.issue("deleted")
    first = world.notification(gone)
    chat.team.posts.remove(first)
    world.hook(gone, "resolved")
    world.wait_for("resolved by Carol", root="")


def test_a_token_that_is_refused_for_a_while_loses_nothing(world: World) -> None:
    """Also where the room was not looked up before."""
    chat = world.chat
    world.lose_token(
        lambda: chat.refuse("*", 401),
        chat.allow,
        "api.context.session_expired.app_error",
        lambda: [json.dumps(post.props) for post in world.shown()],
    )


def test_over_https_a_cut_socket_is_shown_and_heals_and_alerts_come_to_a_person(tmp_path: Path) -> None:
    """With the package from PyPI, and no more in config.py than docs/networks.md says."""
    with ExitStack() as ends:
        world = World(
            tmp_path,
            ends,
            https=True,
            SENTRY_ALERTS=[{"rooms": ["@ann"], "mention": "assignee", "direct": True}],
            SENTRY_ROOM_PROJECTS={"@ann": ["shop"], "direct": ["shop"]},
        )
        chat = world.chat
        issue, direct = world.issue(), chat.direct(ANN)
        world.hook(issue)
        first = world.wait_for("New in shop", channel=direct)
        assert chat.click(ANN, first.id, "resolve").status == 200
        world.wait_for_mark(first, "resolved by ann")
        assert issue.status == "resolved"
        chat.say(ANN, "!sentry status", OPS)
        world.wait_for("mattermost.*confirms")
        chat.offline = True
        chat.cut()
        until(lambda: "trouble" in _health(world), 60, "the health page shows it")
        chat.offline = False
        chat.wait_for_socket(60)
        until(lambda: '"chat": "ok"' in _health(world), 60, "the health page is well again")
        chat.say(ANN, "!sentry whoami", OPS)
        world.wait_for("In chat you are ann")
        _direct_messages(world)


def _direct_messages(world: World) -> None:
    """Bob gets what mentions him, and what he has subscribed to, alone and with his own rights."""
    chat, direct = world.chat, world.chat.direct(BOB)
    link(
        world.tracker,
        lambda line: chat.say(BOB, line, direct),
        lambda pattern: world.wait_for(pattern, channel=direct).message,
    )
    issue, owner = world.issue("for bob"), OWNER
    world.hook(issue, assignedTo=owner)
    world.wait_for(rf"@bob.*New.*{issue.short_id}", channel=chat.direct(ANN))
    said = world.wait_for(rf"New.*{issue.short_id}", "", direct)
    world.bot.process.wait_until_stored(str(said.id))
    assert chat.click(BOB, said.id, "resolve").status == 200
    world.wait_for("SENTRY_WRITERS", channel=direct)
    assert issue.status == "unresolved", "bob may not change issues"
    chat.say(BOB, "!sentry issue", direct, said.id)
    world.wait_for(f"{issue.short_id}.*KeyError: for bob.*first seen", channel=direct)

    chat.say(BOB, "!sentry subscribe assignee=me", direct)
    world.wait_for("Subscription 1: assignee=me", channel=direct)
    both = world.issue("by both ways")
    world.hook(both, assignedTo=owner)
    world.wait_for(rf"New.*{both.short_id}", "", direct)
    world.hook(both, "resolved")
    world.wait_for("resolved by Carol", channel=direct)
    assert len([post for post in world.shown(direct) if not post.root and _reads(post, f"New.*{both.short_id}")]) == 1


def _health(world: World) -> str:
    try:
        with urllib.request.urlopen(f"{world.bot.listener}/sentry/health", timeout=30) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as trouble:
        with trouble:
            return trouble.read().decode()
