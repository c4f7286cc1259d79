"""Ids of issues and events, checked before they become part of a URL's path, and names compared in any case."""

from __future__ import annotations

import re
from uuid import UUID

from errbot_sentry.domain.errors import BadReference

_NUMBER = re.compile(r"[0-9]{1,19}")
_SHORT_ID = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,98}[A-Za-z0-9_])?-[A-Za-z0-9]{1,13}", re.ASCII)
_EVENT_ID = re.compile(r"[0-9a-f]{32}")


def small(text: str) -> str:
    """The text in small letters, to compare names of rooms, projects and people.

    A letter stays as it is if it is not the one capital of its small letter. `str.casefold` and `str.lower` would make
    two names equal that are different ones to a chat network or a server, and that anybody may take: `boß` and `boss`,
    `ﬁnance` with a ligature, or `mike` with the sign for kelvin.
    """
    if text.isascii():
        return text.lower()
    return "".join(letter.lower() if letter.lower().upper() == letter else letter for letter in text)


def is_number(text: str) -> bool:
    """Whether this is a numeric id, as Sentry and GlitchTip have them."""
    return _NUMBER.fullmatch(text) is not None and int(text) < 2**63  # the servers' databases fail on greater numbers


def is_uuid(text: str) -> bool:
    """Whether this is a UUID with its dashes, as Bugsink's ids are."""
    return bool(found := as_uuid(text)) and found == text.lower()


def is_short_id(text: str) -> bool:
    """Whether this is a short id such as PROJECT-1A, in upper or lower case."""
    return _SHORT_ID.fullmatch(text) is not None


def as_uuid(text: str) -> str:
    """A UUID in its usual spelling, "" if the text is not one."""
    if len(text) > 36:
        return ""
    try:
        return str(UUID(text))
    except ValueError:
        return ""


def number(text: str) -> str:
    """The text, checked to be an issue's number.

    Raises:
        BadReference: it is not.
    """
    if not is_number(text):
        raise BadReference("That isn't an issue number. Use a short ID such as WEB-1A, a number, or the issue's URL.")
    return text


def uuid(text: str) -> str:
    """An issue's UUID, in lower case.

    Raises:
        BadReference: the text is not a UUID.
    """
    if not (found := as_uuid(text)):
        raise BadReference(
            "That isn't an issue ID of Bugsink. Use a short ID such as WEB-1, a UUID, or the issue's URL."
        )
    return found


def short_id(text: str) -> str:
    """A short id, in upper case.

    Raises:
        BadReference: the text is not a short id.
    """
    if not is_short_id(text):
        raise BadReference("That isn't a short ID such as WEB-1A.")
    return text.upper()


def event_id(text: str) -> str | None:
    """An event's id as 32 lower-case hex digits, None if the text is not one."""
    plain = text.replace("-", "").lower()
    return plain if _EVENT_ID.fullmatch(plain) else None
