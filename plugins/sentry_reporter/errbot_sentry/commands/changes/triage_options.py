"""Reads and writes the values of `--in` (resolved by which release) and `--until` (archived for how long).

The words are those of Sentry's own command-line client.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from errbot_sentry.domain.errors import UsageError
from errbot_sentry.domain.issues import ArchiveUntil, ResolveIn
from errbot_sentry.domain.text import cut, read_duration, write_duration
from errbot_sentry.domain.typed_text import echo, read_number

_AMOUNT = re.compile(r"([0-9]+)(x|u|events?|users?)(?:/(.+))?", re.IGNORECASE)
_DATE_FORMS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S")
_MOST = 999_999_999  # events or users
_LONGEST_WINDOW = timedelta(weeks=1)  # 10080 minutes; Sentry refuses more
_WANTED_UNTIL = "Use forever, escalating, a time such as 2h or 2026-12-01, or 10x, 10u, 10x/5m"
_WANTED_IN = "Use a version, @next, @latest or @commit:REPO@SHA"


def read_resolve_in(word: str) -> ResolveIn:
    """What `--in` names.

    Raises:
        UsageError: a word with an @ that means nothing here.
    """
    lower = word.lower()
    if lower == "@next":
        return ResolveIn(next_release=True)
    if lower == "@latest":
        return ResolveIn(latest_release=True)
    if lower.startswith("@commit:"):
        repository, at, sha = word[len("@commit:") :].rpartition("@")
        if not (at and repository and re.fullmatch(r"[0-9a-fA-F]{7,64}", sha)):
            raise UsageError(f"{echo(word)} isn't a valid commit. {_WANTED_IN}.")
        return ResolveIn(commit=(repository, sha))
    if not word or word.startswith("@") or len(word) > 250:
        raise UsageError(f"{echo(word)} isn't a valid release. {_WANTED_IN}.")
    return ResolveIn(release=word)


def resolve_in_words(when: ResolveIn) -> str:
    """`resolved in shop@1.4`."""
    if when.next_release:
        return "resolved in the next release"
    if when.latest_release:
        return "resolved in the latest release"
    if when.commit is not None:
        return f"resolved by commit {when.commit[1][:12]}"
    return f"resolved in {cut(when.release, 100)}"


def read_until(word: str, now: datetime) -> ArchiveUntil:
    """What `--until` names; a date is one in UTC.

    Raises:
        UsageError: a word in none of the forms, or a time that is over.
    """
    lower = word.strip().lower()
    if lower == "forever":
        return ArchiveUntil()
    if lower in ("escalating", "auto"):
        return ArchiveUntil(escalating=True)
    if amount := _AMOUNT.fullmatch(lower):
        return _until_amount(word, amount[1], amount[2], amount[3])
    until = _read_date(word.strip())
    if until is not None:
        if until <= now:
            raise UsageError(f"{echo(word)} is in the past; times are in UTC.")
        return ArchiveUntil(span=until - now)
    span = _read_span(lower)
    if span is None:
        raise UsageError(f"Can't archive until {echo(word)}. {_WANTED_UNTIL}.")
    return ArchiveUntil(span=span)


def until_words(until: ArchiveUntil) -> str:
    """`archived for 2h`, `archived until 10 more events in 5m`."""
    within = f" in {write_duration(until.window)}" if until.window else ""
    if until.escalating:
        return "archived until it escalates"
    if until.span is not None:
        return f"archived for {write_duration(max(until.span, timedelta(minutes=1)))}"
    if until.events is not None:
        return f"archived until {until.events} more events{within}"
    if until.users is not None:
        return f"archived until {until.users} more users{within}"
    return "archived"


def _until_amount(word: str, digits: str, unit: str, window_word: str | None) -> ArchiveUntil:
    window = _read_span(window_word) if window_word else None
    try:
        number = read_number(digits, 1, _MOST)
    except ValueError as error:
        raise UsageError(f"Can't archive until {echo(word)}. {_WANTED_UNTIL}.") from error
    if window_word and (window is None or window > _LONGEST_WINDOW):
        raise UsageError(f"Can't archive until {echo(word)}; a window lasts at most a week. {_WANTED_UNTIL}.")
    if unit.startswith(("x", "event")):
        return ArchiveUntil(events=number, window=window)
    return ArchiveUntil(users=number, window=window)


def _read_span(word: str) -> timedelta | None:
    """A duration, `week` for one week; None for anything else and for nothing."""
    try:
        return read_duration(word if word[:1].isdigit() else f"1{word}") or None
    except ValueError:
        return None


def _read_date(word: str) -> datetime | None:
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(word.removesuffix("Z"), form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    return None
