"""What leaves of an event: every text of it masked as its place wants, notes without foreign keys, and a budget."""

from __future__ import annotations

import json
from typing import Any

import pytest

from errbot_sentry.reporting.redact.chat_redaction import CHAT, ChatMask
from errbot_sentry.reporting.redact.redaction import Redaction
from errbot_sentry.reporting.redact.scrubber import FILTERED, Scrubber

TOKEN = "sntrys_0123456789abcdef"


def redaction(typed: str = "", chat_text: str = "drop", **options: Any) -> Redaction:
    return Redaction(Scrubber(), ChatMask((typed,)) if typed else None, chat_text, **options)


def everywhere(text: str) -> dict[str, Any]:
    """An event that has this text in every field of the protocol, as a key and as a value."""
    both = {text: text, "list": [text, {text: [text]}]}
    frame = {"filename": "a.py", "function": "<module>", "lineno": 1, "context_line": f"x = '{text}'", "vars": both}
    frame |= {"pre_context": [f'"{text}"'], "post_context": [f"# {text}"], text: text, "deeper": both}
    trace = {"frames": [frame], text: text, "registers": both}
    error = {
        "type": text,
        "module": text,
        "value": f"about {text}",
        "mechanism": {"type": "x", "data": both, text: text},
    }
    crumb = {"type": "default", "category": text, "message": text, "data": both, text: text}
    places = ("extra", "tags", "contexts", "user", "request", "measurements", "logentry", "debug_meta", "unknown", text)
    event: dict[str, Any] = {place: dict(both) for place in places}
    event["exception"] = {"values": [{**error, "stacktrace": trace, text: text}], text: text}
    event["threads"] = {"values": [{"id": 1, "name": text, "stacktrace": trace, text: text}]}
    event["breadcrumbs"] = {"values": [crumb, text, [text]]}
    event["spans"] = [{"op": text, "description": text, "data": both, text: text}]
    event["contexts"]["trace"] = {"trace_id": "0" * 32, "data": both, text: text}
    event |= {"transaction": text, "logger": text, "fingerprint": [text], "message": text}
    return event


@pytest.mark.parametrize("text", [TOKEN, "PRIVATE_WORD"])
def test_no_place_of_an_event_lets_a_text_pass(text: str) -> None:
    event = everywhere(text)
    event["_meta"] = _marked(event)
    clean = redaction(f"!do {text}").event(event)
    if text != TOKEN:  # words in the code itself were not typed
        for part in ("exception", "threads"):
            (frame,) = clean[part]["values"][0]["stacktrace"]["frames"]
            for key in ("pre_context", "context_line", "post_context"):
                del frame[key]
    assert text not in json.dumps(clean)


def _marked(value: Any) -> dict[str, Any]:
    marks: dict[str, Any] = {"": {"len": 5, "rem": [["!limit", "x", 0, 5]], "err": [TOKEN]}}
    if isinstance(value, dict):
        marks |= {key: _marked(part) for key, part in value.items()}
    if isinstance(value, list):
        marks |= {str(number): _marked(part) for number, part in enumerate(value)}
    return marks


def test_the_marks_have_the_keys_of_the_event() -> None:
    event = everywhere(TOKEN)
    event["_meta"] = _marked(event)
    clean = redaction().event(event)
    marks = clean["_meta"]
    assert marks[""] == {"len": 5, "rem": [["!limit", "x", 0, 5]]}
    assert "list" in marks["extra"]
    _same_keys(marks, clean)


def _same_keys(marks: dict[str, Any], clean: Any) -> None:
    for key, value in marks.items():
        if key != "":
            _same_keys(value, clean[int(key)] if isinstance(clean, list) else clean[key])


@pytest.mark.parametrize("word", ["message", "values", "type", "data", "trace", "frames", "lineno", "task", "vars"])
def test_who_types_a_word_of_the_protocol_breaks_no_event(word: str) -> None:
    shape = {"exception": {"values": [{"type": "E", "value": "x", "mechanism": {"type": "logging", "handled": True},
        "stacktrace": {"frames": [{"lineno": 3, "function": "f", "vars": {"data": "1"}}]}}]},
        "breadcrumbs": {"values": [{"type": "x", "message": "x", "data": {}}]}, "contexts": {"trace": {"data": {}}},
        "transaction_info": {"source": "task"}, "logentry": {"message": "x"}}  # fmt: skip
    clean = redaction(f"!do {word}").event(shape)
    frame = clean["exception"]["values"][0]["stacktrace"]["frames"][0]
    assert (frame["lineno"], list(frame["vars"])) == (3, ["data"])
    assert clean["exception"]["values"][0]["mechanism"]["handled"] is True
    assert clean["breadcrumbs"]["values"][0].keys() == {"type", "message", "data"}
    assert clean["contexts"]["trace"] == {"data": {}}
    assert clean["transaction_info"] == {"source": "task"}


def test_past_the_budget_texts_are_dropped_and_the_error_stays() -> None:
    event = everywhere("a text")
    event["extra"] = {"long": ["PRIVATE_WORD " * 700] * 300}
    event["message"] = "another text"
    clean = redaction("!do PRIVATE_WORD").event(event)
    assert "PRIVATE_WORD" not in json.dumps(clean)
    assert CHAT in clean["extra"]["long"][0]
    assert clean["extra"]["long"][-1] == FILTERED
    assert clean["message"] == FILTERED
    assert clean["fingerprint"] == ["a text"]
    assert clean["exception"]["values"][0]["value"] == "about a text"
    assert clean["exception"]["values"][0]["stacktrace"]["frames"][0]["filename"] == "a.py"


def test_the_budget_counts_what_is_looked_for_too() -> None:
    texts = ["x" * 8000] * 80
    assert FILTERED not in redaction("!do a thing").value(texts)
    assert redaction("!do " + " ".join(f"thing{number}" for number in range(300))).value(texts)[-1] == FILTERED
