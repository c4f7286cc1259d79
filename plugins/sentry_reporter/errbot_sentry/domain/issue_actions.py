"""Actions on an issue without a typed command: by a button or a reaction under its alert.

An action carries parsed values and never text that is parsed again, so no text in an alert can become an option or name
another issue.
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
    """Resolve the issue, without naming a release or commit."""

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
    """Archive the issue; `until` is a value of `!sentry archive --until`."""

    until: str = "escalating"
    command: ClassVar[str] = "archive"

    @property
    def words(self) -> str:
        return f"--until {self.until}"

    @property
    def done(self) -> str:
        """What was done, such as `archived for a day`."""
        return f"archived {ARCHIVE_CHOICES.get(self.until, '')}".strip()


@dataclass(frozen=True)
class AssignToMe:
    """Assign the issue to the person who clicked or reacted."""

    command: ClassVar[str] = "assign"
    words: ClassVar[str] = "me"
    done: ClassVar[str] = "taken"


@dataclass(frozen=True)
class SilenceFor:
    """Silence the issue's alerts for a time."""

    span: timedelta
    command: ClassVar[str] = "silence"

    @property
    def words(self) -> str:
        return f"-d {write_duration(self.span)}"

    @property
    def done(self) -> str:
        """What was done, such as `silenced for 1h`."""
        return f"silenced for {write_duration(self.span)}"


Options = ResolveNow | ReopenNow | Archive | AssignToMe | SilenceFor

RESOLVE, REOPEN, ARCHIVE, ASSIGN, SILENCE = "resolve", "reopen", "archive", "assign", "silence"
ARCHIVE_CHOICES = {"escalating": "until it escalates", "1d": "for a day", "1w": "for a week", "forever": "forever"}
"""The choices of the menu for `archive`, each with its label."""


def options_of(action: str, choice: str = "") -> Options | None:
    """What a button does; None if none of our buttons has this name or choice.

    If the button is a menu, `choice` is the chosen entry; "" stands for the first one.
    """
    if action == ARCHIVE:
        until = choice or next(iter(ARCHIVE_CHOICES))
        return Archive(until) if until in ARCHIVE_CHOICES else None
    return _BY_NAME.get(action) if not choice else None


def options_of_emoji(emoji: str) -> Options | None:
    """The action of an emoji under an alert, None if it has none.

    The emoji is a name of Slack's or Mattermost's, with or without colons and skin tone, or the character itself.
    """
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
    """One action on one issue; `issue_id` is the server's own id: a number or a UUID.

    Raises:
        BadReference: on construction, if `issue_id` is neither.
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
        """What a person would type after the command for the same action. Only access rules look at this."""
        return f"{self.issue_id} {self.options.words}".strip()


_BY_EMOJI = {
    **dict.fromkeys(("white_check_mark", "check_mark", "\u2705"), _BY_NAME[RESOLVE]),
    **dict.fromkeys(("mute", "\U0001f507"), _BY_NAME[SILENCE]),
    **dict.fromkeys(("eyes", "\U0001f440"), _BY_NAME[ASSIGN]),
}
