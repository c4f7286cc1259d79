"""What people can have done to an issue without typing a command: by a reaction under its alert.

An action carries values that were parsed, never text to be parsed again: nothing that stands in an alert can become
an option or a further issue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from errbot_sentry.domain import identifiers
from errbot_sentry.domain.durations import write_duration
from errbot_sentry.domain.errors import BadReference


@dataclass(frozen=True)
class ResolveNow:
    """Resolve the issue, by no release or commit."""

    command: ClassVar[str] = "resolve"
    words: ClassVar[str] = ""


@dataclass(frozen=True)
class AssignToMe:
    """Assign the issue to the person who acts."""

    command: ClassVar[str] = "assign"
    words: ClassVar[str] = "me"


@dataclass(frozen=True)
class SilenceFor:
    """Hold the issue's alerts back for a time."""

    span: timedelta
    command: ClassVar[str] = "silence"

    @property
    def words(self) -> str:
        return f"-d {write_duration(self.span)}"


Options = ResolveNow | AssignToMe | SilenceFor


@dataclass(frozen=True)
class IssueAction:
    """One action on one issue; `issue_id` is the server's own id of it: a number, or a UUID.

    Raises:
        BadReference: on construction, where `issue_id` is neither.
    """

    issue_id: str
    options: Options

    def __post_init__(self) -> None:
        if not identifiers.is_number(self.issue_id) and not identifiers.is_uuid(self.issue_id):
            raise BadReference("This alert isn't about an issue on the server.")

    @property
    def command(self) -> str:
        """The command whose rights the action needs."""
        return self.options.command

    @property
    def as_typed(self) -> str:
        """What a person would type after the command to have the same done; only for rules that look at it."""
        return f"{self.issue_id} {self.options.words}".strip()
