"""The SDK's way out, replaced: every envelope goes through the spool, whatever is in it.

A subclass of the SDK's HttpTransport for what it knows about proxies, certificates and the DSN; its in-memory queue
and its worker thread are not used. The capturing thread writes the compressed envelope, the Sender posts it.
"""

from __future__ import annotations

import logging
import re
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import urllib3
from sentry_sdk.consts import EndpointType
from sentry_sdk.envelope import Envelope, Item, PayloadRef
from sentry_sdk.transport import HttpTransport

from errbot_sentry.domain.errors import NoAnswer, TimedOut, Unreachable
from errbot_sentry.domain.locks import afterwards
from errbot_sentry.reporting.deliver.envelope_sender import Answer, Sender
from errbot_sentry.reporting.deliver.size_limits import fitted
from errbot_sentry.reporting.deliver.spool import Spool

log = logging.getLogger(__name__)

# Level 1 costs the capturing thread a third of the default level, and an event shrinks to a seventh either way.
_LEVEL = 1
# Bugsink takes events of a megabyte, and nobody takes much more.
_LARGEST = 900_000
# Scrubbing more would keep the capturing thread waiting; what a plugin attaches beyond it leaves as it is.
_LONGEST_ATTACHED = 1_000_000
_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_CONNECT_SECONDS, _READ_SECONDS = 3.0, 10.0
_LONGEST_ANSWER, _ANSWER_SECONDS = 1000, 5.0


def compress(data: bytes) -> bytes:
    """One gzip member."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


class SpoolTransport(HttpTransport):
    """Made by `bound`, because the SDK instantiates the class itself, with its options."""

    spool: Spool
    sender: Sender
    on_lost: Callable[[str, str], None]
    clean: Callable[[str], str]

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._connections: list[Any] = []
        self._had_some = False  # whether the server had something of the present request

    def capture_envelope(self, envelope: Envelope) -> None:
        """Spool an envelope; this is the capturing thread. Code that interrupts us under a lock may call it too."""
        afterwards(lambda: self._spool_envelope(envelope))

    def _spool_envelope(self, envelope: Envelope) -> None:
        category, event_id = _describe(envelope)
        if not self.sender.wants(category):
            for item in envelope.items:
                self.record_lost_event("ratelimit_backoff", item=item)
            self.on_lost(category, "rate_limited")
            return
        report = self._fetch_pending_client_report(interval=30)
        if report is not None:
            envelope.items.append(report)
        # The server corrects an event's times by the age of `sent_at`; an envelope that waited an hour would be an
        # hour off. The field is optional, and without it times are taken as they are.
        envelope.headers.pop("sent_at", None)
        try:
            self._clean_rest(envelope)
            data = self._serialized(envelope)
        except Exception:
            # What an operator's hook put into the event, after all of ours, may be anything.
            log.exception("An envelope is given up: it cannot be written as JSON")
            self.on_lost(category, "not_json")
            return
        self.spool.put(compress(data), category, event_id)
        self.sender.wake()

    @staticmethod
    def _serialized(envelope: Envelope) -> bytes:
        for item in envelope.items:
            event = item.get_event() or item.get_transaction_event()
            if event is not None and len(item.get_bytes()) > _LARGEST:
                small = fitted(event, _LARGEST, lambda event: len(PayloadRef(json=event).get_bytes()))  # type: ignore[arg-type]  # an event is a plain dict here
                item.payload = PayloadRef(json=small)
        return envelope.serialize()

    def _clean_rest(self, envelope: Envelope) -> None:
        """What the hooks of events do not see: the transaction's name in the envelope's header, and attached texts."""
        trace = envelope.headers.get("trace")
        named = {(item.get_event() or item.get_transaction_event() or {}).get("transaction") for item in envelope.items}
        if isinstance(trace, dict) and trace.get("transaction") not in named:
            envelope.headers["trace"] = {key: held for key, held in trace.items() if key != "transaction"}
        for item in envelope.items:
            if item.type == "attachment":
                item.payload = PayloadRef(bytes=self._cleaned_text(item.get_bytes()))
                if isinstance(item.headers.get("filename"), str):
                    item.headers["filename"] = self.clean(item.headers["filename"])

    def _cleaned_text(self, data: bytes) -> bytes:
        if len(data) > _LONGEST_ATTACHED:
            return data
        try:
            return self.clean(data.decode()).encode()
        except UnicodeDecodeError:  # a picture, say
            return data

    def post(self, data: bytes) -> Answer:
        """Send a spooled envelope.

        Raises:
            NoAnswer: the connection stood, and a part of the envelope at least was sent, but no answer came.
            Unreachable, TimedOut: the server had nothing of it.
        """
        headers = {
            "Content-Type": "application/x-sentry-envelope",
            "Content-Encoding": "gzip",
            "User-Agent": str(self._auth.client),
            "X-Sentry-Auth": str(self._auth.to_header()),
        }
        url = self._auth.get_api_url(EndpointType.ENVELOPE)
        pool = self._pool.connection_from_url(url)
        self._watch_connections(pool)
        self._had_some = False
        try:
            response = self._pool.request(
                "POST",
                url,
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
            kind = NoAnswer if self._had_some else TimedOut
            raise kind("the server did not answer in time") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if self._had_some:
                raise NoAnswer(f"the server closed the connection without an answer ({_reason(error)})") from error
            raise Unreachable(f"no connection to the server ({_reason(error)})") from error
        _leave(response)
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()})

    def leave_to_parent(self) -> None:
        """In the child of a fork: the connections are the parent's, and two that write to one would garble it."""
        self._pool = self._make_pool()
        self._connections = []

    def hurry(self) -> None:
        """Break the request that is under way, so that its thread can end."""
        for connection in list(self._connections):
            sock = getattr(connection, "sock", None)
            if sock is not None:
                with suppress(OSError):
                    sock.shutdown(2)

    def _watch_connections(self, pool: Any) -> None:
        kind = pool.ConnectionCls
        if getattr(kind, "watched_by", None) is self:
            return
        seen = self._connections
        owner = self

        class Watched(kind):  # type: ignore[misc, valid-type]  # the base is known only at run time
            watched_by = self

            def connect(self) -> None:
                try:
                    super().connect()
                finally:
                    owner._had_some = False  # what a proxy was told is not yet the server's
                seen[:] = [self]

            def send(self, data: Any) -> None:
                super().send(data)
                owner._had_some = True

        pool.ConnectionCls = Watched

    def flush(self, timeout: float, callback: Any | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        """Give what waits a chance to go out; without one it waits on disk."""
        if timeout > 0:
            self.sender.flush(timeout)

    def kill(self) -> None:
        """The Reporter stops the sender and closes the spool; the pool's sockets go here."""
        self.hurry()
        self._pool.clear()

    def is_healthy(self) -> bool:
        return self.sender.healthy

    def record_lost_event(
        self, reason: str, data_category: Any = None, item: Item | None = None, *, quantity: int = 1
    ) -> None:
        """Count what the SDK itself gives up (sampling, a processor that said no), also for the server.

        What before_send drops is counted where it is decided: it is not always the operator's hook that says no.
        """
        super().record_lost_event(reason, data_category, item, quantity=quantity)
        if item is None and data_category == "error" and reason not in ("before_send", "callback_error"):
            self.on_lost("error", reason)


def _leave(response: Any) -> None:
    """Read a short answer to its end, so that the connection serves again; leave one that does not end.

    Byte by byte, because a larger piece is waited for however slowly it comes.
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


def bound(
    spool: Spool, sender: Sender, on_lost: Callable[[str, str], None], clean: Callable[[str], str]
) -> type[SpoolTransport]:
    """A transport class for one client."""
    held = {"spool": spool, "sender": sender, "on_lost": staticmethod(on_lost), "clean": staticmethod(clean)}
    return type("BoundTransport", (SpoolTransport,), held)


def _describe(envelope: Envelope) -> tuple[str, str]:
    """Category for rate limits, and event id, of what matters most in an envelope."""
    categories = [str(item.data_category) for item in envelope.items] or ["default"]
    category = "error" if "error" in categories else categories[0]
    if any(item.type == "feedback" for item in envelope.items):
        category = "feedback"
    event_id = str(envelope.headers.get("event_id") or "").replace("-", "").lower()
    return category, event_id if category == "error" and _EVENT_ID.fullmatch(event_id) else ""


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", None) or error
    return type(cause).__name__
