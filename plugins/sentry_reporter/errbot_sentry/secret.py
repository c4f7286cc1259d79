"""Secrets that cannot be printed by accident, and the masking that everything else uses."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

_SHOWN = 4
_SHORTEST_SHOWN = 12


def mask(text: str) -> str:
    """`…` and the last four characters; only `…` where four would be a good part of the secret."""
    return "…" + (text[-_SHOWN:] if len(text) >= _SHORTEST_SHOWN else "")


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
