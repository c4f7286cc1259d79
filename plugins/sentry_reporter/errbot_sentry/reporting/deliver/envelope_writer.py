"""The SDK's transport: writes every envelope onto the disk. The sender posts it from there.

The capturing thread makes an envelope small enough, takes secrets out of what the SDK's hooks do not see, compresses
it, and puts it into the spool.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable
from typing import Any

from sentry_sdk.envelope import Envelope, Item, PayloadRef
from sentry_sdk.transport import Transport

from errbot_sentry.domain.locks import afterwards
from errbot_sentry.reporting.deliver.envelope_sender import EnvelopeSender
from errbot_sentry.reporting.deliver.size_limits import shrink
from errbot_sentry.reporting.deliver.spool import Spool
from errbot_sentry.reporting.sdk_internals import SdkHttp

log = logging.getLogger(__name__)

# Level 1 costs the capturing thread a third of the default level, and an event shrinks to a seventh either way.
_LEVEL = 1
# Bugsink takes events of a megabyte, and nobody takes much more.
_LARGEST = 900_000
# Scrubbing more would keep the capturing thread waiting; what a plugin attaches beyond it leaves as it is.
_LONGEST_ATTACHED = 1_000_000
_EVENT_ID = re.compile(r"[0-9a-f]{32}")


def compress(data: bytes) -> bytes:
    """One gzip member."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


class EnvelopeWriter(Transport):
    """Spools envelopes.

    Args:
        sdk_http: the SDK's options, and its counts of lost events.
        on_lost: called with the category and the reason of each envelope that is given up.
        redact: takes secrets and typed words out of a text.
    """

    def __init__(
        self,
        spool: Spool,
        sender: EnvelopeSender,
        sdk_http: SdkHttp,
        on_lost: Callable[[str, str], None],
        redact: Callable[[str], str],
    ) -> None:
        super().__init__(sdk_http.options)
        self._spool = spool
        self._sender = sender
        self._sdk_http = sdk_http
        self._on_lost = on_lost
        self._redact = redact

    def capture_envelope(self, envelope: Envelope) -> None:
        """Spool an envelope; this is the capturing thread. Code that interrupts us under a lock may call it too."""
        afterwards(lambda: self._spool_envelope(envelope))

    def _spool_envelope(self, envelope: Envelope) -> None:
        category, event_id = _describe(envelope)
        if not self._sender.accepts(category):
            for item in envelope.items:
                self.record_lost_event("ratelimit_backoff", item=item)
            self._on_lost(category, "rate_limited")
            return
        report = self._sdk_http.pending_client_report()
        if report is not None:
            envelope.items.append(report)
        # The server corrects an event's times by the age of `sent_at`; an envelope that waited an hour would be an
        # hour off. The field is optional, and without it times are taken as they are.
        envelope.headers.pop("sent_at", None)
        try:
            self._redact_rest(envelope)
            data = self._serialized(envelope)
        except Exception:
            # What an operator's hook put into the event, after all of ours, may be anything.
            log.exception("An envelope is given up: it cannot be written as JSON")
            self._on_lost(category, "not_json")
            return
        self._spool.put(compress(data), category, event_id)
        self._sender.wake()

    @staticmethod
    def _serialized(envelope: Envelope) -> bytes:
        for item in envelope.items:
            event = item.get_event() or item.get_transaction_event()
            if event is not None and len(item.get_bytes()) > _LARGEST:
                small = shrink(event, _LARGEST, lambda event: len(PayloadRef(json=event).get_bytes()))  # type: ignore[arg-type]  # an event is a plain dict here
                item.payload = PayloadRef(json=small)
        return envelope.serialize()

    def _redact_rest(self, envelope: Envelope) -> None:
        """What the hooks of events do not see: the transaction's name in the envelope's header, and attached texts."""
        trace = envelope.headers.get("trace")
        named = {(item.get_event() or item.get_transaction_event() or {}).get("transaction") for item in envelope.items}
        if isinstance(trace, dict) and trace.get("transaction") not in named:
            envelope.headers["trace"] = {key: value for key, value in trace.items() if key != "transaction"}
        for item in envelope.items:
            if item.type == "attachment":
                item.payload = PayloadRef(bytes=self._redacted_text(item.get_bytes()))
                if isinstance(item.headers.get("filename"), str):
                    item.headers["filename"] = self._redact(item.headers["filename"])

    def _redacted_text(self, data: bytes) -> bytes:
        if len(data) > _LONGEST_ATTACHED:
            return data
        try:
            return self._redact(data.decode()).encode()
        except UnicodeDecodeError:  # an image, say
            return data

    def flush(self, timeout: float, callback: Any | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        """Give what waits a chance to be sent; what is not sent in time waits on disk."""
        if timeout > 0:
            self._sender.flush(timeout)

    def is_healthy(self) -> bool:
        return self._sender.healthy

    def record_lost_event(
        self, reason: str, data_category: Any = None, item: Item | None = None, *, quantity: int = 1
    ) -> None:
        """Count what the SDK itself gives up (sampling, a processor that said no), also for the server.

        What before_send drops is counted where it is decided: it is not always the operator's hook that says no.
        """
        self._sdk_http.record_lost_event(reason, data_category, item, quantity=quantity)
        if item is None and data_category == "error" and reason not in ("before_send", "callback_error"):
            self._on_lost("error", reason)


def _describe(envelope: Envelope) -> tuple[str, str]:
    """Category for rate limits, and event id, of what matters most in an envelope."""
    categories = [str(item.data_category) for item in envelope.items] or ["default"]
    category = "error" if "error" in categories else categories[0]
    if any(item.type == "feedback" for item in envelope.items):
        category = "feedback"
    event_id = str(envelope.headers.get("event_id") or "").replace("-", "").lower()
    return category, event_id if category == "error" and _EVENT_ID.fullmatch(event_id) else ""
