"""Whom a message mentions: a route's rule, who the issue belongs to, and who that is in chat.

Pure but for the last functions, which look into the state.

Only notifications mention somebody, and updates about an assignment to somebody who was not mentioned before. Counts,
reminders and other updates never do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from errbot_sentry.config.mention_rules import Mention, kept_mention
from errbot_sentry.domain.alerts import ASSIGNED, Alert
from errbot_sentry.domain.issues import Assignee
from errbot_sentry.store.records import Group, KnownIssue

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction

# Why somebody, or nobody, is mentioned.
FIXED, OWNER, TEAM, OTHERWISE = "fixed", "owner", "team", "otherwise"
UNASKED, NO_OWNER, UNLINKED, OWN_CHANGE, AGAIN = "unasked", "no_owner", "unlinked", "own_change", "again"


@dataclass(frozen=True)
class MentionChoice:
    """The named reason, the trusted text ("" mentions nobody), and the owner to be mentioned once ("": nobody)."""

    reason: str
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
        return MentionChoice(FIXED, rule.otherwise)
    found = _mention_owner(rule, owner, linked)
    return found if found.text else MentionChoice(OTHERWISE, rule.otherwise)


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
        return MentionChoice(AGAIN)
    if owner.kind == "user" and actor and actor == owner.name:
        return MentionChoice(OWN_CHANGE, owner=found.owner)
    return found


def _mention_owner(rule: Mention, owner: Assignee | None, linked: str) -> MentionChoice:
    if owner is None:
        return MentionChoice(NO_OWNER)
    if owner.kind == "team":
        text = rule.of_team(owner.name)
        return MentionChoice(TEAM, text, owner_key(owner)) if text else MentionChoice(UNASKED)
    if not rule.assignee:
        return MentionChoice(UNASKED)
    return MentionChoice(OWNER, linked, owner_key(owner)) if linked else MentionChoice(UNLINKED)


def mention_in_channel(tx: Transaction, kept: str, *sources: Alert | KnownIssue | None) -> MentionChoice:
    """Whom a notification mentions, by a room's rule; `sources` say who the issue belongs to, the newest first."""
    rule = kept_mention(kept)
    owner = owner_of(*sources)
    return mention_for_notification(rule, owner, _linked(tx, rule, owner))


def mention_in_thread(tx: Transaction, group: Group, alert: Alert) -> MentionChoice:
    """Whom an update mentions."""
    if alert.reason != ASSIGNED:
        return MentionChoice(UNASKED)
    rule = kept_mention(group.mention)
    owner = owner_of(alert)
    return mention_for_assignment(rule, owner, _linked(tx, rule, owner), alert.actor, group.mentioned)


def _linked(tx: Transaction, rule: Mention, owner: Assignee | None) -> str:
    if not rule.assignee or owner is None or owner.kind != "user" or not owner.email:
        return ""
    return tx.accounts.mention_of(owner.email)
