"""Reads exceptions from printed tracebacks, because Errbot logs load errors of plugins only as text (bootstrap.py)."""

from __future__ import annotations

import linecache
import re
import traceback
from types import TracebackType
from typing import Any

from errbot_sentry.reporting.collect.event_filter import name_of_type

_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s+File "(?P<path>.+?)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_END = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<value>.*))?$")
_CHAINED = re.compile(r"(?:During handling of the above exception|The above exception was the direct cause)[^\n]*\s*\Z")
_CONTEXT_LINES = 5
_MOST_FRAMES = 100


def exceptions_in(text: str) -> list[list[dict[str, Any]]]:
    """The failures in a text, each as a chain of exceptions in Sentry's form, with the one raised last at the end."""
    pieces = text.split(_TRACEBACK)
    chains: list[list[dict[str, Any]]] = []
    before = pieces[0]
    for piece in pieces[1:]:
        error = _exception(piece)
        if error is not None:
            if chains and _CHAINED.search(before):
                chains[-1].append(error)
            else:
                chains.append([error])
        before = piece
    return chains


def unread_exception(kind: type, position: TracebackType | None) -> dict[str, Any]:
    """An exception whose attributes raise errors when they are read: only its type, and the frames that led to it."""
    module, name = name_of_type(kind)
    frames = traceback.extract_tb(position, limit=-_MOST_FRAMES)
    return {
        "type": name,
        "module": module or None,
        "value": "",
        "mechanism": {"type": "logging", "handled": True},
        "stacktrace": {"frames": [_frame(frame.filename, frame.lineno or 0, frame.name) for frame in frames]},
    }


def _exception(piece: str) -> dict[str, Any] | None:
    frames: list[dict[str, Any]] = []
    lines = piece.splitlines()
    for number, line in enumerate(lines):
        match = _FRAME.match(line)
        if match:
            frames.append(_frame(match["path"], int(match["line"]), match["function"] or "<module>"))
            continue
        end = _END.match(line) if frames else None
        if end:
            value = [end["value"] or "", *_until_empty(lines[number + 1 :])]
            module, _, name = end["type"].rpartition(".")
            return {
                "type": name,
                "module": module or None,
                "value": "\n".join(value).strip(),
                "mechanism": {"type": "logging", "handled": True},
                "stacktrace": {"frames": frames},
            }
    return None


def _until_empty(lines: list[str]) -> list[str]:
    """The further lines of an exception's text, which ends at the first empty line."""
    text = []
    for line in lines:
        if not line.strip():
            break
        text.append(line)
    return text


def _frame(path: str, line: int, function: str) -> dict[str, Any]:
    frame = {"filename": path.rpartition("/")[2], "abs_path": path, "function": function, "lineno": line}
    return add_source(frame)


def add_source(frame: dict[str, Any]) -> dict[str, Any]:
    """The frame with the source lines around its own line, if the file can be read."""
    line = frame.get("lineno") or 0
    lines = [text.rstrip("\r\n") for text in linecache.getlines(frame.get("abs_path") or "")]
    if 0 < line <= len(lines):
        frame["pre_context"] = lines[max(0, line - 1 - _CONTEXT_LINES) : line - 1]
        frame["context_line"] = lines[line - 1]
        frame["post_context"] = lines[line : line + _CONTEXT_LINES]
    return frame
