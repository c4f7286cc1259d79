"""Whom a message mentions: a route's rule, who the issue belongs to, and who that is in chat.

Pure but for the last functions, which look into the state.

Only notifications mention somebody, and updates about an assignment to somebody who was not mentioned before. Counts,
reminders and other updates never do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from errbot_sentry.config.mention_rules import Mention, load_mention
from errbot_sentry.domain.alerts import ASSIGNED, Alert
from errbot_sentry.domain.issues import Assignee
from errbot_sentry.store.records import Group, KnownIssue

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction


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
    """Who the issue belongs to, as the first of these says that says anything; None for nobody."""
    source = next((each for each in sources if each is not None and each.assignee_kind), None)
    if source is None or source.assignee_kind == "nobody" or not (source.assignee or source.assignee_mail):
        return None
    return Assignee(source.assignee_kind, source.assignee, source.assignee_mail)


def owner_key(owner: Assignee) -> str:
    """What an owner is remembered by."""
    return f"team:{owner.name.casefold()}" if owner.kind == "team" else (owner.email or owner.name).casefold()


def mention_for_notification(rule: Mention, owner: Assignee | None, linked: str) -> MentionChoice:
    """Whom a notification mentions. `linked` is the mention of the owner's chat person, "" where none is linked."""
    if rule.is_fixed:
        return MentionChoice(MentionReason.FIXED, rule.otherwise)
    found = _mention_owner(rule, owner, linked)
    return found if found.text else MentionChoice(MentionReason.OTHERWISE, rule.otherwise)


def mention_for_assignment(
    rule: Mention, owner: Assignee | None, linked: str, actor: str, mentioned: str
) -> MentionChoice:
    """Whom the update about an assignment mentions: the new owner.

    Not if they did it themselves, or were mentioned before.

    `actor` is the name on the server of who assigned it, `mentioned` the owner whom the room's messages mentioned last.
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
    """Whom a notification mentions, by a room's rule; `sources` say who the issue belongs to, the newest first."""
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


def _linked(tx: Transaction, rule: Mention, owner: Assignee | None) -> str:
    if not rule.assignee or owner is None or owner.kind != "user" or not owner.email:
        return ""
    return tx.accounts.mention_of(owner.email)
