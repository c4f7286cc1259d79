"""To the server: posts envelopes that were spooled before. Only the sender's thread posts."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import urllib3

from errbot_sentry.domain.errors import NoAnswer, TimedOut, Unreachable
from errbot_sentry.reporting.sdk_internals import SdkHttp

log = logging.getLogger(__name__)

_CONNECT_SECONDS, _READ_SECONDS = 3.0, 10.0
_LONGEST_ANSWER, _ANSWER_SECONDS = 1000, 5.0


@dataclass(frozen=True)
class PostResponse:
    """What the server answered to an envelope; `headers` with lower-case names."""

    status: int
    headers: Mapping[str, str]


class HttpPoster:
    """Posts envelopes to the server of the DSN, with the SDK's proxies, certificates and headers."""

    def __init__(self, sdk_http: SdkHttp) -> None:
        self._sdk_http = sdk_http
        self._pool = sdk_http.new_pool()
        self._connections: list[Any] = []
        self._server_got_some = False  # whether the server got any part of the present request

    def post(self, data: bytes) -> PostResponse:
        """Post one compressed envelope.

        Raises:
            NoAnswer: the connection stood, and a part of the envelope at least was sent, but no answer came.
            Unreachable, TimedOut: the server got nothing of it.
        """
        headers = {
            "Content-Type": "application/x-sentry-envelope",
            "Content-Encoding": "gzip",
            **self._sdk_http.headers,
        }
        pool = self._pool.connection_from_url(self._sdk_http.url)
        self._watch_connections(pool)
        self._server_got_some = False
        try:
            response = self._pool.request(
                "POST",
                self._sdk_http.url,
                body=data,
                headers=headers,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
                preload_content=False,
            )
        except urllib3.exceptions.NewConnectionError as error:  # a kind of TimeoutError to urllib3
            raise Unreachable("no connection to the server") from error
        except (urllib3.exceptions.TimeoutError, TimeoutError) as error:
            kind = NoAnswer if self._server_got_some else TimedOut
            raise kind("the server did not answer in time") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if self._server_got_some:
                raise NoAnswer(f"the server closed the connection without an answer ({_reason(error)})") from error
            raise Unreachable(f"no connection to the server ({_reason(error)})") from error
        _finish(response)
        return PostResponse(response.status, {name.lower(): value for name, value in response.headers.items()})

    def interrupt(self) -> None:
        """Break the request that is under way, so that its thread can end."""
        for connection in list(self._connections):
            sock = getattr(connection, "sock", None)
            if sock is not None:
                with suppress(OSError):
                    sock.shutdown(2)

    def close(self) -> None:
        """Close the connections."""
        self.interrupt()
        self._pool.clear()

    def leave_to_parent(self) -> None:
        """In the child of a fork: the connections are the parent's, and two that write to one would garble it."""
        self._pool = self._sdk_http.new_pool()
        self._connections = []

    def _watch_connections(self, pool: Any) -> None:
        """Know the connection of a request, to interrupt it, and whether it has sent anything."""
        kind = pool.ConnectionCls
        if getattr(kind, "watched_by", None) is self:
            return
        seen = self._connections
        owner = self

        class WatchedConnection(kind):  # type: ignore[misc, valid-type]  # the base is known only at run time
            watched_by = self

            def connect(self) -> None:
                try:
                    super().connect()
                finally:
                    owner._server_got_some = False  # what a proxy got is not yet the server's
                seen[:] = [self]

            def send(self, data: Any) -> None:
                super().send(data)
                owner._server_got_some = True

        pool.ConnectionCls = WatchedConnection


def _finish(response: Any) -> None:
    """Read a short answer to its end, so that the connection can be used again; drop one that does not end.

    Byte by byte, because urllib3 waits for a larger piece however slowly it comes.
    """
    end = time.monotonic() + _ANSWER_SECONDS
    try:
        for _ in range(_LONGEST_ANSWER):
            if not response.read(1, decode_content=False):
                response.release_conn()
                return
            if time.monotonic() > end:
                break
    except (urllib3.exceptions.HTTPError, OSError) as error:
        log.debug("the end of an answer did not come: %s", error)
    response.close()


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", None) or error
    return type(cause).__name__
