"""Formats a stack trace as text, in Python's order: the most recent call is last.

The program's own frames are shown with source, frames of libraries are folded. The lines are for a fenced code block,
so they contain no markup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from errbot_sentry.domain.issues import Event, ExceptionInfo, Frame
from errbot_sentry.domain.text import one_line, short_path, whole_words

SHORT_LINES = 30
FULL_LINES = 100
LONGEST_LINE = 180
_SHORT_VARIABLES = 8
_LAST_FOREIGN = 3


@dataclass(frozen=True)
class Detail:
    """How much of a trace to show.

    `around_failing` and `around_others` are the lines of source around the line of the failing frame and of the other
    frames. `variables` is how many variables are shown, and `fold` hides library frames. `mask` gets a variable's name
    and value, and returns the value to show; `mask_text` does so for an exception's text, and `mask_source` for lines
    of source, whose number it keeps.
    """

    around_failing: int
    around_others: int
    variables: int
    fold: bool
    mask: Callable[[str, str], str] = lambda _name, value: value
    mask_text: Callable[[str], str] = lambda text: text
    mask_source: Callable[[str], str] = lambda lines: lines


SHORT = Detail(around_failing=2, around_others=0, variables=_SHORT_VARIABLES, fold=True)
ALERT = Detail(around_failing=0, around_others=0, variables=0, fold=True)  # no variables, since nobody asked for them
FULL = Detail(around_failing=20, around_others=5, variables=200, fold=False)


def trace_lines(event: Event, detail: Detail) -> list[str]:
    """All lines of the trace, one exception of the chain after the other; the one raised last is at the end."""
    lines: list[str] = []
    for number, error in enumerate(event.exceptions):
        last = number == len(event.exceptions) - 1
        if number:
            lines.append("and then:")
        lines += _exception_lines(error, detail, with_variables=last or not detail.fold)
    return lines


def shortened(lines: Sequence[str], most: int) -> list[str]:
    """The last `most` lines, as the end of a trace says most. The first line counts the lines that are left out."""
    if len(lines) <= most:
        return list(lines)
    return [f"… {len(lines) - most + 1} lines before this", *lines[-(most - 1) :]]


def failing_frame(error: ExceptionInfo) -> Frame | None:
    """The most recent frame of the program itself, or of all frames if none is the program's own."""
    own = [frame for frame in error.frames if frame.in_app]
    return next(reversed(own or error.frames), None)


def frame_words(event: Event) -> str:
    """Where the last exception was raised, such as `cart.py:12 in checkout`; "" if the event has no exception."""
    frame = failing_frame(event.exceptions[-1]) if event.exceptions else None
    if frame is None:
        return ""
    line = "" if frame.line is None else f":{frame.line}"
    return _bounded(f"{one_line(short_path(frame.filename) or frame.module)}{line} in {one_line(frame.function)}")


def _exception_lines(error: ExceptionInfo, detail: Detail, *, with_variables: bool) -> Iterator[str]:
    failing = failing_frame(error)
    for shown, frames in groupby(error.frames, lambda frame: _is_shown(frame, error, detail)):
        group = list(frames)
        if not shown:
            yield f"  … {len(group)} library frame{'' if len(group) == 1 else 's'}"
            continue
        for frame in group:
            variables = with_variables and (frame is failing or not detail.fold)
            yield from _frame_lines(frame, detail, is_failing=frame is failing, with_variables=variables)
    yield _bounded(f"{error.type}: {detail.mask_text(error.value)}" if error.value else error.type)


def _is_shown(frame: Frame, error: ExceptionInfo, detail: Detail) -> bool:
    """Whether a frame is shown: the program's own frames are, or the last few if there are none."""
    if not detail.fold or frame.in_app:
        return True
    if any(other.in_app for other in error.frames):
        return False
    return any(frame is last for last in error.frames[-_LAST_FOREIGN:])


def _frame_lines(frame: Frame, detail: Detail, *, is_failing: bool, with_variables: bool) -> Iterator[str]:
    line = "" if frame.line is None else f":{frame.line}"
    mark = "" if frame.in_app or detail.fold else " (library)"
    yield _bounded(
        f"  {one_line(short_path(frame.filename) or frame.module)}{line} in {one_line(frame.function)}{mark}"
    )
    around = detail.around_failing if is_failing else detail.around_others
    for number, text in source_lines(frame, detail.mask_source):
        if frame.line is None or abs(number - frame.line) <= around:
            pointer = ">" if number == frame.line else " "
            yield _bounded(f"  {pointer} {number:>4} {text.rstrip()}")
    if with_variables:
        # Python's own variables (`__name__` …) would fill a module's frame, and say nothing about the error.
        chosen = [(name, value) for name, value in frame.variables if not (name[:2] == name[-2:] == "__")]
        for name, value in chosen[: detail.variables]:
            yield _bounded(
                f"      {one_line(name)} = {one_line(detail.mask(name, whole_words(value, 2 * LONGEST_LINE)))}"
            )


def source_lines(frame: Frame, mask: Callable[[str], str]) -> Iterator[tuple[int, str]]:
    """The frame's source lines with their numbers, masked together: a bracket or a text may span several lines."""
    lines = (" ".join(whole_words(text, 2 * LONGEST_LINE).splitlines()) for _, text in frame.source)
    return zip((number for number, _ in frame.source), mask("\n".join(lines)).split("\n"), strict=False)


def _bounded(line: str) -> str:
    flat = line.replace("\n", " ").replace("\r", " ")
    return flat if len(flat) <= LONGEST_LINE else flat[: LONGEST_LINE - 1] + "…"
