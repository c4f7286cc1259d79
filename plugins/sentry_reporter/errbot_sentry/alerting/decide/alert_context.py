"""One alert on its way through the pipeline, and what it comes to in each room."""

from __future__ import annotations

from dataclasses import dataclass, field

from errbot_sentry.alerting.decide.grouping import CHANNEL, NOWHERE, THREAD, GroupDecision, issue_key
from errbot_sentry.alerting.decide.routing import Target
from errbot_sentry.domain.alerts import Alert
from errbot_sentry.store.records import Decision, Deferred, Group, KnownIssue, Silence, WaitingAlert

# Names of decisions that the place in time gives, beside those of `group`.
SILENCED, QUIET, STORM, GATHERED, HELD = "silenced", "quiet", "storm", "gathered", "held"
BUNDLED = "bundled"


@dataclass
class Outcome:
    """What the alert comes to in one room. `hold` is set where its first word is held back."""

    target: Target
    decided: GroupDecision
    name: str
    placement: str
    detail: str = ""
    group: Group | None = None
    deferral: Deferred | None = None

    def silence(self, name: str, detail: str = "") -> None:
        """Say nothing, for this reason."""
        self.name, self.placement = name, NOWHERE
        self.detail = detail or self.detail

    @property
    def speaks(self) -> bool:
        """Whether a message goes out now."""
        return self.placement in (CHANNEL, THREAD)


@dataclass
class AlertContext:
    """One alert on its way through the stages."""

    row: WaitingAlert
    alert: Alert
    now: float
    known: KnownIssue | None = None
    groups: dict[str, Group] = field(default_factory=dict)
    silences: list[Silence] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def decide(self, room: str, name: str, detail: str = "") -> None:
        """Note what becomes of the alert in a room, or in none."""
        key = issue_key(self.alert)
        self.decisions.append(Decision(self.row.id, room, name, detail, self.alert.reason, key))
