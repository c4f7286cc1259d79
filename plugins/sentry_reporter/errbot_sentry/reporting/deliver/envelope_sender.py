"""The background sender: one thread that sends the envelopes in the spool, oldest first, as fast as the server allows.

The server's rate limits say when it accepts envelopes again: `X-Sentry-Rate-Limits`, or `Retry-After` of a 429
(https://develop.sentry.dev/sdk/expected-features/rate-limiting/). Bugsink's answers always have such a limit for
transactions, which it does not accept.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timezone

from errbot_sentry.domain.clock import Clock, backoff
from errbot_sentry.domain.errors import NoAnswer, ServerError
from errbot_sentry.domain.locks import condition
from errbot_sentry.reporting.deliver.http_poster import PostResponse
from errbot_sentry.reporting.deliver.spool import Spool
from errbot_sentry.reporting.deliver.spool_folder import Entry
from errbot_sentry.reporting.report_status import Counters
from errbot_sentry.server.http.failures import wait_of

_DEFAULT_WAIT = 60.0
_LONGEST_WAIT = 24 * 3600.0
_ALL = ""
_MOST_CATEGORIES = 100
# Envelopes of these categories wait until the limit ends, because people need them. Others are dropped, as the SDK
# does: the server does not accept them now, and they would push errors out of the spool.
WORTH_WAITING = frozenset({"error", "default", "monitor", "feedback"})


class RateLimits:
    """Until when (monotonic seconds) the server accepts nothing of each category."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def read(self, status: int, headers: Mapping[str, str], now: float) -> None:
        """Read the limits from an answer. `headers` has lower-case names."""
        self._until = {category: until for category, until in self._until.items() if until > now}
        limits = headers.get("x-sentry-rate-limits", "")
        understood = False
        for limit in limits.split(","):
            parts = limit.strip().split(":")
            wait = _seconds(parts[0]) if len(parts) > 1 else None
            if wait is None:
                continue
            understood = True
            for category in parts[1].split(";"):
                if len(self._until) < _MOST_CATEGORIES:
                    self._until[category.strip().lower()] = now + wait
        if status == 429 and not understood:
            self._until[_ALL] = now + (wait_of(headers, datetime.now(timezone.utc)) or _DEFAULT_WAIT)

    def wait(self, category: str, now: float) -> float:
        """Seconds until this category may be sent; 0 if it may be sent now."""
        until = max(self._until.get(_ALL, 0.0), self._until.get(category, 0.0))
        return max(0.0, until - now)

    def closed(self, now: float) -> set[str]:
        """The categories that may not be sent now; "" among them means all categories."""
        return {category for category, until in self._until.items() if until > now}

    def next_change(self, now: float) -> float | None:
        """Seconds until the next limit ends, None if there is no limit."""
        return min((until - now for until in self._until.values() if until > now), default=None)


def _seconds(text: str) -> float | None:
    try:
        return float(min(max(0, int(text)), _LONGEST_WAIT))
    except ValueError:
        return None


log = logging.getLogger(__name__)

# An envelope at which the server always fails must not delay all others.
_FIRST_TRIES, _MOST_TRIES = 3, 30
_MOST_REMEMBERED = 1000
# With these status codes the server will never accept the envelope.
_REFUSED = {400: "refused_400", 413: "too_large", 415: "refused_415", 422: "refused_422"}
_LONGEST_NAP = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE, _SPREAD = 1.0, 60.0, 0.5


# Raises NoAnswer if the server got at least a part of the envelope, and another ServerError if it got nothing of it.
Post = Callable[[bytes], PostResponse]


class EnvelopeSender:
    """Sends the envelopes in the spool with `post`, which raises ServerError if there is no answer.

    Args:
        on_sent: called with the event id of each envelope that the server has confirmed.
        tick: called before every envelope and every nap, for other work that is due; returns the seconds until it has
            work again, None if there is none.
        interrupt: breaks the running request, so that stopping is quick.
    """

    def __init__(
        self,
        spool: Spool,
        post: Post,
        counters: Counters,
        clock: Clock,
        on_sent: Callable[[str], None] = lambda _event_id: None,
        tick: Callable[[], float | None] = lambda: None,
        interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        self._spool = spool
        self._post = post
        self._counters = counters
        self._clock = clock
        self._on_sent = on_sent
        self._tick = tick
        self._interrupt = interrupt
        self._limits = RateLimits()
        self._failures = 0
        self._not_before = 0.0
        self._sync_after = 0.0
        self._tries: dict[int, int] = {}
        self._overtaken: set[int] = set()  # failed envelopes since whose failure another one was accepted
        self._wake = condition()
        self._has_new = False
        self._stopping = False
        self._in_child = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to send."""
        self._thread = threading.Thread(target=self._run, name="errbot-sentry-sender", daemon=True)
        self._thread.start()

    def leave_to_parent(self) -> None:
        """In the child of a fork, forget the parent's thread; the next `wake` starts a new one."""
        self._wake = condition()
        self._tries, self._overtaken, self._failures, self._not_before = {}, set(), 0, 0.0
        self._in_child = self._thread is not None
        self._thread = None

    def wake(self) -> None:
        """Let the thread look at the spool, because it has a new envelope."""
        with self._wake:
            if self._in_child:
                self._in_child = False
                self._start_in_child()
            self._has_new = True
            self._wake.notify_all()

    def accepts(self, category: str) -> bool:
        """Whether an envelope of this category is worth spooling now."""
        return category in WORTH_WAITING or self._limits.wait(category, self._clock.monotonic()) <= 0

    def _start_in_child(self) -> None:
        try:
            self.start()
        except RuntimeError as error:  # the child is ending; the parent will send what is on disk
            log.warning("A child process cannot send its events itself: %s", error)

    @property
    def healthy(self) -> bool:
        """Whether the server accepted the last envelope, or none was tried yet."""
        return self._failures == 0 and self._limits.wait("error", self._clock.monotonic()) <= 0

    def flush(self, timeout: float) -> bool:
        """Wait until the spool is empty, at most `timeout` seconds, and not at all if the server does not answer."""
        deadline = self._clock.monotonic() + timeout
        with self._wake:
            self._wake.notify_all()
            while len(self._spool) and self.healthy and not self._stopping:
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    return False
                self._wake.wait(min(left, 0.05))
        return not len(self._spool)

    def stop(self, timeout: float) -> bool:
        """End the thread. Unsent envelopes stay in the spool. False if the thread still runs after `timeout`."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._interrupt()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            self._has_new = False  # reset before looking, so that an envelope that arrives meanwhile prevents the nap
            try:
                nap = self._step()
            except Exception:  # an unexpected error must not end the thread
                log.exception("Sending to the Sentry server failed unexpectedly; trying again in a minute")
                nap = 60.0
            if nap > 0:
                with self._wake:
                    if not (self._stopping or self._has_new):
                        self._wake.wait(nap)

    def _step(self) -> float:
        """Send one envelope if one may be sent. Returns the seconds to nap, 0 after sending."""
        due = self._tick()
        now = self._clock.monotonic()
        nap = _LONGEST_NAP if due is None else min(max(due, 0.05), _LONGEST_NAP)
        if now < self._not_before:
            self._sync(now)
            return min(nap, self._not_before - now)
        closed = self._limits.closed(now)
        entry = None if "" in closed else self._spool.oldest(closed, self._tried())
        if entry is None:
            self._sync(now)
            change = self._limits.next_change(now)
            return nap if change is None else min(nap, change)
        data = self._spool.read(entry)
        if data is not None:
            self._send(entry, data)
        with self._wake:
            self._wake.notify_all()
        return 0.0

    def _sync(self, now: float) -> None:
        """Sync waiting envelopes to disk, in case of a power cut; once a second, so that a burst is synced together."""
        if now >= self._sync_after:
            self._sync_after = now + 1.0
            self._spool.sync()

    def _tried(self) -> dict[int, int]:
        """The failed envelopes that all others may overtake, and how often the server failed at each.

        The first one is tried _FIRST_TRIES times before others may overtake it, because most outages are short. After
        that, the sender looks for an envelope that the server accepts, and so tries each of the next ones once.
        """
        worst = max(self._tries.values(), default=0)
        enough = 1 if worst >= _FIRST_TRIES else _FIRST_TRIES
        return {seq: tries for seq, tries in self._tries.items() if tries >= enough}

    def _send(self, entry: Entry, data: bytes) -> None:
        try:
            response = self._post(data)
        except ServerError as error:
            if self._stopping:  # we broke the request ourselves
                self._spool.release()
                return
            self._failed(str(error))
            self._not_sent(entry, counts=isinstance(error, NoAnswer))
            return
        self._limits.read(response.status, response.headers, self._clock.monotonic())
        if 200 <= response.status < 300:
            self._accepted(entry)
        elif response.status in _REFUSED:
            self._forget(entry.seq)
            self._counters.last_failure = f"the server refused an event for good (HTTP {response.status})"
            self._spool.drop(entry, _REFUSED[response.status])
        elif response.status == 429:
            self._counters.last_failure = "the server limits the rate (HTTP 429)"
            self._spool.release()
            if entry.category not in WORTH_WAITING:
                self._spool.drop(entry, "rate_limited")
        else:
            self._refused(entry, response.status)

    def _accepted(self, entry: Entry) -> None:
        self._failures = 0
        self._not_before = 0.0
        self._forget(entry.seq)
        for seq in self._tries.keys() - self._overtaken:
            # Its earlier failures may have been an outage, so they count as _FIRST_TRIES. From now on each counts.
            self._tries[seq] = _FIRST_TRIES
            self._overtaken.add(seq)
        self._counters.sent(entry.category, self._clock.now())
        self._spool.done(entry)
        if entry.event_id:
            self._on_sent(entry.event_id)

    def _refused(self, entry: Entry, status: int) -> None:
        """Handle a response that may be different next time: a failing server, a wrong key, a proxy's page."""
        if status in (401, 403):
            self._failed(f"the server does not accept the DSN (HTTP {status}): check SENTRY_DSN")
        elif status == 404:
            self._failed("the server has no such project (HTTP 404): check SENTRY_DSN")
        else:
            self._failed(f"the server failed (HTTP {status})")
        self._not_sent(entry, counts=True)  # a firewall may refuse one particular envelope with any of these codes

    def _not_sent(self, entry: Entry, *, counts: bool) -> None:
        """Handle an envelope that was not sent.

        If the envelope itself may be the cause (`counts`), the try counts. It is dropped after _MOST_TRIES, if the
        server has accepted others meanwhile.
        """
        if counts and self._count_try(entry.seq):
            self._forget(entry.seq)
            self._spool.drop(entry, "server_failed")
        else:
            self._spool.release()

    def _count_try(self, seq: int) -> bool:
        self._tries[seq] = self._tries.get(seq, 0) + 1
        if len(self._tries) > _MOST_REMEMBERED:  # the spool may have dropped some of them meanwhile
            self._tries = {known: tries for known, tries in self._tries.items() if known in self._spool}
            self._overtaken &= self._tries.keys()
        return self._tries.get(seq, 0) >= _MOST_TRIES and seq in self._overtaken

    def _forget(self, seq: int) -> None:
        self._tries.pop(seq, None)
        self._overtaken.discard(seq)

    def _failed(self, sentence: str) -> None:
        if not self._failures:
            log.warning("Events cannot be sent now and wait: %s", sentence)
        self._failures += 1
        self._counters.last_failure = sentence
        luck = random.random()  # noqa: S311 - jitter
        pause = backoff(self._failures, _FIRST_PAUSE, _LONGEST_PAUSE, spread=_SPREAD, luck=luck)
        self._not_before = self._clock.monotonic() + pause
