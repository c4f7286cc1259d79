"""While the database server does not answer: everybody is told at once, and one at a time tries again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from errbot_sentry.domain.errors import StoreAway
from errbot_sentry.domain.locks import Lock

_REST = 1.0  # seconds after a failure in which nobody tries
_HANGS = 0.5  # seconds; a server that refuses sooner is no burden to whoever asks it


class Outage:
    """Spares those who wait the time limit that another has just sat through. Safe to use from any thread."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._guard = Lock()
        self._sentence = ""  # why the last attempt failed; "" while the server answers
        self._rests_until = 0.0
        self._trying = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Ask the server in this block.

        Raises:
            StoreAway: it did not answer a moment ago, or somebody is finding out just now whether it does again.
        """
        with self._guard:
            begun = self._monotonic()
            tries = bool(self._sentence)
            if tries and (self._trying or begun < self._rests_until):
                raise StoreAway(self._sentence)
            self._trying = self._trying or tries
        sentence = ""
        try:
            yield
        except StoreAway as error:
            sentence = str(error)
            raise
        finally:
            with self._guard:
                now = self._monotonic()
                if sentence and (tries or now - begun >= _HANGS):
                    self._sentence, self._rests_until = sentence, now + _REST
                elif not sentence and tries:
                    self._sentence = ""
                self._trying = self._trying and not tries
