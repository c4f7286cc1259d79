"""`sentry`, `issue`, `status`, `test`: what is connected, shown whole, and tried."""

from __future__ import annotations

import pytest

from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.commands.command_context import OFF, FlowStatus, find_command
from errbot_sentry.commands.registry import COMMANDS
from errbot_sentry.domain.conversation import Conversation, Invocation, Person
from errbot_sentry.domain.errors import BadToken, ServerFailed, TimedOut, Unreachable, UsageError, UserError
from errbot_sentry.server.protocol import Server
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
    assert "has no event of this issue any more" in world.lines("issue WEB-1")[-1]


def test_one_issue_costs_two_requests() -> None:
    world = World([issue(1)])
    world.lines("issue WEB-1")
    assert [name for name, _ in world.server.calls] == ["issue_by_short_id", "latest_event"]


def test_one_issue_at_a_time() -> None:
    with pytest.raises(UsageError, match=r"Unexpected word.*Usage: !sentry issue REF"):
        World([issue(1)]).lines("issue WEB-1 WEB-2")


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


class LateReporter:
    """Sends a test event that the server shows only some seconds later."""

    def __init__(self, after: float, issue_id: str = "101", unsent: str | None = None) -> None:
        self.asked: list[tuple[Person, Conversation]] = []
        self._after, self._issue_id, self._unsent = after, issue_id, unsent
        self.world: World | None = None

    def unsent_reason(self, event_id: str) -> str | None:
        assert event_id == "e" * 32
        return self._unsent

    def capture_test(self, person: Person, conversation: Conversation) -> str:
        assert self.world is not None
        self.asked.append((person, conversation))
        server, clock = self.world.server, self.world.clock
        arrives = clock.monotonic() + self._after
        look_up = server.issue_of_event
        server.issue_of_events["e" * 32] = self._issue_id
        server.issue_of_event = (  # type: ignore[method-assign]
            lambda event_id: look_up(event_id) if clock.monotonic() >= arrives else None
        )
        return "e" * 32


def reporting_world(after: float, issue_id: str = "101", unsent: str | None = None) -> World:
    reporter = LateReporter(after, issue_id, unsent)
    world = World([issue(1), issue(3, VAULT)], access=ROOMS, reporter=reporter)
    reporter.world = world
    return world


def test_the_test_event_is_followed_until_the_server_shows_it() -> None:
    world = reporting_world(after=3)
    assert world.lines("test") == [
        f"Captured test event {'e' * 32}; looking for it on the server…",
        "The server shows it: WEB-1, after 4 s · https://sentry.example.com/organizations/acme/issues/101/",
    ]


def test_a_test_event_that_never_comes_is_given_up_in_bounded_time() -> None:
    world = reporting_world(after=3600)
    before = world.clock.monotonic()
    assert "doesn't show" in world.lines("test")[1]
    assert world.clock.monotonic() - before <= 21


@pytest.mark.parametrize("server_works", [True, False])
def test_a_test_event_that_waits_in_the_spool_was_not_sent(server_works: bool) -> None:
    world = reporting_world(after=3600, unsent="the server cannot be reached")
    if not server_works:
        world.server.fail("issue_of_event", Unreachable("No connection."), times=99)
    text = "\n".join(world.lines("test"))
    assert text.endswith("It hasn't reached the server: the server cannot be reached")
    assert "sent" not in text.lower()


def test_a_test_event_in_a_hidden_project_shows_nothing_of_it() -> None:
    world = reporting_world(after=0, issue_id="103")
    assert world.lines("test", conversation=DIRECT)[1] == "The server has it, but its project isn't visible here."


def test_a_server_that_cannot_be_asked_is_said() -> None:
    world = reporting_world(after=0)
    world.server.fail("issue_of_event", BadToken("The server refuses the token."))
    assert world.lines("test")[1] == "It was sent, but I couldn't look for it: The server refuses the token."
    world.server.fail("issue_of_event", TimedOut("No answer in time."), times=99)
    assert world.lines("test")[1] == "It was sent, but I couldn't look for it: No answer in time."


def test_a_passing_failure_is_waited_out() -> None:
    world = reporting_world(after=0)
    world.server.fail("issue_of_event", TimedOut("No answer in time."), times=3)
    assert "after 4 s" in world.lines("test")[1]


def test_without_reporting_there_is_no_test() -> None:
    with pytest.raises(UserError, match="BOT_LOG_SENTRY"):
        World().lines("test", person=BOB)


def test_one_test_at_a_time() -> None:
    world = reporting_world(after=0)
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
