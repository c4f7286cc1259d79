"""The masking of events: each text in an event by the rules of the place where it stands.

A `Redaction` is made for one event, with the words of the command that the event is about. An unknown field is
masked like any other text. It works on the event as the SDK's serializer left it, plain dicts, lists and texts, in the
shape of https://develop.sentry.dev/sdk/data-model/event-payloads/.

The SDK notes lengths and limits beside an event (`_meta`) before anything is masked, so its notes repeat every key on
the way to what was shortened. They are made anew from the event as it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from errbot_sentry.reporting.redact.chat_redaction import DROP, SEND, ChatMask
from errbot_sentry.reporting.redact.scrubber import FILTERED, Scrubber, cleaned, is_sensitive_name

SOURCE_KEYS = ("pre_context", "context_line", "post_context")
FRAME_NAMES = ("filename", "abs_path", "function", "module")

# The protocol's own keys, which stay whatever was typed: without them the server could not read the event.
SPAN_KEYS = frozenset({"span_id", "trace_id", "parent_span_id", "op", "description", "start_timestamp", "timestamp",
    "status", "tags", "data", "origin", "same_process_as_parent", "measurements", "exclusive_time"})  # fmt: skip
BREADCRUMB_KEYS = frozenset({"type", "category", "message", "level", "timestamp", "data", "origin"})
CONTEXT_NAMES = frozenset({"trace", "runtime", "errbot", "plugin", "log", "repeats", "chat"})
CONTEXT_KEYS = SPAN_KEYS | {"type", "name", "version", "build", "backend", "module", "kind", "sentence", "count",
    "seconds", "message", "dynamic_sampling_context"}  # fmt: skip
MECHANISM_KEYS = frozenset({"type", "handled", "data", "source", "synthetic", "exception_id", "parent_id", "help_link",
    "is_exception_group", "description", "meta"})  # fmt: skip
LOGENTRY_KEYS = frozenset({"message", "formatted", "params"})
USER_KEYS = frozenset({"id", "username", "email", "ip_address", "name", "data", "geo", "segment"})
FRAME_KEYS = frozenset({"lineno", "colno", "in_app", "stack_start", "vars", *SOURCE_KEYS, *FRAME_NAMES})
REQUEST_KEYS = frozenset({"url", "method", "headers", "data", "query_string", "env"})  # cookies: each value is secret
THREAD_KEYS = frozenset({"id", "name", "crashed", "current", "main", "values"})
MEASUREMENT_KEYS = frozenset({"value", "unit"})

_DEEPEST = 40
_REMARKS = frozenset({"!limit", "!raw", "!config", "x", "s"})


def meta_for(meta: Any, clean: Any, depth: int = 0) -> dict[str, Any]:
    """The `_meta` of a redacted event: it has no key but the event's own, and no text but the protocol's."""
    if not isinstance(meta, dict) or depth > _DEEPEST:
        return {}
    made: dict[str, Any] = {}
    for key, value in meta.items():
        if key == "":
            mark = _mark(value)
        elif isinstance(clean, dict) and key in clean:
            mark = meta_for(value, clean[key], depth + 1)
        elif isinstance(clean, list) and key.isdecimal() and int(key[:9]) < len(clean):
            mark = meta_for(value, clean[int(key[:9])], depth + 1)
        else:
            continue
        if mark:
            made[key] = mark
    return made


def _mark(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    made: dict[str, Any] = {}
    if type(value.get("len")) is int:
        made["len"] = value["len"]
    remarks = value.get("rem")
    if isinstance(remarks, list) and all(
        isinstance(remark, list) and all(map(_is_remark, remark)) for remark in remarks
    ):
        made["rem"] = remarks
    return made


def _is_remark(part: Any) -> bool:
    return type(part) is int or (isinstance(part, str) and part in _REMARKS)


Event = dict[str, Any]
Reader = Callable[[Any], Any]

MOST_STEPS = 1_500_000
"""What masking an event may cost: letters of its texts, times what is looked for in them. Beyond, texts are dropped."""

# Made by the SDK or by us, from nothing that a person or a plugin said.
_FIXED = ("event_id", "timestamp", "start_timestamp", "platform", "level", "sdk", "modules", "type",
    "transaction_info", "check_in_id", "duration", "status")  # fmt: skip
# Names, in which something@somewhere is no mail address.
_NAMES = ("release", "environment", "server_name", "dist")
_NAMES_BY_CODE = ("transaction", "logger")  # the code may have made them of what somebody typed
_ANY_TEXT = ("extra", "fingerprint", "message", "monitor_slug", "monitor_config", "debug_meta")
_PERSON_NAMES = ("id", "username")
# What is masked first, should there be too much.
_FIRST = ("exception", "fingerprint", "logentry", "tags", "user", "transaction")
_ADDRESS_PARTS = ("http.query", "http.fragment")


_NO_READERS: Mapping[str, Reader] = {}


class Redaction:
    """The masking of one event.

    Args:
        mask: hides the words of the command, None when there are none to hide.
        own: what we ourselves have put in (tags, names of the person), which may stay although it was typed.
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
        self._readers: dict[str, Reader] = {
            **dict.fromkeys(_FIXED, lambda value: value),
            **dict.fromkeys(_NAMES, self._name),
            **dict.fromkeys(_NAMES_BY_CODE, self._name_by_code),
            **dict.fromkeys(_ANY_TEXT, self.value),
            "exception": lambda value: self._listed(value, self._exception),
            "threads": lambda value: self._listed(value, self._thread),
            "tags": self._tags,
            "user": self._user,
            "request": self._request,
            "breadcrumbs": lambda value: self._listed(self._without_queries(value), self._breadcrumb),
            "spans": lambda value: self._listed(self._without_queries(value), self._span),
            "contexts": self._contexts,
            "logentry": lambda value: self._fields(value, LOGENTRY_KEYS),
            "measurements": self._measurements,
        }

    def event(self, event: Event) -> Event:
        """All of an event."""
        ordered = {key: event[key] for key in sorted(event, key=lambda key: key not in _FIRST) if key != "_meta"}
        clean: Event = self._fields(ordered, (), self._readers)
        meta = meta_for(event.get("_meta"), clean)
        if meta:
            meta.pop("breadcrumbs", None)  # they are put into another order
            clean["_meta"] = meta
        return clean

    def value(self, value: Any) -> Any:
        """Any JSON-like value."""
        return cleaned(value, self.text)

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

    def _fields(self, value: Any, fixed: Collection[str], readers: Mapping[str, Reader] = _NO_READERS) -> Any:
        """A mapping: what is under a key of `readers` is what that makes of it, and keys of `fixed` stay. Any other
        key may have been made of what somebody typed."""
        if not isinstance(value, dict):
            return self.value(value)
        clean: dict[str, Any] = {}
        for key, part in value.items():
            if key in readers:
                clean[key] = readers[key](part)
            elif key in fixed:
                clean[key] = self.value(part)
            else:
                clean.update(self.value({key: part}))
        return clean

    def _listed(self, value: Any, item: Reader) -> Any:
        """A list, plain or as `values`, with each of its items cleaned as an item of it."""
        if isinstance(value, list):
            return [item(part) for part in value]
        if not isinstance(value, dict) or not isinstance(value.get("values"), list):
            return self.value(value)
        return {"values": [item(part) for part in value["values"]]}

    def _breadcrumb(self, value: Any) -> Any:
        return self._fields(value, BREADCRUMB_KEYS)

    def _span(self, value: Any) -> Any:
        return self._fields(value, SPAN_KEYS)

    def _measurements(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return self.value(value)
        return {self.text(str(name)): self._fields(part, MEASUREMENT_KEYS) for name, part in value.items()}

    def _contexts(self, value: Any) -> Any:
        return self._fields(value, (), dict.fromkeys(CONTEXT_NAMES, lambda part: self._fields(part, CONTEXT_KEYS)))

    def _name(self, value: Any) -> Any:
        return self._scrubber.text(value, mails=False) if isinstance(value, str) else self.value(value)

    def _name_by_code(self, value: Any) -> Any:
        clean = self._name(value)
        return self.without_words(clean) if isinstance(value, str) and value not in self._own else clean

    def _without_queries(self, value: Any) -> Any:
        """Requests that plugins made, without their queries, which may be anybody's words, as in `_request`."""
        items = value.get("values") if isinstance(value, dict) else value
        if self._chat_text == SEND or not isinstance(items, list):
            return value
        for item in items:
            data = item.get("data") if isinstance(item, dict) else None
            if isinstance(data, dict):
                for part in _ADDRESS_PARTS:
                    data.pop(part, None)
        return value

    def _exception(self, value: Any) -> Any:
        drop = self._chat_text == DROP
        name = self._name_by_code if drop else self._name
        return self._fields(
            value,
            (),
            {
                "stacktrace": self._stacktrace,
                # In mode "scrub" the exception's own text is the one place where a person's words may be repeated.
                "value": self.value if drop else lambda part: cleaned(part, self._without_secrets),
                "type": name,
                "module": name,
                "mechanism": lambda part: self._fields(part, MECHANISM_KEYS),
            },
        )

    def _thread(self, value: Any) -> Any:
        return self._fields(value, THREAD_KEYS, {"stacktrace": self._stacktrace})

    def _stacktrace(self, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("frames"), list):
            return self.value(value)
        others = self.value({key: part for key, part in value.items() if key != "frames"})
        return {**others, "frames": [self._frame(frame) for frame in value["frames"] if isinstance(frame, dict)]}

    def _frame(self, frame: Event) -> Event:
        readers: dict[str, Reader] = dict.fromkeys(FRAME_NAMES, self._name)
        readers["vars"] = lambda part: self._variables(part, frame)
        fields = {key: part for key, part in frame.items() if key not in SOURCE_KEYS}
        return {**self._fields(fields, FRAME_KEYS, readers), **self._source(frame)}

    def _variables(self, value: Any, frame: Event) -> Any:
        """Local variables. The names in a function are its code's; a module's, or what `exec` gets, may be anything."""
        if not isinstance(value, dict):
            return self.value(value)
        by_code = frame.get("function") != "<module>"
        return {
            name if by_code and name.isidentifier() else self.text(name): FILTERED
            if is_sensitive_name(name)
            else self.value(part)
            for name, part in value.items()
        }

    def _source(self, frame: Event) -> Event:
        """The lines around the error, cleaned in one piece: brackets and texts go over several of them."""
        found = {key: frame[key] for key in SOURCE_KEYS if frame.get(key)}
        lines: list[str] = []
        for value in found.values():
            flat = value if isinstance(value, list) else [value]
            lines += [" ".join(line.splitlines()) if isinstance(line, str) else "" for line in flat]
        if not lines:
            return {}
        window = "\n".join(lines)
        if not self._afford(len(window)):
            return {}
        clean = iter(self._scrubber.source(window).split("\n"))
        return {
            key: [next(clean) for _ in value] if isinstance(value, list) else next(clean)
            for key, value in found.items()
        }

    def _tags(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return self.value(value)
        ours = {
            key: self._name
            for key, part in value.items()
            if key.startswith(("bot.", "errbot.")) and str(part) in self._own
        }
        return self._fields(value, (), ours)

    def _user(self, value: Any) -> Any:
        return self._fields(value, USER_KEYS, dict.fromkeys(_PERSON_NAMES, self._name_by_code))

    def _request(self, value: Any) -> Any:
        """Of a web request only its address and headers, unless everything people say may be sent."""
        if not isinstance(value, dict):
            return self.value(value)
        fields = dict(value)
        if self._chat_text != SEND:
            for key in ("data", "query_string", "cookies", "env"):
                fields.pop(key, None)
            if isinstance(fields.get("url"), str):
                fields["url"] = fields["url"].partition("?")[0]
        return self._fields(fields, REQUEST_KEYS)
