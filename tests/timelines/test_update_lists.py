"""What people and servers do to issues, again and again or to many at once, does not fill a room."""

from __future__ import annotations

from pathlib import Path

from errbot_sentry.domain.access import Access
from tests.alerting import bodies
from tests.alerting.world import World


def many(folder: Path, count: int, access: Access | None = None) -> World:
    """A room that knows of so many problems, with no message in the last minute."""
    world = World(folder, [{"rooms": ["#ops"]}], poll=0, access=access)
    for number in range(1, count + 1):
        world.hook(bodies.sentry_issue(str(number)))
        world.at(10 * number)
    world.at(10 * count + 100)
    world.texts()
    return world


def test_a_bulk_resolve_is_a_few_lines_and_one_list(tmp_path: Path) -> None:
    """Somebody resolves sixty issues on the server: that were sixty lines, on IRC a minute of them."""
    world = many(tmp_path, 60)
    begin = world.seconds
    for number in range(1, 61):
        world.hook(bodies.sentry_issue(str(number), "resolved"))

    lines = world.at(begin + 300).messages()

    assert lines[:20] == [f"{begin:.0f} #ops SHOP-{number} resolved" for number in range(1, 21)]
    (message,) = lines[20:]
    assert message.startswith(f"{begin + 60:.0f} #ops 40 changes in a minute: 40 resolved\nSHOP-21 resolved\nSHOP-22 ")
    assert message.endswith("…and 20 more: !sentry alerts")
    assert world.reasons("#ops").count("updates_batched") == 40


def test_a_list_of_one_change_is_in_the_singular(tmp_path: Path) -> None:
    world = many(tmp_path, 21)
    begin = world.seconds
    for number in range(1, 22):
        world.hook(bodies.sentry_issue(str(number), "resolved"))
    message = world.at(begin + 300).messages()[-1]
    assert message == f"{begin + 60:.0f} #ops 1 change in a minute: 1 resolved\nSHOP-21 resolved"


def test_a_list_names_what_seer_did(tmp_path: Path) -> None:
    world = many(tmp_path, 22)
    for number in range(1, 22):
        world.hook(bodies.sentry_issue(str(number), "resolved"))
    world.hook({"action": "pr_created", "data": {"group_id": 22, "pull_requests": [{"repo_name": "a/b"}]}}, "seer")
    message = world.at(world.seconds + 300).texts()[-1]
    assert message.startswith("2 changes in a minute: 1 resolved, 1 from Seer\n")


def test_a_problem_that_goes_back_and_forth_every_second(tmp_path: Path) -> None:
    """It was two lines in two seconds for as long as it went on; another problem's activity is sent at once."""
    world = many(tmp_path, 2)
    begin = round(world.seconds)
    for second in range(0, 120, 2):
        world.hook(bodies.sentry_issue("1", "resolved", count=str(second)))
        world.at(begin + second + 1)
        again = bodies.sentry_issue("1", "unresolved", substatus="regressed", count=str(second))
        world.hook(again)
        world.at(begin + second + 2)
    world.hook(bodies.sentry_issue("2", "resolved"))

    lines = world.at(begin + 400).messages()

    assert len(lines) < 10
    assert f"{begin + 120} #ops SHOP-2 resolved" in lines
    assert any("changes in a minute: 1 regressed\nSHOP-1 regressed again, after" in line for line in lines)


def test_what_waits_for_its_list_survives_a_restart(tmp_path: Path) -> None:
    """It is on disk, like everything that is deferred."""
    world = many(tmp_path, 25)
    begin = world.seconds
    for number in range(1, 26):
        world.hook(bodies.sentry_issue(str(number), "resolved"))
    assert len(world.at(begin + 5).messages()) == 20
    world.boot()

    (message,) = world.at(begin + 300).messages()
    assert "5 changes in a minute: 5 resolved\nSHOP-21 resolved" in message


def test_who_unsubscribed_is_left_in_peace(tmp_path: Path) -> None:
    """Counts and activities of all problems that the room knew of went on for hours."""
    world = World(tmp_path, [], poll=0)
    world.type("subscribe")
    for issue in ("1", "2"):
        world.hook(bodies.sentry_issue(issue))
    assert len(world.at(100).messages()) == 2
    world.hook(bodies.sentry_event_alert("1"), "event_alert")
    world.at(110)
    world.type("unsubscribe 1")
    world.hook(bodies.sentry_issue("2", "resolved"))
    assert world.at(7200).messages() == []
