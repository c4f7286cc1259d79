"""Whom a message calls: a route's rule, who the issue belongs to, and who that is in chat.

Pure but for the last functions, which look into the state.

Only first words call, and under them the assignment to somebody who was not called before. Counts, reminders under
the first word and what else becomes of an issue never do.
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

# Why somebody, or nobody, is called.
FIXED, OWNER, TEAM, OTHERWISE = "fixed", "owner", "team", "otherwise"
UNASKED, NO_OWNER, UNLINKED, OWN_CHANGE, AGAIN = "unasked", "no_owner", "unlinked", "own_deed", "again"


@dataclass(frozen=True)
class MentionChoice:
    """The named reason, the trusted text ("" calls nobody), and the owner it is for, to be called once ("": nobody)."""

    reason: str
    text: str = ""
    owner: str = ""


def owner_of(*tellers: Alert | KnownIssue | None) -> Assignee | None:
    """Who the issue belongs to, as the first of these says that says anything; None for nobody."""
    teller = next((each for each in tellers if each is not None and each.assignee_kind), None)
    if teller is None or teller.assignee_kind == "nobody" or not (teller.assignee or teller.assignee_mail):
        return None
    return Assignee(teller.assignee_kind, teller.assignee, teller.assignee_mail)


def owner_key(owner: Assignee) -> str:
    """What an owner is remembered by."""
    return f"team:{owner.name.casefold()}" if owner.kind == "team" else (owner.email or owner.name).casefold()


def mention_for_notification(rule: Mention, owner: Assignee | None, linked: str) -> MentionChoice:
    """Whom a first word calls. `linked` is the mention of the chat person who is the owner, "" where none is linked."""
    if rule.is_fixed:
        return MentionChoice(FIXED, rule.otherwise)
    called = _call_owner(rule, owner, linked)
    return called if called.text else MentionChoice(OTHERWISE, rule.otherwise)


def mention_for_assignment(
    rule: Mention, owner: Assignee | None, linked: str, actor: str, called: str
) -> MentionChoice:
    """Whom the news of an assignment calls: its new owner, unless it was their own deed, or they were called before.

    `actor` is the name on the server of who assigned it, `called` the owner whom the room's messages called last.
    """
    found = _call_owner(rule, owner, linked)
    if owner is None or not found.text:
        return found
    if owner_key(owner) == called:
        return MentionChoice(AGAIN)
    if owner.kind == "user" and actor and actor == owner.name:
        return MentionChoice(OWN_CHANGE, owner=found.owner)
    return found


def _call_owner(rule: Mention, owner: Assignee | None, linked: str) -> MentionChoice:
    if owner is None:
        return MentionChoice(NO_OWNER)
    if owner.kind == "team":
        text = rule.of_team(owner.name)
        return MentionChoice(TEAM, text, owner_key(owner)) if text else MentionChoice(UNASKED)
    if not rule.assignee:
        return MentionChoice(UNASKED)
    return MentionChoice(OWNER, linked, owner_key(owner)) if linked else MentionChoice(UNLINKED)


def mention_in_channel(tx: Transaction, kept: str, *tellers: Alert | KnownIssue | None) -> MentionChoice:
    """Whom a first word calls, by a room's kept rule; `tellers` know who the issue belongs to, the newest first."""
    rule = kept_mention(kept)
    owner = owner_of(*tellers)
    return mention_for_notification(rule, owner, _linked(tx, rule, owner))


def mention_in_thread(tx: Transaction, group: Group, alert: Alert) -> MentionChoice:
    """Whom a word under the first one calls."""
    if alert.reason != ASSIGNED:
        return MentionChoice(UNASKED)
    rule = kept_mention(group.mention)
    owner = owner_of(alert)
    return mention_for_assignment(rule, owner, _linked(tx, rule, owner), alert.actor, group.mentioned)


def _linked(tx: Transaction, rule: Mention, owner: Assignee | None) -> str:
    if not rule.assignee or owner is None or owner.kind != "user" or not owner.email:
        return ""
    return tx.accounts.mention_of(owner.email)
