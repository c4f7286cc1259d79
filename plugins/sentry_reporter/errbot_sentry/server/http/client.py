"""HTTP calls to the configured server, and the place where the errors of requests become ours.

Everything that no caller may forget or override is decided here: timeouts, the size of answers, retries, redirects,
where the token is sent, and what people may read about a failure.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from http.client import HTTPException
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse as _Answer

from errbot_sentry import __version__
from errbot_sentry.config.secrets import Secret
from errbot_sentry.domain.clock import Clock, SystemClock
from errbot_sentry.domain.errors import (
    BadAnswer,
    BadQuery,
    NotFound,
    RedirectRefused,
    ServerError,
    TimedOut,
    TooLarge,
    Unreachable,
)
from errbot_sentry.domain.locks import Lock
from errbot_sentry.server.http import failures
from errbot_sentry.server.http.body import LimitedAdapter, TooManyBytes, Undecodable, decode, read_bounded, time_limit
from errbot_sentry.server.http.calls import ApiAnswer, Exchange, Limits, Observer, Query, fill, pause_before_retry
from errbot_sentry.server.protocol import Health

log = logging.getLogger(__name__)

Reader = Callable[[bytes], Any]

_MOST_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_ERROR_BODY_BYTES = 65536
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEADERS = {
    "User-Agent": f"errbot-sentry-reporter/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
}


class Transport:
    """Calls one server with one token. Thread-safe; all threads share a pool of open connections.

    All calls take a path template and its parts: `get("/api/0/issues/{issue}/", issue="12")`. Parts are quoted here.

    Args:
        base_url: scheme, host, port and path prefix, without a slash at the end.
        sleep: pauses between tries; by default a pause that `close` ends.
        observe: called after every request, including retries.
    """

    def __init__(
        self,
        base_url: str,
        token: Secret,
        clock: Clock | None = None,
        *,
        limits: Limits | None = None,
        sleep: Callable[[float], object] | None = None,
        observe: Observer | None = None,
    ) -> None:
        self.host = urlsplit(base_url).netloc
        self._base_url = base_url
        self._token = token
        self._clock = SystemClock() if clock is None else clock
        self._limits = limits or Limits()
        self._stopping = threading.Event()
        self._sleep = self._stopping.wait if sleep is None else sleep
        self._observe = observe
        self._lock = Lock()
        self._health = Health("", base_url)
        self._causes: set[str] = set()  # why rows could not be read, as it is in the log already
        self._adapter = _Adapter(pool_connections=2, pool_maxsize=16)
        # Proxies and REQUESTS_CA_BUNDLE are read once, because all calls go to this address. A session of requests
        # would search the whole environment in each call, which takes as long as reading ten issues.
        settings = requests.Session().merge_environment_settings(base_url, {}, stream=True, verify=None, cert=None)
        self._proxies = dict(settings["proxies"])
        self._verify = settings["verify"] or True

    def get(
        self, path: str, query: Query = (), reader: Reader = decode, /, *, what: str = "such thing", **parts: str
    ) -> ApiAnswer:
        """Read something. Tries again after a broken connection, a 502, 503 or 504, and a 429 with a short wait.

        Args:
            reader: makes JSON of the body, or what stands for it; raises Undecodable.
            what: the name of the thing that is read, for the sentence about a 404. Our own words only.

        Raises:
            ServerError: one of its subclasses.
        """
        ends = time.monotonic() + self._limits.total
        for attempt in range(1, self._limits.tries):
            try:
                return self._exchange("GET", path, parts, query, None, what, ends, reader)
            except ServerError as error:
                pause = pause_before_retry(error, attempt, self._limits)
                if pause is None or time.monotonic() + pause >= ends:
                    raise
            self._sleep(pause)
        return self._exchange("GET", path, parts, query, None, what, ends, reader)

    def send(
        self, method: str, path: str, body: object = None, query: Query = (), *, what: str = "such thing", **parts: str
    ) -> ApiAnswer:
        """Change something. Never tries twice.

        Raises:
            ServerError: one of its subclasses.
        """
        return self._exchange(method, path, parts, query, body, what, time.monotonic() + self._limits.total)

    def health(self, kind: str) -> Health:
        """The present counters, for a server of this kind. Makes no request."""
        with self._lock:
            return replace(self._health, kind=kind)

    def note_unreadable(self, thing: str, read: int, causes: Sequence[str]) -> None:
        """Count the rows that a list of `thing` had besides `read` others; log each cause the first time.

        Every poll may meet the same rows. The causes are our own sentences, so they are few and quote nothing.
        """
        with self._lock:
            self._health = replace(self._health, unreadable=self._health.unreadable + len(causes))
            new = set(causes) - self._causes
            self._causes.update(new)
        if new:
            log.warning(
                "%d of the %d %s in an answer of %s cannot be read and are skipped. Later ones are only counted. %s.",
                len(causes), len(causes) + read, thing, self.host, "; ".join(sorted(new)),
            )  # fmt: skip

    def close(self) -> None:
        """Close all connections. Running calls end within a second, later ones fail at once."""
        self._stopping.set()
        self._adapter.close()

    def _exchange(
        self,
        method: str,
        path: str,
        parts: Mapping[str, str],
        query: Query,
        body: object,
        what: str,
        ends: float,
        reader: Reader = decode,
    ) -> ApiAnswer:
        url = self._base_url + fill(path, parts)
        started = self._clock.monotonic()
        status: list[int] = []
        failure: ServerError | None = None
        try:
            with time_limit(lambda: 0.0 if self._stopping.is_set() else ends - time.monotonic()):
                return self._follow(method, url, query, body, what, reader, status)
        except ServerError as error:
            failure = error
            raise
        finally:
            self._count(failure)
            if self._observe is not None:
                seconds = self._clock.monotonic() - started
                name = type(failure).__name__ if failure else ""
                self._observe(Exchange(method, path, status[-1] if status else None, seconds, name))

    def _follow(
        self, method: str, url: str, query: Query, body: object, what: str, reader: Reader, seen: list[int]
    ) -> ApiAnswer:
        for _ in range(_MOST_REDIRECTS + 1):
            try:
                if self._stopping.is_set():
                    raise Unreachable(f"The connection to {self.host} is closed, because the plugin is stopping.")
                with closing(self._request(method, url, query, body)) as response:
                    seen.append(response.status)
                    if response.status not in _REDIRECTS:
                        return self._read(response, method, what, reader)
                    url, query = self._redirected(method, url, response.headers.get("Location", "")), ()
            except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
                raise self._failure_of(error, method) from error
        raise RedirectRefused(f"{self.host} redirects in circles: check SENTRY_URL in config.py.")

    def _request(self, method: str, url: str, query: Query, body: object) -> _Answer:
        """One request over a connection of the pool.

        It uses the adapter without a session, which would follow redirects, store cookies, and replace the token by a
        password from ~/.netrc. Of `PreparedRequest.prepare` it does what this client needs: no cookies, no hooks, and
        the token whatever user name the URL has.
        """
        request = requests.PreparedRequest()
        request.prepare_method(method)
        request.prepare_url(url, list(query))
        request.prepare_headers(_HEADERS)
        request.prepare_body(None, None, body)
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        answer = self._adapter.send(
            request,
            stream=True,
            timeout=(self._limits.connect, self._limits.read),
            verify=self._verify,
            proxies=self._proxies,
        )
        return cast(_Answer, answer)  # as `_Adapter.build_response` makes it

    def _read(self, response: _Answer, method: str, what: str, reader: Reader) -> ApiAnswer:
        # Not `items()`, which has a header that came twice twice, where this joins its values.
        headers = {name.lower(): response.headers[name] for name in response.headers}
        self._note_budget(headers)
        if response.status >= 400:
            raise self._refusal(response, headers, method, what)
        try:
            raw = self._raw_body(response, headers, self._limits.bytes)
            if not raw.strip():
                return ApiAnswer(None, headers)
            failures.check_content_type(self.host, headers)
            return ApiAnswer(reader(raw), headers)
        except TooManyBytes as error:
            raise TooLarge(
                f"The answer of {self.host} is larger than {self._limits.bytes // 1_000_000} MB: ask for less."
            ) from error
        except Undecodable as error:
            raise BadAnswer(f"The answer of {self.host} cannot be read: {error}.") from error

    def _refusal(self, response: _Answer, headers: Mapping[str, str], method: str, what: str) -> ServerError:
        try:
            body = decode(self._raw_body(response, headers, _ERROR_BODY_BYTES))
        except (TooManyBytes, Undecodable, HTTPError, HTTPException, OSError):
            body = None  # an HTML page, for example: the status is enough
        error = failures.of_status(
            self.host, response.status, headers, body, method=method, what=what, now=self._clock.now()
        )
        if self._token:
            error.detail = error.detail.replace(self._token.reveal(), str(self._token))
        return error

    def _raw_body(self, response: _Answer, headers: Mapping[str, str], limit: int) -> bytes:
        def read(size: int) -> bytes:
            return bytes(response.read(size, decode_content=False))

        return read_bounded(read, headers.get("content-encoding", ""), limit)

    def _redirected(self, method: str, url: str, location: str) -> str:
        """The URL of a redirect. Only reading calls follow one, and only to the same scheme, host and port."""
        base = urlsplit(self._base_url)
        try:
            target = urlsplit(urljoin(url, location))
            same = _origin(target) == _origin(base)
        except ValueError:  # not a valid URL
            same = False
        if method != "GET" or not location or not same:
            raise RedirectRefused(
                f"{self.host} redirects to another address, and the token is not sent there. Set SENTRY_URL in "
                "config.py to the address at which your browser ends up."
            )
        # The host is written as in our own URL, because the redirect's URL may contain a user name.
        return target._replace(scheme=base.scheme, netloc=base.netloc, fragment="").geturl()

    def _failure_of(self, error: Exception, method: str) -> ServerError:
        if self._stopping.is_set():
            return Unreachable(f"The connection to {self.host} was closed, because the plugin is stopping.")
        kind, sentence = classify(error)
        unknown = failures.OUTCOME_UNKNOWN if method != "GET" and kind is not BadQuery else ""
        return kind(sentence.format(host=self.host) + unknown)

    def _note_budget(self, headers: Mapping[str, str]) -> None:
        limit, remaining = (
            int(text) if (text := headers.get(f"x-sentry-rate-limit-{name}", "")[:9]).isdecimal() else None
            for name in ("limit", "remaining")
        )
        if limit is not None or remaining is not None:
            with self._lock:
                self._health = replace(self._health, limit=limit, remaining=remaining)

    def _count(self, failure: ServerError | None) -> None:
        with self._lock:
            self._health = replace(self._health, calls=self._health.calls + 1)
            if failure is not None and not isinstance(failure, NotFound):
                # NotFound is not noted: somebody looked for what does not exist, or does not yet, such as the event of
                # an error a moment ago. That is no problem of the server, and nobody else should read it in the status.
                failed = self._health.failures + 1
                self._health = replace(self._health, failures=failed, last_error=str(failure))


def _origin(parts: Any) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


# The first row that matches decides. A test goes through requests.exceptions, and fails if one matches no row.
_FOREIGN: tuple[tuple[tuple[type[Exception], ...], type[ServerError], str], ...] = (
    (
        (requests.exceptions.SSLError,),
        Unreachable,
        (
            "The TLS certificate of {host} cannot be verified: check SENTRY_URL, or name your own authority in the "
            "environment variable REQUESTS_CA_BUNDLE."
        ),
    ),
    (
        (requests.exceptions.ProxyError, requests.exceptions.InvalidProxyURL),
        Unreachable,
        "The proxy to {host} does not work: check HTTPS_PROXY and NO_PROXY in the bot's environment.",
    ),
    (
        (requests.exceptions.ConnectTimeout,),
        TimedOut,
        "{host} cannot be reached in time: check SENTRY_URL and the network.",
    ),
    (
        (requests.exceptions.Timeout, ReadTimeoutError, TimeoutError),
        TimedOut,
        "{host} did not answer in time: try again, or ask for less.",
    ),
    (
        (
            requests.exceptions.InvalidURL,
            requests.exceptions.MissingSchema,
            requests.exceptions.InvalidSchema,
            requests.exceptions.InvalidHeader,
            UnicodeError,
        ),
        BadQuery,
        "The bot cannot send requests to {host} like this: check SENTRY_URL and SENTRY_AUTH_TOKEN in config.py.",
    ),
    (
        (
            requests.exceptions.ContentDecodingError,
            requests.exceptions.StreamConsumedError,
            requests.exceptions.JSONDecodeError,
            requests.exceptions.InvalidJSONError,
        ),
        BadAnswer,
        "The answer from {host} cannot be read.",
    ),
    ((requests.exceptions.TooManyRedirects,), RedirectRefused, "{host} redirects in circles: check SENTRY_URL."),
    (
        (
            requests.exceptions.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.HTTPError,
            requests.exceptions.RetryError,
            requests.exceptions.UnrewindableBodyError,
            HTTPError,
            HTTPException,
            OSError,
        ),
        Unreachable,
        "{host} cannot be reached, or broke off the connection: check SENTRY_URL and the network.",
    ),
)


def classify(error: Exception) -> tuple[type[ServerError], str]:
    """Our error class and sentence (with `{host}` to fill) for an error of the HTTP library."""
    for foreign, kind, sentence in _FOREIGN:
        if isinstance(error, foreign):
            return kind, sentence
    return Unreachable, _FOREIGN[-1][2]


class _Adapter(LimitedAdapter):
    """Looks its pool of connections up once, because all calls go to one address."""

    _pool: Any = None

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(*args, **kwargs)
        return self._pool

    def build_response(self, req: requests.PreparedRequest, resp: _Answer) -> Any:
        """The answer of urllib3 itself. An answer of requests copies the headers and looks for cookies."""
        return resp
