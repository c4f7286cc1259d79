"""Who is notified, when, and how often."""

from __future__ import annotations

from dataclasses import replace

from errbot_sentry.reporting.collect.bot_context import CALLBACK, COMMAND, BotContext
from errbot_sentry.reporting.follow_ups import FollowUps, ReportedError


def where(person: str = "bob", kind: str = COMMAND) -> BotContext:
    return BotContext(kind, "deploy", person=person, message=object())


def test_notified_at_once_when_the_server_has_it() -> None:
    notified: list[ReportedError] = []
    follow_ups = FollowUps(notified.append)
    follow_ups.captured("e1", where(), 0.0, notify=True)
    assert notified == []
    assert not follow_ups.is_sent("e1")
    follow_ups.sent("e1")
    follow_ups.sent("e1")
    assert follow_ups.is_sent("e1")
    assert follow_ups.notify_overdue(100.0) is None
    assert [(item.event_id, item.sent, item.command) for item in notified] == [("e1", True, "deploy")]


def test_notified_at_that_it_waits_when_the_server_is_away() -> None:
    notified: list[ReportedError] = []
    follow_ups = FollowUps(notified.append)
    follow_ups.captured("e1", where(), 0.0, notify=True)
    left = follow_ups.notify_overdue(4.0)
    assert left == 6.0
    assert notified == []
    follow_ups.notify_overdue(10.0)
    follow_ups.sent("e1")
    assert [(item.event_id, item.sent) for item in notified] == [("e1", False)]


def test_only_persons_whose_command_failed() -> None:
    notified: list[ReportedError] = []
    follow_ups = FollowUps(notified.append)
    follow_ups.captured("e1", where(kind=CALLBACK), 0.0, notify=True)
    follow_ups.captured("e2", where(person=""), 0.0, notify=True)
    follow_ups.captured("e3", where(), 0.0, notify=False)
    for event_id in ("e1", "e2", "e3"):
        follow_ups.sent(event_id)
    assert notified == []
    assert follow_ups.last_of("bob") == ("e3", 0.0)
    assert follow_ups.last_of("eve") is None


def test_a_storm_of_different_errors_is_notified_at_thrice() -> None:
    notified: list[ReportedError] = []
    follow_ups = FollowUps(notified.append)
    for number in range(20):
        follow_ups.captured(f"e{number}", where(), float(number), notify=True)
        follow_ups.sent(f"e{number}")
    assert len(notified) == 3
    follow_ups.captured("later", where(), 61.0, notify=True)
    follow_ups.sent("later")
    assert notified[-1].event_id == "later"


def test_a_room_is_notified_at_six_times_a_minute_whoever_fails() -> None:
    notified: list[ReportedError] = []
    follow_ups = FollowUps(notified.append)
    for number in range(20):
        place = BotContext(COMMAND, "deploy", person=f"p{number}", room="#ops", message=object())
        follow_ups.captured(f"e{number}", place, float(number), notify=True)
        follow_ups.captured(f"d{number}", replace(place, room="direct"), float(number), notify=True)
    for number in range(20):
        follow_ups.sent(f"e{number}")
        follow_ups.sent(f"d{number}")
    assert len([item for item in notified if item.event_id.startswith("e")]) == 6
    assert len([item for item in notified if item.event_id.startswith("d")]) == 20


def test_feedback_finds_the_person_and_nobody_under_their_nick() -> None:
    follow_ups = FollowUps(None)
    known = BotContext(COMMAND, "deploy", person="bob!b@host", acl="bob!b@host", nick="bob", message=object())
    follow_ups.captured("e1", known, 0.0, notify=True)
    assert follow_ups.last_of("bob!b@host") == ("e1", 0.0)
    assert follow_ups.last_of("bob") is None
    slack = BotContext(COMMAND, "deploy", person="U1", acl="@alice", nick="alice", message=object())
    follow_ups.captured("e2", slack, 0.0, notify=True)
    assert follow_ups.last_of("@alice") == ("e2", 0.0)
    xmpp = BotContext(COMMAND, "deploy", person="ops@conf/carol", acl="ops@conf", room="ops@conf", message=object())
    follow_ups.captured("e3", xmpp, 0.0, notify=True)
    assert follow_ups.last_of("ops@conf/carol") == ("e3", 0.0)
    assert follow_ups.last_of("ops@conf") is None  # everybody in the room is called so


def test_a_notification_that_fails_harms_nothing() -> None:
    def broken(_reported: ReportedError) -> None:
        raise RuntimeError

    follow_ups = FollowUps(broken)
    follow_ups.captured("e1", where(), 0.0, notify=True)
    follow_ups.sent("e1")


def test_memory_is_bounded() -> None:
    follow_ups = FollowUps(lambda _reported: None)
    for number in range(5000):
        follow_ups.captured(f"e{number}", where(person=f"p{number}"), 0.0, notify=True)
        room = BotContext(COMMAND, "deploy", person="p0", room=f"#{number}", message=object())
        follow_ups.captured(f"r{number}", room, number * 100.0, notify=True)
    assert len(follow_ups._waiting) <= 200
    assert len(follow_ups._last) <= 500
    assert len(follow_ups._notified_at) <= 500
