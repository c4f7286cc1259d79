"""What the network calls rooms, asked at each connect and recalled before the first one."""

from __future__ import annotations

from pathlib import Path

from errbot_sentry.chat.network_rooms import NetworkRooms
from errbot_sentry.store.database import Store

IDS = {"#ops:chat.test": "!1:chat.test"}


def _away(name: str) -> str:
    raise ConnectionError(name)


def test_names_are_recalled_at_the_next_start(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite3")
    first = NetworkRooms(lambda name: IDS.get(name, name), store)
    assert first.recall("#ops:chat.test") == "#ops:chat.test"
    assert not first.were_wrong()  # nobody was asked yet
    assert [first.ask(name) for name in ("#ops:chat.test", "plain")] == ["!1:chat.test", "plain"]
    assert first.were_wrong()
    first.save()

    second = NetworkRooms(_away, store)
    assert [second.recall(name) for name in ("#ops:chat.test", "plain")] == ["!1:chat.test", "plain"]
    assert second.ask("#ops:chat.test") == "!1:chat.test"  # no answer changes nothing
    assert not second.were_wrong()
    second.save()

    third = NetworkRooms(lambda name: "!2:chat.test", store)
    assert third.recall("#ops:chat.test") == "!1:chat.test"
    third.ask("#ops:chat.test")
    assert third.were_wrong()

    fourth = NetworkRooms(_away, store)  # it started with a connection, so nothing was recalled before
    assert fourth.ask("#ops:chat.test") == "!1:chat.test"
    store.close()


def test_a_damaged_note_of_names_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite3")
    for damaged in ("[1]", "{"):
        with store.write() as tx:
            tx.made_once.put("rooms", damaged)
        assert NetworkRooms(_away, store).recall("#ops") == "#ops"
    store.close()
