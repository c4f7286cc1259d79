"""The chat network's own names of the rooms in the settings, also while there is no connection to ask it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from errbot_sentry.domain.errors import StoreError
from errbot_sentry.store.database import Store

log = logging.getLogger(__name__)

_ROOMS = "rooms"


class NetworkRooms:
    """What the network said at this start, and what it said at earlier ones, from the state.

    Args:
        named: asks the network for its one name of a room; raises whatever it likes.
    """

    def __init__(self, named: Callable[[str], str], store: Store) -> None:
        self._named = named
        self._store = store
        self._asked: dict[str, str] = {}
        self._recalled: dict[str, str] = {}
        self._known: dict[str, str] | None = None

    def ask(self, name: str) -> str:
        """The network's name of a room, or what is written: no answer of the network stops the start."""
        try:
            self._asked[name] = self._named(name)
        except Exception as error:  # noqa: BLE001 - adapters read answers of libraries and servers
            log.warning("the room %r could not be looked up: %r", name, error)
            self._asked[name] = self._recalled.get(name, name)
        return self._asked[name]

    def recall(self, name: str) -> str:
        """The name of a room that the network gave at an earlier start, or what is written; asks the state."""
        if self._known is None:
            self._known = self._read()
        self._recalled[name] = self._known.get(name, name)
        return self._recalled[name]

    def were_wrong(self) -> bool:
        """Whether the network, when it was asked, gave another name than `recall` had."""
        return any(self._asked.get(name, recalled) != recalled for name, recalled in self._recalled.items())

    def save(self) -> None:
        """Write the names into the state, for `recall` at the next start. Raises StoreError."""
        known = self._read()
        found = known | {name: asked for name, asked in self._asked.items() if asked != name}
        if found != known:
            with self._store.write() as tx:
                tx.made_once.put(_ROOMS, json.dumps(found))

    def _read(self) -> dict[str, str]:
        try:
            with self._store.read() as tx:
                known = json.loads(tx.made_once.find(_ROOMS) or "{}")
        except (StoreError, ValueError) as error:
            log.warning("the names of rooms could not be read: %s", error)
            return {}
        return {str(name): str(asked) for name, asked in known.items()} if isinstance(known, dict) else {}
