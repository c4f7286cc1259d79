"""`sentry`, `issue`, `status`, `test`: what is connected, shown whole, and tried."""

from __future__ import annotations

import pytest

from errbot_sentry.alerting.canary_links import Link, LinkState, Progress
from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.commands.command_context import OFF, FlowStatus, find_command
from errbot_sentry.commands.registry import COMMANDS
from errbot_sentry.domain.conversation import Conversation, Invocation, Person
from errbot_sentry.domain.errors import BadToken, ServerFailed, Unreachable, UsageError, UserError
from errbot_sentry.server.protocol import Health, Server
from tests.rules.commands.world import (
    ALICE,
    BOB,
    DIRECT,
    EVENT,
    OPS,
    ROOMS,
    VAULT,
    World,
    issue,
)


def test_the_overview_shows_what_this_person_may_use_here() -> None:
    world = World([issue(1), issue(2, VAULT)], access=ROOMS)
    assert world.lines("sentry") == [
        "Connected to Sentry at https://sentry.example.com, projects: web",
        "Look: issues, next, prev, issue, trace, breadcrumbs, events, tags, graph, projects, releases, monitors",
        "Change: resolve, reopen, archive, assign, ack, note, priority, merge",
        "Alerts: alerts, route, subscriptions, silences, subscribe, unsubscribe, silence, unsilence, resend, digest",
        "About: link, unlink, whoami, feedback, status, test",
        "More about a command: `!sentry help issues`",
    ]
    reader = world.lines("sentry", person=Person("carol", "carol"), conversation=Conversation("#vault"))
    assert reader[0].endswith("projects: vault, web")
    assert not any("resolve" in line for line in reader)
    assert any("SENTRY_WRITERS" in line for line in reader)
    nowhere = world.lines("sentry", conversation=Conversation("#elsewhere"))
    assert "No projects are visible here" in nowhere[1]


def test_what_the_server_refuses_is_neither_listed_nor_recommended() -> None:
    world = World([issue(1)], unsupported=("accounts", "merge", "assign", "read_monitors"))
    listed = ", ".join(line.partition(": ")[2] for line in world.lines("sentry")).split(", ")
    assert not {"link", "merge", "assign", "ack", "monitors"}.intersection(listed)
    assert {"resolve", "releases", "whoami"} <= set(listed)
    assert world.lines("whoami")[1] == "This server has no accounts."


def test_the_overview_comes_also_without_the_server() -> None:
    def nobody() -> Server:
        raise Unreachable("The server cannot be reached.")

    lines = World(find_server=nobody).lines("sentry")
    assert lines[0] == "The server cannot be reached."
    assert lines[1].startswith("Look: issues")


def test_commands_of_all_groups_are_listed_and_suggested() -> None:
    world = World([issue(1)], prefix=".")
    assert any(line.startswith("Alerts: alerts, route,") and "silence" in line for line in world.lines("sentry"))
    with pytest.raises(UsageError, match=r"Unknown command 'silense'; did you mean `\.sentry silence`\?"):
        world.lines("sentry silense 2h")


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ("list", "issues"),
        ("close WEB-1", "resolve WEB-1"),
        ("sentry WEB-1", "issue WEB-1"),
        ("sentry 101", "issue 101"),
        ("sentry #1", "issue #1"),
        ("ack WEB-1", "assign WEB-1 me"),
    ],
)
def test_words_that_people_try_are_understood(typed: str, same: str) -> None:
    said = []
    for one in (typed, same):
        world = World([issue(1)])
        world.link("alice@example.org")
        world.lines("issues")
        said.append(world.lines(one))
    assert said[0] == said[1]
    assert "WEB-1" in said[0][0]


@pytest.mark.parametrize(
    ("typed", "meant"), [("mute", "silence"), ("snooze", "silence"), ("unmute", "unsilence"), ("close", "resolve")]
)
def test_what_other_tools_call_it_is_another_name_of_the_command(typed: str, meant: str) -> None:
    found = find_command(typed, COMMANDS)
    assert found is not None
    assert found.name == meant


@pytest.mark.parametrize(
    ("typed", "meant"), [("isues", "issues"), ("resolv #1", "resolve"), ("unresolv", "reopen"), ("Staus", "status")]
)
def test_a_mistyped_command_suggests_the_right_one(typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"did you mean `!sentry {meant}`\?"):
        World().lines(f"sentry {typed}")


def test_a_word_that_is_like_nothing_points_to_the_list() -> None:
    with pytest.raises(UsageError, match="`!sentry` lists them"):
        World().lines("sentry qqqq")


def test_one_issue_whole() -> None:
    world = World([issue(1, substatus="escalating", priority="high", first_release="shop@1.2")])
    world.server.events_by_issue["101"] = EVENT
    assert world.lines("issue WEB-1") == [
        "WEB-1 Problem 1 · https://sentry.example.com/organizations/acme/issues/101/",
        "unresolved (escalating) · ✗ error · priority high · project web",
        "1.2k events · 3 users · ▁▂▄█",
        "first seen 3 days ago in shop@1.2 · last seen a minute ago in shop@1.4",
        "error: ZeroDivisionError: division by zero",
        "at shop/cart.py:42 in pay: `return 1 / cart.left`",
        "tags: environment=production · browser=Firefox 140",
    ]


def test_an_issue_is_shown_also_when_its_event_cannot_be_read() -> None:
    world = World([issue(1)])
    world.server.fail("latest_event", ServerFailed("The server failed (502)."))
    lines = world.lines("issue WEB-1")
    assert lines[-1] == "Couldn't read the latest event: The server failed (502)."
    assert "no longer has any event of this issue" in world.lines("issue WEB-1")[-1]


def test_one_issue_costs_two_requests() -> None:
    world = World([issue(1)])
    world.lines("issue WEB-1")
    assert [name for name, _ in world.server.calls] == ["issue_by_short_id", "latest_event"]


def test_one_issue_at_a_time() -> None:
    with pytest.raises(UsageError, match=r"Unexpected word.*Usage: !sentry issue REF"):
        World([issue(1)]).lines("issue WEB-1 WEB-2")


def test_status_counts_the_rows_that_were_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([issue(1)])
    monkeypatch.setattr(world.server, "health", lambda: Health("sentry", "https://sentry.example.com", unreadable=1))
    assert "1 row of its lists could not be read: the log has the cause" in world.lines("status")[0]


def test_status_shows_the_server_and_the_flows() -> None:
    world = World([issue(1)], status=lambda: [FlowStatus("report", OFF, ("BOT_LOG_SENTRY is False",))])
    assert world.lines("status") == [
        "server ok: Sentry · 1 call since the start, 0 failed · https://sentry.example.com",
        "report off: BOT_LOG_SENTRY is False",
    ]
    world.server.fail("check", BadToken("The server refuses the token."))
    assert world.lines("status")[0] == "server trouble: The server refuses the token."


def test_what_people_copy_has_no_unseen_characters() -> None:
    world = World([issue(1)])
    templates = Templates("irc", lambda: frozenset({"alice", "sentry"}))
    shown = [
        templates.render(view.template, view.values) for typed in ("whoami", "status") for view in world.views(typed)
    ]
    assert "`alice!a@host`" in shown[0]
    assert "https://sentry.example.com" in shown[1]


class ScriptedRound:
    """A test event that has come so far after so many seconds."""

    def __init__(self, *steps: tuple[float, Progress]) -> None:
        self._steps = steps
        self._begun = 0.0
        self.world: World | None = None

    def begin(self, person: Person) -> str:
        self._begun = self._now()
        return "e" * 32

    def progress(self, event_id: str) -> Progress:
        assert event_id == "e" * 32
        return [progress for at, progress in self._steps if at <= self._now() - self._begun][-1]

    def _now(self) -> float:
        assert self.world is not None
        return self.world.clock.monotonic()


def world_of_a_test(*steps: tuple[float, Progress]) -> World:
    tests = ScriptedRound(*steps)
    tests.world = World([issue(1), issue(3, VAULT)], access=ROOMS, tests=tests)
    return tests.world


SENT = Link("sent", LinkState.OK, seconds=0.42)
SHOWN = Link("shown", LinkState.OK, seconds=3.2)
ON_ITS_WAY = Progress((Link("sent", LinkState.WAITING),))
ADDRESS = "https://sentry.example.com/organizations/acme/issues/101/"
NOT_SENT = Link("sent", LinkState.WAITING, trouble="the server cannot be reached")


@pytest.mark.parametrize(
    ("steps", "replies"),
    [
        (
            [(0, ON_ITS_WAY), (3, Progress((SENT, SHOWN), issue(1)))],
            [f"The server shows it: WEB-1, after 3 s · {ADDRESS}"],
        ),
        (
            [
                (0, Progress((SENT, SHOWN, Link("webhook", LinkState.WAITING)), issue(1))),
                (30, Progress((SENT, SHOWN, Link("webhook", LinkState.BROKEN)), issue(1))),
            ],
            [
                f"The server shows it: WEB-1, after 3 s · {ADDRESS}",
                "sent after 0.4 s · shown after 3.2 s · webhook missing",
            ],
        ),
        (
            [(0, Progress((SENT, Link("shown", LinkState.WAITING))))],
            ["It was sent, but the server doesn't show it after 20 s. Check the DSN's project and its quotas."],
        ),
        ([(0, Progress((NOT_SENT,)))], ["It hasn't reached the server: the server cannot be reached"]),
        (
            [(0, Progress((SENT, Link("shown", LinkState.WAITING, trouble="The server refuses the token."))))],
            ["It was sent, but I couldn't look for it: The server refuses the token."],
        ),
        (
            [(0, Progress((SENT, SHOWN), issue(3, VAULT)))],
            ["The server has it, but its project isn't visible here."],
        ),
    ],
    ids=["shown", "links", "late", "unsent", "blind", "hidden"],
)
def test_the_test_event_is_followed_in_bounded_time(steps: list[tuple[float, Progress]], replies: list[str]) -> None:
    world = world_of_a_test(*steps)
    before = world.clock.monotonic()
    conversation = DIRECT if "hidden" in replies[0] or "visible" in replies[0] else OPS
    shown = world.lines("test", conversation=conversation)
    assert shown == [f"Captured test event {'e' * 32}; looking for it on the server…", *replies]
    assert world.clock.monotonic() - before <= 112


def test_without_reporting_there_is_no_test() -> None:
    with pytest.raises(UserError, match="BOT_LOG_SENTRY"):
        World().lines("test", person=BOB)


def test_one_test_at_a_time() -> None:
    world = world_of_a_test((0, Progress((SENT, SHOWN), issue(1))))
    first = world.commands.run("test", Invocation(ALICE, OPS))
    next(first)
    with pytest.raises(UserError, match="already running"):
        world.lines("test", person=BOB)
    list(first)
    assert len(world.lines("test", person=BOB)) == 2


@pytest.mark.parametrize("words", ["help", "HELP"])
def test_help_is_the_overview(words: str) -> None:
    world = World([issue(1)])
    assert world.lines(f"sentry {words}") == world.lines("sentry")


@pytest.mark.parametrize("typed", ["sentry help Issues", "issues --help", "issues -p web -h"])
def test_help_for_one_command(typed: str) -> None:
    with pytest.raises(UsageError) as shown:
        World([issue(1)]).lines(typed)
    assert str(shown.value).startswith("Unresolved issues, last seen first; ")
    assert "Usage: !sentry issues [QUERY] [-p PROJECT]" in str(shown.value)


def test_help_for_a_mistyped_command() -> None:
    with pytest.raises(UsageError, match=r"did you mean `!sentry resolve`\?"):
        World([issue(1)]).lines("sentry help resolv")


@pytest.mark.parametrize("typed", ["sentry", "projects", "issues -p web"])
def test_a_server_without_any_project_is_no_matter_of_rights(typed: str) -> None:
    """GlitchTip answers so where SENTRY_ORG is mistyped: no operator would find that in SENTRY_PROJECTS."""
    said = ""
    try:
        said = "\n".join(World([]).lines(typed))
    except UserError as refusal:
        said = str(refusal)
    assert "The server shows no projects. Check SENTRY_ORG" in said
