"""All routes in force: those of the settings, and the subscriptions made in chat."""

from __future__ import annotations

from collections.abc import Sequence

from errbot_sentry.alerting.decide.muting import quiet_until
from errbot_sentry.config.matchers import all_match, read_matcher
from errbot_sentry.config.routes import Route
from errbot_sentry.domain.alerts import NEW, Alert
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.locks import Lock
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import Subscription

_FRESH = 5.0  # seconds until another bot's subscription is noticed


class RouteTable:
    """Settings' routes first, in their order; each subscription is a route of its own after them."""

    def __init__(self, routes: Sequence[Route], store: Store, clock: Clock) -> None:
        self.settled = tuple(routes)
        self._store = store
        self._clock = clock
        self._subscribed: tuple[Route, ...] = ()
        self._read_at: float | None = None
        self._guard = Lock()

    def all(self) -> Sequence[Route]:
        """All routes.

        Raises:
            StoreError: subscriptions cannot be read.
        """
        return (*self.settled, *self.subscribed())

    def subscribed(self) -> Sequence[Route]:
        """The routes that subscriptions make."""
        with self._guard:
            now = self._clock.monotonic()
            if self._read_at is None or (self._store.shared and now - self._read_at >= _FRESH):
                with self._store.read() as tx:
                    self._subscribed = tuple(route_of(each) for each in tx.subscriptions.all())
                self._read_at = now
            return self._subscribed

    def changed(self) -> None:
        """A subscription was made or ended."""
        with self._guard:
            self._read_at = None

    def of_room(self, room: str) -> list[Route]:
        """The routes that name a room."""
        return [route for route in self.all() if room in route.rooms]

    def quiet_until(self, room: str, now: float) -> float | None:
        """When the quiet hours end that a room has now; None where it has none now."""
        return quiet_until([route.quiet for route in self.of_room(room) if route.quiet is not None], now)

    def spelled(self, room: str) -> str:
        """A room as the settings write it: chat networks take #Ops and #ops for one, and so do people."""
        folded = room.casefold()
        named = (each for route in self.settled for each in route.rooms)
        return next((each for each in named if each.casefold() == folded), room)

    def notifies(self, room: str, issue: Issue) -> bool:
        """Whether a room gets a notification about this issue, if it is new."""
        alert = Alert("", NEW, "", self._clock.now(), project=issue.project.slug, title=issue.title, level=issue.level)
        routes = self.of_room(self.spelled(room))
        return any(NEW in route.reasons and all_match(route.matchers, alert) for route in routes)


def route_of(subscription: Subscription) -> Route:
    """The route that a subscription is."""
    matchers = tuple(read_matcher(text) for text in subscription.matchers)
    return Route(rooms=(subscription.room,), matchers=matchers, goes_on=True)
