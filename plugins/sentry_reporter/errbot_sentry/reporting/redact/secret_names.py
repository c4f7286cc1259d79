"""Names that say that what they name is secret: of keys, variables, headers, options and elements."""

from __future__ import annotations

import re
from functools import lru_cache

_WORDS = (
    "passw|passphrase|secret|token|credential|cookie|signature|authoriz|bearer"
    "|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|sentry[_-]?key|encryption[_-]?key"
    "|webhook[_-]?url|connection[_-]?string"
)
# These are also parts of innocent words (author, passenger, sidebar), so they must stand alone between separators.
_ALONE = "auth|pwd|pass|pw|session|sessionid|sid|sig|dsn|jwt|csrf|xsrf|otp|pin"
_SENSITIVE = re.compile(rf"(?i){_WORDS}|(?:^|[^a-z])(?:{_ALONE})(?:$|[^a-z])")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

NAME = rf"(?:(?:{_WORDS})[\w-]{{0,40}}|(?<![A-Za-z])(?:{_ALONE})(?![A-Za-z]))"
"""A part of an expression: such a name, in any text; to be used without regard to case."""

# Pieces of lower-case text, of which every text with such a name has one.
_HINTS = ("pass", "secret", "token", "credential", "cookie", "signature", "auth", "bearer", "key", "pwd", "pw",
    "session", "sid", "sig", "dsn", "jwt", "csrf", "xsrf", "otp", "pin", "webhook", "connection")  # fmt: skip


@lru_cache(maxsize=4096)
def is_sensitive_name(name: str) -> bool:
    """Whether a value under this key, or in this variable, is masked whatever it looks like."""
    return _SENSITIVE.search(_CAMEL.sub("_", name)) is not None


def may_name_a_secret(low: str) -> bool:
    """Whether it is worth to look for such names in this lower-case text."""
    return any(hint in low for hint in _HINTS)
