"""Judges the links of the canary: an event of our own that goes the whole way, from the spool to a decision. Pure.

All events of a bot's canary have one fingerprint, so they are one issue, which no list and no room shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from errbot_sentry.domain.issues import Issue

SENT, SHOWN, WEBHOOK, POLLER, DECISION = "sent", "shown", "webhook", "poller", "decision"
WAYS = (WEBHOOK, POLLER)
LINKS = (SENT, SHOWN, *WAYS, DECISION)


class LinkState(str, Enum):
    """The state of a link. UNKNOWN: an earlier link is broken or was not reached yet, so this one cannot be judged."""

    OK = "ok"
    WAITING = "waiting"
    LATE = "late"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class CanaryRound:
    """One event on its way.

    Args:
        expected: the links that it has to reach, in the order of LINKS.
        reached: when it reached them.
        trouble: for a link, a sentence about why it may not be reached.
        begun: `started` in seconds of the monotonic clock.
    """

    started: datetime
    event_id: str
    expected: tuple[str, ...] = (SENT, SHOWN)
    reached: Mapping[str, datetime] = field(default_factory=dict)
    trouble: Mapping[str, str] = field(default_factory=dict)
    begun: float = 0.0


@dataclass(frozen=True)
class Link:
    """The present state of a link; `seconds` is the time from the round's start, None if it was not reached."""

    name: str
    state: LinkState
    at: datetime | None = None
    seconds: float | None = None
    trouble: str = ""


@dataclass(frozen=True)
class Progress:
    """The links of a round so far, and the canary's issue once the server shows the event."""

    links: tuple[Link, ...] = ()
    issue: Issue | None = None


def limits(poll_seconds: float) -> dict[str, float]:
    """The seconds, from the link before, after which each link counts as broken; after half of them it is late."""
    # GlitchTip looks for alerts once a minute; Sentry queues events and webhooks.
    return {SENT: 120.0, SHOWN: 120.0, WEBHOOK: 180.0, POLLER: max(180.0, 3 * poll_seconds), DECISION: 60.0}


def judge(current: CanaryRound, now: datetime, limit: Mapping[str, float]) -> tuple[Link, ...]:
    """The expected links, each with its state."""
    return tuple(_link(name, current, now, limit[name]) for name in LINKS if name in current.expected)


def is_over(links: Sequence[Link]) -> bool:
    """Whether the round is over: no further link can be reached."""
    return not any(link.state in (LinkState.WAITING, LinkState.LATE) for link in links)


def _link(name: str, current: CanaryRound, now: datetime, limit: float) -> Link:
    at = current.reached.get(name)
    if at is not None:
        return Link(name, LinkState.OK, at, max(0.0, (at - current.started).total_seconds()))
    begun = _begun(name, current)
    if begun is None:
        return Link(name, LinkState.UNKNOWN)
    waited = (now - begun).total_seconds()
    late = LinkState.LATE if waited >= limit / 2 else LinkState.WAITING
    return Link(name, LinkState.BROKEN if waited >= limit else late, trouble=current.trouble.get(name, ""))


def _begun(name: str, current: CanaryRound) -> datetime | None:
    """When the link before this one was reached; None if it was not."""
    if name == SENT:
        return current.started
    if name == SHOWN:
        return current.reached.get(SENT)
    if name == DECISION:
        return min((current.reached[way] for way in WAYS if way in current.reached), default=None)
    return current.reached.get(SHOWN)


_NEITHER = "neither"
_BROKEN = {
    SENT: "Events have not reached the server since {since}{cause}.",
    SHOWN: "Events are sent, but the server has not shown them since {since}{cause}.",
    WEBHOOK: "Events reach the server, but no webhook has arrived since {since}{cause}.",
    POLLER: "Events reach the server, but polling has not found them since {since}{cause}.",
    _NEITHER: "Events reach the server, but neither webhooks nor polling have brought alerts since {since}{cause}.",
    DECISION: "Alerts arrive, but have not been processed since {since}{cause}.",
}
_AGAIN = {
    SENT: "Events reach the server again.",
    SHOWN: "The server shows events again.",
    WEBHOOK: "Webhooks arrive again.",
    POLLER: "Polling finds events again.",
    DECISION: "Alerts are processed again.",
}
_OTHER_WAYS = {
    WEBHOOK: (POLLER, " Alerts still arrive by polling."),
    POLLER: (WEBHOOK, " Alerts still arrive by webhook."),
}


def broken_sentence(links: Sequence[Link], since: Mapping[str, datetime]) -> str:
    """Which links are broken, since when, and whether alerts still arrive; "" if none is broken.

    `since` has the time at which each link last worked.
    """
    states = {link.name: link.state for link in links}
    broken = {link.name: link for link in links if link.state is LinkState.BROKEN}
    if set(WAYS) <= set(broken):
        both = broken.pop(WEBHOOK)
        earlier = min(since[way] for way in WAYS)
        broken[POLLER] = replace(both, name=_NEITHER)
        since = {**since, _NEITHER: earlier}
    return " ".join(_sentence(link, states, since) for link in broken.values())


def again_sentence(names: Sequence[str]) -> str:
    """Sentences that these links work again."""
    return " ".join(_AGAIN[name] for name in names)


_STATES = {LinkState.WAITING: "not yet", LinkState.LATE: "not yet", LinkState.BROKEN: "missing", LinkState.UNKNOWN: "-"}


def link_words(link: Link) -> str:
    """A link in a few words, such as "webhook after 2.1 s"."""
    if link.seconds is not None:
        return f"{link.name} after {link.seconds:.1f} s"
    trouble = f" ({link.trouble.rstrip('.')})" if link.trouble else ""
    return f"{link.name} {_STATES[link.state]}{trouble}"


def _sentence(link: Link, states: Mapping[str, LinkState], since: Mapping[str, datetime]) -> str:
    cause = f" ({link.trouble.rstrip('.')})" if link.trouble else ""
    words = _BROKEN[link.name].format(since=f"{since[link.name]:%H:%M UTC}", cause=cause)
    other, still = _OTHER_WAYS.get(link.name, ("", ""))
    return words + still if states.get(other) is LinkState.OK else words
