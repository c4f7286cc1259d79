"""Removes secrets that are recognised by a name: `password=x`, `"token": ["x"]`, `("api_key", "x")`.

A regular expression finds the name. The end of the value is then found by scanning, since a value may be nested, cut
off, or part of a printed text. No part is scanned twice, so the time is proportional to the length of the text.
"""

from __future__ import annotations

import re

from errbot_sentry.reporting.redact.secret_shapes import FILTERED, NAME, is_sensitive_name, may_name_a_secret

_SIGNS = ("=", ":", "->", "--", "</", "<!", ",", "%3", "%25")
_QUOTE = r"""\\{0,31}["']"""
_ENTITY = r"&(?:quot|apos|\#3[49]|\#x2[27]);"
# Every repetition that could start at any place is bounded, so that a hostile text cannot make matching slow.
# key=value, key: value, "key": "value", 'key': b'value', key => value
_KEY = (
    rf"""{NAME}(?:\\{{0,31}}["']|{_ENTITY}|%(?:25)*2[27])?\]?"""
    r"""(?:\s*(?:[=-]>|:=|[=:]{1,3})(?P<gap>\s*)|%(?:25)*3[ad](?:%(?:25)*20|\+)?)"""
)
# ("key", "value"), [b"key", b"value"], {"name": "key", "value": "value"}, <add key="key" value="value">
_LISTED = (
    rf"""(?P<quote>{_QUOTE})(?P<listed>[\w .-]{{1,60}})(?P=quote)"""
    rf"""(?:\s*,?\s*(?:{_QUOTE})?value(?:{_QUOTE})?\s*[:=]|\s*,)\s*"""
)
_NAMED = re.compile(rf"(?i){_LISTED}|{_KEY}")
_TRIPLE = re.compile(r"""[bruf]{0,2}(\"{3}|'{3})""", re.IGNORECASE)
_OPENS = re.compile(rf"""[bruf]{{0,2}}({_QUOTE})|({_ENTITY})""", re.IGNORECASE)
_PLAIN = re.compile(r"""[^\s,;&"'()\[\]{}<>]+""")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_INSIDE = re.compile(r"""\"{3}|'{3}|(?<!\\)\\{0,31}["']|[()\[\]{}]""")
_BEFORE_QUOTE = re.compile(r"(?<![A-Za-z0-9_])[bruf]{1,2}$|[^A-Za-z0-9_]$|^$", re.IGNORECASE)
_BLOCK = re.compile(r"[|>][+-]?\d?[+-]?[ \t]*(?:#[^\n\\]*)?(?:\r?(?P<line>\n)|(?:\\{1,31}r)?(?P<printed>\\{1,31}n))")
_PRINTED_LINE = re.compile(r"(?<!\\)\\{1,31}n")
_INDENT = re.compile(r"[ \t]*")

# A header's value goes to the end of the line or of the quotes around it, because cookies have many values. This does
# not match values that begin with a bracket, or YAML blocks.
_HEADER = re.compile(
    r"""(?i)(?:set-cookie|cookie|authorization|x-sentry-auth|sentry-hook-signature)\\{0,31}["']?\s*[=:]\s*\\{0,31}["']?"""
    r"""(?=[^\s"'\\(\[{])(?![|>][+-]?\d?[+-]?[ \t]*(?:#|\r|\n|\\))"""
)
_HEADER_PART = re.compile(r"""[^\r\n"'\\]*""")
_PARAMETER = re.compile(r"""(?<=[=(])[bru]?(\\{0,31}["'])|(?<=[=(][bru])(\\{0,31}["'])""")
# --password value, also as two items of a printed list; <password>value</password>
_OPTION = re.compile(
    rf"""(?i)((?<![\w-])--[\w-]{{0,40}}?{NAME}\\{{0,31}}["']?,?\s+[bru]?\\{{0,31}}["']?)(?!-)[^\s"',;\\\[\]]+"""
)
_ELEMENT = re.compile(
    rf"(?i)(<(?:[\w.]{{1,40}}:)?[\w-]{{0,40}}?{NAME}(?:\s[^<>]{{0,200}})?>)"
    r"(?:\s{0,200}<!\[CDATA\[[\s\S]*?(?:\]\]>|\Z)|[^<]+)"
)

# <add value="value" name="password"/>, {"value": "value", "name": "password"}: the name follows the value.
_VALUE_FIRST = re.compile(
    rf"""(?i)(\bvalue(?:{_QUOTE})?\s{{0,9}}[=:]\s{{0,9}}(?P<quote>{_QUOTE}))(?:(?!(?P=quote))[^<>]){{1,2000}}"""
    rf"""(?=(?P=quote)[^<>{{}}]{{0,200}}\b(?:name|key)(?:{_QUOTE})?\s{{0,9}}[=:]\s{{0,9}}{_QUOTE}"""
    rf"""[\w .-]{{0,40}}{NAME})"""
)


def without_named_values(text: str, low: str, keep_lines: bool = False) -> str:
    """The text (`low` is its lower case) without values of secret names.

    With `keep_lines`, the number of lines stays the same.
    """
    if not (any(sign in low for sign in _SIGNS) and may_name_a_secret(low)):
        return text
    text = _without_headers(text)
    text = _without_pairs(text, keep_lines)
    if "--" in low:
        text = without_option_values(text)
    if "</" in low or "<![" in low:
        text = _ELEMENT.sub(rf"\1{FILTERED}", text)
    if "value" in low:
        text = _VALUE_FIRST.sub(rf"\1{FILTERED}", text)
    return text


def without_option_values(text: str) -> str:
    """The text without the values of secret options of a command line."""
    return _OPTION.sub(rf"\1{FILTERED}", text)


def _without_headers(text: str) -> str:
    pieces = []
    done = 0
    while match := _HEADER.search(text, done):
        end = _end_of_part(text, match.end())
        while parameter := _PARAMETER.match(text, end):  # Digest username="bob", or Secret('x')
            end = _end_of_part(text, end_of_quoted(text, parameter.end(), parameter[1] or parameter[2]))
        pieces += [text[done : match.end()], FILTERED]
        done = end
    return "".join([*pieces, text[done:]]) if pieces else text


def _end_of_part(text: str, start: int) -> int:
    part = _HEADER_PART.match(text, start)
    return part.end() if part else start


def _without_pairs(text: str, keep_lines: bool) -> str:
    pieces = []
    done = at = 0
    while match := _NAMED.search(text, at):
        start = at = match.end()
        listed = match["listed"]
        if listed is not None and not is_sensitive_name(listed):
            at = match.end("listed")  # the quote after the name may also be the opening quote of the next text
            continue
        end = end_of_value(text, match.start(), start)
        gap = match["gap"] or ""
        if "\n" in gap and not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip(" \t-\"'"):
            # All lines that are indented below the name (a list, or names with values) are secret.
            below = start - len(gap) + gap.index("\n") + 1
            end = max(end, _end_of_lines(text, match.start(), below, printed=False))
        if end > start and text[start:end] != FILTERED:
            pieces += [text[done:start], FILTERED, "\n" * text.count("\n", start, end) if keep_lines else ""]
            done = end
        at = max(start, end)
    return "".join([*pieces, text[done:]]) if pieces else text


def end_of_value(text: str, name: int, start: int) -> int:
    """The end of the value that begins at `start`, whose name begins at `name`; `start` if there is no value."""
    if text.startswith(FILTERED, start):
        return start + len(FILTERED)
    quoted = _TRIPLE.match(text, start) or _OPENS.match(text, start)
    if quoted:
        return end_of_quoted(text, quoted.end(), quoted[quoted.lastindex or 0])
    if text[start : start + 1] in _BRACKETS:
        return end_of_brackets(text, start)
    if text.startswith("<", start):
        end = text.find(">", start, start + 2000)
        return end + 1 if end >= 0 else start
    block = _BLOCK.match(text, start)
    if block:
        return _end_of_block(text, name, block)
    line = _PRINTED_LINE.match(text, start)
    if line:
        return _end_of_lines(text, name, line.end(), printed=True)
    plain = _PLAIN.match(text, start)
    if plain is None:
        return start
    end = plain.end()  # a bracket may follow, as in Secret('x') or b64(b'x')
    return end_of_brackets(text, end) if text[end : end + 1] in _BRACKETS else end


def end_of_quoted(text: str, start: int, quote: str) -> int:
    """The position after the closing quote, or the end of the text if the quoted text was cut off."""
    at = text.find(quote, start)
    while at > start and text[at - 1] == "\\":
        at = text.find(quote, at + 1)
    return len(text) if at < 0 else at + len(quote)


def end_of_brackets(text: str, start: int) -> int:
    """The position after the closing bracket, or the end of the text if the bracket was cut off."""
    depth = 0
    at = start
    while match := _INSIDE.search(text, at):
        at = match.end()
        sign = match[0]
        if sign in _BRACKETS:
            depth += 1
        elif sign in ")]}":
            depth -= 1
            if not depth:
                return at
        elif _BEFORE_QUOTE.search(text[max(0, match.start() - 3) : match.start()]):  # a quote, and not an apostrophe
            at = end_of_quoted(text, at, sign)
    return len(text)


def _end_of_block(text: str, name: int, block: re.Match[str]) -> int:
    """The end of a YAML block; `block` is the match of the sign (| or >) at its beginning."""
    printed = block["line"] is None
    return max(block.end() - len(block["printed"] or "\n"), _end_of_lines(text, name, block.end(), printed=printed))


def _end_of_lines(text: str, name: int, at: int, *, printed: bool) -> int:
    """The end of the lines from `at` on that are indented deeper than the name, or are items of a list at its depth."""
    if printed:
        begins = text.rfind("\\n", 0, name) + 2 if "\\n" in text[:name] else 0
    else:
        begins = text.rfind("\n", 0, name) + 1
    depth = _indent(text, begins)
    end = at
    while at < len(text):
        if printed:
            line_break = _PRINTED_LINE.search(text, at)
            line_end, next_line = line_break.span() if line_break else (len(text), len(text))
        else:
            line_end = text.find("\n", at)
            line_end = len(text) if line_end < 0 else line_end
            next_line = line_end + 1
        indent = _indent(text, at)
        deeper = indent > depth or (indent == depth and text.startswith("- ", at + indent))
        if text[at:line_end].strip() and not deeper:
            break
        end, at = line_end, next_line
    return end


def _indent(text: str, at: int) -> int:
    spaces = _INDENT.match(text, at)
    return len(spaces[0]) if spaces else 0
