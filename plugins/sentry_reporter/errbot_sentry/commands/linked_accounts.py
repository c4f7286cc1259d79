"""Proved mail addresses, kept in the product's state so that they outlive the bot."""

from __future__ import annotations

from errbot_sentry.domain.clock import Clock
from errbot_sentry.store.database import Store


class KeptPeople:
    """What `people.People` asks for; every method raises StoreError when the state cannot be read or written."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def mail_of(self, acl: str) -> str | None:
        with self._store.read() as tx:
            return tx.accounts.mail_of(acl)

    def link(self, acl: str, mail: str, mention: str = "") -> None:
        with self._store.write() as tx:
            tx.accounts.put(acl, mail, self._clock.now().timestamp(), mention)

    def unlink(self, acl: str) -> bool:
        with self._store.write() as tx:
            return tx.accounts.drop(acl)

    def takes(self, issue_id: str, mail: str) -> None:
        with self._store.write() as tx:
            tx.groups.set_mentioned_everywhere(issue_id, mail)
