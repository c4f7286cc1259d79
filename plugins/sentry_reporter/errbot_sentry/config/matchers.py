"""Alertmanager's matchers over an alert: `project=web-*`, `level>=error`, `tag.customer!=acme`, `title=~"Time.*"`.

Used by routes, subscriptions and silences. `=` and `!=` compare with globs, any case; `=~` and `!~` take a regular
expression in RE2's syntax that must match the whole value; `>=` is for levels. A name that the alert lacks counts as
the empty text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from errbot_sentry.config.safe_regex import compile_linear, matches_whole
from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.issues import LEVELS, level_rank
from errbot_sentry.domain.typed_text import echo

FIELDS = (
    "project",
    "level",
    "environment",
    "reason",
    "release",
    "title",
    "culprit",
    "issue",
    "rule",
    "assignee",
    "source",
)
_BEGINNING = re.compile(r"\s*([A-Za-z][\w.:-]*)\s*(!=|=~|!~|>=|=)")  # the rest is the value: nothing to search for
_LONGEST_VALUE = 400


@dataclass(frozen=True)
class Matcher:
    """One condition. `name` is one of FIELDS or `tag.KEY`; `operator` is one of = != =~ !~ >=."""

    name: str
    operator: str
    value: str

    def __str__(self) -> str:
        """The text that `read_matcher` makes the same condition of; it is what the state keeps."""
        # A value that begins with ~ or = would be taken for the end of the operator.
        plain = self.value and not re.search(r'^[~=]|^".*"$|\s', self.value, re.DOTALL)
        return f"{self.name}{self.operator}{self.value}" if plain else f'{self.name}{self.operator}"{self.value}"'

    def matches(self, alert: Alert) -> bool:
        """Whether this one condition holds for the alert."""
        found = value_of(alert, self.name)
        if self.operator == ">=":
            return level_rank(found) >= level_rank(self.value)
        if self.operator in ("=~", "!~"):
            return matches_whole(self.value, found) is (self.operator == "=~")
        hit = fnmatchcase(found.casefold(), self.value.casefold())
        return hit is (self.operator == "=")


def value_of(alert: Alert, name: str) -> str:
    """The alert's value under a matcher's name, "" where it has none."""
    if name.startswith("tag."):
        return dict(alert.tags).get(name[len("tag.") :], "")
    if name == "issue":
        return alert.short_id or alert.issue_id
    found = getattr(alert, name)
    return "" if found is None else str(found)


def read_matcher(text: str) -> Matcher:
    """One matcher from its text; the value may stand in double quotes.

    Raises:
        ValueError: with a sentence that says what is wrong.
    """
    beginning = _BEGINNING.match(text)
    if beginning is None:
        raise ValueError(f"{echo(text)} is not a matcher such as project=web-*, level>=error or tag.customer=acme")
    name, operator = beginning.groups()
    value = text[beginning.end() :].strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    _check_name(name)
    _check_value(name, operator, value, text)
    return Matcher(name, operator, value)


def is_matcher(text: str) -> bool:
    """Whether a text begins like a matcher, with a name and an operator; alerts may not have such a name."""
    return _BEGINNING.match(text) is not None


def _check_name(name: str) -> None:
    if name in FIELDS or (name.startswith("tag.") and len(name) > len("tag.")):
        return
    raise ValueError(f"Unknown field {echo(name)}. Fields: {', '.join(FIELDS)}, tag.KEY")


def _check_value(name: str, operator: str, value: str, text: str) -> None:
    if len(value) > _LONGEST_VALUE:
        raise ValueError(f"the value of {echo(name)} is longer than {_LONGEST_VALUE} characters")
    if operator == ">=" and (name != "level" or value not in LEVELS):
        raise ValueError(f"{echo(text)}: >= is for levels: level>= and one of {', '.join(LEVELS)}")
    if operator in ("=~", "!~"):
        try:
            compile_linear(value)
        except ValueError as error:
            raise ValueError(f"{echo(text)} {error}") from error


def all_match(matchers: Iterable[Matcher], alert: Alert) -> bool:
    """Whether every matcher holds; no matcher at all matches everything."""
    return all(matcher.matches(alert) for matcher in matchers)
