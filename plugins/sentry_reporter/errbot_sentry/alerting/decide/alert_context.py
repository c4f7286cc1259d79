"""What the stages of a decision read and write: the alert, and what is decided about it for each room."""

from __future__ import annotations

from dataclasses import dataclass, field

from errbot_sentry.alerting.decide.decisions import DecisionName
from errbot_sentry.alerting.decide.routing import Target
from errbot_sentry.domain.alerts import Alert, Placement
from errbot_sentry.store.records import Decision, Deferred, Group, KnownIssue, Silence, WaitingAlert, issue_key


@dataclass
class RoomOutcome:
    """What is decided about the alert for one room.

    `group` is the room's group if the message is sent. `stored` is the group to be stored, None to leave the stored one
    as it is. `deferral` is set if the message is put off.
    """

    target: Target
    name: DecisionName
    placement: Placement
    group: Group
    stored: Group | None
    detail: str = ""
    deferral: Deferred | None = None

    def withhold(self, name: DecisionName, detail: str = "") -> None:
        """Send nothing now, for this reason."""
        self.name, self.placement = name, Placement.NONE
        self.detail = detail or self.detail

    @property
    def is_sent(self) -> bool:
        """Whether a message goes out now."""
        return self.placement is not Placement.NONE


@dataclass
class AlertContext:
    """One alert on its way through the stages.

    `without` is the reason if the server's answer is missing, else "". `people` are those who got the alert because a
    room's message mentions them.
    """

    row: WaitingAlert
    alert: Alert
    now: float
    known: KnownIssue | None = None
    groups: dict[str, Group] = field(default_factory=dict)
    silences: list[Silence] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    outcomes: list[RoomOutcome] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    without: str = ""
    people: set[str] = field(default_factory=set)

    def decide(self, room: str, name: DecisionName, detail: str = "") -> None:
        """Add the decision about the alert for a room, or for none."""
        key = issue_key(self.alert)
        self.decisions.append(Decision(self.row.id, room, name.value, detail, self.alert.reason, key))
