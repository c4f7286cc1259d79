"""XMPP for real: prosody, a room, Errbot's own backend, people who type there and in private."""

from __future__ import annotations

from urllib.request import Request

import pytest

from demo.processes import open_url
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import SENT
from tests.alerting import bodies
from tests.servers.tcp_proxy import TcpProxy
from tests.servers.xmpp_client import XmppClient
from tests.stores import outbox_of
from tests.system.xmpp_world import BOT, BOT_ADDRESS, ROOM, XmppWorld
from tests.waiting import until

# slixmpp 1.8.6, the last that Errbot 6.2.1 works with, asks the resolver in its old way.
pytestmark = pytest.mark.filterwarnings("ignore:gethostbyname")


def test_an_alert_reaches_the_room_and_its_issue_is_resolved_from_chat(tmp_path, prosody, bugsink_project):
    """Webhook to room; read in the room; resolved in a direct message."""
    world = XmppWorld(tmp_path, prosody, bugsink_project)
    bugsink_project.add_alert(world.webhook)
    with XmppClient(prosody, "alice") as alice, world.bot:
        alice.join(ROOM)
        alice.wait_for_join(BOT, ROOM)
        bugsink_project.send_event("ZeroDivisionError", "division by zero")
        alert = alice.wait_for("New in .*ZeroDivisionError: division by zero", room=ROOM, sender=BOT)
        (issue,) = bugsink_project.issues()
        assert issue["friendly_id"] in alert.text

        seen = alice.count()
        alice.say(ROOM, "!sentry issues")
        row = alice.wait_for(r"#1 .*ZeroDivisionError", room=ROOM, sender=BOT, after=seen)
        assert issue["friendly_id"] in row.text

        seen = alice.count()
        alice.say(BOT_ADDRESS, "!sentry issues")
        alice.wait_for(r"#1 .*ZeroDivisionError", room="", after=seen)
        alice.say(BOT_ADDRESS, "!sentry resolve #1")
        alice.wait_for(rf"{issue['friendly_id']} resolved by alice", room="", after=seen)
        assert bugsink_project.issue(issue["id"])["is_resolved"]
        assert len([each for each in alice.received(ROOM, BOT) if each.text.startswith("New")]) == 1
    assert bugsink_project.last_alert_failure() is None
    assert world.bot.log.count("Traceback") == 0


def test_rights_in_a_room_are_the_occupants_own(tmp_path, prosody, bugsink_project):
    """Errbot takes everybody in a room for the room's address; a rule that names it must not let all of them in."""
    bugsink_project.send_event("ZeroDivisionError", "division by zero")
    (issue,) = bugsink_project.issues()
    resolve = f"!sentry resolve {issue['friendly_id']}"
    world = XmppWorld(tmp_path, prosody, bugsink_project, SENTRY_WRITERS=(ROOM, f"{ROOM}/ann", "alice@chat.test"))
    with XmppClient(prosody, "alice") as alice, XmppClient(prosody, "mallory") as mallory, world.bot:
        alice.join(ROOM, "ann")
        mallory.join(ROOM)
        mallory.wait_for_join(BOT, ROOM)

        for place in (ROOM, BOT_ADDRESS):
            seen = mallory.count()
            mallory.say(place, resolve)
            mallory.wait_for("add you to SENTRY_WRITERS", after=seen)
        assert not bugsink_project.issue(issue["id"])["is_resolved"]

        alice.say(ROOM, resolve)
        alice.wait_for(rf"{issue['friendly_id']} resolved by ann", room=ROOM, sender=BOT)
        assert bugsink_project.issue(issue["id"])["is_resolved"]
        alice.say(BOT_ADDRESS, f"!sentry reopen {issue['friendly_id']}")
        alice.wait_for("reopened by alice", room="")


def test_a_private_message_through_a_room_is_its_occupants_own(tmp_path, prosody, bugsink_project):
    """To Errbot everybody who writes through the room is the room: one person, with one memory and all its rights."""
    bugsink_project.send_event("ZeroDivisionError", "division by zero")
    (issue,) = bugsink_project.issues()
    resolve = f"!sentry resolve {issue['friendly_id']}"
    world = XmppWorld(tmp_path, prosody, bugsink_project, SENTRY_WRITERS=(ROOM, f"{ROOM}/ann"))
    bot = f"{ROOM}/{BOT}"
    with XmppClient(prosody, "alice") as alice, XmppClient(prosody, "mallory") as mallory, world.bot:
        alice.join(ROOM, "ann")
        mallory.join(ROOM)
        mallory.wait_for_join(BOT, ROOM)

        mallory.say(bot, resolve)
        mallory.wait_for("add you to SENTRY_WRITERS", room="")
        assert not bugsink_project.issue(issue["id"])["is_resolved"]
        for person, nick in ((mallory, "mallory"), (alice, "ann")):
            person.say(bot, "!sentry whoami")
            person.wait_for(f"{ROOM}/{nick}", room="")

        alice.say(bot, "!sentry issues")
        alice.wait_for(r"#1 .*ZeroDivisionError", room="")
        seen = mallory.count()
        mallory.say(bot, "!sentry issue #1")
        mallory.wait_for("list", room="", after=seen)
        assert not [each for each in mallory.received("", after=seen) if issue["friendly_id"] in each.text]

        alice.say(bot, "!sentry resolve #1")
        alice.wait_for(rf"{issue['friendly_id']} resolved by ann", room="")
        assert bugsink_project.issue(issue["id"])["is_resolved"]


HOSTILE = (
    "</body></message><b>bold</b> <html xmlns='http://jabber.org/protocol/xhtml-im'><body><a href='http://evil.example'>"
    "x</a></body></html> \x07\x02\x00 **bold** [x](http://evil.example) ]]> &lt;b&gt; @everyone\nmallory: second line"
)


def test_hostile_text_is_text_and_ends_no_connection(tmp_path, prosody, bugsink_project):
    """A control character alone would end the bot's stream for ever; markup must not become XHTML."""
    world = XmppWorld(tmp_path, prosody, bugsink_project)
    bugsink_project.add_alert(world.webhook)
    body = bodies.bugsink(title=f"ValueError: {HOSTILE}", project_name=bugsink_project.name, project=bugsink_project.id)
    bugsink_project.send_event("ValueError", HOSTILE)
    with XmppClient(prosody, "alice") as alice, world.bot:
        alice.join(ROOM)
        alice.wait_for_join(BOT, ROOM)
        request = Request(world.webhook, bodies.encode(body), {"Content-Type": "application/json"})
        with open_url(request, timeout=30) as answer:
            assert answer.status == 202
        alert = alice.wait_for("New in .*ValueError", room=ROOM, sender=BOT)
        bugsink_project.send_event("KeyError", "after")
        alice.wait_for("New in .*KeyError", room=ROOM, sender=BOT)
        seen = alice.count()
        alice.say(ROOM, "!sentry issues")
        alice.wait_for("ValueError", room=ROOM, sender=BOT, after=seen)
        said = alice.received(ROOM, BOT)
    assert not [each for each in said if each.markup]
    assert "<b>bold</b>" in alert.text
    assert "**bold**" in alert.text
    assert "\n" not in alert.text.strip()
    assert "\x07" not in alert.text
    assert world.bot.log.count("Disconnect callback") <= 1, "only at the bot's own end"


def test_what_came_while_the_server_was_away_is_sent_in_order_when_it_is_back(tmp_path, prosody, bugsink_project):
    """The listener goes on meanwhile; the bot comes back by itself."""
    proxy = TcpProxy(prosody.port)  # so that alice is in the room before the bot: a client gets no history
    world = XmppWorld(tmp_path, proxy, bugsink_project)
    bugsink_project.add_alert(world.webhook)
    with proxy, world.bot:
        with XmppClient(prosody, "alice") as alice:
            alice.join(ROOM)
            alice.wait_for_join(BOT, ROOM)
            bugsink_project.send_event("ZeroDivisionError", "before")
            alice.wait_for("New in .*before", room=ROOM, sender=BOT)
            until(lambda: _settled(world), 60, "the first alert counts as arrived")
        proxy.refuse()
        prosody.kill()
        world.bot.wait_for_log("webhooks are still taken")
        for number in (1, 2):
            bugsink_project.send_event(f"Error{number}", f"meanwhile {number}")
        assert bugsink_project.last_alert_failure() is None, "both were answered 202"
        prosody.start()
        with XmppClient(prosody, "alice") as alice:
            alice.join(ROOM)
            proxy.mend()
            alice.wait_for("New in .*meanwhile 1", room=ROOM, sender=BOT)
            alice.wait_for("New in .*meanwhile 2", room=ROOM, sender=BOT)
            bugsink_project.send_event("KeyError", "marker")
            alice.wait_for("New in .*marker", room=ROOM, sender=BOT)
            told = [each.text.split(":")[2].split(" in ")[0].strip() for each in alice.received(ROOM, BOT)]
    assert told == ["meanwhile 1", "meanwhile 2", "marker"]


def _settled(world: XmppWorld) -> bool:
    store = Store(f"sqlite:///{world.bot.data / 'sentry_reporter.sqlite3'}")
    try:
        return bool(outbox_of(store, ROOM, SENT))
    finally:
        store.close()
