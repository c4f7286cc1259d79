"""What people can have done to an issue without typing a command: by a button or a reaction under its alert.

An action carries values that were parsed, never text to be parsed again: nothing that stands in an alert can become
an option or a further issue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from errbot_sentry.domain import identifiers
from errbot_sentry.domain.errors import BadReference
from errbot_sentry.domain.text import write_duration


@dataclass(frozen=True)
class ResolveNow:
    """Resolve the issue, by no release or commit."""

    command: ClassVar[str] = "resolve"
    words: ClassVar[str] = ""
    done: ClassVar[str] = "resolved"


@dataclass(frozen=True)
class ReopenNow:
    """Open the issue again."""

    command: ClassVar[str] = "reopen"
    words: ClassVar[str] = ""
    done: ClassVar[str] = "reopened"


@dataclass(frozen=True)
class Archive:
    """Archive the issue; `until` as `!sentry archive --until` takes it."""

    until: str = "escalating"
    command: ClassVar[str] = "archive"

    @property
    def words(self) -> str:
        return f"--until {self.until}"

    @property
    def done(self) -> str:
        """`archived for a day`."""
        return f"archived {ARCHIVE_CHOICES.get(self.until, '')}".strip()


@dataclass(frozen=True)
class AssignToMe:
    """Assign the issue to the person who acts."""

    command: ClassVar[str] = "assign"
    words: ClassVar[str] = "me"
    done: ClassVar[str] = "taken"


@dataclass(frozen=True)
class SilenceFor:
    """Hold the issue's alerts back for a time."""

    span: timedelta
    command: ClassVar[str] = "silence"

    @property
    def words(self) -> str:
        return f"-d {write_duration(self.span)}"

    @property
    def done(self) -> str:
        """`silenced for 1h`."""
        return f"silenced for {write_duration(self.span)}"


Options = ResolveNow | ReopenNow | Archive | AssignToMe | SilenceFor

RESOLVE, REOPEN, ARCHIVE, ASSIGN, SILENCE = "resolve", "reopen", "archive", "assign", "silence"
ARCHIVE_CHOICES = {"escalating": "until it escalates", "1d": "for a day", "1w": "for a week", "forever": "forever"}
"""What a menu offers for `archive`, and how it reads there."""


def options_of(action: str, choice: str = "") -> Options | None:
    """What a button does; None for a name or a choice that no button of ours has.

    `choice` is the entry that was picked, where the button is a menu; "" is its first one.
    """
    if action == ARCHIVE:
        until = choice or next(iter(ARCHIVE_CHOICES))
        return Archive(until) if until in ARCHIVE_CHOICES else None
    return _BY_NAME.get(action) if not choice else None


def options_of_emoji(emoji: str) -> Options | None:
    """What an emoji under an alert stands for: a name of Slack's or Mattermost's (with or without colons and skin
    tone), or the character itself."""
    name = emoji.strip(":").partition("::")[0].removesuffix("\ufe0f")
    return _BY_EMOJI.get(name)


_BY_NAME: dict[str, Options] = {
    RESOLVE: ResolveNow(),
    REOPEN: ReopenNow(),
    ASSIGN: AssignToMe(),
    SILENCE: SilenceFor(timedelta(hours=1)),
}


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


_BY_EMOJI = {
    **dict.fromkeys(("white_check_mark", "check_mark", "\u2705"), _BY_NAME[RESOLVE]),
    **dict.fromkeys(("mute", "\U0001f507"), _BY_NAME[SILENCE]),
    **dict.fromkeys(("eyes", "\U0001f440"), _BY_NAME[ASSIGN]),
}
