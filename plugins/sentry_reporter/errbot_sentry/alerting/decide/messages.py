"""Makes messages of alerts: their kind, their values, and whom they mention. Every value is foreign text.

Only notifications mention somebody, and updates about an assignment to somebody who was not mentioned before. Counts,
reminders and other updates never do. All functions are pure but the last ones, which read the state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from errbot_sentry.alerting.decide.alert_wording import (
    BY_PEOPLE,
    activity_of,
    counted,
    facts_of,
    projects_named,
    word_of,
)
from errbot_sentry.alerting.decide.grouping import RETURNS
from errbot_sentry.config.mention_rules import Mention, load_mention
from errbot_sentry.domain import json_values
from errbot_sentry.domain.alerts import (
    ASSIGNED,
    COMMENTED,
    METRIC,
    PULL_REQUEST,
    SEEN_ARCHIVED,
    SEER,
    STILL_OPEN,
    Alert,
    MessageKind,
    Placement,
)
from errbot_sentry.domain.conversation import direct_room
from errbot_sentry.domain.issues import UNRESOLVED, Assignee
from errbot_sentry.domain.text import utc_time, write_duration, write_roughly
from errbot_sentry.store.records import Group, KnownIssue, Message, Silence, issue_key

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

TEMPLATES = {
    MessageKind.NOTIFICATION: "sentry_notification",
    MessageKind.STORM_LIST: "sentry_notification_list",
    MessageKind.QUIET_LIST: "sentry_notification_list",
    MessageKind.WAIT_LIST: "sentry_notification_list",
    MessageKind.AWAY_LIST: "sentry_notification_list",
    MessageKind.UPDATE: "sentry_update",
    MessageKind.UPDATE_LIST: "sentry_update_list",
    MessageKind.STACK_TRACE: "sentry_alert_trace",
    MessageKind.COUNT_UPDATE: "sentry_count_update",
    MessageKind.SILENCE_NOTICE: "sentry_silence_notice",
    MessageKind.DIGEST: "sentry_digest",
    MessageKind.OUTAGE_NOTICE: "sentry_outage_notice",
}
_FROM_ERRORS = frozenset(
    {"title", "culprit", "text", "facts", "rule", "activity", "short_id"}
)  # or a title for want of one
LIST_LENGTH = 20
_LONGEST_TITLE = 200
_LONGEST_CULPRIT = 100
_TITLE_IN_LIST = 100


def shown_values(values: Mapping[str, object], mask: Callable[[str], str]) -> dict[str, Any]:
    """The values of a message, with `mask` applied to each line of those that may come from an error."""

    def shown(name: str, value: object) -> object:
        if isinstance(value, str):
            return "\n".join(map(mask, value.split("\n"))) if name in _FROM_ERRORS else value
        if isinstance(value, (list, tuple)):
            return [shown(name, each) for each in value]
        return shown_values(value, mask) if isinstance(value, dict) else value

    return {name: shown(name, value) for name, value in values.items()}


def notification(
    room: str, alert: Alert, issue: str, alert_id: int, mention: str = "", show: Sequence[str] = ()
) -> Message:
    """The first message about a problem in a room, or the first since it came back; `show` names its facts."""
    link = _pull_request(alert)
    values = {
        "word": word_of(alert),
        "project": ", ".join(projects_named(alert)),
        "short_id": alert.short_id,
        "title": shorten(alert.title or "(no title)", _LONGEST_TITLE),
        "culprit": "" if alert.reason in BY_PEOPLE else shorten(alert.culprit, _LONGEST_CULPRIT),
        "level": alert.level or "",
        "facts": ", ".join(shorten(fact, _LONGEST_TITLE) for fact in facts_of(alert, show)),
        "rule": "" if alert.rule == alert.title else shorten(alert.rule, _LONGEST_CULPRIT),
        "text": "" if alert.reason == METRIC or link else shorten(alert.text, _LONGEST_TITLE),
        "link": link or alert.link,
        "mark": "",
    }
    return Message(room, MessageKind.NOTIFICATION, values, mention=mention, issue=issue, alert_id=alert_id)


def stack_trace(group: Group, alert: Alert, thread_root: int, alert_id: int) -> Message:
    """A short stack trace, placed under its notification."""
    message = Message(group.room, MessageKind.STACK_TRACE, {"text": alert.trace}, alert_id=alert_id)
    return _under(replace(group, thread_root=thread_root), message)


def update(group: Group, alert: Alert, alert_id: int, mention: str = "", *, is_again: bool = False) -> Message:
    """What became of the issue, placed under its notification; `is_again` says that the problem came back."""
    values = _activity(alert, is_again=is_again)
    message = Message(group.room, MessageKind.UPDATE, values, mention=mention, alert_id=alert_id, mark=_mark(alert))
    return _under(group, message)


def _mark(alert: Alert) -> str:
    """The mark for the notification, if the network can edit it: `resolved by Ann`, or ""."""
    if alert.reason in (COMMENTED, PULL_REQUEST, SEER, STILL_OPEN):
        return ""
    values = _activity(alert)
    parts = values["activity"], f"by {values['actor']}" if values["actor"] else "", values["until"]
    return " ".join(filter(None, parts))


def _under(group: Group, message: Message) -> Message:
    """The message, placed under the notification of the problem."""
    return replace(
        message,
        placement=Placement.THREAD,
        issue=group.issue,
        thread_root=group.thread_root,
        threads=group.threads,
    )


def _activity(alert: Alert, *, is_again: bool = False) -> dict[str, str]:
    link = _pull_request(alert)
    text = alert.text if alert.reason in (COMMENTED, METRIC, SEER, STILL_OPEN) and not link else ""
    return {
        "short_id": alert.short_id or shorten(alert.title, _TITLE_IN_LIST),
        "activity": shorten(activity_of(alert), _LONGEST_TITLE) + (" again" if is_again else ""),
        "actor": shorten(alert.actor, _LONGEST_CULPRIT),
        "until": alert.how if alert.reason == SEEN_ARCHIVED else "",
        "text": shorten(text, _LONGEST_TITLE),
        "link": link,
    }


def _pull_request(alert: Alert) -> str:
    """The address of the pull request that a step of Seer is about, or ""."""
    return json_values.web_link(alert.text) if alert.reason == SEER else ""


def count_update(group: Group, known: KnownIssue | None, now: float, *, is_reminder: bool) -> Message:
    """The number of events in a window, sent when it closes: `12 more events in 10m (1,240 in all)`."""
    events = known.events if known is not None else None
    more = max(0, events - group.events) if events is not None and group.events is not None else 0
    values = {
        "short_id": (known.short_id if known else "") or group.issue,
        "reminds": is_reminder,
        "more": counted(more, "more event") if more else counted(group.counted, "more alert"),
        "span": write_roughly(timedelta(seconds=max(60.0, now - group.last_sent))),
        "total": f"{events:,}" if more else "",
        "level": group.level,
    }
    return _under(group, Message(group.room, MessageKind.COUNT_UPDATE, values))


def notification_list(room: str, kind: MessageKind, rows: Sequence[tuple[Alert, str]], mention: str = "") -> Message:
    """One message for several deferred notifications; `rows` are the alerts, each with its issue's present status."""
    projects = sorted({alert.project for alert, _ in rows if alert.project})
    away = [alert.away_since for alert, _ in rows if alert.away_since is not None]
    values = {
        "since": utc_time(min(away)) if kind is MessageKind.AWAY_LIST else "",
        "kind": kind.value,
        "count": len(rows),
        "projects": ", ".join(projects[:5]) + (", …" if len(projects) > 5 else ""),
        "rows": [list_row(alert, status) for alert, status in rows[:LIST_LENGTH]],
        "left": max(0, len(rows) - LIST_LENGTH),
    }
    return Message(room, kind, values, projects=tuple(projects), count=len(rows), mention=mention)


def update_list(room: str, alerts: Sequence[Alert], mention: str = "", only: Group | None = None) -> Message:
    """One message for several updates, oldest first; placed under the notification if all are about one problem."""
    last: dict[str, tuple[Alert, int]] = {}
    for alert in alerts:
        key = issue_key(alert)
        last[key] = alert, last.get(key, (alert, 0))[1] + 1
    returns = Counter(issue_key(alert) for alert in alerts if alert.reason in RETURNS)
    rows = [
        {**_activity(alert, is_again=alert.reason in RETURNS and returns[key] > 1), "times": count}
        for key, (alert, count) in last.items()
    ]
    sums = Counter("from Seer" if alert.reason == SEER else word_of(alert).lower() for alert, _ in last.values())
    values = {
        "count": len(alerts),
        "sums": [f"{count} {word}" for word, count in sums.most_common()],
        "rows": rows[:LIST_LENGTH],
        "left": max(0, len(rows) - LIST_LENGTH),
    }
    message = Message(
        room,
        MessageKind.UPDATE_LIST,
        values,
        placement=Placement.THREAD,
        projects=tuple(sorted({alert.project for alert, _ in last.values()})),
        count=len(alerts),
        mention=mention,
    )
    return message if only is None else _under(only, message)


def list_row(alert: Alert, status: str = UNRESOLVED) -> dict[str, str]:
    """One line of a list of alerts."""
    return {
        "word": word_of(alert),
        "short_id": alert.short_id,
        "title": shorten(alert.title or "(no title)", _TITLE_IN_LIST),
        "project": alert.project,
        "status": "" if status == UNRESOLVED else status,
    }


def silence_notice(
    room: str,
    silence: Silence,
    label: str,
    now: float,
    rows: Sequence[tuple[str, Alert]] = (),
    still: Silence | None = None,
) -> Message:
    """The notice about a silence shortly before its end, or at its end.

    `rows` are the alerts that it silenced in this room, each with a name for people. `still` is another silence of the
    same that goes on there.
    """
    counts = Counter(name for name, _ in rows)
    values = {
        "number": silence.id,
        "label": shorten(label, _LONGEST_TITLE),
        "ended": now >= silence.ends,
        "still": still.id if still is not None else 0,
        "left": write_duration(timedelta(seconds=max(0.0, silence.ends - now))),
        "count": len(rows),
        "problems": len(counts),
        "rows": [f"{name} ({count})" if count > 1 else name for name, count in counts.most_common(10)],
    }
    projects = tuple(sorted({alert.project for _, alert in rows}))
    return Message(room, MessageKind.SILENCE_NOTICE, values, projects=projects, count=len(rows))


def shorten(text: str, limit: int) -> str:
    """The text, cut to `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


class MentionReason(Enum):
    """Why a message mentions somebody, or nobody."""

    FIXED = "The route's rule is a fixed text, or none."
    OWNER = "The issue belongs to a person who is linked to somebody in chat."
    TEAM = "The issue belongs to a team that the rule names."
    OTHERWISE = "The rule's `else`: nobody better is known."
    NOT_IN_RULE = "The rule does not mention this kind of owner, or this kind of message mentions nobody."
    NO_OWNER = "The issue belongs to nobody."
    UNLINKED = "The issue belongs to a person who is not linked to anybody in chat."
    OWN_CHANGE = "The new owner assigned the issue themselves."
    MENTIONED_BEFORE = "The new owner was the last one to be mentioned."


@dataclass(frozen=True)
class MentionChoice:
    """The named reason, the trusted text ("" mentions nobody), and the owner to be mentioned once ("": nobody)."""

    reason: MentionReason
    text: str = ""
    owner: str = ""


def owner_of(*sources: Alert | KnownIssue | None) -> Assignee | None:
    """The owner of the issue, from the first of these sources that names one; None for nobody."""
    source = next((each for each in sources if each is not None and each.assignee_kind), None)
    if source is None or source.assignee_kind == "nobody" or not (source.assignee or source.assignee_mail):
        return None
    return Assignee(source.assignee_kind, source.assignee, source.assignee_mail)


def owner_key(owner: Assignee) -> str:
    """The text by which an owner is remembered."""
    return f"team:{owner.name.casefold()}" if owner.kind == "team" else (owner.email or owner.name).casefold()


def mention_for_notification(rule: Mention, owner: Assignee | None, linked: str) -> MentionChoice:
    """Whom a notification mentions. `linked` is the mention of the person who is linked with the owner, else ""."""
    if rule.is_fixed:
        return MentionChoice(MentionReason.FIXED, rule.otherwise)
    found = _mention_owner(rule, owner, linked)
    return found if found.text else MentionChoice(MentionReason.OTHERWISE, rule.otherwise)


def mention_for_assignment(
    rule: Mention, owner: Assignee | None, linked: str, actor: str, mentioned: str
) -> MentionChoice:
    """Whom the update about an assignment mentions: the new owner.

    An owner who did it themselves, or was mentioned before, is not mentioned. `actor` is the name on the server of the
    person who assigned it. `mentioned` is the owner whom the room's messages mentioned last.
    """
    found = _mention_owner(rule, owner, linked)
    if owner is None or not found.text:
        return found
    if owner_key(owner) == mentioned:
        return MentionChoice(MentionReason.MENTIONED_BEFORE)
    if owner.kind == "user" and actor and actor == owner.name:
        return MentionChoice(MentionReason.OWN_CHANGE, owner=found.owner)
    return found


def _mention_owner(rule: Mention, owner: Assignee | None, linked: str) -> MentionChoice:
    if owner is None:
        return MentionChoice(MentionReason.NO_OWNER)
    if owner.kind == "team":
        text = rule.of_team(owner.name)
        if not text:
            return MentionChoice(MentionReason.NOT_IN_RULE)
        return MentionChoice(MentionReason.TEAM, text, owner_key(owner))
    if not rule.assignee:
        return MentionChoice(MentionReason.NOT_IN_RULE)
    if not linked:
        return MentionChoice(MentionReason.UNLINKED)
    return MentionChoice(MentionReason.OWNER, linked, owner_key(owner))


def mention_in_channel(tx: Transaction, stored_rule: str, *sources: Alert | KnownIssue | None) -> MentionChoice:
    """Whom a notification mentions, by a room's rule; `sources` may name the issue's owner, the newest first."""
    rule = load_mention(stored_rule)
    owner = owner_of(*sources)
    return mention_for_notification(rule, owner, _linked(tx, rule, owner))


def mention_in_thread(tx: Transaction, group: Group, alert: Alert) -> MentionChoice:
    """Whom an update mentions."""
    if alert.reason != ASSIGNED:
        return MentionChoice(MentionReason.NOT_IN_RULE)
    rule = load_mention(group.mention)
    owner = owner_of(alert)
    return mention_for_assignment(rule, owner, _linked(tx, rule, owner), alert.actor, group.mentioned)


def people_mentioned(tx: Transaction, text: str) -> list[str]:
    """The room names of all linked people whom this text mentions and who can get direct messages."""
    words = {text, *text.split()}
    found: dict[str, str] = {}
    for person in tx.accounts.addressed():  # if two people have the same mention, the one linked last counts
        if person.mention in words:
            found.setdefault(person.mention, direct_room(person.address))
    return [room for mention, room in found.items() if mention]


def _linked(tx: Transaction, rule: Mention, owner: Assignee | None) -> str:
    if not rule.assignee or owner is None or owner.kind != "user" or not owner.email:
        return ""
    return tx.accounts.mention_of(owner.email)
