"""Rules of whom a route mentions in a notification: a fixed text, the issue's assignee, or a text for each team.

The texts come from the operator and are trusted. No other text reaches a room without being escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ASSIGNEE = "assignee"
_KEYS = (ASSIGNEE, "teams", "else")


@dataclass(frozen=True)
class Mention:
    """A route's rule of whom to mention.

    With `assignee`, the chat person is mentioned who is linked with the issue's assignee. `teams` maps a team's slug to
    a text. `otherwise` is the text if these find nobody, or the fixed text of a rule without these.
    """

    otherwise: str = ""
    assignee: bool = False
    teams: tuple[tuple[str, str], ...] = ()

    @property
    def is_fixed(self) -> bool:
        """Whether the text is the same for every assignee."""
        return not self.assignee and not self.teams

    def of_team(self, name: str) -> str:
        """The text for a team, "" if it has none. Case and a leading # do not matter."""
        return next((text for team, text in self.teams if _folded(team) == _folded(name)), "")


def read_mention(raw: object) -> Mention:
    """Read the `"mention"` of a route: a text, `"assignee"`, or a dict with `assignee`, `teams` and `else`.

    Raises:
        ValueError: says what was found and what was expected.
    """
    if isinstance(raw, str):
        return Mention(assignee=True) if raw.strip() == ASSIGNEE else Mention(raw)
    if not isinstance(raw, Mapping):
        raise ValueError(f'{raw!r} is neither a string nor a dict such as {{"assignee": True, "else": "@oncall"}}')
    unknown = [key for key in raw if key not in _KEYS]
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; a mention has {', '.join(_KEYS)}")
    assignee = raw.get(ASSIGNEE, False)
    if not isinstance(assignee, bool):
        raise ValueError(f'"{ASSIGNEE}": {assignee!r} is neither True nor False')
    teams = _teams(raw.get("teams", {}))
    if not assignee and not teams:
        raise ValueError('it has neither "assignee": True nor "teams"; write a fixed text alone: "mention": "@oncall"')
    otherwise = raw.get("else", "")
    return Mention(_text('"else"', otherwise) if otherwise != "" else "", assignee, teams)


def write_mention(rule: Mention) -> str:
    """The rule as a text for the database; a fixed text is stored unchanged."""
    if rule.is_fixed and not rule.otherwise.startswith("{"):
        return rule.otherwise
    value = {ASSIGNEE: rule.assignee, "teams": dict(rule.teams), "else": rule.otherwise}
    return json.dumps(value, ensure_ascii=False)


def load_mention(text: str) -> Mention:
    """The rule from the text that `write_mention` made.

    Raises:
        ValueError: `write_mention` did not make this text.
    """
    if not text.startswith("{"):
        return Mention(text)
    value: Any = json.loads(text)
    teams = value.get("teams") if isinstance(value, dict) else None
    if not isinstance(teams, dict) or not all(isinstance(item, str) for item in (*teams.values(), value.get("else"))):
        raise ValueError(f"{text!r} is not a stored mention rule")
    return Mention(value["else"], value.get(ASSIGNEE) is True, tuple(teams.items()))


def _teams(raw: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(raw, Mapping):
        raise ValueError(f'"teams": {raw!r} is not a dict such as {{"backend": "@backend-oncall"}}')
    read: dict[str, tuple[str, str]] = {}
    for team, text in raw.items():
        slug = _text('a team in "teams"', team)
        if _folded(slug) in read:
            raise ValueError(f'"teams": {slug!r} is listed twice')
        read[_folded(slug)] = (slug, _text(f'"teams": for {slug!r}', text))
    return tuple(read.values())


def _text(what: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value.splitlines()) > 1:
        raise ValueError(f"{what}: {value!r} is not a string of one line")
    return value.strip()


def _folded(team: str) -> str:
    return team.strip().removeprefix("#").casefold()
