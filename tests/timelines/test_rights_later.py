"""A room receives nothing of a project that it may not see, also where a message is sent long after its alert came."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from errbot_sentry.domain.access import Access
from errbot_sentry.domain.conversation import Conversation
from errbot_sentry.domain.issues import Project
from errbot_sentry.store.records import FAILED
from tests.alerting import bodies
from tests.alerting.world import SHOP, Chat, VirtualClock, World
from tests.stores import outbox_of

OPS = {"rooms": ["#ops"]}
SECRET = Project("8", "secret", "Secret")
BOTH = Access(room_projects={"#ops": ("shop", "secret")}, writers=("*",))
NARROW = Access(room_projects={"#ops": ("shop",)})


def test_a_silence_for_every_room_names_to_each_only_what_it_may_see(tmp_path: Path) -> None:
    """When it was over, each room got the problems of all rooms."""
    world = World(
        tmp_path,
        [{"rooms": ["#shop"], "match": ["project=shop"]}, {"rooms": ["#safe"]}],
        access=Access(room_projects={"#shop": ("shop",), "#safe": ("secret",)}, writers=("*",)),
        projects=(SHOP, SECRET),
        poll=0,
    )
    world.type("silence project=~shop|secret -d 10m", "")
    world.hook(bodies.sentry_issue("1"))
    world.hook(bodies.sentry_issue("2", project="secret"))

    assert world.at(700).messages("#shop") == ["600 #shop Silence 1 ended; it silenced 1 alert about 1 problem: SHOP-1"]
    world = World(tmp_path, [], poll=0)
    with world.store.read() as tx:
        assert tx.deferred.counts() == {}


@pytest.mark.parametrize("deferred", ["quiet", "window", "digest", "silence", "outbox"])
def test_what_is_sent_after_a_restart_keeps_to_the_new_settings(tmp_path: Path, deferred: str) -> None:
    """Rights were checked only when the alert came."""
    route = {"rooms": ["#ops"], **({"quiet": "11:00-13:00"} if deferred == "quiet" else {})}
    world = World(tmp_path, [route], access=BOTH, projects=(SHOP, SECRET), poll=0)
    if deferred == "digest":
        world.type("digest daily 12:30")
    if deferred == "silence":
        world.type("silence level>=error -d 30m")
    world.chat.up = deferred != "outbox"
    for number, project in (("1", "shop"), ("2", "secret")):
        world.hook(bodies.sentry_issue(number, project=project))
    world.at(10)
    for number, project in (("1", "shop"), ("2", "secret")):
        world.hook(bodies.sentry_event_alert(number, project=project), "event_alert")
        world.at(100)
        world.hook(bodies.sentry_event_alert(number, project=project, release="2"), "event_alert")
    if deferred != "outbox":
        world.chat.sent.clear()

    world.chat.up = True
    world.restart(NARROW)

    texts = "\n".join(world.at(5000).messages())
    assert "SHOP-1" in texts
    assert "SECRET" not in texts
    if deferred == "outbox":
        assert outbox_of(world.store, "#ops", FAILED)[0].error == "The room may not see this project any more."


def test_a_notification_is_not_edited_in_a_room_that_may_no_longer_see_its_project(tmp_path: Path) -> None:
    """The mark was wanted while the chat was away; an edit sends the whole notification again."""
    clock = VirtualClock()
    chat = Chat(clock, threads=True)
    world = World(tmp_path, [OPS], access=BOTH, projects=(SHOP, SECRET), poll=0, clock=clock, chat=chat)
    for number, project in (("1", "shop"), ("2", "secret")):
        world.hook(bodies.sentry_issue(number, project=project))
        world.at(world.seconds + 1)
    chat.up = False
    for root in ("m1", "m2"):
        world.flow.mark(Conversation("#ops", root), "resolved by Ann")

    chat.up = True
    world.restart(NARROW)

    world.at(100)
    assert [edit.thread for edit in chat.edited] == ["m1"]


def test_a_project_that_was_renamed_is_judged_by_its_present_name(tmp_path: Path) -> None:
    """Its window closes after the poller has met the issue under the new name."""
    world = World(tmp_path, [OPS], access=NARROW, poll=0)
    world.hook(bodies.sentry_issue("1"))
    world.at(1)
    world.hook(bodies.sentry_event_alert("1"), "event_alert")
    world.at(100)
    world.hook(bodies.sentry_event_alert("1", release="2"), "event_alert")
    world.at(110).texts()
    with world.store.write() as tx:
        known = tx.issues.get("1")
        assert known is not None
        tx.issues.put([replace(known, project="renamed")])

    assert world.at(5000).messages() == []
