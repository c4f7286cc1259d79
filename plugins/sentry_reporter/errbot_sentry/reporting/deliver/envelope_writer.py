"""The SDK's transport: writes every envelope to the spool, from which the sender posts it.

All this happens in the capturing thread. A large event is cut to the size that servers accept, in up to three steps, of
which the last one always suffices. Secrets are removed from the parts that the SDK's hooks do not see. Events have the
shape of https://develop.sentry.dev/sdk/data-model/event-payloads/; the context `left_out` counts what was left out.
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
from errbot_sentry.reporting.deliver.spool import Spool
from errbot_sentry.reporting.redact.redaction import Event
from errbot_sentry.reporting.sdk_internals import SdkHttp

_LONGEST_TEXT, _SHORT_TEXT = 1000, 200
_FIRST, _LAST = 10, 40  # items that stay at both ends of a list of exceptions or frames
_MOST_SPANS, _MOST_BREADCRUMBS, _MOST_NAMES, _MOST_FRAMES = 200, 30, 50, 5
_LARGEST_NUMBER = 2.0**63
_HEAVY = ("vars", "extra", "_meta")
_SCALARS = ("event_id", "timestamp", "start_timestamp", "type", "platform", "level", "logger", "release",
    "environment", "server_name", "dist", "transaction", "message")  # fmt: skip
_FRAME = ("filename", "function", "module", "lineno", "in_app")
_TRACE = ("trace_id", "span_id", "parent_span_id", "op", "status", "type")


def shrink(event: Event, most: int, size: Callable[[Event], int]) -> Event:
    """The event with as much as fits into `most` bytes; `size` gives its size as JSON.

    The first step removes local variables and cuts long texts. The second one removes the middle of long lists. The
    last one leaves the minimum that says what happened, which is below 200 KB for any event.
    """
    for step in (_slim, _shortened, _least):
        if size(event) <= most:
            break
        event = step(event)
    return event


def _slim(event: Event) -> Event:
    return {key: _cut(part, _LONGEST_TEXT) for key, part in event.items() if key not in _HEAVY}


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return _text(value, longest)
    if isinstance(value, dict):
        return {_text(str(key), longest): _cut(part, longest) for key, part in value.items() if key not in _HEAVY}
    return [_cut(part, longest) for part in value] if isinstance(value, list) else value


def _text(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"


def _shortened(event: Event) -> Event:
    """The event without modules, and with a part of each list and mapping that grows with the program."""
    left_out: dict[str, int] = {}
    short: Event = {key: part for key, part in event.items() if key != "modules"}
    for name, several in (("exception", "exceptions"), ("threads", "threads")):
        values = _values(event, name)
        if values:
            ends = [_with_short_stack(value) for value in _ends(values, _FIRST, _LAST)]
            short[name] = {"values": ends}
            left_out[several] = len(values) - len(ends)
    breadcrumbs = _values(event, "breadcrumbs")
    if breadcrumbs:
        short["breadcrumbs"] = {"values": breadcrumbs[-_MOST_BREADCRUMBS:]}
        left_out["breadcrumbs"] = len(breadcrumbs) - len(breadcrumbs[-_MOST_BREADCRUMBS:])
    spans = event.get("spans")
    if isinstance(spans, list):
        short["spans"] = spans[:_MOST_SPANS]
        left_out["spans"] = len(spans) - len(spans[:_MOST_SPANS])
    for name in ("tags", "contexts"):
        named = event.get(name)
        if isinstance(named, dict):
            short[name] = dict(list(named.items())[-_MOST_NAMES:])  # the last ones, because ours are at the end
            left_out[name] = len(named) - len(short[name])
    shorter: Event = _cut(short, _SHORT_TEXT)
    return _with_counts(shorter, left_out)


def _least(event: Event) -> Event:
    """What happened and where, with a bound on the size of each part."""
    least: Event = {key: _small(event[key]) for key in _SCALARS if key in event}
    for name in ("sdk", "user", "logentry", "transaction_info"):
        if isinstance(event.get(name), dict):
            least[name] = _smalls(event[name])
    tags = event.get("tags")
    if isinstance(tags, dict):
        least["tags"] = _smalls(tags)
    exceptions = [value for value in _values(event, "exception") if isinstance(value, dict)]
    if exceptions:
        least["exception"] = {"values": [_least_exception(value) for value in _ends(exceptions, 1, 1)]}
    part = event.get("contexts")
    contexts = part if isinstance(part, dict) else {}
    trace = contexts.get("trace")
    if isinstance(trace, dict):
        least["contexts"] = {"trace": {key: _small(trace[key]) for key in _TRACE if key in trace}}
    if event.get("type") == "transaction":
        least["spans"] = []
    counts = contexts.get("left_out")
    return _with_counts(least, {**(_smalls(counts) if isinstance(counts, dict) else {}), "everything_else": 1})


def _least_exception(value: Event) -> Event:
    least = {key: _small(value.get(key)) for key in ("type", "value", "module")}
    stack = value.get("stacktrace")
    frames = stack.get("frames") if isinstance(stack, dict) else None
    if isinstance(frames, list):
        last = [frame for frame in frames if isinstance(frame, dict)][-_MOST_FRAMES:]
        least["stacktrace"] = {
            "frames": [{key: _small(frame[key]) for key in _FRAME if key in frame} for frame in last]
        }
    return least


def _smalls(part: Event) -> Event:
    return {_text(str(key), _SHORT_TEXT): _small(value) for key, value in list(part.items())[-_MOST_FRAMES * 2 :]}


def _small(value: Any) -> Any:
    """A text, bool or number of bounded size; None for everything else, whose size has no bound."""
    if isinstance(value, str):
        return _text(value, _SHORT_TEXT)
    if isinstance(value, (int, float)) and abs(value) < _LARGEST_NUMBER:
        return value
    return None


def _with_short_stack(value: Any) -> Any:
    stack = value.get("stacktrace") if isinstance(value, dict) else None
    if not isinstance(stack, dict) or not isinstance(stack.get("frames"), list):
        return value
    frames = stack["frames"]
    return {**value, "stacktrace": {**stack, "frames": _ends(frames, _FIRST, _LAST)}}


def _ends(items: list[Any], first: int, last: int) -> list[Any]:
    return items if len(items) <= first + last else [*items[:first], *items[-last:]]


def _values(event: Event, name: str) -> list[Any]:
    part = event.get(name)
    values = part.get("values") if isinstance(part, dict) else part
    return values if isinstance(values, list) else []


def _with_counts(event: Event, left_out: dict[str, Any]) -> Event:
    counts = {name: count for name, count in left_out.items() if count}
    if counts:
        contexts = event.get("contexts")
        part = contexts if isinstance(contexts, dict) else {}
        event["contexts"] = {**part, "left_out": {"type": "left_out", **counts}}
    return event


log = logging.getLogger(__name__)

# Level 1 takes a third of the time of the default level. With both, an event shrinks to a seventh.
_COMPRESSION_LEVEL = 1
# Bugsink accepts events of up to a megabyte, and other servers not much more.
_LARGEST = 900_000
# To scrub a larger attachment would delay the capturing thread, so it is sent unchanged.
_LONGEST_ATTACHED = 1_000_000
_EVENT_ID = re.compile(r"[0-9a-f]{32}")


def compress(data: bytes) -> bytes:
    """The data as one gzip member."""
    packer = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


class EnvelopeWriter(Transport):
    """Writes envelopes to the spool.

    Args:
        sdk_http: provides the SDK's options and its counts of lost events.
        on_lost: called with the category and the reason of each envelope that is lost here.
        redact: removes secrets and typed words from a text.
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
        """Spool an envelope, in the capturing thread. Code that interrupts us under a lock may call this too."""
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
        # The server corrects an event's times by the age of `sent_at`, so the times of an envelope that waited for an
        # hour would be an hour wrong. The field is optional; without it, the server does not correct the times.
        envelope.headers.pop("sent_at", None)
        try:
            self._redact_rest(envelope)
            data = self._serialized(envelope)
        except Exception:
            # The operator's hook runs after ours, and may put any object into the event.
            log.exception("An envelope is lost: it cannot be written as JSON")
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
        """Redact what the SDK's hooks do not see: the transaction's name in the envelope's header, and attachments."""
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
        except UnicodeDecodeError:  # not a text, but an image, for example
            return data

    def flush(self, timeout: float, callback: Any | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        """Wait until the spool is empty, at most `timeout` seconds. Unsent envelopes stay on disk."""
        if timeout > 0:
            self._sender.flush(timeout)

    def is_healthy(self) -> bool:
        return self._sender.healthy

    def record_lost_event(
        self, reason: str, data_category: Any = None, item: Item | None = None, *, quantity: int = 1
    ) -> None:
        """Count an event that the SDK itself drops (by sampling or an event processor), here and for the server.

        Events dropped by `before_send` are counted where that is decided, because not only the operator's hook drops.
        """
        self._sdk_http.record_lost_event(reason, data_category, item, quantity=quantity)
        if item is None and data_category == "error" and reason not in ("before_send", "callback_error"):
            self._on_lost("error", reason)


def _describe(envelope: Envelope) -> tuple[str, str]:
    """The rate limit's category and the event id of the most important item in an envelope."""
    categories = [str(item.data_category) for item in envelope.items] or ["default"]
    category = "error" if "error" in categories else categories[0]
    if any(item.type == "feedback" for item in envelope.items):
        category = "feedback"
    event_id = str(envelope.headers.get("event_id") or "").replace("-", "").lower()
    return category, event_id if category == "error" and _EVENT_ID.fullmatch(event_id) else ""
