"""The server's projects, kept for some minutes: they change rarely and are asked for with almost every command."""

from __future__ import annotations

from collections.abc import Callable

from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import ServerError
from errbot_sentry.domain.issues import Project
from errbot_sentry.domain.locks import Lock

KEPT_SECONDS = 300.0
_FRESH_SECONDS = 5.0


class Catalog:
    """A list that is fetched when it is too old; threads that ask meanwhile wait for the one that fetches.

    They share its failure too: with a server that does not answer, each would else wait for all before it, and then for
    itself, and keep Errbot's command threads for minutes.
    """

    def __init__(self, fetch: Callable[[], tuple[Project, ...]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._projects: tuple[Project, ...] = ()
        self._fetched: float | None = None
        self._tries = 0
        self._failed: ServerError | None = None

    def all(self, oldest: float = KEPT_SECONDS) -> tuple[Project, ...]:
        """All projects, as they were at most `oldest` seconds ago.

        Raises:
            ServerError: the list could not be fetched, by this thread or by the one that it waited for.
        """
        tries = self._tries
        with self._lock:
            if self._fetched is None or self._clock.monotonic() - self._fetched > oldest:
                if self._tries != tries and self._failed is not None:
                    raise self._failed.again() from self._failed
                self._try()
            return self._projects

    def _try(self) -> None:
        self._failed = None
        try:
            self._projects = self._fetch()
            self._fetched = self._clock.monotonic()
        except ServerError as error:
            self._failed = error
            raise
        finally:
            self._tries += 1

    def by_id(self, project_id: str) -> Project | None:
        """The project with this id, asking the server again for one that is not in the list yet."""
        return self._find(lambda project: project.id == project_id)

    def by_slug(self, slug: str) -> Project | None:
        """The project with this slug, in any case; as `by_id`."""
        return self._find(lambda project: project.slug.casefold() == slug.casefold())

    def _find(self, fits: Callable[[Project], bool]) -> Project | None:
        for oldest in (KEPT_SECONDS, _FRESH_SECONDS):
            if found := next(filter(fits, self.all(oldest)), None):
                return found
        return None
