"""The type Secret, which cannot be printed by accident, and functions that mask secrets in texts."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_SHOWN = 4
_SHORTEST_SHOWN = 12


def mask(text: str) -> str:
    """`…` and the last four characters; only `…` if four would be a large part of the secret."""
    return "…" + (text[-_SHOWN:] if len(text) >= _SHORTEST_SHOWN else "")


# The beginnings of tokens of Sentry, Slack, GitHub and GitLab, and of JWTs.
_TOKEN = re.compile(r"sntry[a-z]_|xox[a-z]-|gh[a-z]_|github_pat_|glpat-|eyJ[\w-]{10}")
_HEX = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12,}", re.IGNORECASE)
_RUN = re.compile(r"[A-Za-z0-9_+%&*^$-]{16,}")
_STRETCH = re.compile(r"[A-Za-z0-9_+%&*^$=-]{8,}(?:[.][A-Za-z0-9_+%&*^$=-]{8,})*…?")


def looks_secret(text: str) -> bool:
    """Whether a part of the text could be a token or key, and is not just words, names and numbers."""
    return is_known_token(text) or bool(_HEX.search(text)) or any(map(_is_random, _RUN.findall(text)))


def is_known_token(text: str) -> bool:
    """Whether a part of the text begins like the tokens of a known service."""
    return bool(_TOKEN.search(text))


def _is_random(run: str) -> bool:
    """Whether letters and digits are mixed as in no name: `acme-2026-frontend` has them in separate parts."""
    mixed = "".join(
        part for part in re.split("[-_]", run) if not part.isdigit() and any(letter.isdigit() for letter in part)
    )
    return len(mixed) >= 12 and sum(letter.isdigit() for letter in mixed) >= 3


def without_secrets(sentence: str) -> str:
    """The sentence with `…` in place of each part that could be a token or key, or the beginning of one."""
    return _STRETCH.sub(lambda match: "…" if _may_be_secret(match[0]) else match[0], sentence)


def _may_be_secret(stretch: str) -> bool:
    # The form of a part that was cut short no longer shows whether it was a token.
    cut_short = stretch.endswith("…") and any(map(str.isdigit, stretch))
    return cut_short or looks_secret(stretch)


def shape(value: object) -> str:
    """The kind of a value in words, without the value, because somebody may have pasted a secret there."""
    if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 10**9):
        return repr(value)
    if isinstance(value, str):
        scheme = next((start for start in ("http://", "https://") if value.startswith(start)), "")
        begins = f" that begins with {scheme!r}" if scheme else ""
        plural = "" if len(value) == 1 else "s"
        return f"a string of {len(value)} character{plural}{begins}" if value else "an empty string"
    return type_of(value) + (f" of {len(value)}" if isinstance(value, (list, tuple, set, dict)) else "")


def type_of(value: object) -> str:
    """`an int`, `a list`: the type of a value, with its article."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeio' else 'a'} {name}"


def mask_url(url: str) -> str:
    """The URL with its user part and password masked, for logs and `!sentry status` (a DSN keeps host and project)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return mask(url)
    if "@" in url.replace(parts.netloc, "", 1):
        return mask(url)  # the password contains "/", "?" or "#", so the URL was split at the wrong place
    if "://" not in url:
        return mask(url)
    if "@" not in parts.netloc:
        return url.partition("?")[0].partition("#")[0]  # not urlunsplit, which drops slashes of sqlite:////path
    user = mask(parts.username or "")
    if parts.password is not None and parts.scheme not in ("http", "https"):  # in a DSN, the user name is the key
        user = f"{parts.username}:…"
    return urlunsplit((parts.scheme, f"{user}@{host}{port}", parts.path, "", ""))


class Secret:
    """A string that shows at most its last four characters in `str`, `repr`, formatting and logs.

    Only `reveal()` returns the value, so that a reader can find every place that uses it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __str__(self) -> str:
        return mask(self._text) if self._text else ""

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")
