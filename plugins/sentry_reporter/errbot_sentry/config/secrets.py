"""Secrets that cannot be printed by accident, and the masking that everything else uses."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_SHOWN = 4
_SHORTEST_SHOWN = 12


def mask(text: str) -> str:
    """`…` and the last four characters; only `…` where four would be a good part of the secret."""
    return "…" + (text[-_SHOWN:] if len(text) >= _SHORTEST_SHOWN else "")


# How tokens begin: Sentry's, Slack's, GitHub's, GitLab's, and the JSON of a JWT.
_TOKEN = re.compile(r"sntry[a-z]_|xox[a-z]-|gh[a-z]_|github_pat_|glpat-|eyJ[\w-]{10}")
_HEX = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12,}", re.IGNORECASE)
_RUN = re.compile(r"[A-Za-z0-9_+%&*^$-]{16,}")
_STRETCH = re.compile(r"[A-Za-z0-9_+%&*^$=-]{8,}(?:[.][A-Za-z0-9_+%&*^$=-]{8,})*…?")


def looks_secret(text: str) -> bool:
    """Whether there is something in the text that could be a token or key, rather than words, names and numbers."""
    return is_known_token(text) or bool(_HEX.search(text)) or any(map(_is_random, _RUN.findall(text)))


def is_known_token(text: str) -> bool:
    """Whether something in the text begins as tokens of services that we know."""
    return bool(_TOKEN.search(text))


def _is_random(run: str) -> bool:
    """Letters and digits in a mix that names do not have: `acme-2026-frontend` keeps them apart."""
    mixed = "".join(
        part for part in re.split("[-_]", run) if not part.isdigit() and any(letter.isdigit() for letter in part)
    )
    return len(mixed) >= 12 and sum(letter.isdigit() for letter in mixed) >= 3


def without_secrets(sentence: str) -> str:
    """The sentence without the stretches of it that could be a token or key, or the beginning of one."""
    return _STRETCH.sub(lambda found: "…" if _may_be_secret(found[0]) else found[0], sentence)


def _may_be_secret(stretch: str) -> bool:
    # What was cut short can no longer be distinguished from a token by its form.
    cut_short = stretch.endswith("…") and any(map(str.isdigit, stretch))
    return cut_short or looks_secret(stretch)


def shape(value: object) -> str:
    """What kind of value it is, in words, without the value: for whatever a secret may have been pasted into."""
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
        return mask(url)  # a password with "/", "?" or "#" in it has been taken apart at the wrong place
    if "://" not in url:
        return mask(url)
    if "@" not in parts.netloc:
        return url.partition("?")[0].partition("#")[0]  # as it is: urlunsplit would drop slashes of sqlite:////path
    user = mask(parts.username or "")
    if parts.password is not None and parts.scheme not in ("http", "https"):  # in a DSN the name is the key
        user = f"{parts.username}:…"
    return urlunsplit((parts.scheme, f"{user}@{host}{port}", parts.path, "", ""))


class Secret:
    """A text that shows at most its last four characters in `str`, `repr`, formatting and logs.

    `reveal()` is the one way to the value, so that a reader can find every place that uses it.
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
