"""Matchers of alerts, like Alertmanager's: `project=web-*`, `level>=error`, `tag.customer!=acme`, `title=~"Time.*"`.

Routes, subscriptions and silences use them. `=` and `!=` compare with a glob and ignore case. `=~` and `!~` take a
regular expression in RE2's syntax that must match the whole value. `>=`, `>`, `<=` and `<` are for levels, priorities,
amounts and ages. If the alert lacks the value, it counts as the empty string, and every such comparison is false.
"""

from __future__ import annotations

import glob
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from errbot_sentry.config.safe_regex import compile_linear, matches_whole
from errbot_sentry.domain.alerts import ALERT_REASONS, NEW, SOURCES, Alert
from errbot_sentry.domain.issues import LEVELS, PRIORITIES
from errbot_sentry.domain.text import read_duration
from errbot_sentry.domain.typed_text import echo, read_number

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
    "events",
    "users",
    "priority",
    "platform",
    "age",
)
# Only the name and the operator: the rest of the text is the value.
_BEGINNING = re.compile(r"\s*([A-Za-z][\w.:-]*)\s*(!=|=~|!~|>=|<=|=|>|<)")
_LONGEST_VALUE = 400
_MOST = 10**12
_GLOB = frozenset("*?[")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
# The names whose values have an order, each with the function that makes a number of the value, and a hint for errors.
_ORDERED: dict[str, tuple[Callable[[str], float], str]] = {
    "level": (LEVELS.index, f"use one of {', '.join(LEVELS)}"),
    "priority": (PRIORITIES[::-1].index, f"use one of {', '.join(PRIORITIES)}"),
    "events": (lambda text: read_number(text, 0, _MOST), "use a number, as in events>=10"),
    "users": (lambda text: read_number(text, 0, _MOST), "use a number, as in users>=5"),
    "age": (lambda text: read_duration(text).total_seconds(), "use a duration, as in age<1h"),
}
# The names whose values are known from the start, so that a mistyped value can be noticed.
_KNOWN: dict[str, tuple[str, ...]] = {"reason": ALERT_REASONS, "source": SOURCES}
ME, MY_TEAMS = "me", "my-teams"  # values of `assignee` in subscriptions made in a direct message
AMOUNTS = ("events", "users")  # these grow: a matcher for a minimum can match an issue later


@dataclass(frozen=True)
class Matcher:
    """One condition. `name` is one of FIELDS or `tag.KEY`; `operator` is one of = != =~ !~ >= > <= <."""

    name: str
    operator: str
    value: str

    def __str__(self) -> str:
        """The text from which `read_matcher` reads the same condition. The database stores this text."""
        # Quoted if needed: a leading ~ or = of the value, for example, would be read as part of the operator.
        plain = self.value and not re.search(r'^[~=]|^".*"$|\s', self.value, re.DOTALL)
        return f"{self.name}{self.operator}{self.value}" if plain else f'{self.name}{self.operator}"{self.value}"'

    def matches(self, alert: Alert) -> bool:
        """Whether the alert meets this condition."""
        if self.operator in _COMPARE:
            return self.holds(_amount_of(alert, self.name))
        return self.accepts(values_of(alert, self.name))

    def accepts(self, values: Iterable[str]) -> bool:
        """Whether one of these values meets this condition (for != and !~: none is the value); not for an order."""
        if self.operator in ("=~", "!~"):
            return any(matches_whole(self.value, value) for value in values) is (self.operator == "=~")
        wanted = self.value.casefold()
        return any(fnmatchcase(value.casefold(), wanted) for value in values) is (self.operator == "=")

    def holds(self, amount: float | None) -> bool:
        """Whether the comparison is true for this amount; False if the amount is unknown."""
        return amount is not None and _COMPARE[self.operator](amount, _ORDERED[self.name][0](self.value))

    @property
    def grows(self) -> bool:
        """Whether the condition can become true by more events or users."""
        return self.name in AMOUNTS and self.operator in (">=", ">")


def values_of(alert: Alert, name: str) -> tuple[str, ...]:
    """The values that a matcher of this name compares: one ("" if the alert has none), or each name of an assignee."""
    if name.startswith("tag."):
        key = name[len("tag.") :]
        # SDKs send these three outside of the tags, but Sentry lists them as tags.
        beside = getattr(alert, key) if key in ("environment", "release", "level") else None
        return (next((value for tag, value in alert.tags if _folded(tag) == _folded(key)), beside or ""),)
    if name == "issue":
        return (alert.short_id or alert.issue_id,)
    if name == "assignee":
        return _assignees(alert)
    if name == "age":
        return ("",)
    value = getattr(alert, name)
    return ("" if value is None else str(value),)


def _folded(key: str) -> str:
    # GlitchTip writes `server_name` as "Server Name" and `userId` as "Userid" (apps/alerts/webhooks.py).
    return key.casefold().replace(" ", "_")


def _assignees(alert: Alert) -> tuple[str, ...]:
    if alert.assignee_kind == "nobody":
        return "", "nobody"
    slug = alert.assignee.removeprefix("#")
    return (slug, f"team:{slug}", f"team:#{slug}") if alert.assignee_kind == "team" else (slug, alert.assignee_mail)


def _amount_of(alert: Alert, name: str) -> float | None:
    if name == "age":
        if alert.first_seen is None:
            return 0.0 if alert.reason == NEW else None
        return max(0.0, alert.at.timestamp() - alert.first_seen)
    value = getattr(alert, name)
    try:
        return None if value is None else _ORDERED[name][0](str(value))
    except ValueError:
        return None


def read_matcher(text: str) -> Matcher:
    """One matcher from its text; the value may be in double quotes.

    Raises:
        ValueError: with a sentence that says what is wrong.
    """
    beginning = _BEGINNING.match(text)
    if beginning is None:
        raise ValueError(f"{echo(text)} isn't a valid matcher; try project=web-*, level>=error or tag.customer=acme")
    name, operator = beginning.groups()
    value = text[beginning.end() :].strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if name in ("level", "priority") and operator not in ("=~", "!~"):
        value = value.casefold()
    _check_name(name)
    _check_value(name, operator, value, text)
    return Matcher(name, operator, value)


def reasons_of(matchers: Iterable[Matcher]) -> tuple[str, ...]:
    """The reasons that an alert can have and meet all these conditions."""
    conditions = [matcher for matcher in matchers if matcher.name == "reason"]
    return tuple(reason for reason in ALERT_REASONS if all(each.accepts((reason,)) for each in conditions))


def names_reasons(matchers: Iterable[Matcher]) -> bool:
    """Whether a condition asks for certain reasons, and does not only exclude some."""
    return any(matcher.name == "reason" and matcher.operator in ("=", "=~") for matcher in matchers)


def check_known(matcher: Matcher) -> None:
    """Refuse a value that no alert ever has.

    Only what people type is checked: a condition in the database was accepted once, and stays readable.

    Raises:
        ValueError: with a sentence that lists the values.
    """
    known = _KNOWN.get(matcher.name, ())
    if known and matcher.operator in ("=", "!=") and matcher.value:
        wanted = replace(matcher, operator="=")
        if not any(wanted.accepts((value,)) for value in known):
            raise ValueError(f"{echo(str(matcher))}: use one of {', '.join(known)}")


def personal(matcher: Matcher) -> str:
    """ME or MY_TEAMS if the matcher is about the person who subscribes (in a direct message) as assignee; else ""."""
    wanted = matcher.value.casefold().replace("_", "-")
    if matcher.name != "assignee" or matcher.operator not in ("=", "!="):
        return ""
    return {"me": ME, "my-team": MY_TEAMS, "my-teams": MY_TEAMS}.get(wanted, "")


def of_person(matcher: Matcher, mail: str, teams: Iterable[str]) -> tuple[Matcher, ...]:
    """The matcher with the person's address or teams in place of `me` or `my-teams`. One of the results must match."""
    wanted = personal(matcher)
    if not wanted:
        return (matcher,)
    values = (mail,) if wanted == ME else tuple(f"team:{team}" for team in teams)
    return tuple(replace(matcher, value=glob.escape(value)) for value in values)


def is_matcher(text: str) -> bool:
    """Whether a text begins like a matcher, with a name and an operator. The name may be unknown."""
    return _BEGINNING.match(text) is not None


def _check_name(name: str) -> None:
    if name in FIELDS or (name.startswith("tag.") and len(name) > len("tag.")):
        return
    raise ValueError(f"Unknown field {echo(name)}. Fields: {', '.join(FIELDS)}, tag.KEY")


def _check_value(name: str, operator: str, value: str, text: str) -> None:
    if len(value) > _LONGEST_VALUE:
        raise ValueError(f"the value of {echo(name)} is longer than {_LONGEST_VALUE} characters")
    is_plain = operator in ("=", "!=") and value and not _GLOB & set(value)
    if name in _ORDERED and (operator in _COMPARE or is_plain):
        read, hint = _ORDERED[name]
        try:
            read(value)
        except ValueError as error:
            raise ValueError(f"{echo(text)}: {hint}") from error
    if operator in _COMPARE and name not in _ORDERED:
        raise ValueError(f"{echo(text)}: {operator} is for {', '.join(_ORDERED)}")
    if name == "age" and operator not in _COMPARE:
        raise ValueError(f"{echo(text)}: compare an age, as in age<1h")
    if operator in ("=~", "!~"):
        try:
            compile_linear(value)
        except ValueError as error:
            raise ValueError(f"{echo(text)} {error}") from error


def all_match(matchers: Iterable[Matcher], alert: Alert) -> bool:
    """Whether every matcher matches; True if there are none."""
    return all(matcher.matches(alert) for matcher in matchers)
