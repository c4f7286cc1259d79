"""Sends messages from the outbox to the rooms. One thread sends them, in order per room, and marks each as sent.

After a crash between sending and marking, that one message is sent again and no other. If a chat network does not
confirm messages, a message counts as arrived when the connection has lasted for `Network.settle` seconds after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from errbot_sentry.alerting.decide.messages import TEMPLATES, shown_values
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

LEASE = 20.0  # seconds after which another bot may take over a message that this bot was sending
HEARTBEAT = 5.0
OFFLINE_PAUSE = 1.0
SHARED_PAUSE = 1.0
_UNSETTLED_SLACK = 15.0
_SUSPECT = 2  # tries; after so many, a lost message is sent alone, to see whether this message breaks the connection
_BREAKS = "Each time it was sent, the connection broke."


@dataclass(frozen=True)
class _Taken:
    """A message that was sent over `connection` and may still be lost.

    `settles` is monotonic time. By the time of day, a clock that is put back would keep the message open for as long.
    """

    row_id: int
    connection: str
    settles: float
    tries: int


class NotificationSender:
    """Sends the messages in the outbox, and makes the edits that are due."""

    def __init__(
        self,
        store: Store,
        network: Network,
        renderer: Renderer,
        access: Access,
        clock: Clock,
        owner: str,
        refused: Callable[[str], str] = lambda _action: "",
        mask: Callable[[str], str] = lambda text: text,
    ) -> None:
        """`owner` names this run of this bot among all bots that share the store.

        `refused` says why the server cannot do what a button stands for; "" if it can. `mask` removes credentials from
        texts of errors.
        """
        self._store = store
        self._network = network
        self._renderer = renderer
        self._access = access
        self._clock = clock
        self._owner = owner
        self._refused = refused
        self._mask_text = mask
        self._unsettled: list[_Taken] = []
        self._unmarked: Callable[[], None] | None = None
        self._sending = False
        self._leaving = False
        self._edits = NotificationEdits(store, self._edit, clock)

    @property
    def edits_given_up(self) -> int:
        """How many edits of notifications were given up since the start."""
        return self._edits.given_up

    def resume(self) -> None:
        """Free what an earlier run of this bot was sending when it ended. If bots share the store, `step` does this."""
        if not self._store.shared:
            with self._store.write() as tx:
                tx.outbox.free_all(self._now())
                tx.edits.free_all()

    def step(self) -> float | None:
        """Send one message or make one edit, if one is due. Returns how many seconds to wait before the next step.

        None means that nothing is scheduled.
        """
        if self._unmarked is not None:
            self._unmarked()  # first of all, because a message that is not marked as sent would be sent again
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
        """Renew the leases of this bot's messages, so that no other bot takes them. Returns the seconds until the next.

        This is the step of a separate thread, because a slow chat network can block the thread that sends, and a
        hanging server the thread that decides.
        """
        if self._sending or self._unmarked is not None or self._unsettled:
            now = self._now()
            with self._store.write() as tx:
                tx.outbox.renew(self._owner, now, now + LEASE)
        return HEARTBEAT

    def leave_chat(self) -> None:
        """Note that the bot ends the connection itself. Then `close` counts unsettled messages as arrived, unless the
        connection is silent.

        Otherwise each restart would send the messages of its last seconds again.
        """
        self._leaving = not self._network.is_silent()

    def close(self) -> None:
        """Count unsettled messages as arrived if their connection still stands; queue the others again."""
        if self._leaving:
            self._finish(self._unsettled, arrived=True)
        stands = "" if self._network.is_silent() else self._network.connection()
        self._finish([taken for taken in self._unsettled if taken.connection == stands], arrived=True)
        self._finish([taken for taken in self._unsettled if taken.connection != stands], arrived=False)

    def _is_allowed(self, row: OutboxRow) -> bool:
        """Whether the room may still see the message: settings can have changed while the message waited."""
        with self._store.read() as tx:
            return is_still_visible(tx, row.message, self._access)

    def _send(self, row: OutboxRow, connection: str) -> float:
        """Send a message. Returns the seconds to wait: 0, unless the connection is gone, which every room needs."""
        try:
            sent_id = self._post(row)
        except NotConnected as error:
            self._mark(partial(self._retry, row, Retry(self._now() + OFFLINE_PAUSE, row.tries), str(error)))
            return OFFLINE_PAUSE
        except Exception as error:  # from the backend, or from rendering the message; later messages still go out
            if not isinstance(error, SendError):
                log.exception("message %s could not be sent", row.id)
            self._mark(partial(self._refuse, row, error))
        else:
            self._mark(partial(self._sent, row, sent_id, connection))
            self._send_chart(row)  # after the mark, so that a chart that fails does not send the text again
        return 0.0

    def _send_chart(self, row: OutboxRow) -> None:
        try:
            upload = chart_of(row.message)
            if upload is not None:
                self._network.send_file(row.message.room, upload)
        except Exception:  # from matplotlib or the backend; the message itself was sent
            log.exception("the chart of message %s could not be sent", row.id)

    def _post(self, row: OutboxRow) -> str:
        """Post a message to its room or thread. Returns the id that the chat network gave to it."""
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
            again = replace(outgoing.unmentioned(), key=f"{outgoing.key}-channel")  # nobody is mentioned twice
            self._network.post(message.room, again)
        return sent_id

    def _thread_root(self, row: OutboxRow) -> OutboxRow | None:
        if row.message.placement is not Placement.THREAD or not row.message.thread_root:
            return None
        with self._store.read() as tx:
            return tx.outbox.get(row.message.thread_root)

    def mark(self, room: str, sent_id: str, mark: str) -> None:
        """Write a mark onto the notification with this id, as an update in its thread does."""
        with self._store.read() as tx:
            root = tx.outbox.sent_message(room, sent_id)
        if root is not None:
            self._mark_root(root, mark)

    def _mark_root(self, root: OutboxRow, mark: str) -> None:
        """Write a mark onto the notification, now or later."""
        if root.message.kind is MessageKind.NOTIFICATION:  # a list is not marked with the outcome of one problem
            self._edits.make(root.id, mark)

    def _edit(self, root: OutboxRow, mark: str) -> None:
        if not self._is_allowed(root):  # an edit sends the whole notification again, and can wait for days
            log.warning("message %s is not edited: %s may not see its project", root.id, root.message.room)
            return
        marked = replace(root.message, values={**root.message.values, "mark": mark})
        self._network.edit(root.message.room, root.sent_id, self._outgoing(marked))

    def _outgoing(self, message: Message) -> Outgoing:
        values = shown_values(message.values, self._mask_text)
        text = self._renderer.render(TEMPLATES[message.kind], values).strip("\n")
        if late := values.get("late"):
            text = f"(late, from {late}) {text}"
        card = card_of(values, self._refused) if message.kind is MessageKind.NOTIFICATION else None
        return Outgoing(text, card, message.mention)

    def _mark(self, mark: Callable[[], None]) -> None:
        # If the store fails here, the next step begins with this mark, before anything else is sent.
        self._unmarked = mark
        mark()
        self._unmarked = None

    def _sent(self, row: OutboxRow, sent_id: str, connection: str) -> None:
        now = self._now()
        settles = now + self._network.settle if self._network.settle > 0 else None
        with self._store.write() as tx:
            tx.outbox.sent(row.id, now, sent_id, settles, self._owner)
        if settles is not None:
            open_until = self._clock.monotonic() + self._network.settle
            self._unsettled.append(_Taken(row.id, connection, open_until, row.tries))

    def _retry(self, row: OutboxRow, retry: Retry, error: str) -> None:
        with self._store.write() as tx:
            tx.outbox.retry(row.id, retry.at, error, retry.tries)

    def _refuse(self, row: OutboxRow, error: Exception) -> None:
        sentence = str(error) if isinstance(error, SentryReporterError) else "It failed; the log has the cause."
        room, now = row.message.room, self._now()
        # Only a refusal by the network counts against the room; a template that fails does not.
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
        """Set a message aside, and with `before` its room's older waiting ones too. Returns how many of the latter."""
        now = self._now()
        with self._store.write() as tx:
            tx.outbox.set_aside(row.id, sentence, now)
            return 0 if before is None else tx.outbox.set_aside_all(row.message.room, before, sentence, now)

    def _settle(self, connection: str) -> None:
        if self._leaving:
            return  # `close` decides
        now = self._clock.monotonic()
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
        waits = [] if due is None else [max(0.0, due - now)]
        if self._unsettled:
            left = min(taken.settles for taken in self._unsettled) - self._clock.monotonic()
            # Wake up at least once a pause, to notice when the connection breaks or ends its silence.
            waits.append(left if 0 < left < OFFLINE_PAUSE else OFFLINE_PAUSE)
        if self._store.shared:
            waits.append(SHARED_PAUSE)  # another bot may have put a message into the outbox
        return min(waits, default=None)

    def _now(self) -> float:
        return self._clock.now().timestamp()
