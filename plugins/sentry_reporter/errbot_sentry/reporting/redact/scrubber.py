"""The scrubber: takes secrets out of texts, by their shape or their name, and mail addresses.

Pure functions over strings and over JSON-like values.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from errbot_sentry.reporting.redact import source_lines
from errbot_sentry.reporting.redact.named_values import without_named_values
from errbot_sentry.reporting.redact.secret_shapes import (
    FILTERED,
    KEY_BEGINS,
    KEY_ENDS,
    is_sensitive_name,
    without_shapes,
)

__all__ = ["CUT", "FILTERED", "Scrubber", "cleaned", "cut", "is_sensitive_name"]

CUT = "…"
_LONGEST_CACHED = 200
_LONGEST_WORD = 1000
_MOST_BESIDE = 8
_DEEPEST = 40
_PAIR_KEY = re.compile(r"""[bru]{0,2}(['"]?)([\w .-]{1,60})\1""")


def _mask_text(text: str, mails: bool) -> str:
    clean = without_named_values(text, text.lower())
    return without_shapes(clean, clean.lower(), mails)


_short_text = lru_cache(maxsize=8192)(_mask_text)


class Scrubber:
    """The rules, and the secrets that the bot itself knows (its DSN, its token): those go wherever they stand."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        forms = {form for secret in known if len(secret) >= 6 for form in _forms(secret)}
        self._known = tuple(sorted(forms, key=lambda form: (-len(form), form)))

    def text(self, text: str, mails: bool = True) -> str:
        """The text with secrets masked; `mails` False where addresses are names (rooms and people on XMPP)."""
        text = self._without_known(_whole(text))
        return _short_text(text, mails) if len(text) <= _LONGEST_CACHED else _mask_text(text, mails)

    def source(self, window: str) -> str:
        """Lines of source code, joined by line breaks, with their literal secrets masked; as many as before."""
        lines = "\n".join(map(_whole, window.split("\n"))) if "..." in window else window
        return source_lines.without_secrets(self._without_known(lines))

    def value(self, value: Any, then: Callable[[str], str] | None = None) -> Any:
        """A JSON-like value with sensitive keys and all texts masked; `then` is applied to each text afterwards."""
        return cleaned(value, self.text if then is None else lambda text: then(self.text(text)))

    def _without_known(self, text: str) -> str:
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, FILTERED)
        return text


def _forms(secret: str) -> Iterable[str]:
    """What programs make of a secret on its way into a text."""
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        yield code(secret.encode(errors="replace")).decode().rstrip("=")


def cleaned(value: Any, clean: Callable[[str], str], depth: int = 0) -> Any:
    """A JSON-like value: what has the name of a secret goes, and every other text, keys too, is what `clean` makes of
    it."""
    if isinstance(value, str):
        return clean(value)
    if depth > _DEEPEST:
        return FILTERED
    if isinstance(value, dict):
        return {
            clean(key) if isinstance(key, str) else key: FILTERED
            if _is_secret(key, item, value)
            else cleaned(item, clean, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return _items(value, clean, depth + 1)
    return value


def _items(items: Sequence[Any], clean: Callable[[str], str], depth: int) -> list[Any]:
    """A list. In pairs (lists of headers) and behind options (command lines) names count; of a private key that was
    split into lines, every line goes."""
    pairs = len(items) % 2 == 0
    made: list[Any] = []
    named = behind_option = in_key = False
    for number, item in enumerate(items):
        if not isinstance(item, str):
            made.append(FILTERED if named and item is not None else cleaned(item, clean, depth))
            named = behind_option = False
            continue
        ends = in_key and KEY_ENDS.search(item) is not None
        made.append(FILTERED if named or behind_option or in_key else clean(item))
        in_key = (in_key and not ends) or _begins_key(item)
        behind_option = "--" in item[:4] and "=" not in item and is_sensitive_name(item)
        named = pairs and number % 2 == 0 and _names_a_secret(item)
    return made


def _begins_key(text: str) -> bool:
    if "rivate" not in text and "PRIVATE" not in text and "PuTTY" not in text:
        return False
    *_, begins = (-1, *(found.end() for found in KEY_BEGINS.finditer(text)))
    return begins >= 0 and KEY_ENDS.search(text, begins) is None


def _names_a_secret(text: str) -> bool:
    found = _PAIR_KEY.fullmatch(text)
    return found is not None and is_sensitive_name(found[2])


def _is_secret(key: Any, value: Any, among: Mapping[Any, Any]) -> bool:
    """Whether the value under this key is secret by a name: its key, or the `name` beside a `value`."""
    if value is None or not isinstance(key, str):
        return False
    if key == "value" and len(among) <= _MOST_BESIDE:
        named = among.get("name", among.get("key"))
        if isinstance(named, str) and is_sensitive_name(named):
            return True
    return is_sensitive_name(key)


def cut(text: str, longest: int) -> str:
    """A text of at most `longest` characters: without its last word, of which half a secret could be left."""
    return text if len(text) <= longest else _without_last_word(text[:longest]) + CUT


def _whole(text: str) -> str:
    """A text without the half word that is left where the SDK has cut it."""
    if len(text) > _LONGEST_CACHED and text.endswith("..."):
        return _without_last_word(text[:-3]) + CUT
    return text


def _without_last_word(text: str) -> str:
    end = max(text.rfind(space) for space in " \n\t")
    return text[: max(end, len(text) - _LONGEST_WORD, 0)]
