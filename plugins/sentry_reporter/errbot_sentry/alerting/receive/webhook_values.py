"""Checks the ids and names in a webhook, so that only those in the server's own form get into an alert. Pure.

Anybody who knows a webhook's token can send one, and its values are used later: in requests to the server, for
reactions, to choose a room. A webhook with an invalid issue id is refused. An invalid short id or slug counts as
missing, and the server is asked for it.
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

    `more` counts issues that the sender mentions but does not send. `key` is the same in a second webhook about the
    same change; "" if there is none.
    """

    alerts: tuple[Alert, ...]
    more: int = 0
    key: str = ""


NOTHING = Parsed(())


# Sentry: django slugs, up to 100 characters; GlitchTip and Bugsink the same or less.
_SLUG = re.compile(r"[A-Za-z0-9_](?:[\w.-]{0,98}[A-Za-z0-9_])?", re.ASCII)


def issue_number(*values: Any) -> str:
    """The first of these values, as an issue's number on Sentry or GlitchTip (digits); "" if all are missing.

    Raises:
        BadBody: it is not such a number.
    """
    found = json_values.first_line(*values)
    if not found:
        return ""
    if not identifiers.is_number(found):
        raise BadBody("The id of its issue is not a number, as the ids of Sentry and GlitchTip are.")
    return str(int(found))


def issue_uuid(value: Any) -> str:
    """The value as the UUID of an issue on Bugsink; "" if it is missing.

    Raises:
        BadBody: it is not a UUID.
    """
    found = json_values.line(value)
    if not found:
        return ""
    parsed = identifiers.as_uuid(found)
    if not parsed:
        raise BadBody("The id of its issue is not a UUID, as Bugsink's are.")
    return parsed


def short_id(value: Any) -> str:
    """The value if it is a short id (`WEB-1A`), else ""."""
    found = json_values.line(value)
    return found.upper() if identifiers.is_short_id(found) else ""


def slug(*values: Any) -> str:
    """The first of these values, if it can be a project's slug, else ""."""
    found = json_values.first_line(*values)
    return found if _SLUG.fullmatch(found) else ""


def project_number(value: Any) -> str:
    """The value if it is a project's number, else ""."""
    found = json_values.line(value)
    return found if identifiers.is_number(found) else ""
