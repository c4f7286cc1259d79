"""Alert commands: what people ask for in a room, what they may, and the replies."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from errbot_sentry.commands.dispatch import Commands
from errbot_sentry.config.routes import read_route
from errbot_sentry.config.settings import CommandSettings
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import MessageKind
from errbot_sentry.domain.conversation import Conversation, Invocation, Person
from errbot_sentry.domain.errors import BadReference, NotAllowed, UsageError, UserError
from errbot_sentry.domain.issue_actions import IssueAction, ResolveNow, SilenceFor
from errbot_sentry.domain.issues import Issue
from errbot_sentry.server.protocol import BUGSINK
from errbot_sentry.store.records import Message
from tests.alerting import bodies
from tests.alerting.world import ANN, SHOP, Chat, VirtualClock, World
from tests.fakes.memory_server import MemoryServer

BOB, EVE = Person("@bob", "Bob"), Person("@eve", "Eve")
OPS = {"rooms": ["#ops"], "match": ["level>=error"]}


class Room:
    """A room with the commands in it."""

    def __init__(self, folder: Path, **access: object) -> None:
        clock = VirtualClock()
        self.world = World(
            folder,
            [OPS],
            poll=0,
            clock=clock,
            chat=Chat(clock, threads=True),
            access=Access(writers=("@ann",), **access),
        )
        for number in "12":
            self.world.server.event(number)
        self.type = self.world.type


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_subscribe_list_and_unsubscribe(room: Room) -> None:
    assert room.type('subscribe project=shop title=~"Zero .*|Zero.*"', "#web") == (
        'Subscription 1: project=shop title=~"Zero .*|Zero.*"'
    )
    assert room.type("subscriptions", "#web") == '#1 project=shop title=~"Zero .*|Zero.*", by Ann'
    assert room.type("subscriptions", "#ops") == "No subscriptions here."
    room.world.hook(bodies.sentry_issue("1"))
    assert len(room.world.at(1).texts("#web")) == 1
    with pytest.raises(BadReference):
        room.type("unsubscribe 1", "#ops")
    assert room.type("unsubscribe 1", "#web") == "Subscription 1 ended"
    room.world.hook(bodies.sentry_issue("2"))
    assert room.world.at(2).texts("#web") == []


@pytest.mark.parametrize(
    ("matcher", "brings"),
    [
        ("reason=resolved", ["Resolved"]),
        ("reason=RESOLVED", ["Resolved"]),
        ("reason=re*", ["Resolved"]),
        ('reason=~"resolved|archived"', ["Resolved"]),
        ("reason!=new", []),
        ("level=error", ["New", "SHOP-1"]),
    ],
)
def test_a_subscription_brings_the_reasons_that_it_names(room: Room, matcher: str, brings: list[str]) -> None:
    """`subscribe reason=resolved` was taken, and brought nothing: a subscription wanted the usual reasons only."""
    room.type(f"subscribe {matcher}", "#web")
    room.world.hook(bodies.sentry_issue("1"))
    room.world.at(1)
    room.world.hook(bodies.sentry_issue("1", "resolved", status="resolved"))
    assert [text.split()[0] for text in room.world.at(2).texts("#web")] == brings
    dry_run = room.type("route shop level=error reason=resolved", "#web")
    assert ("#web by subscription" in dry_run) is (brings == ["Resolved"])


@pytest.mark.parametrize("command", ["subscribe {}", "silence {} -d 2h"])
@pytest.mark.parametrize(
    ("matcher", "sentence"),
    [
        ("reason=nwe", "'reason=nwe': use one of new, regressed"),
        ("reason!=resloved", "use one of new"),
        ("source=hook", "use one of webhook, poll"),
        ("environment=staging, level=error", "'environment=staging,' ends with a comma"),
    ],
)
def test_a_matcher_that_can_never_match_is_refused(room: Room, command: str, matcher: str, sentence: str) -> None:
    """The silence was made, and silenced nothing."""
    with pytest.raises(UsageError, match=re.escape(sentence)):
        room.type(command.format(matcher))
    assert room.type("silences") == "Nothing is silenced here."
    assert room.type(command.format('tag.list="a,"')).endswith(("2026-03-02 14:00 UTC", "tag.list=a,"))


def test_a_subscription_shows_no_project_that_the_room_may_not_see(tmp_path: Path) -> None:
    room = Room(tmp_path, room_projects={"#ops": ("*",), "#web": ("web",)})
    room.type("subscribe", "#web")
    room.world.hook(bodies.sentry_issue("1"))
    assert room.world.at(1).texts("#web") == []
    assert room.type("alerts", "#web") == "No alerts for this room yet."


def test_silence_an_issue_or_matchers_list_and_end(room: Room) -> None:
    assert (
        room.type("silence SHOP-1 -d 2h -c we don't deploy") == "Silence 1: SHOP-1 for 2h, until 2026-03-02 14:00 UTC"
    )
    assert room.type("silence environment=staging level>=warning -d 30m") == (
        "Silence 2: environment=staging level>=warning for 30m, until 2026-03-02 12:30 UTC"
    )
    assert room.type("silences").split("\n") == [
        "#1 SHOP-1 in #ops for another 2 hours, by Ann: we don't deploy",
        "#2 environment=staging level>=warning in #ops for another 30 minutes, by Ann",
    ]
    assert room.type("silences", "#web") == "Nothing is silenced here."
    with pytest.raises(BadReference, match="isn't an issue"):
        room.type("issue #1")
    room.world.hook(bodies.sentry_issue("1"))
    assert room.world.at(1).texts() == []
    assert room.type("alerts --silenced") == (
        "1s ago: New SHOP-1 ZeroDivisionError: division by zero 1 — silenced (silence 1): "
        "A silence matched. When it ends, the room gets the number."
    )
    with pytest.raises(BadReference):
        room.type("unsilence 1", "#web")
    assert room.type("unsilence #1") == "Silence 1 ended"
    assert room.world.at(2).texts() == ["Silence 1 (SHOP-1) ended; it silenced 1 alert about 1 problem: SHOP-1"]
    room.world.hook(bodies.sentry_event_alert("1"), "event_alert")
    assert len(room.world.at(3).texts()) == 1


@pytest.mark.parametrize("option", ["-d 2h", "—d 2h", "--duration 2h", "—duration=2h", "-d2h"])
def test_a_duration_behind_the_comment_is_found(room: Room, option: str) -> None:
    """It was asked for, although the person had just typed it."""
    with pytest.raises(UsageError, match="Put -d before -c: everything behind -c is the comment"):
        room.type(f"silence SHOP-1 -c deploying {option}")
    with pytest.raises(UsageError, match="For how long"):
        room.type("silence SHOP-1 -c half-done e-democracy")


def test_a_silence_typed_twice_is_one(room: Room) -> None:
    """There were two: after `unsilence 1` the room read that the silence had ended, and still got nothing."""
    assert room.type("silence SHOP-1 -d 2h") == "Silence 1: SHOP-1 for 2h, until 2026-03-02 14:00 UTC"
    room.world.clock.advance(5)
    with pytest.raises(UserError, match=r"silenced here already, until 2026-03-02 14:00 UTC: silence 1\."):
        room.type("silence shop-1 -d 2h")
    room.type("silence level=error project=shop -d 1h")
    with pytest.raises(UserError, match="silence 2"):
        room.type("silence project=shop level=error -d 1h")
    assert room.type("silence SHOP-1 -d 2h", "#web").startswith("Silence 3")
    assert room.type("silence SHOP-1 -d 30m", "").startswith("Silence 4: SHOP-1 in every room for 30m, until")
    with pytest.raises(UserError, match="silenced in every room already"):
        room.type("silence SHOP-1 -d 30m", "")
    with pytest.raises(UserError, match="silenced here already"):
        room.type("silence SHOP-1 -d 30m", "#dev")


def test_the_end_of_a_silence_names_another_one_of_the_same(room: Room) -> None:
    """It said that no alerts had come, while another silence of the same took them."""
    room.type("silence SHOP-1 -d 1h")
    room.type("silence SHOP-1 -d 3h")
    room.world.hook(bodies.sentry_issue("1"))
    room.world.at(3000)
    assert room.world.texts() == []
    assert room.world.at(3599).texts() == ["Silence 1 (SHOP-1) ends in 6m; silence 2 goes on"]
    assert room.world.at(3700).texts() == ["Silence 1 (SHOP-1) ended; silence 2 goes on"]
    room.type("silence SHOP-1 -d 5h")
    assert room.type("unsilence 2") == "Silence 2 ended; silence 3 goes on"
    assert room.world.at(3800).texts() == [
        "Silence 2 (SHOP-1) ended; it silenced 1 alert about 1 problem: SHOP-1; silence 3 goes on"
    ]
    assert room.type("unsilence 3") == "Silence 3 ended"
    assert room.world.at(3900).texts() == ["Silence 3 (SHOP-1) ended; no alerts came meanwhile"]


def test_a_notice_that_an_older_version_left_in_the_queue_is_sent(room: Room) -> None:
    values = {"number": 1, "label": "SHOP-1", "ended": True, "left": "0s", "count": 0, "problems": 0, "rows": []}
    with room.world.store.write() as tx:
        tx.outbox.add(Message("#ops", MessageKind.SILENCE_NOTICE, values), room.world.clock.now().timestamp())
    room.world.flow.wake()
    assert room.world.at(5).texts() == ["Silence 1 (SHOP-1) ended; no alerts came meanwhile"]


@pytest.mark.parametrize(
    ("schedule", "later", "digest"),
    [
        ("daily 09:00", 60, "Digest, last 24 hours: 1 new"),  # it was scheduled a minute ago
        ("daily 12:10", 900, "Digest, last 24 hours: 1 new"),  # one was sent five minutes ago
        ("weekly fri 09:00", 60, "Digest, last 24 hours: 1 new"),
        ("weekly fri 09:00", 2 * 86_400, "Digest, weekly fri 09:00: 0 new"),  # of what came since Monday's `now`
        ("daily 12:10", -7200, "Digest, last 24 hours: 1 new"),  # somebody put the clock back
    ],
)
def test_a_digest_now_is_about_a_day_at_least(room: Room, schedule: str, later: float, digest: str) -> None:
    """A minute after `digest daily 09:00` it said that there had been no alerts, of that minute."""
    room.world.clock.advance(min(later, 0))
    room.world.hook(bodies.sentry_issue("1"))
    room.world.at(min(later, 0) + 1)
    room.world.clock.advance(-min(later, 0))
    room.type(f"digest {schedule}")
    room.world.at(max(later, 900))
    room.world.clock.advance(min(later, 0))
    assert room.type("digest now").startswith(digest)


def test_a_list_of_something_else_makes_its_numbers_unclear(room: Room) -> None:
    """After `silences` shows `#1 SHOP-1 …`, `resolve #1` must not resolve the first row of an older list of issues."""
    room.type("silence SHOP-1 -d 2h")
    room.type("silences")
    with pytest.raises(BadReference, match="#1 in the last list isn't an issue"):
        room.type("resolve #1")
    room.type("issues")
    room.world.clock.advance(1)
    for person in (ANN, BOB):
        room.type("silences", person=person)
        with pytest.raises(BadReference, match="#1 could mean two things"):
            room.type("resolve #1")
    assert "SHOP-1" in room.type("issue #2")
    room.type("issues")
    assert "SHOP-2" in room.type("issue #1")


def test_a_silence_names_nothing_where_it_may_not_be_seen(tmp_path: Path) -> None:
    """It applies in every room, but only those that may see the project read what it is about, and why."""
    room = Room(tmp_path, room_projects={"#ops": ("*",), "#web": ("web",), "direct": ("*",)})
    room.type("silence SHOP-1 -d 2h -c we know", "")
    room.type("silence project=shop -d 2h", "")
    room.type("silence project=* level>=error -d 2h", "")
    assert [line[:10] for line in room.type("silences", "#ops").split("\n")] == [
        "#1 SHOP-1 ",
        "#2 project",
        "#3 project",
    ]
    assert [line[:10] for line in room.type("silences", "#web").split("\n")] == ["#3 project"]
    room.type("silence issue=12 -d 2h", "")
    assert "#4 issue=12" in room.type("silences", "#ops")


def test_a_silence_made_in_a_direct_message_applies_everywhere(room: Room) -> None:
    room.type("silence project=shop -d 1h", "")
    room.world.hook(bodies.sentry_issue("1"))
    assert room.world.at(1).texts() == []
    with pytest.raises(NotAllowed, match="direct"):
        room.type("unsilence 1")
    assert room.type("unsilence 1", "") == "Silence 1 ended"


def test_in_a_thread_the_issue_needs_no_name_and_reactions_are_commands(room: Room) -> None:
    room.world.hook(bodies.sentry_issue("1"))
    room.world.at(1)
    assert room.world.flow.issue_of(Conversation("#ops", "m1")) == "1"
    assert room.world.flow.issue_of(Conversation("#other", "m1")) is None
    assert room.type("silence -d 1h", thread="m1").startswith("Silence 1: SHOP-1 for 1h")
    click = room.world.flow.action_on
    assert click(Conversation("#ops", "m1"), ResolveNow()) == IssueAction("1", ResolveNow())
    mute = click(Conversation("#ops", "m1"), SilenceFor(timedelta(hours=1)))
    assert mute is not None
    assert (mute.command, mute.as_typed) == ("silence", "1 -d 1h")
    conversation = Conversation("#ops", "m1")
    room.world.clock.advance(120)  # the click asks for two minutes more
    assert [view.values["number"] for view in room.world.commands().act(mute, Invocation(ANN, conversation))] == [2]
    with pytest.raises(NotAllowed, match="SENTRY_WRITERS"):
        list(room.world.commands().act(mute, Invocation(EVE, conversation)))
    assert click(Conversation("#ops", "m9"), ResolveNow()) is None


def test_alerts_says_what_became_of_each(room: Room) -> None:
    assert room.type("alerts") == "No alerts for this room yet."
    room.world.hook(bodies.sentry_issue("1"))
    room.world.at(200)
    room.world.hook(bodies.sentry_event_alert("1"), "event_alert")
    room.world.at(260)
    assert room.type("alerts").split("\n") == [
        (
            "1m ago: Alert SHOP-1 ZeroDivisionError: division by zero 1 — counted (route 1): "
            "Counted; the number is sent when the window closes."
        ),
        (
            "4m20s ago: New SHOP-1 ZeroDivisionError: division by zero 1 — first (route 1): "
            "The room's first notification about this problem."
        ),
    ]


@pytest.mark.parametrize(("span", "left"), [("1h", "hour"), ("1d", "day"), ("3h", "3 hours")])
def test_how_long_a_silence_goes_on_reads_well(room: Room, span: str, left: str) -> None:
    room.type(f"silence level>=error -d {span}")
    assert room.type("silences") == f"#1 level>=error in #ops for another {left}, by Ann"


def test_route_is_a_dry_run(room: Room) -> None:
    room.type("subscribe tag.customer=acme", "#web")
    assert room.type("route shop level=error tag.customer=acme").split("\n") == [
        "#ops by route 1: level>=error",
        "#web by subscription: tag.customer=acme",
    ]
    assert room.type("route shop level=info tag.customer=b") == "No room would get an alert (new) for shop."
    assert room.type("route shop") == (
        "No room would get an alert (new) for shop. "
        "Routes also look at level, tag.customer; add what the alert would have."
    )


def test_digest(room: Room) -> None:
    assert room.type("digest") == "No digest is scheduled here."
    assert room.type("digest daily 09:00 Europe/Paris") == (
        "Digest: daily 09:00 Europe/Paris; next 2026-03-03 08:00 UTC"
    )
    with pytest.raises(UsageError, match=r"'Europe/Pari' isn't a time zone; did you mean Europe/Paris\?"):
        room.type("digest daily 09:00 Europe/Pari")
    assert room.type("digest weekly fri 17:30") == "Digest: Fridays 17:30; next 2026-03-06 17:30 UTC"
    assert room.type("digest now", person=EVE).startswith("Digest, last 24 hours: 0 new, 0 regressed, 0 resolved")
    assert room.type("digest off") == "No digest is scheduled here."


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("subscribe colour=red", UsageError),
        ("subscribe project", UsageError),
        ('subscribe title="half', UsageError),
        ("subscribe " + "level>=error " * 11, UsageError),
        ("unsubscribe", UsageError),
        ("unsubscribe x", UsageError),
        ("silence project=web", UsageError),
        ("silence -d 2h", UsageError),
        ("silence project=web -d soon", UsageError),
        ("silence project=web -d 0s", UsageError),
        ("silence project=web -d 400d", UsageError),
        ("silence SHOP-1 SHOP-2 -d 1h", UsageError),
        ("silence SHOP-77 -d 1h", BadReference),
        ("unsilence 9", BadReference),
        ("alerts -n 1000", UsageError),
        ("alerts -n", UsageError),
        ("alerts -n ²", UsageError),
        ("route shop level=banana", UsageError),
        ("digest hourly", UsageError),
        ("digest daily 25:00", UsageError),
        ("digest daily 09:00 Mars/Olympus", UsageError),
        ("route", UsageError),
        ("route shop level>=error", UsageError),
        ("route shop reason=because", UsageError),
    ],
)
def test_mistakes_get_a_sentence(room: Room, line: str, error: type[UserError]) -> None:
    with pytest.raises(error) as caught:
        room.type(line)
    assert str(caught.value)


@pytest.mark.parametrize(
    "option",
    ["-d 2h", "-d2h", "-d=2h", "—d 2h", "–d2h", "--duration 2h", "--duration=2h", "—duration=2h", "−−duration 2h",
     '-d "2h"', "-d “2h”"],
)  # fmt: skip
@pytest.mark.parametrize("what", ["SHOP-1", 'title=~"Time .*" level>=error'])
def test_a_silence_takes_every_spelling_of_its_option(room: Room, option: str, what: str) -> None:
    """It was answered "Say for how long, such as -d 2h."; the option may stand before and after the words."""
    expected = f"{what} for 2h, until 2026-03-02 14:00 UTC"
    assert room.type(f"silence {what} {option}") == f"Silence 1: {expected}"
    assert room.type(f"silence {option} {what} —c it's “half done", "#web") == f"Silence 2: {expected}"
    assert room.type("silences", "#web").endswith("by Ann: it's \"half done")


@pytest.mark.parametrize(
    ("spelling", "comment"),
    [("-c a -d 9h", "a -d 9h"), ("--comment=a b", "a b"), ("-ca b", "a b"), ("—comment a b", "a b"), ("-c", "")],
)
def test_a_comment_goes_to_the_end(room: Room, spelling: str, comment: str) -> None:
    room.type(f"silence SHOP-1 -d 2h {spelling}")
    assert room.type("silences").endswith(f"by Ann: {comment}" if comment else "by Ann")


def test_a_comment_does_not_begin_inside_of_quotes(room: Room) -> None:
    assert room.type('silence title="a -c b" -d 2h').startswith('Silence 1: title="a -c b" for 2h')


@pytest.mark.parametrize("line", ["subscribe", "unsubscribe 1", "silence project=x -d 1h", "unsilence 1", "digest off"])
def test_only_writers_change_anything(room: Room, line: str) -> None:
    with pytest.raises(NotAllowed):
        room.type(line, person=EVE)


@pytest.mark.parametrize("line", ["subscribe", "alerts", "digest"])
def test_what_is_about_a_room_is_asked_in_a_room(room: Room, line: str) -> None:
    with pytest.raises(UserError):
        room.type(line, room="")


def test_a_room_is_the_same_however_its_name_is_written(tmp_path: Path) -> None:
    """With #Ops in the settings and #ops in chat, a silence matched nothing and `alerts` showed nothing."""
    room = Room(tmp_path)
    assert room.type("silence level>=error -d 1h", "#OPS").startswith("Silence 1")
    room.world.hook(bodies.sentry_issue("1"))
    room.world.at(1)
    assert room.world.chat.sent == []
    assert "silenced" in room.type("alerts", "#Ops")
    assert room.type("silences", "#oPs").startswith("#1 level>=error in #ops")


def test_route_says_what_is_silenced_quiet_and_can_never_match(tmp_path: Path) -> None:
    room = Room(tmp_path)
    quiet = {"rooms": ["#quiet"], "quiet": "11:00-14:00", "match": ["project=shop"], "continue": True}
    many = {"rooms": ["#many"], "match": ["events>=10"], "continue": True}
    room.world.settings = replace(room.world.settings, routes=tuple(map(read_route, (quiet, many, OPS))))
    room.world.boot()
    room.world.type("silence project=shop -d 2h")
    assert room.world.type("route shop level=error").split("\n") == [
        "#quiet by route 1: project=shop — in quiet hours, sent at 2026-03-02 14:00 UTC",
        "#ops by route 3: level>=error — silenced by silence 1 until 2026-03-02 14:00 UTC",
        "#many by route 2: events>=10 — depends on its events",
    ]
    assert "#many by route 2: events>=10\n" in room.world.type("route shop level=error events=12 age=2h") + "\n"


def test_a_matcher_that_the_server_can_never_answer_is_said(tmp_path: Path) -> None:
    """By `route`; at the start and by `status`: tests/system/test_settings_at_start.py."""
    world = World(tmp_path, [{"rooms": ["#ops"], "match": ["users>=5"]}], kind=BUGSINK)
    world.at(1)
    assert [*world.flow.routes.never_match(BUGSINK)] == [
        "SENTRY_ALERTS, route 1: users>=5 never matches: Bugsink doesn't report users"
    ]
    server = MemoryServer([Issue("1", "SHOP-1", "it broke", SHOP)], kind=BUGSINK)
    commands = Commands(lambda: server, world.access, CommandSettings(), world.clock, world.store, alerts=world.flow)
    (view,) = commands.run("route", Invocation(ANN, Conversation("#ops"), "shop users=7"))
    assert view.values["never"] == ["users>=5 never matches: Bugsink doesn't report users"]


@pytest.mark.parametrize("line", ["subscribe project=shp", "silence project=shp -d 1h", "route shp"])
def test_a_project_that_does_not_exist_is_refused_with_the_near_one(room: Room, line: str) -> None:
    with pytest.raises(BadReference, match="Project 'shp' not found here; did you mean shop"):
        room.type(line)


@pytest.mark.parametrize("line", ["subscribe project=sh*", "silence project=SHOP -d 1h", "subscribe project!=shp"])
def test_a_project_that_exists_is_not(room: Room, line: str) -> None:
    assert room.type(line)


def test_the_same_subscription_twice_is_one(room: Room) -> None:
    room.type("subscribe project=shop level>=error", "#web")
    with pytest.raises(UserError, match="already has this: subscription 1"):
        room.type("subscribe level>=error project=shop", "#web")
    assert "Subscription 2" in room.type("subscribe level>=error project=shop", "#ops")
