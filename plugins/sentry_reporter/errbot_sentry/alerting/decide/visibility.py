"""What a room may still see when a message is sent some time after its alert was decided. Pure.

Meanwhile the project may have been renamed, or the bot restarted with another `SENTRY_ROOM_PROJECTS`.
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
    """Whether a room may see a problem, by its last alert and what is known of it now; not if both are gone."""
    project = known.project if known is not None else ""
    if last is None:
        return access.may_see(project, Conversation(room))
    return may_see_alert(replace(last, project=project) if project else last, room, access)


def may_be_sent(message: Message, last: Alert | None, known: KnownIssue | None, access: Access) -> bool:
    """Whether a message that waited may go to its room still; it may, where it is about no project."""
    conversation = Conversation(message.room)
    if not all(access.may_see(project, conversation) for project in message.projects):
        return False
    return (last is None and known is None) or may_see_now(last, known, message.room, access)


def is_still_visible(tx: Transaction, message: Message, access: Access) -> bool:
    """The same, by what the state knows at present; a person has to be linked, too."""
    address = address_of(message.room)
    if address and tx.accounts.at_address(address) is None:
        return False
    if access.sees_everything(Conversation(message.room)):
        return True
    last = tx.inbox.get([message.alert_id]).get(message.alert_id)
    return may_be_sent(message, last, tx.issues.get(message.issue), access)


@dataclass(frozen=True)
class ShownSilence:
    """What of a silence may be shown in one place; an empty author or comment may not. `where` is where it applies."""

    label: str
    where: str
    author: str = ""
    comment: str = ""


def shown_silence(
    silence: Silence, conversation: Conversation, access: Access, *, to_writer: bool = False
) -> ShownSilence | None:
    """What of a silence may be shown in this place; None: nothing.

    All of it where `shows_all_of` says so. Elsewhere what it matches, if that names no hidden project: its comment, its
    author and its room were meant for those who see more.
    """
    where = silence.room or "every room"
    if shows_all_of(silence.room, conversation, access, to_writer=to_writer):
        return ShownSilence(silence.label, where, silence.author, silence.comment)
    if not may_name(about(silence), conversation, access):
        return None
    return ShownSilence(silence.label, "another room" if silence.room else where)


def shows_all_of(room: str, conversation: Conversation, access: Access, *, to_writer: bool = False) -> bool:
    """Whether all of what was made in `room` ("" for a direct message) may be shown in this place.

    In that room, where nothing is hidden, and in a direct message to a writer, who needs it to be able to change it.
    """
    made_here = bool(room) and room == conversation.room
    return made_here or access.sees_everything(conversation) or (to_writer and conversation.is_direct)


def may_name(matchers: Iterable[str | Matcher], conversation: Conversation, access: Access) -> bool:
    """Whether these matchers name no project, and no issue of one, that may not be shown in this place."""
    return access.sees_everything(conversation) or all(
        access.may_see(project, conversation) for project in projects_of(matchers)
    )


def about(silence: Silence) -> tuple[str | Matcher, ...]:
    """What a silence matches, as matchers; a short id is whatever the server calls one, and is never parsed."""
    return (Matcher("issue", "=", silence.label),) if silence.issue else silence.matchers


def projects_of(matchers: Iterable[str | Matcher]) -> Iterator[str]:
    """The projects that matchers name; a short id begins with its project's slug."""
    for each in matchers:
        matcher = read_matcher(each) if isinstance(each, str) else each
        if matcher.name == "project" and matcher.value.strip(".*"):
            yield matcher.value
        elif matcher.name == "issue":
            yield matcher.value.rpartition("-")[0]
