"""`resolve --in`, `archive`, `assign`, `priority`, `note`, `merge`: said in chat, done on the server, told exactly."""

from __future__ import annotations

from datetime import timedelta

import pytest

from errbot_sentry.commands.changes.triage_options import read_until, until_words
from errbot_sentry.config.settings import CommandSettings
from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.errors import BadQuery, BadReference, NotAllowed, Unsupported, UsageError, UserError
from errbot_sentry.domain.issues import ARCHIVED, UNRESOLVED, ArchiveUntil, Assignee, ResolveIn
from errbot_sentry.store.records import Group
from tests.rules.commands.test_references import thread_issue
from tests.rules.commands.world import API, BOB, NOW, ROOMS, VAULT, World, issue

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    "command",
    ["resolve #1", "reopen #1", "archive #1", "assign #1 me", "note #1 x", "priority #1 high", "merge WEB-1 WEB-2"],
)
def test_all_of_triage_is_for_writers(command: str) -> None:
    world = World([issue(1), issue(2)])
    with pytest.raises(NotAllowed, match="SENTRY_WRITERS"):
        world.lines(command, person=BOB)
    assert world.server.calls == []


@pytest.mark.parametrize(
    ("word", "when", "words"),
    [
        ("shop@1.4", ResolveIn(release="shop@1.4"), "resolved in shop@1.4"),
        ("@next", ResolveIn(next_release=True), "resolved in the next release"),
        ("@LATEST", ResolveIn(latest_release=True), "resolved in the latest release"),
        (
            "@commit:acme/shop@0123abcdef0123",
            ResolveIn(commit=("acme/shop", "0123abcdef0123")),
            "by commit 0123abcdef01",
        ),
    ],
)
def test_resolve_in(word: str, when: ResolveIn, words: str) -> None:
    world = World([issue(1)])
    assert words in world.lines(f"resolve WEB-1 --in {word}")[0]
    assert world.server.asked("resolve_in") == [("101", when)]


@pytest.mark.parametrize("word", ["@nxt", "@commit", "@commit:repo", "@commit:@abcdef0", "@commit:r@zz", '""'])
def test_resolve_in_nonsense(word: str) -> None:
    world = World([issue(1)])
    with pytest.raises(UsageError, match="@next, @latest or @commit:REPO@SHA"):
        world.lines(f"resolve WEB-1 --in {word}")
    assert world.server.asked("resolve_in") == []


@pytest.mark.parametrize(
    ("word", "until", "words"),
    [
        ("forever", ArchiveUntil(), "archived"),
        ("escalating", ArchiveUntil(escalating=True), "archived until it escalates"),
        ("auto", ArchiveUntil(escalating=True), "archived until it escalates"),
        ("2h", ArchiveUntil(span=2 * HOUR), "archived for 2h"),
        ("1h30m", ArchiveUntil(span=1.5 * HOUR), "archived for 1h30m"),
        ("2hours", ArchiveUntil(span=2 * HOUR), "archived for 2h"),
        ("2026-11-21", ArchiveUntil(span=12 * HOUR), "archived for 12h"),
        ("2026-11-20T13:00Z", ArchiveUntil(span=HOUR), "archived for 1h"),
        ("10x", ArchiveUntil(events=10), "archived until 10 more events"),
        ("10u", ArchiveUntil(users=10), "archived until 10 more users"),
        ("10x/5m", ArchiveUntil(events=10, window=HOUR / 12), "archived until 10 more events in 5m"),
        ("5U/1h", ArchiveUntil(users=5, window=HOUR), "archived until 5 more users in 1h"),
        ("10events/2hours", ArchiveUntil(events=10, window=2 * HOUR), "archived until 10 more events in 2h"),
        ("3users/week", ArchiveUntil(users=3, window=timedelta(weeks=1)), "archived until 3 more users in 7d"),
    ],
)
def test_archive_until(word: str, until: ArchiveUntil, words: str) -> None:
    assert read_until(word, NOW) == until
    assert until_words(until) == words
    world = World([issue(1)])
    assert world.lines(f'archive WEB-1 --until "{word}"')[0].startswith(f"WEB-1 {words} by alice")
    assert world.server.asked("archive") == [("101", until)]


@pytest.mark.parametrize("word", ["", "never", "0h", "0x", "10y", "10x/", "10x/2w", "10x/5", "2026-13-01", "x", "-1h"])
def test_archive_until_nonsense(word: str) -> None:
    with pytest.raises(UsageError, match="Use forever, escalating"):
        read_until(word, NOW)


ALERTS = ("101", "102")


def test_archive_until_the_past() -> None:
    with pytest.raises(UsageError, match="is in the past; times are in UTC"):
        read_until("2026-11-20T12:00", NOW)


def test_ignore_is_archive_and_for_ever_is_the_default() -> None:
    world = World([issue(1)])
    world.lines("ignore WEB-1")
    assert world.server.asked("archive") == [("101", ArchiveUntil())]
    assert "was archived already" in world.lines("archive WEB-1")[0]


def test_an_archive_without_the_end_that_was_asked_for_is_found_out() -> None:
    """GlitchTip ignores statusDetails and archives for ever."""
    world = World([issue(1, status=ARCHIVED, substatus="archived_forever")])
    world.server.changes_hold = False
    assert (
        "not changed: the server still says archived (archived forever)" in world.lines("archive WEB-1 --until 2h")[0]
    )


def test_assign_to_a_mail_address_a_team_and_nobody() -> None:
    world = World([issue(1), issue(2)])
    assert "assigned to bob@example.org by alice" in world.lines("assign WEB-1 Bob@Example.org")[0]
    assert "assigned to team pay" in world.lines("assign WEB-1 WEB-2 team:pay")[1]
    assert "assigned to nobody" in world.lines("assign WEB-1 nobody")[0]
    assert [what[1] for what in world.server.asked("assign")] == [
        Assignee("user", "bob@example.org", "bob@example.org"),
        Assignee("team", "pay"),
        Assignee("team", "pay"),
        None,
    ]


def test_assign_me_needs_a_proved_address() -> None:
    world = World([issue(1)])
    with pytest.raises(UserError, match="!sentry link MAIL"):
        world.lines("assign WEB-1 me")
    world.link("alice@example.org")
    world.lines("assign WEB-1 me")
    assert world.server.stored["101"].assignee == Assignee("user", "alice@example.org", "alice@example.org")
    assert "asked by alice (alice@example.org) in #ops" in world.server.notes[0][1]


def alert_in_room(world: World) -> None:
    """#ops has had an alert about WEB-1 and one about WEB-2, and bob was mentioned in both."""
    with world.store.write() as tx:
        for each in ALERTS:
            tx.groups.put([Group("#ops", each, "new", "webhook", 0.0, 0.0, UNRESOLVED, mentioned="bob")])


def not_to_mention(world: World) -> list[str]:
    """Per alert the owner who need not be mentioned in #ops."""
    with world.store.read() as tx:
        return [tx.groups.of_issue(each)["#ops"].mentioned for each in ALERTS]


def test_who_takes_an_issue_needs_no_mention_about_it_and_others_do() -> None:
    """So that no alert mentions them for what they typed themselves; stored first, for the webhook may be quick."""
    world = World([issue(1), issue(2)])
    world.link("alice@example.org")
    alert_in_room(world)
    world.lines("assign WEB-2 bob@example.org")
    world.lines("assign WEB-2 team:pay")
    world.lines("assign WEB-2 nobody")
    assert not_to_mention(world) == ["bob", "bob"]
    world.lines("assign WEB-1 me")
    world.lines("assign WEB-2 alice@example.org")
    assert not_to_mention(world) == ["alice@example.org", "alice@example.org"]


def test_an_assignment_that_failed_is_not_stored_as_taken() -> None:
    world = World([issue(1)])
    world.link("alice@example.org")
    alert_in_room(world)
    world.server.fail("assign", Unsupported("This version cannot assign."))
    with pytest.raises(Unsupported):
        world.lines("assign WEB-1 me")
    assert not_to_mention(world) == ["", "bob"]


def test_in_a_thread_the_last_word_is_enough() -> None:
    world = World([issue(3, VAULT)], thread_issue=thread_issue)
    thread = Conversation("#ops", "17.1")
    assert "VAULT-3 assigned to team pay" in world.lines("assign team:pay", conversation=thread)[0]
    assert "VAULT-3 given low priority" in world.lines("priority low", conversation=thread)[0]
    assert "VAULT-3 archived for 2h" in world.lines("archive --until 2h", conversation=thread)[0]


@pytest.mark.parametrize("words", ["WEB-1 bob", "WEB-1 team:", "", "WEB-1 @bob"])
def test_assign_to_whom(words: str) -> None:
    with pytest.raises(UsageError, match=r"me, a mail address, team:slug or nobody.* Usage: !sentry assign"):
        World([issue(1)]).lines(f"assign {words}")


def test_an_assignment_that_the_server_did_not_make_is_found_out() -> None:
    world = World([issue(1, assignee=Assignee("user", "carol", "carol@example.org"))])
    world.server.changes_hold = False
    assert "not changed" in world.lines("assign WEB-1 bob@example.org")[0]
    assert "not changed" in world.lines("assign WEB-1 team:carol")[0]
    assert "not changed" in world.lines("assign WEB-1 nobody")[0]


def test_priority() -> None:
    world = World([issue(1)])
    assert "given high priority" in world.lines("priority WEB-1 HIGH")[0]
    assert "has high priority already" in world.lines("priority WEB-1 high")[0]
    with pytest.raises(UsageError, match=r"did you mean medium\?"):
        world.lines("priority WEB-1 medim")
    with pytest.raises(UsageError, match=r"Which priority\? Use high, medium, low"):
        world.lines("priority")


def test_several_of_any_kind_want_a_yes_beyond_ten() -> None:
    world = World([issue(n) for n in range(1, 13)])
    world.lines("issues -n 12")
    for command in ("archive #1-12", "assign #1-12 nobody", "priority #1-12 low", "merge #1-12"):
        with pytest.raises(UsageError, match="12 issues: add --yes"):
            world.lines(command)
    assert world.lines("priority #1..#12 low --yes")[1] == "12 given low priority by alice:"


@pytest.mark.parametrize("word", ["#5-2", "#1-900"])
def test_ranges_that_nobody_means(word: str) -> None:
    with pytest.raises(BadReference, match="isn't a valid range of rows; try #2-5"):
        World([issue(1)]).lines(f"resolve {word}")


def test_a_note_is_kept_as_typed_and_signed() -> None:
    world = World([issue(1)], settings=CommandSettings(author_notes=False))
    assert world.lines("note WEB-1 it's “fixed”, --really -n 3")[0].startswith("Note left on WEB-1 Problem 1")
    assert world.server.notes == [("101", "it's “fixed”, --really -n 3\n\n— alice, from chat")]


@pytest.mark.parametrize("between", ["\n", "\u00a0", "\t", "  \n "])
def test_a_note_may_begin_on_the_next_line(between: str) -> None:
    """Slack's people write so; a short id copied from the bot may have an unseen character in it."""
    world = World([issue(1)])
    world.lines(f"note W\u200bEB-1{between}first line\n  second line")
    assert world.server.notes == [("101", "first line\n  second line\n\n— alice, from chat")]


def test_a_note_in_the_thread_of_an_alert() -> None:
    world = World([issue(1), issue(3, VAULT)], thread_issue=thread_issue)
    thread = Conversation("#ops", "17.1")
    world.lines("note caused by the proxy", conversation=thread)
    world.lines("note WEB-1 no, by us", conversation=thread)
    world.lines("note -- 500 errors again", conversation=thread)
    assert [(where, text.partition("\n")[0]) for where, text in world.server.notes] == [
        ("103", "caused by the proxy"),
        ("101", "no, by us"),
        ("103", "500 errors again"),
    ]
    with pytest.raises(BadReference, match=r"not found here\. If the note begins with 'UTF-8', put -- before it\."):
        world.lines("note UTF-8 it should be", conversation=thread)
    with pytest.raises(UsageError, match="Is '500' an issue"):
        world.lines("note 500 errors again", conversation=thread)


@pytest.mark.parametrize(
    ("words", "sentence"), [("WEB-1", "What should the note say"), ("", "What should the note say")]
)
def test_an_empty_note(words: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        World([issue(1)]).lines(f"note {words}")


def test_a_note_is_bounded() -> None:
    with pytest.raises(UsageError, match="at most 3500 characters"):
        World([issue(1)]).lines("note WEB-1 " + "x" * 3501)


def test_a_note_on_a_hidden_issue_is_none() -> None:
    world = World([issue(1), issue(3, VAULT)], access=ROOMS)
    with pytest.raises(BadReference, match="not found here"):
        world.lines("note VAULT-3 hello")
    assert world.server.notes == []


def test_merge() -> None:
    world = World([issue(1), issue(2), issue(3)])
    assert world.lines("merge WEB-1 WEB-2 WEB-3") == [
        "Merging 3 issues for alice.",
        f"WEB-1, WEB-2, WEB-3 merged into WEB-1 Problem 1 by alice. {issue(1).link}",
    ]
    assert world.server.asked("merge") == [("101", "102", "103")]
    assert world.server.notes[0][1].startswith("Merged WEB-1, WEB-2, WEB-3 from chat, asked by alice in #ops")


def test_merge_needs_two_of_one_project() -> None:
    world = World([issue(1), issue(2, API)])
    with pytest.raises(UsageError, match="at least two issues"):
        world.lines("merge WEB-1 web-1")
    with pytest.raises(UserError, match="same project"):
        world.lines("merge WEB-1 API-2")
    assert world.server.asked("merge") == []


def test_merge_without_its_note_is_reported() -> None:
    world = World([issue(1), issue(2)])
    world.server.fail("note", BadQuery("The server refuses the note."))
    assert (
        world.lines("merge WEB-1 WEB-2")[-1]
        == "The note about who asked could not be left: The server refuses the note."
    )


@pytest.mark.parametrize(
    ("call", "command"),
    [
        ("archive", "archive WEB-1 --until 2h"),
        ("assign", "assign WEB-1 nobody"),
        ("set_priority", "priority WEB-1 high"),
        ("merge", "merge WEB-1 WEB-2"),
        ("resolve_in", "resolve WEB-1 --in @next"),
        ("note", "note WEB-1 hello"),
    ],
)
def test_what_a_server_cannot_do_is_refused_with_its_reason(call: str, command: str) -> None:
    world = World([issue(1), issue(2)], unsupported=[call])
    before = dict(world.server.stored)
    with pytest.raises(Unsupported, match=f"This server has no {call}"):
        world.lines(command)
    assert world.server.stored == before


def test_what_a_server_cannot_do_to_a_later_issue_keeps_its_reason() -> None:
    world = World([issue(1, priority="high"), issue(2)])
    world.server.fail("set_priority", Unsupported("This server has no set_priority."))
    lines = world.lines("priority WEB-1 WEB-2 high")
    assert lines[2].startswith("WEB-2 not changed: This server has no set_priority: Problem 2")
