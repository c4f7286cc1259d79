"""The one way out for the texts of an event: whatever is in it is masked by the rules of the place where it stands.

A `Redaction` is made for one event, with the words of the command that the event is about. A field that it does not
know is masked like any other text. It works on the event as the SDK's serializer left it, plain dicts, lists and texts,
in the shape of https://develop.sentry.dev/sdk/data-model/event-payloads/.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from errbot_sentry.reporting.redact.chat_redaction import DROP, SEND, ChatMask, mask_of
from errbot_sentry.reporting.redact.event_schema import (
    BREADCRUMB_KEYS,
    CONTEXT_KEYS,
    CONTEXT_NAMES,
    FRAME_KEYS,
    FRAME_NAMES,
    LOGENTRY_KEYS,
    MEASUREMENT_KEYS,
    MECHANISM_KEYS,
    REQUEST_KEYS,
    SOURCE_KEYS,
    SPAN_KEYS,
    THREAD_KEYS,
    USER_KEYS,
    meta_for,
)
from errbot_sentry.reporting.redact.scrubber import FILTERED, Scrubber, cleaned, is_sensitive_name

Event = dict[str, Any]

MOST_STEPS = 1_500_000
"""What masking an event may cost: letters of its texts, times what is looked for in them. Beyond, texts are dropped."""

# Made by the SDK or by us from nothing that a person or a plugin said.
_OWN = frozenset({"event_id", "timestamp", "start_timestamp", "platform", "level", "sdk", "modules", "type",
    "transaction_info", "check_in_id", "duration", "status"})  # fmt: skip
# Names, in which something@somewhere is no mail address.
_NAMES = frozenset({"release", "environment", "server_name", "dist", "transaction", "logger"})
_NAMES_BY_CODE = frozenset({"transaction", "logger"})  # which may have made them of what somebody typed
_PERSON_NAMES = frozenset({"id", "username"})
# What is masked first, should there be too much.
_FIRST = ("exception", "fingerprint", "logentry", "tags", "user", "transaction")
_ADDRESS_PARTS = ("http.query", "http.fragment")


class Redactor:
    """Makes the redaction of each event, by the rules that hold for all.

    Args:
        chat_text: SENTRY_CHAT_TEXT.
    """

    def __init__(self, scrubber: Scrubber, chat_text: str) -> None:
        self._scrubber = scrubber
        self._chat_text = chat_text

    def redaction(
        self,
        typed: tuple[str, ...],
        spared: tuple[str, ...],
        own: Collection[str] = (),
        most_steps: int = MOST_STEPS,
    ) -> Redaction:
        """The redaction of one event.

        Args:
            typed: the texts whose words are masked.
            spared: names of commands and plugins, which stay readable even if they were typed.
        """
        mask = mask_of(typed, spared) if typed and self._chat_text != SEND else None
        return Redaction(self._scrubber, mask or None, self._chat_text, own, most_steps)


class Redaction:
    """The masking of one event.

    Args:
        mask: hides the words of the command, None when there are none to hide.
        own: what we ourselves have put in (tags, names of the person), which is known for what it is.
        most_steps: the budget.
    """

    def __init__(
        self,
        scrubber: Scrubber,
        mask: ChatMask | None,
        chat_text: str,
        own: Collection[str] = (),
        most_steps: int = MOST_STEPS,
    ) -> None:
        self._scrubber = scrubber
        self._mask = mask
        self._chat_text = chat_text
        self._own = own
        self._left = most_steps

    def event(self, event: Event) -> Event:
        """All of an event."""
        clean: Event = {}
        for key in sorted(event, key=lambda key: key not in _FIRST):
            if key in _EVENT:
                clean[key] = self._field(key, event[key])
            elif key != "_meta":
                clean.update(self.value({key: event[key]}))
        meta = meta_for(event.get("_meta"), clean)
        if meta:
            meta.pop("breadcrumbs", None)  # they are put into another order
            clean["_meta"] = meta
        return clean

    def value(self, held: Any) -> Any:
        """Any JSON-like value."""
        return cleaned(held, self.text)

    def text(self, text: str) -> str:
        """A text without secrets and without the person's words."""
        return self.without_words(self._without_secrets(text))

    def without_words(self, text: str) -> str:
        """A text that has no secrets any more, without the person's words; the same object where it has none."""
        mask = self._mask
        if mask is None:
            return text
        return mask(text) if self._afford(len(text) * mask.price) else FILTERED

    def _without_secrets(self, text: str) -> str:
        return self._scrubber.text(text) if self._afford(len(text)) else FILTERED

    def _afford(self, steps: int) -> bool:
        self._left -= steps
        return self._left >= 0 or not steps

    def _field(self, key: str, held: Any) -> Any:
        if key in _OWN:
            return held
        if key in _NAMES:
            return self._name(held, key in _NAMES_BY_CODE)
        method = _PLACES.get(key)
        return self.value(held) if method is None else method(self, held)

    def _exceptions(self, held: Any) -> Any:
        return self._listed(held, self._exception)

    def _threads(self, held: Any) -> Any:
        return self._listed(held, self._thread)

    def _breadcrumbs(self, held: Any) -> Any:
        return self._listed(self._without_queries(held), lambda item: self._fields(item, BREADCRUMB_KEYS))

    def _spans(self, held: Any) -> Any:
        return self._listed(self._without_queries(held), lambda item: self._fields(item, SPAN_KEYS))

    def _logentry(self, held: Any) -> Any:
        return self._fields(held, LOGENTRY_KEYS)

    def _measurements(self, held: Any) -> Any:
        if not isinstance(held, dict):
            return self.value(held)
        return {self.text(str(name)): self._fields(part, MEASUREMENT_KEYS) for name, part in held.items()}

    def _fields(self, held: Any, fixed: Collection[str]) -> Any:
        """A value whose own keys, as far as they are of the protocol, stay."""
        if not isinstance(held, dict):
            return self.value(held)
        clean: dict[str, Any] = {}
        for key, part in held.items():
            if key in fixed:
                clean[key] = self.value(part)
            else:
                clean.update(self.value({key: part}))
        return clean

    def _listed(self, held: Any, item: Any) -> Any:
        """A list, plain or as `values`, with each of its items cleaned as an item of it."""
        if isinstance(held, list):
            return [item(part) for part in held]
        if not isinstance(held, dict) or not isinstance(held.get("values"), list):
            return self.value(held)
        return {"values": [item(part) for part in held["values"]]}

    def _contexts(self, held: Any) -> Any:
        if not isinstance(held, dict):
            return self.value(held)
        clean: dict[str, Any] = {}
        for key, part in held.items():
            if key in CONTEXT_NAMES:
                clean[key] = self._fields(part, CONTEXT_KEYS)
            else:
                clean.update(self.value({key: part}))
        return clean

    def _name(self, held: Any, by_code: bool) -> Any:
        if not isinstance(held, str):
            return self.value(held)
        clean = self._scrubber.text(held, mails=False)
        return self.without_words(clean) if by_code and held not in self._own else clean

    def _without_queries(self, held: Any) -> Any:
        """Requests that plugins made, without what they asked: it may be anybody's words, as in `_request`."""
        items = held.get("values") if isinstance(held, dict) else held
        if self._chat_text == SEND or not isinstance(items, list):
            return held
        for item in items:
            data = item.get("data") if isinstance(item, dict) else None
            if isinstance(data, dict):
                for part in _ADDRESS_PARTS:
                    data.pop(part, None)
        return held

    def _exception(self, held: Any) -> Any:
        if not isinstance(held, dict):
            return self.value(held)
        clean: dict[str, Any] = {}
        for key, part in held.items():
            if key == "stacktrace":
                clean[key] = self._stacktrace(part)
            elif key == "value":
                # In mode "scrub" the exception's own text is the one place where a person's words may be repeated.
                clean[key] = self.value(part) if self._chat_text == DROP else cleaned(part, self._without_secrets)
            elif key in ("type", "module"):
                clean[key] = self._name(part, self._chat_text == DROP)
            elif key == "mechanism":
                clean[key] = self._fields(part, MECHANISM_KEYS)
            else:
                clean.update(self.value({key: part}))
        return clean

    def _thread(self, held: Any) -> Any:
        if not isinstance(held, dict):
            return self.value(held)
        clean = self._fields({key: part for key, part in held.items() if key != "stacktrace"}, THREAD_KEYS)
        return {**clean, "stacktrace": self._stacktrace(held.get("stacktrace"))}

    def _stacktrace(self, held: Any) -> Any:
        if not isinstance(held, dict) or not isinstance(held.get("frames"), list):
            return self.value(held)
        others = self.value({key: part for key, part in held.items() if key != "frames"})
        return {**others, "frames": [self._frame(frame) for frame in held["frames"] if isinstance(frame, dict)]}

    def _frame(self, frame: Event) -> Event:
        clean: Event = {}
        for key, held in frame.items():
            if key not in FRAME_KEYS:
                clean.update(self.value({key: held}))
            elif key in FRAME_NAMES:
                clean[key] = self._name(held, by_code=False)
            elif key == "vars":
                clean[key] = self._variables(held, frame)
            elif key not in SOURCE_KEYS:
                clean[key] = self.value(held)
        clean.update(self._source(frame))
        return clean

    def _variables(self, held: Any, frame: Event) -> Any:
        """Local variables. The names in a function are its code's; a module's, or what `exec` gets, may be anything."""
        if not isinstance(held, dict):
            return self.value(held)
        by_code = frame.get("function") != "<module>"
        return {
            name if by_code and name.isidentifier() else self.text(name): FILTERED
            if is_sensitive_name(name)
            else self.value(part)
            for name, part in held.items()
        }

    def _source(self, frame: Event) -> Event:
        """The lines around the error, cleaned in one piece: brackets and texts go over several of them."""
        found = {key: frame[key] for key in SOURCE_KEYS if frame.get(key)}
        lines: list[str] = []
        for held in found.values():
            flat = held if isinstance(held, list) else [held]
            lines += [" ".join(line.splitlines()) if isinstance(line, str) else "" for line in flat]
        if not lines:
            return {}
        window = "\n".join(lines)
        if not self._afford(len(window)):
            return {}
        clean = iter(self._scrubber.source(window).split("\n"))
        return {
            key: [next(clean) for _ in held] if isinstance(held, list) else next(clean) for key, held in found.items()
        }

    def _tags(self, held: Any) -> Any:
        if not isinstance(held, dict):
            return self.value(held)
        clean: dict[str, Any] = {}
        for key, part in held.items():
            if key.startswith(("bot.", "errbot.")) and str(part) in self._own:
                clean[key] = self._scrubber.text(str(part), mails=False)
            else:
                clean.update(self.value({key: part}))
        return clean

    def _user(self, held: Any) -> Any:
        if not isinstance(held, dict):
            return self.value(held)
        clean: dict[str, Any] = {}
        for key, part in held.items():
            if key in _PERSON_NAMES and isinstance(part, str):
                clean[key] = self._name(part, by_code=True)
            elif key in USER_KEYS:
                clean[key] = self.value(part)
            else:
                clean.update(self.value({key: part}))
        return clean

    def _request(self, held: Any) -> Any:
        """Of a web request only its address and headers, unless everything people say may be sent."""
        if not isinstance(held, dict):
            return self.value(held)
        kept = dict(held)
        if self._chat_text != SEND:
            for key in ("data", "query_string", "cookies", "env"):
                kept.pop(key, None)
            if isinstance(kept.get("url"), str):
                kept["url"] = kept["url"].partition("?")[0]
        clean: dict[str, Any] = {}
        for key, part in kept.items():
            clean.update({key: self.value(part)} if key in REQUEST_KEYS - {"cookies"} else self.value({key: part}))
        return clean


_PLACES: dict[str, Callable[[Redaction, Any], Any]] = {
    "exception": Redaction._exceptions,  # noqa: SLF001 - its own table
    "threads": Redaction._threads,  # noqa: SLF001 - as above
    "tags": Redaction._tags,  # noqa: SLF001 - as above
    "user": Redaction._user,  # noqa: SLF001 - as above
    "request": Redaction._request,  # noqa: SLF001 - as above
    "breadcrumbs": Redaction._breadcrumbs,  # noqa: SLF001 - as above
    "spans": Redaction._spans,  # noqa: SLF001 - as above
    "contexts": Redaction._contexts,  # noqa: SLF001 - as above
    "logentry": Redaction._logentry,  # noqa: SLF001 - as above
    "measurements": Redaction._measurements,  # noqa: SLF001 - as above
}
_EVENT = (
    _OWN | _NAMES | _PLACES.keys() | {"extra", "fingerprint", "message", "monitor_slug", "monitor_config", "debug_meta"}
)
