"""A change counts only when the server's answer shows it: some servers answer 200 to what they ignore."""

from __future__ import annotations

from errbot_sentry.domain.errors import BadQuery, NotAsAsked, ServerError
from errbot_sentry.domain.issues import Issue

_LOOK = "look at it there."


def confirm(host: str, asked: Issue, answered: Issue, status: str) -> Issue:
    """The issue as answered, if it is the one that was to be changed and has the status that was asked for.

    Raises:
        NotAsAsked: it is another one, or has another status.
    """
    if answered.id != asked.id:
        raise NotAsAsked(f"{host} was asked to change {asked.short_id}, but answered with another issue: {_LOOK}")
    if answered.status != status:
        raise NotAsAsked(
            f"{host} took the request, but {asked.short_id} is {answered.status} there and not {status}: {_LOOK}"
        )
    return answered


def nobody_there(host: str, error: ServerError) -> BadQuery:
    """For a refusal to assign an issue that is there: so it is the person or the team that is not."""
    return BadQuery(
        f"{host} has no such person or team for this project: give the mail address used there, or team:slug.",
        status=error.status,
        detail=error.detail,
    )


def not_shown(host: str, asked: Issue, what: str) -> NotAsAsked:
    """For an answer that does not show what was asked for; `what` are our words ("archived until it escalates")."""
    return NotAsAsked(f"{host} took the request, but does not say that {asked.short_id} is {what}: {_LOOK}")
