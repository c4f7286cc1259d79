"""The chat network's own names of the rooms in the settings. Without a connection, those of an earlier start."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from errbot_sentry.domain.errors import StoreError
from errbot_sentry.store.database import Store

log = logging.getLogger(__name__)

_ROOMS = "rooms"


class NetworkRooms:
    """The names that the network gave at this start, and those of earlier starts, which are in the state.

    Args:
        named: asks the network for its own name of a room. It may raise any exception.
    """

    def __init__(self, named: Callable[[str], str], store: Store) -> None:
        self._named = named
        self._store = store
        self._asked: dict[str, str] = {}
        self._recalled: dict[str, str] = {}
        self._known: dict[str, str] | None = None

    def ask(self, name: str) -> str:
        """The network's name of a room. If the look-up fails, the name of an earlier start or of the settings."""
        try:
            self._asked[name] = self._named(name)
        except Exception as error:  # noqa: BLE001 - adapters read answers of libraries and servers
            log.warning("the room %r could not be looked up: %r", name, error)
            self._asked[name] = self._earlier(name)
        return self._asked[name]

    def recall(self, name: str) -> str:
        """The name that the network gave a room at an earlier start, from the state. Otherwise the given name."""
        self._recalled[name] = self._earlier(name)
        return self._recalled[name]

    def were_wrong(self) -> bool:
        """Whether `ask` found another name for a room than `recall` did."""
        return any(self._asked.get(name, recalled) != recalled for name, recalled in self._recalled.items())

    def save(self) -> None:
        """Write the names into the state, for `recall` at the next start. Raises StoreError."""
        known = self._read()
        found = known | {name: asked for name, asked in self._asked.items() if asked != name}
        if found != known:
            with self._store.write() as tx:
                tx.made_once.put(_ROOMS, json.dumps(found))

    def _earlier(self, name: str) -> str:
        if self._known is None:
            self._known = self._read()
        return self._known.get(name, name)

    def _read(self) -> dict[str, str]:
        try:
            with self._store.read() as tx:
                known = json.loads(tx.made_once.find(_ROOMS) or "{}")
        except (StoreError, ValueError) as error:
            log.warning("the names of rooms could not be read: %s", error)
            return {}
        return {str(name): str(asked) for name, asked in known.items()} if isinstance(known, dict) else {}
