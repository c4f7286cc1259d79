"""Makes the server from the settings, and finds out its kind when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from errbot_sentry.config.settings import ServerSettings
from errbot_sentry.domain.clock import Clock, SystemClock
from errbot_sentry.domain.errors import (
    BadAnswer,
    BadQuery,
    BadToken,
    MissingScope,
    NotFound,
    RedirectRefused,
    ServerError,
)
from errbot_sentry.domain.locks import Lock
from errbot_sentry.server.bugsink import Bugsink
from errbot_sentry.server.glitchtip import GlitchTip
from errbot_sentry.server.http.calls import Limits, Observer
from errbot_sentry.server.http.client import Transport
from errbot_sentry.server.issue_urls import is_saas
from errbot_sentry.server.payloads.json_fields import Fields
from errbot_sentry.server.protocol import BUGSINK, GLITCHTIP, SENTRY, Health, Server
from errbot_sentry.server.sentry import Sentry

AUTO = "auto"
_RETRY_SECONDS = 5.0


class Connection:
    """Gives the server to any thread, and counts its calls.

    Args:
        limits, sleep, observe: see `Transport`.
    """

    def __init__(
        self,
        settings: ServerSettings,
        clock: Clock | None = None,
        *,
        limits: Limits | None = None,
        sleep: Callable[[float], object] | None = None,
        observe: Observer | None = None,
    ) -> None:
        self._settings = settings
        self._clock = SystemClock() if clock is None else clock
        self._transport = Transport(
            settings.url, settings.token, self._clock, limits=limits, sleep=sleep, observe=observe
        )
        self._lock = Lock()
        self._server: Server | None = None
        self._failed: tuple[float, ServerError] | None = None

    def server(self) -> Server:
        """The server. The first call may have to find out its kind; if that fails, the error is kept for some seconds.

        Raises:
            ServerError: a setting is missing, the server did not answer, or its kind is unknown.
        """
        with self._lock:
            if self._server is None:
                self._check_token()
                self._server = self._make(self._kind())
            return self._server

    def health(self) -> Health:
        """The counters so far; makes no request. The kind is "auto" until it is known."""
        server = self._server
        return self._transport.health(server.kind if server else self._settings.kind)

    def close(self) -> None:
        """Close all connections; calls under way end within a second."""
        self._transport.close()

    def _check_token(self) -> None:
        if not self._settings.token:
            raise BadToken("SENTRY_AUTH_TOKEN is not set: give the bot an API token in config.py or its environment.")

    def _kind(self) -> str:
        if self._settings.kind != AUTO:
            return self._settings.kind
        if is_saas(self._settings.url):
            return SENTRY
        if self._failed is not None and self._clock.monotonic() - self._failed[0] < _RETRY_SECONDS:
            known = self._failed[1]
            raise known.again() from known
        try:
            return find_kind(self._transport, prefer_bugsink=not self._settings.org)
        except ServerError as error:
            self._failed = (self._clock.monotonic(), error)
            raise

    def _make(self, kind: str) -> Server:
        settings = self._settings
        if kind == BUGSINK:
            return Bugsink(self._transport, settings.url, self._clock)
        if not settings.org:
            name = "Sentry" if kind == SENTRY else "GlitchTip"
            raise BadQuery(f"SENTRY_ORG is not set: {name} needs the organization's slug, as in its web address.")
        dialect = Sentry if kind == SENTRY else GlitchTip
        return dialect(self._transport, settings.url, settings.org, self._clock)


def find_kind(transport: Transport, *, prefer_bugsink: bool = False) -> str:
    """The kind of the server, found with one or two requests.

    `/api/0/` has `{version, auth, user}` on all three. GlitchTip alone shows more of the token than its scopes, and
    answers 200 with `auth: null` to a wrong one (Sentry: 401). Bugsink poses as Sentry there, for sentry-cli, but it
    alone has `/api/canonical/0/`. Sources: GlitchTip `glitchtip/api/api.py` and measured; getsentry/sentry
    `src/sentry/api/endpoints/index.py`; Bugsink `files/views.py`, `bugsink/urls.py`.

    Args:
        prefer_bugsink: try Bugsink's own path first; used if no organization is configured.

    Raises:
        ServerError
    """
    if prefer_bugsink and _is_bugsink(transport):
        return BUGSINK
    try:
        root = Fields(transport.get("/api/0/", what="API").json)
    except (NotFound, BadAnswer, MissingScope):
        root = Fields(None)
    auth = root.fields("auth")
    if "auth" in root and not auth:
        raise BadToken(f"{transport.host} does not know the token: check SENTRY_AUTH_TOKEN in config.py.")
    if auth and any(name != "scopes" for name, _value in auth.pairs()):
        return GLITCHTIP
    if not prefer_bugsink and not root.fields("user") and _is_bugsink(transport):
        return BUGSINK
    if not auth:
        path = urlsplit(transport.health(AUTO).url).path
        raise BadAnswer(
            f"{transport.host}{path} is neither Sentry nor GlitchTip nor Bugsink: "
            "check SENTRY_URL, or set SENTRY_SERVER."
        )
    return SENTRY


def _is_bugsink(transport: Transport) -> bool:
    try:
        index = Fields(transport.get("/api/canonical/0/", what="API").json)
    except (NotFound, BadAnswer, MissingScope, RedirectRefused):
        return False
    return {"issues", "events", "projects"} <= {name for name, _value in index.pairs()}
