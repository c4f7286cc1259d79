"""A change counts only when the server's answer shows it: some servers answer 200 to what they ignore."""

from __future__ import annotations

from errbot_sentry.errors import BadAnswer
from errbot_sentry.model import Issue


def confirm(host: str, asked: Issue, answered: Issue, status: str) -> Issue:
    """The issue as answered, if it is the one that was to be changed and has the status that was asked for.

    Raises:
        BadAnswer: it is another one, or has another status.
    """
    if answered.id != asked.id:
        raise BadAnswer(f"{host} was asked to change {asked.short_id}, but answered with another issue: look there.")
    if answered.status != status:
        raise BadAnswer(
            f"{host} took the request, but {asked.short_id} is {answered.status} there and not {status}: look there."
        )
    return answered
