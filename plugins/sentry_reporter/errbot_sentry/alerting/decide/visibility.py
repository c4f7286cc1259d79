"""Decides whether a room may still see a message that is sent some time after its alert was decided. Pure.

The project may have been renamed since, or the bot restarted with another `SENTRY_ROOM_PROJECTS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from errbot_sentry.alerting.decide.routing import may_see_alert
from errbot_sentry.config.matchers import Matcher, read_matcher
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.conversation import Conversation, address_of
from errbot_sentry.store.records import KnownIssue, Message, Silence

if TYPE_CHECKING:
    from errbot_sentry.store.transaction import Transaction


def may_see_now(last: Alert | None, known: KnownIssue | None, room: str, access: Access) -> bool:
    """Whether a room may see a problem, by its last alert and what is known of it now; False if both are deleted."""
    project = known.project if known is not None else ""
    if last is None:
        return access.may_see(project, Conversation(room))
    return may_see_alert(replace(last, project=project) if project else last, room, access)


def may_be_sent(message: Message, last: Alert | None, known: KnownIssue | None, access: Access) -> bool:
    """Whether a message that has waited may still go to its room; True if it is about no project."""
    conversation = Conversation(message.room)
    if not all(access.may_see(project, conversation) for project in message.projects):
        return False
    return (last is None and known is None) or may_see_now(last, known, message.room, access)


def is_still_visible(tx: Transaction, message: Message, access: Access) -> bool:
    """Like `may_be_sent`, with the data in the state; a person has to be linked, too."""
    address = address_of(message.room)
    if address and tx.accounts.at_address(address) is None:
        return False
    if access.sees_everything(Conversation(message.room)):
        return True
    last = tx.inbox.get([message.alert_id]).get(message.alert_id)
    return may_be_sent(message, last, tx.issues.get(message.issue), access)


@dataclass(frozen=True)
class ShownSilence:
    """The part of a silence that may be shown; a hidden author or comment is "". `where` says where it holds."""

    label: str
    where: str
    author: str = ""
    comment: str = ""


def shown_silence(
    silence: Silence, conversation: Conversation, access: Access, *, to_writer: bool = False
) -> ShownSilence | None:
    """The part of a silence that may be shown in this conversation; None for nothing.

    All of it may be shown if `shows_all_of` says so. Else only its matchers, if they name no hidden project, because
    comment, author and room were meant for people who see more.
    """
    where = silence.room or "every room"
    if shows_all_of(silence.room, conversation, access, to_writer=to_writer):
        return ShownSilence(silence.label, where, silence.author, silence.comment)
    if not may_name(about(silence), conversation, access):
        return None
    return ShownSilence(silence.label, "another room" if silence.room else where)


def shows_all_of(room: str, conversation: Conversation, access: Access, *, to_writer: bool = False) -> bool:
    """Whether all parts of what was made in `room` ("" for a direct message) may be shown in this conversation.

    True in that room, in a conversation that may see all projects, and in a direct message to a writer, who must be
    able to change it.
    """
    made_here = bool(room) and room == conversation.room
    return made_here or access.sees_everything(conversation) or (to_writer and conversation.is_direct)


def may_name(matchers: Iterable[str | Matcher], conversation: Conversation, access: Access) -> bool:
    """Whether all projects in these matchers, and those of issues in them, may be shown in this conversation."""
    return access.sees_everything(conversation) or all(
        access.may_see(project, conversation) for project in projects_of(matchers)
    )


def about(silence: Silence) -> tuple[str | Matcher, ...]:
    """The matchers of a silence. A short id in them is not parsed, because servers have forms of their own."""
    return (Matcher("issue", "=", silence.label),) if silence.issue else silence.matchers


def projects_of(matchers: Iterable[str | Matcher]) -> Iterator[str]:
    """The projects that matchers name, also by short ids, which begin with the project's slug."""
    for each in matchers:
        matcher = read_matcher(each) if isinstance(each, str) else each
        if matcher.name == "project" and matcher.value.strip(".*"):
            yield matcher.value
        elif matcher.name == "issue":
            yield matcher.value.rpartition("-")[0]
