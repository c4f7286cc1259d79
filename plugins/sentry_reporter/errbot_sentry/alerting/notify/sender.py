"""From the outbox to the rooms: one thread sends, in order per room, and marks what was taken.

A crash between sending and marking repeats that one message and no other. Where a chat network confirms nothing, a
message counts as arrived when the connection outlived it by the seconds that the sender names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from errbot_sentry.alerting.decide.messages import TEMPLATES
from errbot_sentry.alerting.decide.visibility import is_still_visible
from errbot_sentry.alerting.notify.digest_reports import chart_of
from errbot_sentry.alerting.notify.notification_edits import NotificationEdits
from errbot_sentry.alerting.notify.ports import Network, Renderer
from errbot_sentry.alerting.notify.retry_policy import MOST_TRIES, REFUSES_FOR, Retry, after_refusal
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import MessageKind, Placement
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import NotConnected, SendError, SentryReporterError
from errbot_sentry.domain.outgoing import Outgoing, card_of
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import Message, OutboxRow

log = logging.getLogger(__name__)

LEASE = 20.0  # seconds after which another bot may take over a message that this one was sending
HEARTBEAT = 5.0
OFFLINE_PAUSE = 1.0
SHARED_PAUSE = 1.0
_UNSETTLED_SLACK = 15.0
_SUSPECT = 2  # tries; a message that was lost so often goes alone: over which one the connection breaks shows then
_BREAKS = "Each time it was sent, the connection broke."


@dataclass(frozen=True)
class _Taken:
    """A message that the network took over `connection` and that is not yet known to have arrived."""

    row_id: int
    connection: str
    settles: float
    tries: int


class NotificationSender:
    """Empties the outbox."""

    def __init__(
        self,
        store: Store,
        network: Network,
        renderer: Renderer,
        access: Access,
        clock: Clock,
        owner: str,
        refused: Callable[[str], str] = lambda _action: "",
    ) -> None:
        """`owner` names this run of this bot among all that share the state.

        `refused` says why the server can never do what a button stands for, "" where it may.
        """
        self._store = store
        self._network = network
        self._renderer = renderer
        self._access = access
        self._clock = clock
        self._owner = owner
        self._refused = refused
        self._unsettled: list[_Taken] = []
        self._unmarked: Callable[[], None] | None = None
        self._sending = False
        self._edits = NotificationEdits(store, self._edit, clock)

    @property
    def edits_given_up(self) -> int:
        """How many edits of notifications were given up since the start."""
        return self._edits.given_up

    def resume(self) -> None:
        """Put back what an earlier run was sending when it ended."""
        if not self._store.shared:
            with self._store.write() as tx:
                tx.outbox.free_all(self._now())
                tx.edits.free_all()

    def step(self) -> float | None:
        """Send one message, if one is due; the seconds until the next may be."""
        if self._unmarked is not None:
            self._unmarked()  # before anything else, or a message that was sent would be sent again
            self._unmarked = None
        connection = self._network.connection()
        self._settle(connection)
        if not connection:
            return OFFLINE_PAUSE
        now = self._now()
        if any(taken.tries >= _SUSPECT for taken in self._unsettled):
            return self._sleep(None, now)
        with self._store.write() as tx:
            if self._store.shared:
                tx.outbox.free_abandoned(self._owner, now, now - _UNSETTLED_SLACK)
            row = tx.outbox.claim(self._owner, now, now + LEASE)
            edit = None if row else self._edits.claim(tx, now)
            times = () if row or edit else (tx.outbox.next_due(), tx.edits.next_due())
        if edit is not None:
            return self._edits.try_claimed(edit)
        if row is None:
            return self._sleep(min((time for time in times if time is not None), default=None), now)
        self._sending = True
        try:
            if self._is_allowed(row):
                return self._send(row, connection)
            log.warning("message %s is set aside: %s may not see its project", row.id, row.message.room)
            self._set_aside(row, "The room may not see this project any more.")
        finally:
            self._sending = False
        return 0.0

    def keep_alive(self) -> float:
        """Renew the leases of what this bot is sending, for the other bots; the seconds until the next time.

        A step of a thread of its own: a slow network keeps the one that sends, and a hanging server the one that
        decides.
        """
        if self._sending or self._unmarked is not None or self._unsettled:
            now = self._now()
            with self._store.write() as tx:
                tx.outbox.renew(self._owner, now, now + LEASE)
        return HEARTBEAT

    def close(self) -> None:
        """Decide about what is not settled: arrived if the connection still stands, else to be sent again."""
        stands = "" if self._network.is_silent() else self._network.connection()
        self._finish([taken for taken in self._unsettled if taken.connection == stands], arrived=True)
        self._finish([taken for taken in self._unsettled if taken.connection != stands], arrived=False)

    def _is_allowed(self, row: OutboxRow) -> bool:
        """Whether the room may still see this: settings can have changed while it waited."""
        with self._store.read() as tx:
            return is_still_visible(tx, row.message, self._access)

    def _send(self, row: OutboxRow, connection: str) -> float:
        """Send a message; the seconds until the next: without a connection, no room takes one."""
        try:
            sent_id = self._post(row)
        except NotConnected as error:
            self._mark(partial(self._retry, row, Retry(self._now() + OFFLINE_PAUSE, row.tries), str(error)))
            return OFFLINE_PAUSE
        except Exception as error:  # the network's code, or a stored message that cannot be read; the next one is sent
            if not isinstance(error, SendError):
                log.exception("message %s could not be sent", row.id)
            self._mark(partial(self._refuse, row, error))
        else:
            self._mark(partial(self._sent, row, sent_id, connection))
            self._send_chart(row)  # after the mark, so that no failure of it sends the text again
        return 0.0

    def _send_chart(self, row: OutboxRow) -> None:
        try:
            upload = chart_of(row.message)
            if upload is not None:
                self._network.send_file(row.message.room, upload)
        except Exception:  # matplotlib's, the backend's: the message itself has arrived
            log.exception("the chart of message %s could not be sent", row.id)

    def _post(self, row: OutboxRow) -> str:
        """Post one message where it belongs; the id of what went to the room or thread."""
        message, root = row.message, self._thread_root(row)
        outgoing = replace(self._outgoing(message), key=f"{row.id}-{row.made}")
        if root is None or not root.sent_id or message.threads == "channel":
            return self._network.post(message.room, outgoing)
        if message.mark:
            self._mark_root(root, message.mark)
        if not self._network.has_threads:
            return self._network.post(message.room, outgoing)
        sent_id = self._network.post(message.room, outgoing, root.sent_id)
        if message.threads == "both":
            again = replace(outgoing.unmentioned(), key=f"{outgoing.key}-channel")  # who is mentioned is so once
            self._network.post(message.room, again)
        return sent_id

    def _thread_root(self, row: OutboxRow) -> OutboxRow | None:
        if row.message.placement is not Placement.THREAD or not row.message.thread_root:
            return None
        with self._store.read() as tx:
            return tx.outbox.get(row.message.thread_root)

    def mark(self, room: str, sent_id: str, mark: str) -> None:
        """Write onto the notification with this id what became of it, as an update under it does."""
        with self._store.read() as tx:
            root = tx.outbox.sent_message(room, sent_id)
        if root is not None:
            self._mark_root(root, mark)

    def _mark_root(self, root: OutboxRow, mark: str) -> None:
        """Write onto the notification what became of it, now or later."""
        if root.message.kind is MessageKind.NOTIFICATION:  # a list is not marked by one of its problems
            self._edits.make(root.id, mark)

    def _edit(self, root: OutboxRow, mark: str) -> None:
        if not self._is_allowed(root):  # an edit sends the whole notification again, and can wait for days
            log.warning("message %s is not edited: %s may not see its project", root.id, root.message.room)
            return
        marked = replace(root.message, values={**root.message.values, "mark": mark})
        self._network.edit(root.message.room, root.sent_id, self._outgoing(marked))

    def _outgoing(self, message: Message) -> Outgoing:
        text = self._renderer.render(TEMPLATES[message.kind], message.values).strip("\n")
        if late := message.values.get("late"):
            text = f"(late, from {late}) {text}"
        card = card_of(message.values, self._refused) if message.kind is MessageKind.NOTIFICATION else None
        return Outgoing(text, card, message.mention)

    def _mark(self, mark: Callable[[], None]) -> None:
        # If the store fails now, the worker comes back to this before it sends anything else.
        self._unmarked = mark
        mark()
        self._unmarked = None

    def _sent(self, row: OutboxRow, sent_id: str, connection: str) -> None:
        now = self._now()
        settles = now + self._network.settle if self._network.settle > 0 else None
        with self._store.write() as tx:
            tx.outbox.sent(row.id, now, sent_id, settles, self._owner)
        if settles is not None:
            self._unsettled.append(_Taken(row.id, connection, settles, row.tries))

    def _retry(self, row: OutboxRow, retry: Retry, error: str) -> None:
        with self._store.write() as tx:
            tx.outbox.retry(row.id, retry.at, error, retry.tries)

    def _refuse(self, row: OutboxRow, error: Exception) -> None:
        sentence = str(error) if isinstance(error, SentryReporterError) else "It failed; the log has the cause."
        room, now = row.message.room, self._now()
        # Only what the network says is about the room; a template that fails is about the message.
        refuses_since = self._refuses_since(room, now) if isinstance(error, SendError) else None
        answer = after_refusal(row.tries + 1, now, refuses_since, error)
        if isinstance(answer, Retry):
            log.info("message %s for %s is tried again: %s", row.id, room, sentence)
            self._retry(row, answer, sentence)
            return
        more = self._set_aside(row, sentence, answer.before)
        log.error("message %s for %s is set aside, nobody takes it: %s", row.id, room, sentence)
        if more:
            log.error("%s more messages for %s, more than an hour old, are set aside with it", more, room)

    def _refuses_since(self, room: str, now: float) -> float | None:
        with self._store.read() as tx:
            return tx.outbox.refuses_since(room, now - REFUSES_FOR, MOST_TRIES)

    def _set_aside(self, row: OutboxRow, sentence: str, before: float | None = None) -> int:
        """No longer try to send it, nor what its room has waiting from before then; how many the latter were."""
        now = self._now()
        with self._store.write() as tx:
            tx.outbox.set_aside(row.id, sentence, now)
            return 0 if before is None else tx.outbox.set_aside_all(row.message.room, before, sentence, now)

    def _settle(self, connection: str) -> None:
        now = self._now()
        self._finish([taken for taken in self._unsettled if taken.connection != connection], arrived=False)
        if not self._network.is_silent():
            self._finish([taken for taken in self._unsettled if taken.settles <= now], arrived=True)

    def _finish(self, some: list[_Taken], *, arrived: bool) -> None:
        if not some:
            return
        lost = [] if arrived else [taken.row_id for taken in some if taken.tries + 1 >= MOST_TRIES]
        ids = [taken.row_id for taken in some if taken.row_id not in lost]
        with self._store.write() as tx:
            if arrived:
                tx.outbox.settle(ids)
            else:
                tx.outbox.send_again(ids, self._now())
            for row_id in lost:
                tx.outbox.set_aside(row_id, _BREAKS, self._now())
        if not arrived:
            log.warning("the connection broke: %s messages are sent again", len(ids))
        for row_id in lost:
            log.error("message %s is set aside: each time it was sent, the connection broke", row_id)
        self._unsettled = [taken for taken in self._unsettled if taken not in some]

    def _sleep(self, due: float | None, now: float) -> float | None:
        times = [] if due is None else [due]
        if self._unsettled:
            settles = min(taken.settles for taken in self._unsettled)
            # To see the connection break; a silent one is looked at once in a while.
            times.append(settles if now < settles < now + OFFLINE_PAUSE else now + OFFLINE_PAUSE)
        if self._store.shared:
            times.append(now + SHARED_PAUSE)  # another bot may have put something there
        return max(0.0, min(times) - now) if times else None

    def _now(self) -> float:
        return self._clock.now().timestamp()
