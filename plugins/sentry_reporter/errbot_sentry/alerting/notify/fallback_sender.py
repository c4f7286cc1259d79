"""Sends notifications that the chat network does not accept to the addresses of `SENTRY_FALLBACK`, once each.

The sender has its own thread, because Apprise's calls block. It claims each notification in the store before it sends
it. After a crash in between, the notification is sent once more when the claim has expired. When the chat is back, each
room gets one message that says what was sent elsewhere.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from errbot_sentry.alerting.decide.messages import TEMPLATES, shown_values
from errbot_sentry.alerting.decide.visibility import is_still_visible
from errbot_sentry.alerting.notify.apprise_addresses import CALL_SECONDS, AppriseAddress, LogMask
from errbot_sentry.alerting.notify.fallback import (
    MOST_ALONE,
    MOST_LISTED,
    MOST_TRIES,
    FallbackDecision,
    StuckNotification,
    decide_fallback,
    title_and_body,
)
from errbot_sentry.alerting.notify.ports import Renderer
from errbot_sentry.config.fallback_entries import FallbackEntry
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import MessageKind
from errbot_sentry.domain.clock import Clock, backoff
from errbot_sentry.domain.conversation import address_of
from errbot_sentry.domain.text import utc_time
from errbot_sentry.store.database import LOCK_FALLBACK, Store
from errbot_sentry.store.records import FallbackRow, FallbackState, Message, OutboxRow

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

log = logging.getLogger(__name__)

_PAUSE = 5.0
_LOOKED_AT_ONCE = 200
_MOST_IN_A_MINUTE = 5  # messages; notifications beyond that wait, and many that wait are sent as a list
_MOST_WARNINGS = 20
_MINUTE = 60.0
_FIRST_RETRY, _LONGEST_RETRY = 60.0, 960.0


@dataclass(frozen=True)
class FallbackStatus:
    """The addresses without their secrets, and what happened to messages since the start.

    `sent` and `refused` count a message once per address. `failed` counts notifications that no address accepted.
    `trouble` says which addresses did not accept the last message.
    """

    addresses: tuple[str, ...]
    sent: int = 0
    refused: int = 0
    failed: int = 0
    trouble: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Batch:
    """Notifications to send in one message, to the addresses of one entry that have not accepted them yet."""

    entry: int
    taken: str
    messages: Sequence[OutboxRow]
    rows: Sequence[FallbackRow]


@dataclass(frozen=True)
class _Warning:
    """A sentence about the bot itself, the addresses that accepted it, and the monotonic time of the next try."""

    sentence: str
    tries: int = 0
    at: float = 0.0
    taken: frozenset[str] = frozenset()


class FallbackSender:
    """Finds notifications that the chat network has not accepted, and sends them."""

    def __init__(
        self,
        entries: Sequence[FallbackEntry],
        store: Store,
        renderer: Renderer,
        access: Access,
        clock: Clock,
        on_message: Callable[[], None],
        away_since: Callable[[], float | None] = lambda: None,
        mask: Callable[[str], str] = lambda text: text,
    ) -> None:
        """`renderer` makes plain text. `on_message` is called after messages were put into the outbox.

        `mask` removes credentials from texts of errors.

        `away_since` returns when the connection to the chat network was lost; None while there is a connection.
        """
        self._entries = entries
        self._store = store
        self._renderer = renderer
        self._access = access
        self._clock = clock
        self._on_message = on_message
        self._away_since = away_since
        self._mask_text = mask
        self._addresses = [
            [AppriseAddress(url, number) for url in entry.urls] for number, entry in enumerate(entries, 1)
        ]
        self._log_mask = LogMask([url for entry in entries for url in entry.urls])
        self._times: deque[float] = deque(maxlen=_MOST_IN_A_MINUTE)
        self._unmarked: Sequence[FallbackRow] = ()
        self._warnings: deque[_Warning] = deque(maxlen=_MOST_WARNINGS)
        self._sent = self._refused = self._failed = 0
        self._prepared = False

    def warn(self, sentence: str) -> None:
        """Send a sentence about the bot itself to every address soon, once; returns at once."""
        self._warnings.append(_Warning(sentence))

    def step(self) -> float:
        """Send one message if one is due. Returns how many seconds to wait before the next step."""
        now = self._clock.now().timestamp()
        self._prepare()
        self._mark(self._unmarked)
        due = next((warning for warning in list(self._warnings) if warning.at <= self._clock.monotonic()), None)
        if due is not None:
            with suppress(ValueError):  # a new warning from another thread may have pushed this one out
                self._warnings.remove(due)
            self._send_warning(due)
            return 0.0
        with self._store.read() as tx:
            if not self._stuck(tx, now) and not tx.fallbacks.outages(now):
                return _PAUSE
        with self._store.write() as tx:
            tx.alone(LOCK_FALLBACK)
            batch = self._claim(tx, now)
            noted = self._note_outages(tx, now)
        if noted:
            self._on_message()
        if batch is None:
            return _PAUSE
        self._times.append(self._clock.monotonic())
        self._send(batch)
        return 0.0

    def status(self) -> FallbackStatus:
        """The status, for `!sentry status`, the health page and metrics."""
        addresses = [address for some in self._addresses for address in some]
        trouble = tuple(address.trouble for address in addresses if address.trouble)
        return FallbackStatus(tuple(each.name for each in addresses), self._sent, self._refused, self._failed, trouble)

    def close(self) -> None:
        """Stop waiting for services."""
        for address in (address for some in self._addresses for address in some):
            address.close()
        self._log_mask.remove()
        self._prepared = False

    def _prepare(self) -> None:
        """Load Apprise and check the addresses, so that a wrong one is reported before it is needed."""
        if not self._prepared:
            self._prepared = True
            self._log_mask.add()
            for address in (address for some in self._addresses for address in some):
                address.check()

    def _stuck(self, tx: Transaction, now: float) -> list[tuple[int, FallbackRow | None]]:
        spans = [entry.after.total_seconds() for entry in self._entries]
        return tx.fallbacks.stuck(now, now - min(spans), max(spans), _LOOKED_AT_ONCE)

    def _claim(self, tx: Transaction, now: float) -> _Batch | None:
        """Decide about all stuck notifications, and claim those that the next message contains."""
        due: dict[tuple[int, str], list[tuple[OutboxRow, FallbackRow]]] = defaultdict(list)
        decided: list[FallbackRow] = []
        last_taken = cache(tx.fallbacks.last_taken)
        for message_id, before in self._stuck(tx, now):
            row = tx.outbox.get(message_id)
            known = before or FallbackRow(message_id, FallbackState.AGAIN.value, now)
            if row is None:
                decided.append(replace(known, state=FallbackState.UNWANTED.value))
                continue
            choice = decide_fallback(self._facts(tx, row, last_taken(row.message.room)), self._entries, now)
            if choice.decision is FallbackDecision.DUE:
                since = min(choice.since, self._away_since() or choice.since)
                due[choice.entry, known.taken].append((row, replace(known, since=since)))
            elif choice.decision is FallbackDecision.NOT_YET:
                decided.append(replace(known, state=FallbackState.AGAIN.value, at=choice.due))
            else:
                log.info("message %s does not go to the fallback: %s", row.id, choice.decision.value)
                decided.append(replace(known, state=FallbackState.UNWANTED.value))
        tx.fallbacks.put(decided)
        is_busy = len(self._times) == _MOST_IN_A_MINUTE and self._clock.monotonic() - self._times[0] < _MINUTE
        if not due or is_busy:
            return None
        (entry, taken), pairs = next(iter(due.items()))
        some = pairs if len(pairs) > MOST_ALONE else pairs[:1]
        until = now + CALL_SECONDS * (len(self._addresses[entry]) + 1)
        rows = [replace(row, state=FallbackState.SENDING.value, at=until) for _, row in some]
        tx.fallbacks.put(rows)
        return _Batch(entry, taken, [message for message, _ in some], rows)

    def _facts(self, tx: Transaction, row: OutboxRow, last_taken: float) -> StuckNotification:
        is_alone = row.message.kind is MessageKind.NOTIFICATION
        alerts = tx.inbox.get([row.message.alert_id] if is_alone else tx.fallbacks.alerts_in(row.id))
        is_shared = not address_of(row.message.room)  # a direct message to one person must not reach anybody else
        allowed = is_shared and is_still_visible(tx, row.message, self._access)
        return StuckNotification(row, tuple(alerts.values()), last_taken, allowed)

    def _send(self, batch: _Batch) -> None:
        taken = batch.taken.split()
        wanted = self._addresses[batch.entry]
        title, body = self._text(batch)
        tries = batch.rows[0].tries + 1
        for address in wanted:
            if address.key in taken:
                continue
            if address.send(title, body):
                taken.append(address.key)
                self._sent += 1
            else:
                self._refused += 1
        now = self._clock.now().timestamp()
        is_complete = len(taken) >= len({address.key for address in wanted})
        state, at = FallbackState.AGAIN, now + backoff(tries, _FIRST_RETRY, _LONGEST_RETRY)
        if is_complete or tries >= MOST_TRIES:
            state = FallbackState.SENT if taken else FallbackState.FAILED
        if state is FallbackState.FAILED:
            self._failed += len(batch.rows)
            log.error("%s notifications are given up: no address of the fallback took them", len(batch.rows))
        done = replace(batch.rows[0], state=state.value, at=at, tries=tries, taken=" ".join(taken))
        self._unmarked = [
            replace(done, id=row.id, since=row.since, went=row.went or (now if taken else None)) for row in batch.rows
        ]
        self._mark(self._unmarked)
        if len(taken) > len(batch.taken.split()):
            log.info("sent to the fallback: %s", ", ".join(f"message {row.id}" for row in batch.rows[:MOST_LISTED]))

    def _send_warning(self, warning: _Warning) -> None:
        """Send a warning to the addresses that have not accepted it. It is retried as a notification is."""
        addresses = {address.key: address for some in self._addresses for address in some}
        taken = set(warning.taken)
        for key in addresses.keys() - taken:
            if addresses[key].send("SentryReporter", warning.sentence):
                taken.add(key)
                self._sent += 1
            else:
                self._refused += 1
        tries = warning.tries + 1
        if taken < addresses.keys() and tries < MOST_TRIES:
            at = self._clock.monotonic() + backoff(tries, _FIRST_RETRY, _LONGEST_RETRY)
            self._warnings.append(replace(warning, tries=tries, at=at, taken=frozenset(taken)))

    def _mark(self, rows: Sequence[FallbackRow]) -> None:
        # If the store fails here, the next step begins with these rows, before anything else is sent.
        if rows:
            with self._store.write() as tx:
                tx.fallbacks.put(rows)
        self._unmarked = ()

    def _text(self, batch: _Batch) -> tuple[str, str]:
        messages = [row.message for row in batch.messages]
        values = {
            "since": utc_time(min(row.since for row in batch.rows)),
            "rooms": sorted({message.room for message in messages}),
            "errors": sorted({row.error for row in batch.messages if row.error}),
        }
        texts = [self._rendered(message) for message in messages]
        return title_and_body(texts, self._renderer.render("sentry_fallback", values))

    def _rendered(self, message: Message) -> str:
        try:
            return self._renderer.render(TEMPLATES[message.kind], shown_values(message.values, self._mask_text))
        except Exception:  # an older or newer version may have stored the message; the other messages are still sent
            log.exception("a notification could not be rendered for the fallback")
            return "One notification cannot be shown; the log has the cause."

    def _note_outages(self, tx: Transaction, now: float) -> bool:
        """Tell each room that accepts messages again how many went to the fallback. Returns whether any room does."""
        noted = False
        for room, rows in tx.fallbacks.outages(now).items():
            back = tx.fallbacks.back_at(room, rows)
            if back is not None:
                values = {
                    "since": utc_time(min(row.since for row in rows)),
                    "until": utc_time(back),
                    "count": len(rows),
                }
                tx.outbox.add(Message(room, MessageKind.OUTAGE_NOTICE, values), now)
                tx.fallbacks.note(rows)
                noted = True
        return noted
