"""Masks events: each text in an event by the rules for its field.

A `Redaction` is made for one event, with the typed words of the event's command. Unknown fields are masked like any
text. It works on the event as the SDK's serializer returns it: plain dicts, lists and texts in the shape of
https://develop.sentry.dev/sdk/data-model/event-payloads/.

The SDK stores the lengths of shortened values beside the event (`_meta`), before anything is masked. There, the path to
each such value contains its keys unmasked. So `_meta` is built again from the masked event.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from errbot_sentry.reporting.redact.chat_redaction import DROP, SEND, ChatMask
from errbot_sentry.reporting.redact.scrubber import FILTERED, Scrubber, cleaned, is_sensitive_name

SOURCE_KEYS = ("pre_context", "context_line", "post_context")
FRAME_NAMES = ("filename", "abs_path", "function", "module")

# The protocol's own keys. They stay even if somebody typed such a word: without them, the server cannot read the event.
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
REQUEST_KEYS = frozenset({"url", "method", "headers", "data", "query_string", "env"})  # not cookies, which are secret
THREAD_KEYS = frozenset({"id", "name", "crashed", "current", "main", "values"})
MEASUREMENT_KEYS = frozenset({"value", "unit"})

_DEEPEST = 40
_REMARKS = frozenset({"!limit", "!raw", "!config", "x", "s"})


def meta_for(meta: Any, clean: Any, depth: int = 0) -> dict[str, Any]:
    """The `_meta` for a redacted event. It only has keys that the event has, and only texts of the protocol."""
    if not isinstance(meta, dict) or depth > _DEEPEST:
        return {}
    clean_meta: dict[str, Any] = {}
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
            clean_meta[key] = mark
    return clean_meta


def _mark(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    mark: dict[str, Any] = {}
    if type(value.get("len")) is int:
        mark["len"] = value["len"]
    remarks = value.get("rem")
    if isinstance(remarks, list) and all(
        isinstance(remark, list) and all(map(_is_remark, remark)) for remark in remarks
    ):
        mark["rem"] = remarks
    return mark


def _is_remark(part: Any) -> bool:
    return type(part) is int or (isinstance(part, str) and part in _REMARKS)


Event = dict[str, Any]
Reader = Callable[[Any], Any]

MOST_STEPS = 1_500_000
"""The budget for masking an event: characters of text, times `ChatMask.price`. Texts beyond it are hidden entirely."""

# Fields that the SDK or we fill, without any text of a person or a plugin.
_FIXED = ("event_id", "timestamp", "start_timestamp", "platform", "level", "sdk", "modules", "type",
    "transaction_info", "check_in_id", "duration", "status")  # fmt: skip
# Names, in which something@somewhere is not a mail address.
_NAMES = ("release", "environment", "server_name", "dist")
_NAMES_BY_CODE = ("transaction", "logger")  # code may build these from typed words
_ANY_TEXT = ("extra", "fingerprint", "message", "monitor_slug", "monitor_config", "debug_meta")
_PERSON_NAMES = ("id", "username")
# The fields that are masked first, in case the budget is too small for all.
_FIRST = ("exception", "fingerprint", "logentry", "tags", "user", "transaction")
_ADDRESS_PARTS = ("http.query", "http.fragment")


_NO_READERS: Mapping[str, Reader] = {}


class Redaction:
    """The masking of one event.

    Args:
        mask: masks the typed words of the command; None if there are none.
        own: names that we have added (tags, the person's names), which stay even if somebody typed them.
        most_steps: the budget, see MOST_STEPS.
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
        """The masked event."""
        ordered = {key: event[key] for key in sorted(event, key=lambda key: key not in _FIRST) if key != "_meta"}
        clean: Event = self._fields(ordered, (), self._readers)
        meta = meta_for(event.get("_meta"), clean)
        if meta:
            meta.pop("breadcrumbs", None)  # its positions would be wrong: ours are added to the event later
            clean["_meta"] = meta
        return clean

    def value(self, value: Any) -> Any:
        """A masked JSON-like value."""
        return cleaned(value, self.text)

    def text(self, text: str) -> str:
        """A text without secrets and typed words."""
        return self.without_words(self._without_secrets(text))

    def without_words(self, text: str) -> str:
        """A text, in which secrets are masked already, without typed words; the same object if it has none."""
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
        """Mask a mapping.

        A value whose key is in `readers` is masked by that reader. Keys in `fixed` stay. Any other key is masked too,
        because it may consist of typed words.
        """
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
        """A list, plain or in a dict as `values`, with each item masked by `item`."""
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
        """Breadcrumbs or spans without the queries of requests that plugins made: these may contain typed words."""
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
                # In mode "scrub", only the exception's own text may contain typed words.
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
        """Mask local variables.

        The names in a function come from its code. Those in a module, or in what `exec` runs, may be any text, so they
        are masked.
        """
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
        """The source lines around the error, masked together, because brackets and texts may span several lines."""
        source = {key: frame[key] for key in SOURCE_KEYS if frame.get(key)}
        lines: list[str] = []
        for value in source.values():
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
            for key, value in source.items()
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
        """Mask a web request. Unless typed words may be sent, its body, query, cookies and environment are removed."""
        if not isinstance(value, dict):
            return self.value(value)
        fields = dict(value)
        if self._chat_text != SEND:
            for key in ("data", "query_string", "cookies", "env"):
                fields.pop(key, None)
            if isinstance(fields.get("url"), str):
                fields["url"] = fields["url"].partition("?")[0]
        return self._fields(fields, REQUEST_KEYS)
