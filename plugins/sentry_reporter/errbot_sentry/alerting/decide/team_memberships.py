"""Keeps the teams of people who subscribed to `assignee=my-teams` up to date."""

from __future__ import annotations

import logging
from collections.abc import Callable

from errbot_sentry.config.matchers import MY_TEAMS, personal, read_matcher
from errbot_sentry.domain.conversation import address_of
from errbot_sentry.domain.errors import ServerError, Unsupported
from errbot_sentry.server.protocol import FindServer
from errbot_sentry.store.database import Store

log = logging.getLogger(__name__)

_INTERVAL = 900.0  # seconds between two looks


class TeamMemberships:
    """Reads the teams from the server every quarter of an hour, because people join and leave them. For a Worker."""

    def __init__(self, store: Store, find_server: FindServer, on_change: Callable[[], None]) -> None:
        self._store = store
        self._find_server = find_server
        self._on_change = on_change

    def step(self) -> float:
        """Read the teams of everybody whose subscription needs them; returns the seconds until the next time."""
        with self._store.read() as tx:
            wanted = {address_of(each.room) for each in tx.subscriptions.all() if _asks_for_teams(each.matchers)}
            people = [person for person in tx.accounts.addressed() if person.address in wanted]
        for person in people:
            try:
                teams = self._find_server().read_teams(person.mail)
            except (ServerError, Unsupported) as error:
                log.info("the teams of a person stay as they were: %s", error)
                continue
            if teams != person.teams:
                with self._store.write() as tx:
                    tx.accounts.set_teams(person.acl, teams)
                self._on_change()
        return _INTERVAL


def _asks_for_teams(matchers: tuple[str, ...]) -> bool:
    return any(personal(read_matcher(text)) == MY_TEAMS for text in matchers)
