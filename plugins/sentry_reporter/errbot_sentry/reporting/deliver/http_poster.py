"""Posts spooled envelopes to the server. Only the sender's thread uses it to post."""

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
    """The server's answer to an envelope; `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str]


class HttpPoster:
    """Posts envelopes to the server of the DSN, with the SDK's proxies, certificates and headers."""

    def __init__(self, sdk_http: SdkHttp) -> None:
        self._sdk_http = sdk_http
        self._pool = sdk_http.new_pool()
        self._connections: list[Any] = []
        self._server_got_some = False  # whether the server got any part of the running request

    def post(self, data: bytes) -> PostResponse:
        """Post one compressed envelope.

        Raises:
            NoAnswer: at least a part of the envelope was sent, but no answer came.
            Unreachable, TimedOut: the server got nothing of the envelope.
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
        except urllib3.exceptions.NewConnectionError as error:  # first, as urllib3 derives it from TimeoutError
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
        """Break the running request, so that its thread can end."""
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
        """In the child of a fork, use new connections: if parent and child wrote to one, its data would be mixed."""
        self._pool = self._sdk_http.new_pool()
        self._connections = []

    def _watch_connections(self, pool: Any) -> None:
        """Make the pool's connections note which one is in use, to interrupt it, and whether it has sent anything."""
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
                    owner._server_got_some = False  # what was sent until now was for a proxy, and not for the server
                seen[:] = [self]

            def send(self, data: Any) -> None:
                super().send(data)
                owner._server_got_some = True

        pool.ConnectionCls = WatchedConnection


def _finish(response: Any) -> None:
    """Read a short answer to its end, so that its connection can be used again. Close the connection of a long one.

    It is read byte by byte, because for a larger piece urllib3 waits without limit while bytes arrive slowly.
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
        log.debug("an answer was not read to its end: %s", error)
    response.close()


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", None) or error
    return type(cause).__name__
