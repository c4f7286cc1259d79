"""What a webhook's body comes to: alerts, with ids and names in the form that the server itself gives them. Pure.

A webhook with a token in its address may be written by anybody who knows the token, and what is kept of it is used
later: to ask the server, to act on a reaction, to find a room. So only what can be an id becomes one: an issue's id
that is none refuses the webhook, a short id or slug that is none counts as missing, and the server is asked for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from errbot_sentry.domain import identifiers, json_values
from errbot_sentry.domain.alerts import Alert
from errbot_sentry.domain.errors import BadBody


@dataclass(frozen=True)
class Parsed:
    """The alerts of one delivery.

    `more` counts issues that the sender mentions but does not send along. `key` is what a second webhook about the same
    change has in common with this one; "" where there is none.
    """

    alerts: tuple[Alert, ...]
    more: int = 0
    key: str = ""


NOTHING = Parsed(())


# Sentry: django slugs, up to 100 characters; GlitchTip and Bugsink the same or less.
_SLUG = re.compile(r"[A-Za-z0-9_](?:[\w.-]{0,98}[A-Za-z0-9_])?", re.ASCII)


def issue_number(*values: Any) -> str:
    """The first of these that is there, as Sentry and GlitchTip number issues: decimal digits. "" where none is there.

    Raises:
        BadBody: it is no such number.
    """
    found = json_values.first_line(*values)
    if not found:
        return ""
    if not identifiers.is_number(found):
        raise BadBody("The id of its issue is not a number, as the ids of Sentry and GlitchTip are.")
    return str(int(found))


def issue_uuid(value: Any) -> str:
    """A UUID as Bugsink names issues, "" where there is none.

    Raises:
        BadBody: it is no UUID.
    """
    found = json_values.line(value)
    if not found:
        return ""
    parsed = identifiers.as_uuid(found)
    if not parsed:
        raise BadBody("The id of its issue is not a UUID, as Bugsink's are.")
    return parsed


def short_id(value: Any) -> str:
    """`WEB-1A`, "" for what is none."""
    found = json_values.line(value)
    return found.upper() if identifiers.is_short_id(found) else ""


def slug(*values: Any) -> str:
    """The first of these that is there, where it can be the slug of a project; else ""."""
    found = json_values.first_line(*values)
    return found if _SLUG.fullmatch(found) else ""


def project_number(value: Any) -> str:
    """A project's number, "" for what is none."""
    found = json_values.line(value)
    return found if identifiers.is_number(found) else ""
