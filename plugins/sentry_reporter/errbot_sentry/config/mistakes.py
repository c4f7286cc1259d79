"""What is wrong with a setting (it switches something off), or odd about it (it does not)."""

from __future__ import annotations

from dataclasses import dataclass

REPORT, QUERY, ALERTS = "report", "query", "alerts"


@dataclass(frozen=True)
class Mistake:
    """A setting that cannot be used, in one sentence without secrets, and the flows that it switches off."""

    setting: str
    sentence: str
    flows: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.setting}: {self.sentence}"


@dataclass(frozen=True)
class Hint:
    """An oddity that switches nothing off.

    `sentence` is for `!sentry status`, which everybody may read. `detail` is for the admins and the log only: names of
    projects that a room may not see, folders of the machine.
    """

    sentence: str
    detail: str = ""

    def __str__(self) -> str:
        return self.sentence + self.detail
