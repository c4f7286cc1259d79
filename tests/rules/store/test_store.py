"""The state: durable, quick with a million issues, and clear about a bad disk or file."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from errbot_sentry.alerting.receive.receiver import WebhookReceiver
from errbot_sentry.config.settings import AlertSettings
from errbot_sentry.domain.alerts import NEW, Alert, MessageKind
from errbot_sentry.domain.errors import StoreAway, StoreError
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import Delivery, DeliveryKey, KnownIssue, Message, alert_from_text, alert_to_text
from errbot_sentry.store.transaction import Transaction
from tests.alerting import bodies
from tests.alerting.world import VirtualClock
from tests.servers.postgres import Postgres
from tests.stores import row_count, store_at

ALERT = Alert(
    "d", NEW, "webhook", datetime(2026, 1, 1, 12, 30, tzinfo=timezone.utc), "1", "WEB-1", "Ünïcödé 'quoted' \"title\"",
    level="error", project="web", tags=(("a", "b"), ("c", "")), events=3,
)  # fmt: skip


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.sqlite3'}"


def hook(store: Store, number: int = 0) -> int:
    """What a webhook is answered over this store."""
    receiver = WebhookReceiver(
        AlertSettings(webhook_secrets=(bodies.SECRET,)), store, VirtualClock(), lambda more: None
    )
    receiver.open()
    raw = bodies.encode(bodies.sentry_issue(str(number)))
    return receiver.take(bodies.signed(raw), raw, None).status


def add_alert(tx: Transaction, now: float) -> int:
    """Store an alert to be decided; its number."""
    tx.inbox.take_in([Delivery((), (ALERT,), now)])
    return max(row.id for row in tx.inbox.waiting(now, 1000, is_known=False)[0])


def test_alerts_survive_the_way_to_the_disk_and_back() -> None:
    assert alert_from_text(alert_to_text(ALERT)) == ALERT


def test_what_a_newer_version_wrote_can_still_be_read() -> None:
    text = alert_to_text(ALERT)[:-1] + ',"a_field_of_tomorrow":1}'
    assert alert_from_text(text) == ALERT


def test_nothing_is_opened_and_the_database_library_is_not_imported_before_it_is_needed(url: str) -> None:
    code = (
        "import sys\n"
        "from errbot_sentry.alerting.service import AlertService\n"
        "from errbot_sentry.store.database import Store\n"
        f"Store({url!r}); assert 'sqlalchemy' not in sys.modules"
    )
    home = str(Path(__file__).resolve().parents[3] / "plugins" / "sentry_reporter")
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": home})


def test_a_transaction_that_fails_leaves_nothing(url: str) -> None:
    store = store_at(url)

    def half() -> None:
        with store.write() as tx:
            add_alert(tx, 1.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    with store.read() as tx:
        assert tx.inbox.waiting_count() == (0, None)


def test_the_disk_sees_every_commit(url: str) -> None:
    """WAL with synchronous=FULL: the promise of 202 holds over a power cut."""
    store = store_at(url)
    store.open()
    assert store._engine is not None
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert (connection.exec_driver_sql("PRAGMA busy_timeout").scalar() or 0) > 0


def test_a_full_disk_is_503_and_the_store_recovers(url: str) -> None:
    store = store_at(url)
    store.open()
    assert store._engine is not None
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    answers = [hook(store, number) for number in range(1000)]
    assert set(answers) == {202, 503}
    with store.read() as tx:
        assert tx.inbox.waiting_count()[0] == answers.count(202), "what was answered 202 is there, and nothing else"
    with store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    assert hook(store, 2000) == 202


def test_a_folder_that_cannot_be_written_is_503(tmp_path: Path) -> None:
    store = store_at(f"sqlite:///{tmp_path / 'no-such-folder' / 'state.sqlite3'}")
    assert hook(store) == 503
    with pytest.raises(StoreError, match="cannot be opened"):
        store.open()
    (tmp_path / "no-such-folder").mkdir()
    assert hook(store) == 202, "once the folder is there, it works without a restart"


def test_a_read_only_database_is_503(url: str) -> None:
    store_at(url).open()
    store = store_at(url)
    store.open()
    assert store._engine is not None
    with store._engine.connect() as connection:  # the one pooled connection: what a read-only mount does, also to root
        connection.exec_driver_sql("PRAGMA query_only=1")
    assert hook(store) == 503


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    path.write_bytes(b"this is not a database " * 100)
    store = store_at(f"sqlite:///{path}")
    with pytest.raises(StoreError, match="not an SQLite database"):
        store.open()
    assert hook(store) == 503


def test_a_lock_by_another_program_is_503_within_a_second(url: str) -> None:
    store = store_at(url)
    store.open()
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert hook(store) == 503
    other.execute("ROLLBACK")
    other.close()
    assert hook(store) == 202


def test_a_writer_of_our_own_that_does_not_end_is_503(url: str) -> None:
    """SQLite takes one writer at a time; whoever waits for an answer does not wait for it without end."""
    store = store_at(url)
    with ThreadPoolExecutor(1) as pool:
        with store.write():
            assert pool.submit(hook, store).result(20) == 503
        assert pool.submit(hook, store).result(20) == 202


def test_neither_password_nor_data_is_in_the_sentence(tmp_path: Path) -> None:
    store = store_at("postgresql+nosuchdriver://bot:hunter2@127.0.0.1:1/state")
    with pytest.raises(StoreError) as caught:
        store.open()
    assert "hunter2" not in str(caught.value)


def test_a_closed_store_says_so(url: str) -> None:
    store = store_at(url)
    store.open()
    store.close()
    with pytest.raises(StoreError, match="closed"), store.write():
        pass


def test_replays_are_known_by_key_within_their_span(url: str) -> None:
    store = store_at(url)
    ever, once = DeliveryKey("ever"), DeliveryKey("while", 600.0)

    def first(*keys: DeliveryKey, now: float) -> bool:
        with store.write() as tx:
            return tx.inbox.take_in([Delivery(keys, (ALERT,), now)])[0]

    assert first(ever, once, now=1000.0)
    assert not first(ever, now=1e9)
    assert not first(once, now=1599.0)
    assert first(once, now=1600.0)
    assert not first(once, now=1601.0)
    with store.write() as tx:
        twice = [Delivery((DeliveryKey("new"),), (ALERT,), 2000.0)] * 2
        assert tx.inbox.take_in(twice) == [True, False], "also within one commit"
    with store.read() as tx:
        assert tx.inbox.waiting_count()[0] == 3


def test_every_look_up_of_an_alerts_way_goes_by_an_index(url: str) -> None:
    """A million known issues must not be read for one alert: the plan of each statement is asked for."""
    store = store_at(url)
    plans: list[tuple[str, str]] = []
    store.open()
    from sqlalchemy import event

    assert store._engine is not None

    @event.listens_for(store._engine, "before_cursor_execute")
    def explain(
        conn: object, cursor: sqlite3.Cursor, statement: str, parameters: tuple[object, ...], *_: object
    ) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE")):
            plan = cursor.connection.execute("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()
            plans.append((statement, " | ".join(str(row[3]) for row in plan)))

    with store.write() as tx:
        number = add_alert(tx, 1.0)
        tx.inbox.take_in([Delivery((DeliveryKey("k"),), (ALERT,), 1.0)])
        tx.outbox.add(Message("#a", MessageKind.NOTIFICATION, {}), 1.0)
        tx.inbox.waiting(2.0, 10, is_known=False)
        tx.inbox.still_waiting([number])
        tx.inbox.next_due()
        tx.inbox.put_off(number, 3.0)
        tx.inbox.decide(number, ALERT, [], 2.0)
        tx.inbox.decided("#a", 10)
        tx.issues.get("1")
        tx.issues.get_many(["1", "2"])
        tx.groups.of_issue("1")
        tx.outbox.next_due()
        row = tx.outbox.claim("me", 2.0, 20.0)
        assert row is not None
        tx.outbox.sent(row.id, 2.0, "", None, "me")
        tx.polls.get("x")
    assert len(plans) >= 13
    for statement, plan in plans:
        for step in plan.split(" | "):
            assert not step.startswith("SCAN") or "USING" in step or "CONSTANT" in step, (statement, plan)


def test_one_owner_sends_a_message_and_another_takes_over_when_the_claim_ran_out(url: str) -> None:
    store = store_at(url)
    with store.write() as tx:
        first, second = (tx.outbox.add(Message("#a", MessageKind.NOTIFICATION, {"n": n}), 1.0) for n in (1, 2))
        one = tx.outbox.claim("one", 2.0, 22.0)
        assert one is not None
        assert one.id == first
        assert tx.outbox.claim("two", 21.0, 41.0) is None, "not the second message either: order per room"
        taken = tx.outbox.claim("two", 22.0, 42.0)
        assert taken is not None
        assert taken.id == first
        tx.outbox.sent(first, 23.0, "", None, "two")
        after = tx.outbox.claim("one", 23.0, 43.0)
        assert after is not None
        assert after.id == second


def test_old_rows_are_forgotten_in_small_steps(url: str) -> None:
    store = store_at(url)
    with store.write() as tx:
        for number in range(50):
            alert_id = add_alert(tx, float(number))
            tx.inbox.decide(alert_id, ALERT, [], float(number))
            tx.issues.put([KnownIssue(str(number), "unresolved", touched=float(number))])
        waiting = add_alert(tx, 0.0)
    with store.write() as tx:
        assert tx.inbox.forget(25.0, 10) == 10
        assert tx.issues.forget(25.0, 10) == 10
    for _ in range(5):
        with store.write() as tx:
            tx.inbox.forget(25.0, 10)
            tx.issues.forget(25.0, 10)
    assert row_count(store, "issues") == 25
    with store.read() as tx:
        assert [row.id for row in tx.inbox.waiting(1e9, 10, is_known=False)[0]] == [waiting], (
            "what is undecided is never dropped"
        )


def test_many_threads_write_and_everything_is_there(url: str) -> None:
    store = store_at(url)

    def write(start: int) -> None:
        for number in range(25):
            with store.write() as tx:
                tx.issues.put([KnownIssue(f"{start}-{number}", "unresolved")])

    threads = [threading.Thread(target=write, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert row_count(store, "issues") == 200


def test_a_second_bot_on_the_same_file_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It may send again what the first has in flight; a bot that was stopped or killed leaves nothing behind."""
    url = f"sqlite:///{tmp_path / 'state.sqlite3'}"
    first, second, third = store_at(url), store_at(url), store_at(url)
    first.open()
    assert not caplog.records
    second.open()
    assert "another bot has" in caplog.text
    first.close()
    second.close()
    caplog.clear()
    third.open()
    assert not caplog.records
    third.close()


def test_more_deferred_messages_than_a_statement_has_parameters(url: str) -> None:
    """A public DSN lets anybody make that many issues in the quiet hours; nothing timed went on from then on."""
    store = store_at(url)
    many = range(1, 260_000)
    with store.write() as tx:
        number = add_alert(tx, 0.0)
        assert list(tx.inbox.get(many)) == [number]
        tx.groups.sent_in_list("#ops", [str(each) for each in many], 1)


@pytest.mark.parametrize("name", ["a?b", "a%41b", "a#b", "a b", "a:b@c", "file:x", "é☃", "%", "a;b", "mode=memory&x"])
def test_a_folder_of_any_name_holds_the_state(tmp_path: Path, name: str) -> None:
    """In a URL such a name means something else: another file, options, or nothing at all."""
    folder = tmp_path / name
    folder.mkdir()
    store = store_at(folder / "sentry_reporter.sqlite3")
    with store.write() as tx:
        tx.accounts.put("@ann", "ann@example.org", 1.0, "")
    assert not store.shared
    assert {path.name for path in folder.iterdir()} >= {"sentry_reporter.sqlite3"}
    assert [path.name for path in tmp_path.iterdir()] == [name]
    store.close()
    with store_at(folder / "sentry_reporter.sqlite3").read() as tx:
        assert tx.accounts.mail_of("@ann") == "ann@example.org"


@pytest.mark.parametrize("old", [False, True])
def test_nobody_else_on_the_machine_reads_the_state(tmp_path: Path, old: bool) -> None:
    """It holds mail addresses and errors' texts. A file from before this was so is closed at its next opening."""
    path = tmp_path / "state.sqlite3"
    before = os.umask(0)
    try:
        if old:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("CREATE TABLE old (x)")
            path.chmod(0o666)
        store = store_at(f"sqlite:///{path}") if old else store_at(path)
        with store.write() as tx:
            tx.accounts.put("@ann", "ann@example.org", 1.0, "")
    finally:
        os.umask(before)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    assert {f"state.sqlite3{end}" for end in ("", "-wal", "-shm")} <= set(modes)
    assert set(modes.values()) == {0o600}, modes


def test_a_folder_in_place_of_the_file_keeps_its_rights(tmp_path: Path) -> None:
    """`sqlite:////tmp`, on a bot that root runs, took /tmp from everybody else on the machine."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    with pytest.raises(StoreError, match="its file cannot be opened"):
        store_at(f"sqlite:///{folder}").open()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777


@pytest.mark.parametrize(
    ("user", "host", "database", "sentence"),
    [
        ("nobody", "", "", "the database server does not know its user"),
        ("bot", "", "nothing", "the database server has no such database"),
        ("weak", "", "", "its user has not all rights in the database: make it the owner"),
        ("bot", "nohost.invalid", "", "its host is not known"),
        ("bot", "127.0.0.1:1", "", "the database server does not answer"),
    ],
)
def test_a_database_that_cannot_be_used_says_why(
    user: str, host: str, database: str, sentence: str, postgres: Postgres
) -> None:
    """An operator with a wrong user or database read that the server does not answer."""
    there, _, name = postgres.url().rpartition("@")[2].partition("/")
    if user == "weak":
        engine = create_engine(postgres.url())
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE ROLE weak LOGIN")
        engine.dispose()
    store = store_at(f"postgresql+psycopg://{user}@{host or there}/{database or name}")
    with pytest.raises(StoreError) as raised:
        store.open()
    assert str(raised.value).endswith(f"cannot be used: {sentence}.")
    assert isinstance(raised.value, StoreAway) is (user != "weak")


def test_what_is_made_once_stays_as_it_is(url: str) -> None:
    """Also after a restart, and for a second bot on the same state."""
    made = iter(["first", "second"])
    for _ in range(2):
        with store_at(url).write() as tx:
            assert tx.made_once.get("clicks", lambda: next(made)) == "first"
    with store_at(url).write() as tx:
        assert tx.made_once.get("another", lambda: next(made)) == "second"
