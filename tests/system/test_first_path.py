"""The first whole path, as a new user would try it in IRC; and its worst moment, `kill -9` after the answer."""

from __future__ import annotations

import json
import re
import urllib.request
import uuid
from contextlib import ExitStack

from tests.servers.tcp_proxy import TcpProxy
from tests.system.irc_world import BOT, ROOM, IrcWorld, person_in_room
from tests.waiting import until


def test_a_crash_becomes_an_issue_an_alert_and_is_resolved_from_chat(tmp_path, ngircd, bugsink_project):
    """A second client in the room sees it all; Bugsink's own API says what came of it."""
    world = IrcWorld(tmp_path, ngircd, bugsink_project)
    bugsink_project.add_alert(world.webhook)
    with person_in_room(ngircd) as alice, world.bot:
        alice.wait_for_join(BOT, ROOM)

        alice.say(ROOM, "!checkout")
        alert = alice.wait_for(r"ZeroDivisionError: division by zero.*", sender=BOT, target=ROOM)
        (issue,) = bugsink_project.issues()
        assert issue["friendly_id"] in alert.text

        seen = alice.count()
        alice.say(ROOM, "!sentry issues")
        row = alice.wait_for(r"#1\b.*ZeroDivisionError", sender=BOT, target=ROOM, after=seen)
        assert issue["friendly_id"] in row.text

        seen = alice.count()
        alice.say(ROOM, "!sentry issue #1")
        alice.wait_for(r"share_of", sender=BOT, target=ROOM, after=seen)

        seen = alice.count()
        alice.say(ROOM, "!sentry resolve #1")
        alice.wait_for(rf"(?i){issue['friendly_id']}.*resolved|resolved.*{issue['friendly_id']}", after=seen)
        assert bugsink_project.issue(issue["id"])["is_resolved"]

        (event,) = bugsink_project.events(issue["id"])
        tags = dict(event["data"]["tags"])
        assert (tags["bot.command"], tags["bot.plugin"], tags["bot.room"]) == ("checkout", "Shop", ROOM)
        assert tags["bot.backend"] == "irc"

        alerts = [text for text in alice.texts(ROOM, BOT) if "ZeroDivisionError: division by zero" in text]
        assert len([text for text in alerts if re.search("(?i)new", text)]) == 1, "webhook and poller make one message"
    assert bugsink_project.last_alert_failure() is None


def _alert(number: int) -> dict[str, object]:
    """A body as Bugsink's custom alert posts it."""
    return {
        "id": str(uuid.uuid4()),
        "friendly_id": f"TILL-{number}",
        "project": 1,
        "project_name": "till",
        "title": f"TimeoutError: till {number}",
        "url": "http://127.0.0.1/issues/issue/x/",
        "alert_reason": "NEW",
        "digest_order": 1,
        "is_resolved": False,
        "is_muted": False,
    }


def _post(url: str, body: object) -> int:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.status)


def test_what_was_answered_202_is_delivered_once_after_kill_9(tmp_path, ngircd, bugsink_project):
    """Errbot's own pause between lines keeps the second message back; then the process is killed."""
    world = IrcWorld(tmp_path, ngircd, bugsink_project, SENTRY_PROJECTS=(), BOT_LOG_SENTRY=False, IRC_CHANNEL_RATE=3600)
    slug = bugsink_project.slug
    body = {"project": bugsink_project.id, "project_name": slug}
    with person_in_room(ngircd) as alice:
        world.bot.start()
        try:
            alice.wait_for_join(BOT, ROOM)
            assert _post(world.webhook, {**_alert(1), **body}) == 202
            alice.wait_for("till 1", sender=BOT, target=ROOM)
            assert _post(world.webhook, {**_alert(2), **body}) == 202
        finally:
            world.bot.kill9()
        assert not [text for text in alice.texts(ROOM, BOT) if "till 2" in text]

        world.bot.settings["IRC_CHANNEL_RATE"] = 1
        world.bot.write_config()
        seen = alice.count()
        until(lambda: BOT not in alice.names(ROOM), 30, "the server has noticed that the bot is gone")
        with world.bot:
            alice.wait_for("till 2", sender=BOT, target=ROOM, after=seen)
            assert _post(world.webhook, {**_alert(3), **body}) == 202
            alice.wait_for("till 3", sender=BOT, target=ROOM, after=seen)
        delivered = [text for text in alice.texts(ROOM, BOT, after=seen) if "till 2" in text]
        assert len(delivered) == 1


def test_webhooks_are_taken_while_the_chat_network_is_away(tmp_path, ngircd, bugsink_project):
    """Errbot deactivates every plugin then; our own listener goes on, and the room gets it after the reconnect."""
    proxy = TcpProxy(ngircd.port)  # so that alice is in the room before the bot
    world = IrcWorld(tmp_path, proxy, bugsink_project, BOT_LOG_SENTRY=False)
    body = {"project": bugsink_project.id, "project_name": bugsink_project.slug}
    with ExitStack() as ends:
        ends.enter_context(proxy)
        with person_in_room(ngircd) as alice:
            ends.enter_context(world.bot)
            alice.wait_for_join(BOT, ROOM)
            assert _post(world.webhook, {**_alert(1), **body}) == 202
            alice.wait_for("till 1", sender=BOT, target=ROOM)
            before = len(world.bot.log)
            proxy.refuse()
            ngircd.kill()
            world.bot.wait_for_log("Disconnect callback", after=before)
        world.bot.wait_for_log("webhooks are still taken", after=before)
        assert _post(world.webhook, {**_alert(2), **body}) == 202
        assert _post(world.webhook, {**_alert(3), **body}) == 202
        ngircd.restart()
        with person_in_room(ngircd) as alice:
            proxy.mend()
            alice.wait_for_join(BOT, ROOM)
            alice.wait_for("till 2", sender=BOT, target=ROOM)
            alice.wait_for("till 3", sender=BOT, target=ROOM)
            alice.say(ROOM, "!sentry status")
            alice.wait_for("delivery", sender=BOT, target=ROOM)
            texts = alice.texts(ROOM, BOT)
        assert len([text for text in texts if "till 2" in text]) == 1
    assert world.bot.log.count("Traceback") == 0
