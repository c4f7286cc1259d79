"""Draws a played tour as a picture of a terminal: `python -m demo.picture OUT.svg [TOUR.json]`.

The SVG brings its own dark background, so it reads the same on light and dark pages. Standard library only.
"""

from __future__ import annotations

import argparse
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from xml.sax.saxutils import escape

from demo import environments, tour

COLUMNS = 104

_CELL, _LINE, _SIZE, _MARGIN, _BAR = 7.8, 19, 13, 18, 34
_BACKGROUND, _FRAME, _TEXT, _FAINT, _TYPED = "#161b22", "#30363d", "#e6edf3", "#8b949e", "#79c0ff"
_COLOURS = ("#8b949e", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#e6edf3")
_SEQUENCE = re.compile(r"\x1b\[([0-9;]*)m")


@dataclass(frozen=True)
class Style:
    """How a run of characters looks."""

    colour: str = _TEXT
    bold: bool = False
    underlined: bool = False


@dataclass(frozen=True)
class Run:
    """Characters of one style, on one line."""

    text: str
    style: Style = Style()


Line = list[Run]


def lines_of(played: list[tour.Played]) -> list[Line]:
    """A whole tour as screen lines, wrapped: for each step what it is about, what is typed, what the bot wrote."""
    lines: list[Line] = []
    for number, step in enumerate(played, 1):
        if lines:
            lines.append([])
        lines += wrapped([Run(f"# {number}. {step.why}", Style(_FAINT))])
        lines += wrapped([Run("> ", Style(_FAINT)), Run(step.typed, Style(_TYPED, bold=True))])
        lines += shown_lines(step.shown)
    return lines


def shown_lines(shown: str) -> list[Line]:
    """What the bot wrote, in colour, without prompts and superfluous blank lines."""
    lines: list[Line] = []
    style = Style()
    for raw in tour.without_prompt(shown).split("\n"):
        runs, style = coloured(raw.rstrip(), style)
        if any(run.text.strip() for run in runs):
            lines += wrapped(runs)
        elif lines and lines[-1]:
            lines.append([])
    while lines and not lines[-1]:
        lines.pop()
    return lines


def coloured(raw: str, style: Style) -> tuple[Line, Style]:
    """Take a line with colour codes apart, beginning in `style`; returns the style it ends in as well."""
    runs: Line = []
    for index, part in enumerate(_SEQUENCE.split(raw)):
        if index % 2:
            style = _changed(style, part)
        elif text := "".join(letter for letter in part if letter.isprintable()):
            runs.append(Run(text, style))
    return runs, style


def wrapped(runs: Line, columns: int = COLUMNS) -> list[Line]:
    """Break a line where the window ends, as a terminal does."""
    lines: list[Line] = [[]]
    used = 0
    for run in runs:
        part = ""
        for letter in run.text:
            if used + width(letter) > columns:
                lines[-1].append(replace(run, text=part))
                lines.append([])
                part, used = "", 0
            part += letter
            used += width(letter)
        lines[-1].append(replace(run, text=part))
    return [[run for run in line if run.text] for line in lines]


def width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(
        0
        if unicodedata.combining(letter) or letter in "\u200b\u200d\ufe0f"
        else 2
        if unicodedata.east_asian_width(letter) in "WF"
        else 1
        for letter in text
    )


def svg(lines: list[Line], title: str = "SentryReporter on Errbot's Text backend, with Bugsink") -> str:
    """The picture. Each run says how long it is, so columns hold in whatever monospaced font the reader has."""
    across = round(COLUMNS * _CELL + 2 * _MARGIN)
    down = _BAR + len(lines) * _LINE + 2 * _MARGIN
    dots = "".join(
        f'<circle cx="{_MARGIN + 18 * place}" cy="{_BAR // 2}" r="5.5" fill="{colour}"/>'
        for place, colour in enumerate(("#ff5f56", "#ffbd2e", "#27c93f"))
    )
    rows = "\n".join(_row(line, _BAR + _MARGIN + place * _LINE + _SIZE) for place, line in enumerate(lines) if line)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}" viewBox="0 0 {across} {down}" role="img" \
font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="{_SIZE}">
<title>{escape(title)}</title>
<rect width="{across}" height="{down}" rx="9" fill="{_BACKGROUND}" stroke="{_FRAME}"/>
{dots}
<text x="{across / 2}" y="{_BAR // 2 + 4}" text-anchor="middle" fill="{_FAINT}">{escape(title)}</text>
{rows}
</svg>
"""


def _row(line: Line, y: float) -> str:
    column, spans = 0, []
    for run in line:
        cells = width(run.text)
        look = f'fill="{run.style.colour}"'
        look += ' font-weight="bold"' if run.style.bold else ""
        look += ' text-decoration="underline"' if run.style.underlined else ""
        x = f"{_MARGIN + column * _CELL:.1f}"
        spans.append(f'<tspan x="{x}" textLength="{cells * _CELL:.1f}" {look}>{escape(run.text)}</tspan>')
        column += cells
    return f'<text y="{y}" xml:space="preserve">{"".join(spans)}</text>'


def _changed(style: Style, codes: str) -> Style:
    """What an SGR sequence makes of a style: the few codes that Errbot's renderer writes; others are passed over."""
    for code in (int(code or 0) for code in codes.split(";")):
        if code == 0:
            style = Style()
        elif code in (1, 22):
            style = replace(style, bold=code == 1)
        elif code in (4, 24):
            style = replace(style, underlined=code == 4)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style = replace(style, colour=_COLOURS[code % 10])
        elif code == 39:
            style = replace(style, colour=_TEXT)
    return style


def main() -> None:
    """Draw a saved tour, by default the last one of `make demo TOUR=1`."""
    arguments = argparse.ArgumentParser(prog="python -m demo.picture", description=__doc__)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("played", type=Path, nargs="?", default=environments.cache_folder() / "demo" / "tour.json")
    options = arguments.parse_args()
    lines = lines_of(tour.load(options.played))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(svg(lines))
    print(f"{options.out}: {len(lines)} lines of {options.played}")


if __name__ == "__main__":
    main()
