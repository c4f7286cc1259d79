"""All routes in force: those of the settings, and the subscriptions made in chat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from errbot_sentry.alerting.decide.muting import quiet_until
from errbot_sentry.alerting.decide.routing import facts_to_fetch
from errbot_sentry.config.facts import never_known
from errbot_sentry.config.fallback_entries import FallbackEntry
from errbot_sentry.config.matchers import Matcher, all_match, names_reasons, of_person, personal, read_matcher
from errbot_sentry.config.routes import DEFAULT_REASONS, Route
from errbot_sentry.domain.alerts import ALERT_REASONS, ASSIGNED, NEW, Alert
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import address_of
from errbot_sentry.domain.identifiers import small
from errbot_sentry.domain.issues import Issue
from errbot_sentry.domain.locks import Lock
from errbot_sentry.store.database import Store
from errbot_sentry.store.records import LinkedAccount, Silence, Subscription

_FRESH = 5.0  # seconds until another bot's subscription is noticed


class RouteTable:
    """The routes of the settings in their order, and then one route for each subscription."""

    def __init__(
        self, routes: Sequence[Route], store: Store, clock: Clock, fallback: Sequence[FallbackEntry] = ()
    ) -> None:
        self.settled = tuple(routes)
        self._fallback = tuple(Route((), entry.matchers, ALERT_REASONS, goes_on=True) for entry in fallback)
        self._store = store
        self._clock = clock
        self._subscribed: tuple[Route, ...] = ()
        self._silenced: tuple[Route, ...] = ()
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
            self._read()
            return self._subscribed

    def _read(self) -> None:
        now = self._clock.monotonic()
        if self._read_at is None or (self._store.shared and now - self._read_at >= _FRESH):
            with self._store.read() as tx:
                made = tx.subscriptions.all()
                people = {account.address: account for account in reversed(tx.accounts.addressed())}
                self._subscribed = tuple(route for each in made for route in routes_of(each, people))
                self._silenced = tuple(route_of(each, ALERT_REASONS) for each in tx.silences.present() if each.matchers)
            self._read_at = now

    def changed(self) -> None:
        """Read subscriptions and silences again: some were made or ended."""
        with self._guard:
            self._read_at = None

    def of_room(self, room: str) -> list[Route]:
        """The routes that name a room."""
        return [route for route in self.all() if room in route.rooms]

    def names(self, room: str) -> bool:
        """Whether any route may bring something to a room; to a person also those with `direct`."""
        return bool(self.of_room(room)) or (bool(address_of(room)) and any(each.direct for each in self.settled))

    def facts_to_fetch(self, alert: Alert, kind: str, notifies: bool = True) -> frozenset[str]:
        """The facts that are missing for routing this alert, and, if it may notify, for showing it."""
        subscribed = self.subscribed()
        found = facts_to_fetch(alert, self.settled, subscribed, kind, notifies=notifies)
        # Silences and the fallback may need facts too, such as the environment of a polled issue.
        return found | facts_to_fetch(alert, (), (*self._silenced, *self._fallback), kind, notifies=False)

    def never_match(self, kind: str) -> Iterator[str]:
        """Sentences about matchers of the settings for which this kind of server never has the fact."""
        for name, routes in (("SENTRY_ALERTS, route", self.settled), ("SENTRY_FALLBACK, entry", self._fallback)):
            for number, route in enumerate(routes, start=1):
                for sentence in never_known(route.matchers, kind):
                    yield f"{name} {number}: {sentence}"

    def route_for(self, room: str, alert: Alert) -> Route | None:
        """The first route that names the room and wants the alert; None if there is none."""
        return next((route for route in self.of_room(room) if all_match(route.matchers, alert)), None)

    def quiet_until(self, room: str, now: float) -> float | None:
        """When a room's present quiet hours end; None if it has none now."""
        return quiet_until([route.quiet for route in self.of_room(room) if route.quiet is not None], now)

    def spelled(self, room: str) -> str:
        """The room's name as the settings have it: #Ops and #ops are the same room."""
        folded = small(room)
        named = (each for route in self.settled for each in route.rooms)
        return next((each for each in named if small(each) == folded), room)

    def notifies(self, room: str, issue: Issue) -> bool:
        """Whether a room gets a notification about this issue, if it is new."""
        alert = Alert("", NEW, "", self._clock.now(), project=issue.project.slug, title=issue.title, level=issue.level)
        routes = self.of_room(self.spelled(room))
        return any(NEW in route.reasons and all_match(route.matchers, alert) for route in routes)


def routes_of(made: Subscription, people: Mapping[str, LinkedAccount]) -> Iterator[Route]:
    """The routes of a subscription; `people` are all linked people by their addresses.

    A person's subscription has no route while the person is not linked, and one route for each team that it asks for. A
    person who subscribes to their own issues also gets the assignments to them.
    """
    address = address_of(made.room)
    if not address:
        yield route_of(made, _reasons(tuple(map(read_matcher, made.matchers)), DEFAULT_REASONS))
    elif (person := people.get(address)) is not None:
        matchers = [read_matcher(text) for text in made.matchers]
        is_own = any(personal(matcher) for matcher in matchers)
        reasons = _reasons(matchers, (*DEFAULT_REASONS, ASSIGNED) if is_own else DEFAULT_REASONS)
        for chosen in product(*(of_person(matcher, person.mail, person.teams) for matcher in matchers)):
            yield Route((made.room,), chosen, reasons, goes_on=True)


def _reasons(matchers: Sequence[Matcher], otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """The reasons of a subscription: any that it asks for by name (its matchers choose), else the usual ones."""
    return ALERT_REASONS if names_reasons(matchers) else otherwise


def route_of(made: Subscription | Silence, reasons: tuple[str, ...] = DEFAULT_REASONS) -> Route:
    """The route of a subscription, or the one whose alerts a silence withholds."""
    matchers = tuple(read_matcher(text) for text in made.matchers)
    return Route(rooms=(made.room,), matchers=matchers, reasons=reasons, goes_on=True)
