"""Messages to rooms: stored until they are delivered, sent in order within a room, claimed by one bot at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, func, or_, select

from errbot_sentry.domain.alerts import MessageKind, Placement
from errbot_sentry.store.corrupt_rows import fits
from errbot_sentry.store.records import (
    FAILED,
    SENDING,
    SENT,
    UNSURE,
    WAITING,
    Message,
    OutboxRow,
    QueueState,
    RecentMessage,
)
from errbot_sentry.store.schema import edits, outbox
from errbot_sentry.store.statements import (
    FURTHEST,
    Queries,
    add_row,
    insert_rows,
    is_due,
    next_due,
    parts,
    read_texts,
    time_of,
)

# Fields of a message that are stored unchanged, in columns of the same names.
_SAME_NAMES = ("room", "issue", "alert_id", "thread_root", "threads", "mark", "mention")
MOST_UNDELIVERED = 1_000  # messages of one room in one list
_MOST_EDITS = 1_000
_QUEUED = (WAITING, SENDING)
_PLACEMENTS = (Placement.CHANNEL.value, Placement.THREAD.value)
# The first queued message of every room.
_FIRST_IDS = select(func.min(outbox.c.id)).where(outbox.c.state.in_(_QUEUED)).group_by(outbox.c.room).scalar_subquery()


class OutboxTable(Queries):
    """Queries about messages."""

    def add(self, message: Message, now: float) -> int:
        """Queue a message; returns its id."""
        statement = outbox.insert().values(
            state=WAITING,
            **{name: getattr(message, name) for name in _SAME_NAMES},
            kind=message.kind.value,
            placement=message.placement.value,
            projects=json.dumps(message.projects),
            alert_count=message.count,
            body=json.dumps(message.values, ensure_ascii=False),
            tries=0,
            next_try=now,
            made=now,
            sent=None,
            sent_id="",
            owner="",
            lease=0.0,
            error="",
        )
        return add_row(self._connection, statement)

    def claim(self, owner: str, now: float, until: float) -> OutboxRow | None:
        """Claim the message that is due longest, for `owner` until `until`; None if no message is due.

        Only the first message of a room can be claimed, so that a room's messages stay in order. A message that
        another owner claimed is free again when that claim has expired.
        """
        while (row := self._next_free(now)) is not None:
            claimed = self._row(row)
            if claimed is not None:
                self._set([claimed.id], state=SENDING, owner=owner, lease=until)
                return claimed
            self.set_aside(row.id, "It cannot be read.", now)
        return None

    def _next_free(self, now: float) -> Row[Any] | None:
        free = or_(outbox.c.state == WAITING, is_due(outbox.c.lease, now))
        return self._connection.execute(
            select(outbox)
            .where(outbox.c.id.in_(_FIRST_IDS), is_due(outbox.c.next_try, now), free)
            .order_by(outbox.c.next_try, outbox.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)  # otherwise two bots could claim the same message at the same moment
        ).first()

    def next_due(self) -> float | None:
        """When the next message can be claimed; None if none is queued."""
        ready = case((outbox.c.state == SENDING, outbox.c.lease), else_=outbox.c.next_try)
        return next_due(self._connection, select(func.min(ready)).where(outbox.c.id.in_(_FIRST_IDS)))

    def renew(self, owner: str, now: float, until: float) -> None:
        """Extend the claims of a running owner, on messages that it is sending and on unsure ones that it will settle.

        An unsure message's lease is renewed to `now`; see `free_abandoned`.
        """
        for state, lease in ((SENDING, until), (UNSURE, now)):
            own = and_(outbox.c.state == state, outbox.c.owner == owner, outbox.c.lease < lease)
            self._connection.execute(outbox.update().where(own).values(lease=lease))

    def sent(self, row_id: int, now: float, sent_id: str, settle_until: float | None, owner: str) -> None:
        """Store that the chat network accepted the message. With `settle_until` it stays unsure until then."""
        state = SENT if settle_until is None else UNSURE
        self._set([row_id], state=state, sent=now, sent_id=sent_id, owner=owner, lease=settle_until or 0.0, error="")

    def retry(self, row_id: int, next_try: float, error: str, tries: int) -> None:
        """Store that the message was not accepted, and when to try again. `tries` is how many tries are used up."""
        self._set([row_id], state=WAITING, next_try=next_try, tries=tries, owner="", lease=0.0, error=error)

    def set_aside(self, row_id: int, error: str, now: float) -> None:
        """Mark a message as undeliverable. It stays stored, so that people can see it, and the next one is sent."""
        tries = outbox.c.tries + 1
        self._set([row_id], state=FAILED, next_try=now, tries=tries, owner="", lease=0.0, error=error)

    def set_aside_all(self, room: str, before: float, error: str, now: float) -> int:
        """Mark a room's waiting messages that were made before then as undeliverable; returns how many there were."""
        waiting = and_(outbox.c.state == WAITING, outbox.c.room == room, outbox.c.made < before)
        failed = outbox.update().where(waiting).values(state=FAILED, next_try=now, owner="", lease=0.0, error=error)
        return self._connection.execute(failed).rowcount

    def undelivered(self, room: str) -> list[OutboxRow]:
        """A room's undeliverable messages, oldest first; at most MOST_UNDELIVERED."""
        query = select(outbox).where(outbox.c.state == FAILED, outbox.c.room == room).order_by(outbox.c.id)
        return self._all(query.limit(MOST_UNDELIVERED), self._row)

    def put_back(self, row_id: int, values: Mapping[str, Any], now: float) -> None:
        """Queue an undeliverable message again, with these values, at its old place among the room's messages."""
        body = json.dumps(values, ensure_ascii=False)
        again = {"state": WAITING, "next_try": now, "tries": 0, "error": "", "body": body}
        self._connection.execute(outbox.update().where(outbox.c.id == row_id, outbox.c.state == FAILED).values(**again))

    def drop(self, row_ids: Sequence[int]) -> None:
        """Delete these messages."""
        for part in parts(row_ids):
            self._connection.execute(outbox.delete().where(outbox.c.id.in_(part)))

    def refuses_since(self, room: str, lately: float, tries: int) -> float | None:
        """Since when the chat network has refused every message for this room, or None.

        A message counts if it became undeliverable after at least `tries` tries, and after the last one that the room
        accepted. Returns when the first of these failed; None if there is none, or the last one failed before `lately`.
        """
        newest = [
            select(outbox.c.id).where(outbox.c.state == state, outbox.c.room == room).order_by(outbox.c.id.desc())
            for state in (SENT, UNSURE)
        ]
        accepted = max(self._connection.scalar(query.limit(1)) or 0 for query in newest)
        in_a_row = and_(
            outbox.c.state == FAILED, outbox.c.room == room, outbox.c.id > accepted, outbox.c.tries >= tries
        )
        refused = select(outbox.c.next_try).where(in_a_row).limit(1)  # when the last try was
        last = time_of(self._connection.scalar(refused.order_by(outbox.c.id.desc())))
        if last is None or not lately <= last <= lately + FURTHEST:
            return None
        return time_of(self._connection.scalar(refused.order_by(outbox.c.id)))

    def settle(self, row_ids: Sequence[int]) -> None:
        """Mark unsure messages as sent: nothing showed in time that they were lost."""
        self._set(row_ids, state=SENT, lease=0.0)

    def send_again(self, row_ids: Sequence[int], now: float) -> None:
        """Queue messages that may have been lost again, at their old places. The lost attempt counts as a try."""
        self._set(row_ids, state=WAITING, next_try=now, owner="", lease=0.0, tries=outbox.c.tries + 1)

    def get(self, row_id: int) -> OutboxRow | None:
        """One message, None if it was deleted."""
        return self._first(select(outbox).where(outbox.c.id == row_id), self._row)

    def sent_message(self, room: str, sent_id: str) -> OutboxRow | None:
        """The message in this room to which the chat network gave this id; None if there is none."""
        query = select(outbox).where(outbox.c.room == room, outbox.c.sent_id == sent_id).limit(1)
        return self._first(query, self._row)

    def issue_of_thread(self, room: str, thread: str) -> str:
        """The issue of the message to which the chat network gave this id; "" if the message is not ours."""
        query = select(outbox.c.issue).where(outbox.c.room == room, outbox.c.sent_id == thread).limit(1)
        return self._connection.scalar(query) or ""

    def is_sending(self, room: str) -> bool:
        """Whether a bot is sending a message to this room now: people may see the message before its id is stored."""
        query = select(outbox.c.id).where(outbox.c.state == SENDING, outbox.c.room == room).limit(1)
        return self._connection.execute(query).first() is not None

    def recent(self, room: str, placement: Placement, since: float) -> list[RecentMessage]:
        """The room's messages with this placement that were made since then, newest first; at most 100."""
        query = (
            select(outbox.c.id, outbox.c.issue, outbox.c.kind, outbox.c.alert_count)
            .where(outbox.c.room == room, outbox.c.placement == placement.value, *_since(since))
            .order_by(outbox.c.made.desc())
            .limit(100)
        )
        return self._all(query, lambda row: self._corrupt_rows.read("outbox", row.id, partial(_recent, row)))

    def count_recent(self, room: str, since: float) -> int:
        """How many messages were made for a room since then, in the channel and in threads."""
        query = select(func.count()).where(outbox.c.room == room, outbox.c.placement.in_(_PLACEMENTS), *_since(since))
        return self._connection.scalar(query) or 0

    def free_all(self, now: float) -> int:
        """Queue again what an earlier run of this bot was sending when it died; returns how many messages.

        Only for a database that no other bot uses.
        """
        return self._free(outbox.c.state.in_((SENDING, UNSURE)), now)

    def free_abandoned(self, owner: str, now: float, since: float) -> int:
        """Queue again what another bot left unsure and did not settle by `since`; returns how many messages.

        A message that the bot was sending does not need this: `claim` takes it when its lease has expired.
        """
        return self._free(and_(outbox.c.state == UNSURE, outbox.c.owner != owner, is_due(outbox.c.lease, since)), now)

    def _free(self, which: ColumnElement[bool], now: float) -> int:
        freed = outbox.update().where(which).values(state=WAITING, next_try=now, owner="", lease=0.0)
        return self._connection.execute(freed).rowcount

    def state(self, lately: float) -> QueueState:
        """A summary of the queue; undeliverable messages since `lately` are also counted separately."""
        row = self._connection.execute(
            select(func.count(), func.min(outbox.c.made)).where(outbox.c.state.in_(_QUEUED))
        ).one()
        failed = select(func.count()).where(outbox.c.state == FAILED)
        recent = failed.where(outbox.c.next_try >= lately)  # when its last try was
        return QueueState(row[0], time_of(row[1]), *(self._connection.scalar(count) or 0 for count in (failed, recent)))

    def forget(self, before: float, limit: int) -> int:
        """Delete at most `limit` delivered or undeliverable messages made before then; returns how many."""
        return self._forget(outbox, limit, outbox.c.made < before, outbox.c.state.in_((SENT, FAILED)))

    def _set(self, row_ids: Sequence[int], **values: Any) -> None:
        if row_ids:
            self._connection.execute(outbox.update().where(outbox.c.id.in_(row_ids)).values(**values))

    def _row(self, row: Row[Any]) -> OutboxRow | None:
        def make() -> OutboxRow | None:
            message = self._message(row)
            if not fits(message):
                return None
            return OutboxRow(row.id, message, row.state, row.tries, row.next_try, row.made, row.error, row.sent_id)

        return self._corrupt_rows.read("outbox", row.id, make)

    def _message(self, row: Row[Any]) -> Message:
        return Message(
            kind=MessageKind(row.kind),
            values=_values(row.body),
            placement=Placement(row.placement),
            projects=read_texts(row.projects),
            count=row.alert_count,
            **{name: getattr(row, name) for name in _SAME_NAMES},
        )


@dataclass(frozen=True)
class WantedEdit:
    """A mark that is to be written onto the notification with this `id`; `made` is when the mark was stored."""

    id: int
    mark: str
    tries: int
    next_try: float
    made: float


class EditsTable(Queries):
    """Queries about edits that are not made yet: one row per notification, with its newest mark.

    A bot claims an edit before it makes the edit, so that no two bots make the same one.
    """

    def want(self, row_id: int, mark: str, now: float) -> int:
        """Store the mark for a notification, in place of an older mark. Returns how many other edits were dropped.

        At most _MOST_EDITS edits are kept, the newest ones. If the older mark is being written now, its claim stays,
        and the new mark waits until the claim ends.
        """
        values = (row_id, mark, 0, now, now, 0.0)
        columns = ("id", "mark", "tries", "next_try", "made", "lease")
        insert_rows(self._connection, edits, [values], columns, replaced=columns[1:-1])
        newest = select(edits.c.id).order_by(edits.c.made.desc(), edits.c.id.desc()).limit(_MOST_EDITS)
        return self._connection.execute(edits.delete().where(edits.c.id.not_in(newest))).rowcount

    def claim(self, now: float, until: float, row_id: int | None = None) -> WantedEdit | None:
        """Claim the edit that is due longest, until the time `until`; None if no edit is due.

        With `row_id`, only that notification's edit can be claimed. An edit that cannot be read is deleted.
        """
        wanted = [] if row_id is None else [edits.c.id == row_id]
        due = select(edits).where(is_due(edits.c.next_try, now), is_due(edits.c.lease, now), *wanted)
        query = due.order_by(edits.c.next_try, edits.c.id).limit(1).with_for_update(skip_locked=True)
        while (found := self._connection.execute(query).first()) is not None:
            edit = self._record(WantedEdit, edits, found)
            if edit is not None:
                self._set(edit.id, lease=until)
                return edit
            self._connection.execute(edits.delete().where(edits.c.id == found.id))
        return None

    def end(self, edit: WantedEdit) -> None:
        """Delete an edit that was made or given up. If a newer mark was stored meanwhile, that one is due now."""
        self._connection.execute(edits.delete().where(edits.c.id == edit.id, edits.c.mark == edit.mark))
        self._set(edit.id, lease=0.0)

    def retry(self, edit: WantedEdit, next_try: float, tries: int) -> None:
        """Put a refused edit off until `next_try`. If a newer mark was stored meanwhile, that one is due now."""
        self._set(edit.id, lease=0.0)
        same = (edits.c.id == edit.id, edits.c.mark == edit.mark)
        self._connection.execute(edits.update().where(*same).values(next_try=next_try, tries=tries))

    def next_due(self) -> float | None:
        """When the next edit can be claimed; None if there is none."""
        ready = case((edits.c.lease > edits.c.next_try, edits.c.lease), else_=edits.c.next_try)
        return next_due(self._connection, select(func.min(ready)))

    def free_all(self) -> None:
        """Free the edits that an earlier run of this bot was making when it died.

        Only for a database that no other bot uses.
        """
        self._connection.execute(edits.update().values(lease=0.0))

    def forget(self) -> None:
        """Delete the edits whose message was deleted."""
        self._connection.execute(edits.delete().where(edits.c.id.not_in(select(outbox.c.id))))

    def _set(self, row_id: int, **values: Any) -> None:
        self._connection.execute(edits.update().where(edits.c.id == row_id).values(**values))


def _since(since: float) -> tuple[ColumnElement[bool], ...]:
    """The condition that a message was made since then, and not in the future, by a clock that was wrong."""
    return outbox.c.made > since, outbox.c.made <= since + FURTHEST


def _values(text: str) -> dict[str, Any]:
    """A template's values from their column. Raises some error if the text is corrupt."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise TypeError("the values of a message are not a JSON object")
    return values


def _recent(row: Any) -> RecentMessage:
    return RecentMessage(row.issue, MessageKind(row.kind), row.alert_count)
