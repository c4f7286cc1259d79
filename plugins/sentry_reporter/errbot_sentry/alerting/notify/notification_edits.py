"""Edits notifications: each edit marks a notification with the outcome of its problem. Refused edits are retried.

The mark stays in the store until the edit is made, so that neither a restart nor an outage loses it. An edit that was
made just before the process was killed is made again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from errbot_sentry.alerting.notify.retry_policy import Retry, after_refusal
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import NotConnected, SendError, StoreError
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import OutboxRow

if TYPE_CHECKING:
    from errbot_sentry.store.outbox_table import WantedEdit
    from errbot_sentry.store.transaction import Transaction

log = logging.getLogger(__name__)

_LEASE = 60.0  # seconds after which another bot may take over an edit that this bot has claimed
_OFFLINE_PAUSE = 1.0
_OLD = 86_400.0  # seconds; a refused edit that is older than this is given up


class NotificationEdits:
    """Makes edits. Safe to use from any thread: if two edit the same notification, the later mark stays.

    Args:
        edit: writes a mark onto a notification; raises SendError.
    """

    def __init__(self, store: Store, edit: Callable[[OutboxRow, str], None], clock: Clock) -> None:
        self._store = store
        self._edit = edit
        self._clock = clock
        self.given_up = 0
        """How many edits were given up since the start."""

    def make(self, root_id: int, mark: str) -> None:
        """Write a mark onto the notification `root_id` now, or later if the network refuses it. Raises StoreError."""
        now = self._now()
        with self._store.write() as tx:
            self.given_up += tx.edits.want(root_id, mark, now)
            claimed = tx.edits.claim(now, now + _LEASE, root_id)
        if claimed is not None:
            self.try_claimed(claimed)

    def claim(self, tx: Transaction, now: float) -> WantedEdit | None:
        """Claim an edit that is due, for `try_claimed`; None if none is due."""
        return tx.edits.claim(now, now + _LEASE)

    def try_claimed(self, edit: WantedEdit) -> float:
        """Make a claimed edit. Returns how many seconds to wait before the next edit. Raises StoreError."""
        with self._store.read() as tx:
            root = tx.outbox.get(edit.id)
        try:
            if root is not None:
                self._edit(root, edit.mark)
        except SendError as error:
            return self._refuse(edit, error)
        except StoreError:  # the edit stays claimed, and is due again when its lease ends
            raise
        except Exception:  # the stored notification cannot be rendered
            log.exception("message %s could not be edited", edit.id)
            self.given_up += 1
        with self._store.write() as tx:
            tx.edits.end(edit)
        return 0.0

    def _refuse(self, edit: WantedEdit, error: SendError) -> float:
        log.info("message %s could not be edited: %s", edit.id, error)
        now = self._now()
        is_away = isinstance(error, NotConnected)
        answer = Retry(now + _OFFLINE_PAUSE, edit.tries) if is_away else after_refusal(edit.tries + 1, now, None, error)
        with self._store.write() as tx:
            if isinstance(answer, Retry) and now - edit.made < _OLD:
                tx.edits.retry(edit, answer.at, answer.tries)
            else:
                tx.edits.end(edit)
                self.given_up += 1
                log.warning("message %s is not edited any more: %s", edit.id, error)
        return _OFFLINE_PAUSE if is_away else 0.0

    def _now(self) -> float:
        return self._clock.now().timestamp()
