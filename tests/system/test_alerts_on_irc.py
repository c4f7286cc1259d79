"""Grouping and muting, for real: signed webhooks to a real Errbot on a real ngircd.

That nothing else came is shown by a later message in the same room: messages of a room are delivered in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.processes import free_port
from errbot_sentry.store.database import Store
from tests.alerting import bodies
from tests.servers.errbot_process import ErrbotProcess, irc_settings
from tests.servers.irc_client import IrcClient
from tests.servers.network_bot import IRC
from tests.servers.ngircd import Ngircd
from tests.system.plugin_copies import PLUGIN
from tests.waiting import until

BOT = "sentrybot"


class Rooms:
    """A bot in some rooms, and somebody who sits in all of them."""

    def __init__(self, folder: Path, ircd: Ngircd, routes: list[dict[str, Any]]) -> None:
        self.names = tuple(dict.fromkeys(room for route in routes for room in route["rooms"]))
        self.port = free_port()
        self.bot = ErrbotProcess(
            folder,
            PLUGIN,
            {
                **irc_settings(ircd.port, nick=BOT, rooms=self.names),
                "SENTRY_ALERTS": routes,
                **bodies.listening(self.port),
            },
            backend="IRC",
            python=IRC.python(),
        )
        self.alice = IrcClient(ircd.host, ircd.port, "alice")
        for room in self.names:
            self.alice.join(room)

    @contextmanager
    def open(self) -> Iterator[Rooms]:
        """Until the end of the block the bot is in every room."""
        with self.alice, self.bot:
            self.wait_for_bot()
            yield self

    def wait_for_bot(self, after: int = 0) -> None:
        """Until the bot has joined every room."""
        for room in self.names:
            self.alice.wait_for_join(BOT, room, after=after)

    def hook(self, issue: str, action: str = "created", project: str = "shop", **fields: Any) -> None:
        """A signed webhook of Sentry's about an issue, which is taken."""
        bodies.post(bodies.address(self.port), bodies.sentry_issue(issue, action, project, **fields))

    def decided(self) -> int:
        """How many decisions the state holds."""
        store = Store(f"sqlite:///{self.bot.data / 'sentry_reporter.sqlite3'}")
        try:
            with store.read() as tx:
                return sum(tx.inbox.counts().values())
        finally:
            store.close()

    def wait_for(self, room: str, pattern: str, timeout: float = 60.0, after: int = 0) -> float:
        """When the bot said this in a room."""
        return self.alice.wait_for(pattern, timeout, target=room, sender=BOT, after=after).at

    def received(self, room: str, after: int = 0) -> list[str]:
        """What the bot said in a room, in short: without codes, titles, places and addresses."""
        return [short(text) for text in self.alice.texts(room, BOT, after=after)]


def short(text: str) -> str:
    """`New SHOP-1`, `SHOP-1 resolved`, as far as the words count."""
    seen = re.sub("[\x02\x03\x0f\x1d\x1f\u200b]", "", text).strip()
    seen = re.sub(r"^(\w+) in \w+: (\S+) ZeroDivisionError.*", r"\1 \2", seen)
    return re.sub(r" ZeroDivisionError.*", "", seen)


def test_storm_flapping_and_windows_side_by_side(tmp_path: Path, ngircd: Ngircd) -> None:
    """Rooms do not disturb each other: the storm's minute passes in one while the others have theirs."""
    routes = [
        {"rooms": ["#storm"], "match": ["project=storm"]},
        {"rooms": ["#flap"], "match": ["project=flap"]},
        {"rooms": ["#fast"], "match": ["project=web"], "window": "5s", "continue": True},
        {"rooms": ["#slow"], "match": ["project=web"], "window": "12s"},
    ]
    with Rooms(tmp_path, ngircd, routes).open() as rooms:
        rooms.hook("1", project="web")
        rooms.hook("1", project="web", count="9")
        for number in range(1, 31):
            rooms.hook(str(number + 100), project="storm")
        rooms.hook("50", project="flap")
        for count in ("2", "3"):
            rooms.hook("50", "resolved", "flap", count=count)
            rooms.hook("50", "unresolved", "flap", count=count, substatus="regressed")
        rooms.hook("51", project="flap")

        rooms.wait_for("#flap", "FLAP-51")
        first, again = (["FLAP-50 resolved", f"FLAP-50 regressed{more}"] for more in ("", " again"))
        assert rooms.received("#flap") == ["New FLAP-50", *first, *again, "New FLAP-51"]

        first = rooms.wait_for("#fast", "more events")
        assert rooms.wait_for("#slow", "more events") > first
        rooms.hook("2", project="web")
        for room in ("#fast", "#slow"):
            rooms.wait_for(room, "WEB-2")
            assert rooms.received(room) == ["New WEB-1", "WEB-1 8 more events in 1m (9 in all)", "New WEB-2"]

        rooms.wait_for("#storm", "STORM-130", timeout=120)
        rooms.hook("101", "resolved", "storm")
        rooms.wait_for("#storm", "STORM-101 resolved")
        assert rooms.received("#storm") == [
            *[f"New STORM-{number}" for number in range(101, 121)],
            "10 more problems in a minute in storm",
            *[f"New STORM-{number}" for number in range(121, 131)],
            "STORM-101 resolved",
        ]
    assert rooms.bot.log.count("Traceback") == 0


def test_a_silence_survives_the_death_of_the_bot(tmp_path: Path, ngircd: Ngircd) -> None:
    with Rooms(tmp_path, ngircd, [{"rooms": ["#ops"]}]).open() as rooms:
        rooms.alice.say("#ops", "!sentry silence project=shop -d 1h -c deploying")
        rooms.wait_for("#ops", "Silence 1: project=shop for 1h")
        rooms.hook("1")
        rooms.hook("2")
        seen = rooms.alice.count()
        rooms.bot.kill9()
        rooms.bot.start()
        rooms.wait_for_bot(after=seen)
        rooms.hook("3")
        rooms.alice.say("#ops", "!sentry silences")
        rooms.wait_for("#ops", "#1 project=shop in #ops .* by .*: deploying", after=seen)
        until(lambda: rooms.decided() == 3, 60, "all three are decided")
        rooms.alice.say("#ops", "!sentry unsilence 1")
        rooms.wait_for("#ops", "it silenced 3 alerts about 3 problems: SHOP-1, SHOP-2, SHOP-3", after=seen)
        rooms.hook("4")
        rooms.wait_for("#ops", "SHOP-4", after=seen)
        assert [text for text in rooms.received("#ops") if text.startswith("New")] == ["New SHOP-4"]
    assert rooms.bot.log.count("Traceback") == 0
