"""Deliveries that wait together are stored together, and each gets the answer for its own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import pytest
from sqlalchemy import event

from errbot_sentry.alerting.receive.group_commit import GroupCommit
from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.errors import StoreError
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import Delivery, DeliveryKey
from tests.stores import store_at
from tests.waiting import until

AT = datetime(2026, 3, 2, tzinfo=timezone.utc)


def delivery(name: str) -> Delivery:
    return Delivery((DeliveryKey(name),), (Alert(name, "new", "webhook", AT, issue_id=name),), AT.timestamp())


class Commits:
    """Counts the transactions of a store, and can make them fail."""

    def __init__(self, store: Store) -> None:
        store.open()
        self.count = 0
        self.fails = False
        event.listen(store._engine, "begin", self._begins)

    def _begins(self, _connection: object) -> None:
        self.count += 1
        if self.fails:
            raise OSError("no space left on device")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_at(f"sqlite:///{tmp_path / 'state.sqlite3'}")


def all_at_once(store: Store, names: list[str], then: Commits | None = None) -> list[Future[bool]]:
    """Hand all of them in while nobody can write, so that they have to wait for each other."""
    group_commit = GroupCommit(store)
    with ThreadPoolExecutor(len(names)) as pool:
        with store._writer_lock:
            first = pool.submit(group_commit.store, delivery(names[0]))
            until(lambda: group_commit._busy and not group_commit._entries)
            rest = [pool.submit(group_commit.store, delivery(name)) for name in names[1:]]
            until(lambda: len(group_commit._entries) == len(rest))
            if then is not None:
                then.fails = True
        return [first, *rest]


def test_those_that_wait_share_one_commit(store: Store) -> None:
    commits = Commits(store)
    answers = all_at_once(store, [f"d{number}" for number in range(12)])
    assert all(answer.result() for answer in answers)
    assert commits.count == 2  # the first one's own, and one for all who came meanwhile
    with store.read() as tx:
        assert tx.inbox.waiting_count()[0] == 12


def test_the_same_delivery_twice_in_one_commit_is_one_alert(store: Store) -> None:
    answers = all_at_once(store, ["first", "twin", "twin", "twin"])
    assert sorted(answer.result() for answer in answers) == [False, False, True, True]
    with store.read() as tx:
        assert tx.inbox.waiting_count()[0] == 2


def test_a_commit_that_fails_fails_for_all_who_shared_it_and_stops_nobody_after(store: Store) -> None:
    commits = Commits(store)
    answers = all_at_once(store, ["a", "b", "c"], then=commits)
    for answer in answers:
        with pytest.raises(StoreError):
            answer.result()
    commits.fails = False
    assert GroupCommit(store).store(delivery("d"))
    with store.read() as tx:
        assert tx.inbox.waiting_count()[0] == 1


def test_more_than_fit_into_one_commit_are_stored_by_several(store: Store) -> None:
    commits = Commits(store)
    answers = all_at_once(store, [f"d{number}" for number in range(150)])
    assert all(answer.result() for answer in answers)
    assert commits.count == 4
