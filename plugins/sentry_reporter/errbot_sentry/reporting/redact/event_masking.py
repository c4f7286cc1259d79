"""Masks credentials in what a server sends of an event.

Servers show what a program's SDK sent, and a room has many readers.
"""

from __future__ import annotations

import re
from dataclasses import replace

from errbot_sentry.domain.stack_trace import Detail
from errbot_sentry.domain.text import whole_words
from errbot_sentry.reporting.redact.scrubber import FILTERED, Scrubber, is_sensitive_name

_LONGEST = 1000
_SCRUBBER = Scrubber()
_EXCEPTION_TYPE = re.compile(
    r"(?:\w+\.)*(?:(?:Expired|Invalid|Missing|Unknown)[A-Z]\w*|\w*"
    r"(?:Denied|Error|Exception|Exist|Expired|Failure|Fault|Invalid|Mismatch|Missing|NotFound|Required|Warning))(?=: )"
)


def masked(name: str, value: str) -> str:
    """A value of an event without credentials.

    If the name says that the value is a secret, the whole value is masked. Otherwise only those parts are masked that
    look like a secret or are named as one.
    """
    return FILTERED if is_sensitive_name(name) else masked_text(value)


def masked_text(text: str) -> str:
    """A text without credentials; of a very long one, the beginning."""
    return _SCRUBBER.text(whole_words(text, _LONGEST), mails=False)


def masked_source(lines: str) -> str:
    """Lines of source without credentials."""
    return _SCRUBBER.source(lines)


def masked_title(text: str) -> str:
    """A title or an exception's text, without credentials.

    The type of an exception stays, although it may be called like a secret: `InvalidTokenError: it has expired`.
    """
    kind = _EXCEPTION_TYPE.match(text)
    begins = kind.end() if kind else 0
    return text[:begins] + masked_text(text[begins:])


def masked_detail(detail: Detail) -> Detail:
    """This detail of a trace, without credentials in variables, texts and source."""
    return replace(detail, mask=masked, mask_text=masked_title, mask_source=masked_source)
