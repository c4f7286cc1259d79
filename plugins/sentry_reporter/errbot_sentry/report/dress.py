"""The last hand on an event before it leaves: who and where, breadcrumbs, counts, and then the scrubbing.

Works on the event as the SDK's serializer left it, plain dicts, lists and texts, in the shape of
https://develop.sentry.dev/sdk/data-model/event-payloads/.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from errbot_sentry.report.about import About
from errbot_sentry.report.chatmask import CHAT, mask_of
from errbot_sentry.report.context import COMMAND, BotContext
from errbot_sentry.report.repeats import Tally
from errbot_sentry.report.scrub import FILTERED, Scrubber, is_sensitive_name
from errbot_sentry.report.trail import DROP, SEND, Trail

Event = dict[str, Any]
Mask = Callable[[str], str]

# Made by the SDK or by us from nothing that a person or a plugin said.
_OWN = frozenset({"event_id", "timestamp", "start_timestamp", "platform", "level", "sdk", "modules", "type", "_meta",
    "transaction_info", "measurements", "check_in_id", "duration", "status"})  # fmt: skip
# Names, in which something@somewhere is no mail address.
_NAMES = frozenset({"release", "environment", "server_name", "dist", "transaction", "logger"})
_NAMES_BY_CODE = frozenset({"transaction", "logger"})  # which may have made them of what somebody typed
_ADDRESS_PARTS = ("http.query", "http.fragment")
_KEY_BEGINS, _KEY_ENDS = "-----BEGIN ", "-----END "
_SOURCE = ("pre_context", "context_line", "post_context")
_PERSON_NAMES = frozenset({"id", "username"})


class Dresser:
    """Knows the bot, the rules and the trail; `dress` is given one event at a time and may be called by any thread."""

    def __init__(self, about: About, scrubber: Scrubber, chat_text: str, trail: Trail) -> None:
        self._about = about
        self._scrubber = scrubber
        self._chat_text = chat_text
        self._trail = trail

    def dress(self, event: Event, where: BotContext, earlier: Tally | None = None, sentence: str = "") -> Event:
        """The event complete and scrubbed. `sentence` is what was logged along with an exception."""
        mask = self._mask(where)
        self._add_place(event, where)
        self._add_tally(event, earlier)
        if sentence:
            event.setdefault("contexts", {})["log"] = {"sentence": sentence}
        clean = self._scrub(event, mask, where.transaction)
        if event.get("type") not in ("transaction", "check_in"):
            self._add_trail(clean, where, mask)
        return clean

    def dress_transaction(self, event: Event, where: BotContext) -> Event:
        """A transaction complete and scrubbed; the time a command took is also a measurement of its own."""
        if where.kind == COMMAND:
            taken = _milliseconds(event.get("start_timestamp"), event.get("timestamp"))
            if taken is not None:
                event.setdefault("measurements", {})["command.duration"] = {"value": taken, "unit": "millisecond"}
        return self.dress(event, where)

    def _mask(self, where: BotContext) -> Mask | None:
        if self._chat_text == SEND or not where.typed:
            return None
        return mask_of(where.typed, (where.asked or where.command, where.plugin)) or None

    def clean(self, item: Any, where: BotContext) -> Any:
        """What is no event (a log, a metric, an attached text): a text or JSON-like value, scrubbed."""
        return self._scrubber.value(item, self._mask(where))

    def _add_place(self, event: Event, where: BotContext) -> None:
        plugin = where.plugin or (self._about.plugin_of(where.command) if where.command else "")
        own = {
            "bot.backend": self._about.backend,
            "errbot.version": self._about.errbot_version,
            "bot.command": where.command,
            "bot.plugin": plugin,
            "bot.room": where.room,
            "bot.entry": where.entry,
        }
        tags = event.get("tags")
        event["tags"] = {**(tags if isinstance(tags, dict) else {}), **{key: held for key, held in own.items() if held}}
        if where.person:
            person = {"id": where.person, "username": where.nick or where.person}
            event["user"] = {**person, **(event.get("user") or {})}
        if where.transaction and event.get("type") != "transaction":
            event["transaction"] = where.transaction
            event["transaction_info"] = {"source": "task" if where.kind == COMMAND else "component"}
        contexts = event.setdefault("contexts", {})
        contexts["errbot"] = {"type": "errbot", "version": self._about.errbot_version, "backend": self._about.backend}
        if plugin:
            contexts["plugin"] = {"type": "plugin", "name": plugin, "module": where.module, "kind": where.kind}
        if self._chat_text == SEND and where.typed and not where.asked:
            contexts["chat"] = {"type": "chat", "message": where.typed[0]}

    @staticmethod
    def _add_tally(event: Event, earlier: Tally | None) -> None:
        if earlier is None:
            return
        event["tags"]["repeated"] = str(earlier.count)
        event.setdefault("contexts", {})["repeats"] = {
            "type": "repeats",
            "count": earlier.count,
            "seconds": round(earlier.last - earlier.first, 3),
        }

    def _add_trail(self, event: Event, where: BotContext, mask: Mask | None) -> None:
        ours = self._trail.of(where.person, mask)
        crumbs = event.get("breadcrumbs")
        theirs = crumbs.get("values") if isinstance(crumbs, dict) else None
        if theirs:
            ours = sorted([*ours, *theirs], key=lambda crumb: str(crumb.get("timestamp", "")))[-max(len(ours), 100) :]
        event["breadcrumbs"] = {"values": ours}

    def _scrub(self, event: Event, mask: Mask | None, own_name: str) -> Event:
        clean: Event = {}
        for key, held in event.items():
            if key in _OWN:
                clean[key] = held
            elif key == "exception":
                clean[key] = self._exceptions(held, mask)
            elif key == "threads":
                clean[key] = self._threads(held, mask)
            elif key == "tags":
                clean[key] = self._tags(held, mask)
            elif key == "user":
                clean[key] = self._user(held)
            elif key == "request":
                clean[key] = self._request(held, mask)
            elif key in _NAMES:
                clean[key] = self._name(held, mask if key in _NAMES_BY_CODE and held != own_name else None)
            elif key in ("breadcrumbs", "spans"):
                clean[key] = self._scrubber.value(self._without_queries(held), mask)
            else:
                clean[key] = self._scrubber.value(held, mask)
        return clean

    def _name(self, held: Any, mask: Mask | None) -> Any:
        if not isinstance(held, str):
            return held
        clean = self._scrubber.text(held, mails=False)
        return clean if mask is None else mask(clean)

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

    def _exceptions(self, held: Any, mask: Mask | None) -> Any:
        values = held.get("values") if isinstance(held, dict) else held
        if not isinstance(values, list):
            return self._scrubber.value(held, mask)
        # In mode "scrub" the exception's own text is the one place where a person's words may be repeated.
        value_mask = mask if self._chat_text == DROP else None
        return {"values": [self._exception(value, mask, value_mask) for value in values]}

    def _exception(self, held: Any, mask: Mask | None, value_mask: Mask | None) -> Any:
        if not isinstance(held, dict):
            return self._scrubber.value(held, mask)
        clean = {}
        for key, part in held.items():
            if key == "stacktrace":
                clean[key] = self._stacktrace(part, mask)
            elif key == "value":
                clean[key] = self._scrubber.value(part, value_mask)
            elif key in ("type", "module"):
                clean[key] = self._name(part, value_mask)
            else:
                clean[key] = self._scrubber.value(part, mask)
        return clean

    def _threads(self, held: Any, mask: Mask | None) -> Any:
        if not isinstance(held, dict) or not isinstance(held.get("values"), list):
            return self._scrubber.value(held, mask)
        return {
            "values": [
                {
                    **self._scrubber.value({key: part for key, part in value.items() if key != "stacktrace"}, mask),
                    "stacktrace": self._stacktrace(value.get("stacktrace"), mask),
                }
                for value in held["values"]
                if isinstance(value, dict)
            ]
        }

    def _stacktrace(self, held: Any, mask: Mask | None) -> Any:
        if not isinstance(held, dict) or not isinstance(held.get("frames"), list):
            return held if held is None else self._scrubber.value(held, mask)
        return {**held, "frames": [self._frame(frame, mask) for frame in held["frames"] if isinstance(frame, dict)]}

    def _frame(self, frame: Event, mask: Mask | None) -> Event:
        scrubber = self._scrubber
        clean = dict(frame)
        for key in ("filename", "abs_path", "function", "module"):
            held = frame.get(key)
            if isinstance(held, str):
                clean[key] = scrubber.text(held, mails=False)
        clean.update(self._source(frame))
        found = frame.get("vars")
        if isinstance(found, dict):
            clean["vars"] = {
                name: FILTERED if is_sensitive_name(name) else scrubber.value(held, mask)
                for name, held in found.items()
            }
        return clean

    def _source(self, frame: Event) -> Event:
        """The lines around the error; a key that goes over several of them has its shape only in all of them."""
        lines = {key: frame[key] for key in _SOURCE if frame.get(key)}
        flat = [line for held in lines.values() for line in (held if isinstance(held, list) else [held])]
        if any(_KEY_BEGINS in str(line) or _KEY_ENDS in str(line) for line in flat):
            return dict.fromkeys(lines, FILTERED) | {key: [FILTERED] for key in lines if key != "context_line"}
        scrub = self._scrubber.source
        return {
            key: scrub(held)
            if isinstance(held, str)
            else [scrub(line) if isinstance(line, str) else line for line in held]
            for key, held in lines.items()
            if isinstance(held, (str, list))
        }

    def _tags(self, held: Any, mask: Mask | None) -> Any:
        if not isinstance(held, dict):
            return self._scrubber.value(held, mask)
        clean = {}
        for key, value in held.items():
            if key.startswith("bot.") or key == "errbot.version":
                clean[key] = self._scrubber.text(str(value), mails=False)
            elif is_sensitive_name(key):
                clean[key] = FILTERED
            else:
                clean[key] = self._scrubber.value(value, mask)
        return clean

    def _user(self, held: Any) -> Any:
        if not isinstance(held, dict):
            return self._scrubber.value(held)
        return {
            key: self._scrubber.text(value, mails=key not in _PERSON_NAMES)
            if isinstance(value, str)
            else self._scrubber.value(value)
            for key, value in held.items()
        }

    def _request(self, held: Any, mask: Mask | None) -> Any:
        """Of a web request only its address and headers, unless everything people say may be sent."""
        if not isinstance(held, dict):
            return self._scrubber.value(held, mask)
        kept = dict(held)
        if self._chat_text != SEND:
            for key in ("data", "query_string", "cookies", "env"):
                kept.pop(key, None)
            if isinstance(kept.get("url"), str):
                kept["url"] = kept["url"].partition("?")[0]
        return self._scrubber.value(kept, mask)


def _milliseconds(start: object, end: object) -> float | None:
    try:
        began, ended = (datetime.fromisoformat(str(at).replace("Z", "+00:00")) for at in (start, end))
    except ValueError:
        return None
    return round((ended - began).total_seconds() * 1000, 3)


def bare(event: Event) -> Event:
    """What may leave of an event that could not be dressed: that it happened, and the types of its exceptions."""
    values = (event.get("exception") or {}).get("values") or []
    kept: Event = {key: event[key] for key in ("event_id", "timestamp", "platform", "level", "sdk") if key in event}
    kept["exception"] = {
        "values": [{"type": str(value.get("type")), "value": CHAT} for value in values if isinstance(value, dict)]
    }
    return kept
