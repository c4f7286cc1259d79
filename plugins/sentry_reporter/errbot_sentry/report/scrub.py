"""What must not leave the bot: secrets by their shape or their name, and mail addresses.

Pure functions over strings and over JSON-like values. A rule is tried only where its hint, a piece of lower-case text
that every match contains, is in the text: most strings of an event pass with a few substring look-ups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

FILTERED = "[Filtered]"
CUT = "…"
_LONGEST_CACHED = 200
_LONGEST_WORD = 1000
_MOST_BESIDE = 8
_DEEPEST = 40

_SENSITIVE_WORDS = (
    "passw|passphrase|secret|token|credential|cookie|signature|authoriz|bearer"
    "|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|sentry[_-]?key|encryption[_-]?key"
    "|webhook[_-]?url|connection[_-]?string"
)
# These are also parts of innocent words (author, passenger, sidebar), so they must stand alone between separators.
_SENSITIVE_ALONE = "auth|pwd|pass|pw|session|sessionid|sid|sig|dsn|jwt|csrf|xsrf|otp|pin"
_SENSITIVE_KEY = re.compile(rf"(?i){_SENSITIVE_WORDS}|(?:^|[^a-z])(?:{_SENSITIVE_ALONE})(?:$|[^a-z])")
_PAIR_KEY = re.compile(r"""['"]?[\w-]{1,60}['"]?""")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_NAME = rf"(?:(?:{_SENSITIVE_WORDS})[\w-]{{0,40}}|(?<![A-Za-z])(?:{_SENSITIVE_ALONE})(?![A-Za-z]))"
# Text inside of text inside of text has its quotes escaped many times over; in text that was cut off a quote may never
# close.
_QUOTED = (
    r"""\"{3}[\s\S]*?(?:\"{3}|\Z)|'{3}[\s\S]*?(?:'{3}|\Z)"""
    r"""|(?P<quote>\\{1,31}["'])(?:(?!(?<!\\)(?P=quote))[\s\S])*(?:(?P=quote)|\Z)"""
    r"""|"(?:[^"\\]|\\.)*(?:"|\Z)|'(?:[^'\\]|\\.)*(?:'|\Z)"""
)
# Every repetition that could start anywhere is bounded: texts may be hostile, and matching must stay linear.
# key=value, key: value, "key": "value", 'key': b'value', key=[value, value], in any text; the value ends where its
# quote, its bracket or its word ends.
_LIST = r"""\[[^\[\]]{0,2000}(?:\]|\Z)|\([^()]{0,2000}(?:\)|\Z)|\{[^{}]{0,2000}(?:\}|\Z)"""
_PAIR = re.compile(
    rf"""(?i)({_NAME}\\{{0,31}}["']?\]?\s*(?:[=-]>|:=|[=:]{{1,3}})\s*)"""
    rf"""(?:[bruf]{{0,2}}(?:{_QUOTED})|{_LIST}|[^\s,;&"'()\[\]{{}}<>]+)"""
)
# A header runs to the end of its line or of the quotes around it: cookies have many values.
_HEADER = re.compile(
    r"""(?i)((?:set-cookie|cookie|authorization|x-sentry-auth|sentry-hook-signature)\\{0,31}["']?\s*[=:]\s*\\{0,31}["']?)"""
    r"""[^\s"'\\(\[{][^\r\n"'\\]*"""
)
# --password value, also as two items of a printed list; <password>value</password>
_OPTION = re.compile(
    rf"""(?i)((?<![\w-])--[\w-]{{0,40}}?{_NAME}\\{{0,31}}["']?,?\s+[bru]?\\{{0,31}}["']?)(?!-)[^\s"',;\\\[\]]+"""
)
_ELEMENT = re.compile(rf"(?i)(<(?:[\w.]{{1,40}}:)?[\w-]{{0,40}}?{_NAME}(?:\s[^<>]{{0,200}})?>)[^<]+")
# The same in source, where a name may have an annotation, an index or a bracket before its literal.
_SOURCE_PAIR = re.compile(
    rf"""(?i)({_NAME}["']?[\])]?\s*(?::\s*[\w.\[\], |"']{{1,60}}=|:=|[=!]=|[=:,(])\s*[(\[]?\s*)"""
    rf"""[bruf]{{0,2}}(?:{_QUOTED})"""
)

_LITERAL = re.compile(r""""(?:[^"\\]|\\.)*(?:"|\Z)|'(?:[^'\\]|\\.)*(?:'|\Z)""")

_PAIR_HINTS = ("pass", "secret", "token", "credential", "cookie", "signature", "auth", "bearer", "key", "pwd", "pw",
    "session", "sid", "sig", "dsn", "jwt", "csrf", "xsrf", "otp", "pin", "webhook", "connection")  # fmt: skip

_SIGNS = ("=", ":", "->", "--", "</")

Rule = tuple[str, re.Pattern[str], str]


def _rule(hint: str, pattern: str, replacement: str = FILTERED) -> Rule:
    return hint, re.compile(pattern), replacement


_SCHEME = r"((?i:[a-z][a-z0-9+.-]{0,20})://)"
# The usual tokens, by the prefixes that their makers gave them for this very purpose.
_SHAPES: tuple[Rule, ...] = (
    _rule("://", _SCHEME + r"""[^\s/?#"'<>]{1,500}@""", rf"\1{FILTERED}@"),
    _rule("://", _SCHEME + r"""[^\s/:?#"'<>@]{0,200}:[^\s"'<>]{1,500}@(?=[\w\[])""", rf"\1{FILTERED}@"),
    _rule("bearer", r"""(?i)(\bbearer\s+)[^\s"',;]{6,}""", rf"\1{FILTERED}"),
    _rule("basic", r"(?i)(\bbasic\s+)[a-z0-9+/=_-]{8,}", rf"\1{FILTERED}"),
    _rule("sntry", r"sntry[a-z]{1,2}_[A-Za-z0-9_+/=.-]{8,}"),
    _rule("eyj", r"eyJ[\w-]{6,3000}\.[\w-]{6,}(?:\.[\w-]*)?"),
    _rule("xox", r"xox[a-z](?:-[A-Za-z0-9]+)+"),
    _rule("xapp-", r"xapp(?:-[A-Za-z0-9]+)+"),
    _rule("hooks.slack.com", r"(hooks\.slack\.com/\w+/)[\w/]+", rf"\1{FILTERED}"),
    _rule("/webhooks/", r"(/webhooks/\d{5,25}/)[\w-]{20,}", rf"\1{FILTERED}"),  # Discord
    _rule("webhookb2/", r"(webhookb2/)[^\s\"'<>]+", rf"\1{FILTERED}"),  # Teams
    _rule("/hooks/", r"(/hooks/)[a-z0-9]{20,}", rf"\1{FILTERED}"),  # Mattermost
    _rule("gh", r"gh[pousr]_[A-Za-z0-9]{16,}"),
    _rule("github_pat_", r"github_pat_\w{16,}"),
    _rule("gl", r"gl[a-z]{2,6}-[\w-]{16,}"),
    _rule("hf_", r"hf_\w{20,}"),
    _rule("hvs.", r"hvs\.[\w-]{20,}"),
    _rule("ya29.", r"ya29\.[\w-]{20,}"),
    _rule("shpat_", r"shpat_\w{16,}"),
    _rule("whsec_", r"whsec_[\w+/=]{16,}"),
    _rule("akia", r"AKIA[A-Z0-9]{12,}"),
    _rule("asia", r"ASIA[A-Z0-9]{12,}"),
    _rule("aiza", r"AIza[\w-]{20,}"),
    _rule("sk-", r"sk-[\w-]{16,}"),
    _rule("k_live_", r"[spr]k_live_\w{8,}"),
    _rule("k_test_", r"[spr]k_test_\w{8,}"),
    _rule("npm_", r"npm_\w{16,}"),
    _rule("pypi-", r"pypi-[\w-]{16,}"),
    _rule("sg.", r"SG\.[\w-]{12,}\.[\w-]{12,}"),
    _rule("private key-----", r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
)  # fmt: skip
_MAIL = re.compile(r"[\w.+%'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,63}\b")
_LONG_HEX = re.compile(r"[0-9a-fA-F]{64,}")  # API tokens, HMAC signatures
_BOT_TOKEN = re.compile(r"(?<!\d)\d{6,12}:[\w-]{30,}")  # Telegram, whose URLs write it right behind "/bot"
_DISCORD_TOKEN = re.compile(r"(?<![\w-])[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{27,}")


@lru_cache(maxsize=4096)
def is_sensitive_name(name: str) -> bool:
    """Whether a value under this key, or in this variable, is masked whatever it looks like."""
    return _SENSITIVE_KEY.search(_CAMEL.sub("_", name)) is not None


def _mask_shapes(text: str, low: str, mails: bool) -> str:
    for hint, pattern, replacement in _SHAPES:
        if hint in low:
            text = pattern.sub(replacement, text)
    if mails and "@" in text:
        text = _MAIL.sub(FILTERED, text)
    if len(text) >= 37:
        if len(text) >= 64:
            text = _LONG_HEX.sub(FILTERED, text)
        if ":" in text:
            text = _BOT_TOKEN.sub(FILTERED, text)
        if "." in text:
            text = _DISCORD_TOKEN.sub(FILTERED, text)
    return text


def _mask_text(text: str, mails: bool) -> str:
    low = text.lower()
    if any(sign in low for sign in _SIGNS) and any(hint in low for hint in _PAIR_HINTS):
        text = _HEADER.sub(rf"\1{FILTERED}", text)
        text = _PAIR.sub(_keep_name, text)
        if "--" in low:
            text = _OPTION.sub(rf"\1{FILTERED}", text)
        if "</" in low:
            text = _ELEMENT.sub(rf"\1{FILTERED}", text)
        low = text.lower()
    return _mask_shapes(text, low, mails)


def _keep_name(match: re.Match[str]) -> str:
    # "Cookie: [Filtered]" must not be taken for the pair Cookie=[Filtered once more.
    return match.group(0) if match.group(0).endswith(FILTERED) else match.group(1) + FILTERED


def _mask_source(line: str) -> str:
    """A source line keeps its names and calls; only literals that stand for a secret go."""
    low = line.lower()
    if ('"' in low or "'" in low) and any(hint in low for hint in _PAIR_HINTS):
        line = _SOURCE_PAIR.sub(lambda match: match.group(1) + f'"{FILTERED}"', line)
        line = _LITERAL.sub(lambda match: _PAIR.sub(_keep_name, match.group(0)), line)  # "host=x password=y"
        if "--" in low:
            line = _OPTION.sub(rf"\1{FILTERED}", line)
    return _mask_shapes(line, low, mails=True)


_short_text = lru_cache(maxsize=8192)(_mask_text)
_short_source = lru_cache(maxsize=8192)(_mask_source)


class Scrubber:
    """The rules, and the secrets that the bot itself knows (its DSN, its token): those go wherever they stand."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = tuple(sorted({secret for secret in known if len(secret) >= 6}, key=len, reverse=True))

    def text(self, text: str, mails: bool = True) -> str:
        """The text with secrets masked; `mails` False where addresses are names (rooms and people on XMPP)."""
        return self._cleaned(text, lambda cut: _short_text(cut, mails), lambda cut: _mask_text(cut, mails))

    def source(self, line: str) -> str:
        """A line of source code with its literal secrets masked."""
        return self._cleaned(line, _short_source, _mask_source)

    def _cleaned(self, text: str, short: Callable[[str], str], long: Callable[[str], str]) -> str:
        if len(text) > _LONGEST_CACHED and text.endswith("..."):  # so the SDK ends what it has cut
            text = _without_last_word(text[:-3]) + CUT
        for secret in self._known:
            if secret in text:
                return self.text(text.replace(secret, FILTERED))
        return short(text) if len(text) <= _LONGEST_CACHED else long(text)

    def value(self, value: Any, then: Callable[[str], str] | None = None, depth: int = 0) -> Any:
        """A JSON-like value with sensitive keys and all texts masked; `then` is applied to each text afterwards."""
        if isinstance(value, str):
            clean = self.text(value)
            return clean if then is None else then(clean)
        if depth > _DEEPEST:
            return FILTERED
        if isinstance(value, dict):
            return {
                self._key(key, then): FILTERED if _goes(key, held, value) else self.value(held, then, depth + 1)
                for key, held in value.items()
            }
        if isinstance(value, (list, tuple)):
            return self._items(value, then, depth + 1)
        return value

    def _items(self, items: Sequence[Any], then: Callable[[str], str] | None, depth: int) -> list[Any]:
        """A list; as a pair (as in lists of headers), and behind an option (as in command lines), names count too."""
        first = items[0] if len(items) == 2 else None
        if isinstance(first, str) and _PAIR_KEY.fullmatch(first) and is_sensitive_name(first.strip("'\"")):
            return [self.value(first, then, depth), FILTERED]
        clean = []
        behind_option = False
        for held in items:
            is_text = isinstance(held, str)
            clean.append(FILTERED if behind_option and is_text else self.value(held, then, depth))
            behind_option = is_text and "--" in held[:4] and "=" not in held and is_sensitive_name(held)
        return clean

    def _key(self, key: Any, then: Callable[[str], str] | None) -> Any:
        if not isinstance(key, str):
            return key
        clean = self.text(key)
        return clean if then is None else then(clean)


def _goes(key: Any, held: Any, among: Mapping[Any, Any]) -> bool:
    """Whether the value under this key is secret by a name: its key, or the `name` beside a `value`."""
    if held is None or not isinstance(key, str):
        return False
    if key == "value" and len(among) <= _MOST_BESIDE:
        named = among.get("name", among.get("key"))
        if isinstance(named, str) and is_sensitive_name(named):
            return True
    return is_sensitive_name(key)


def cut(text: str, longest: int) -> str:
    """A text of at most `longest` characters: without its last word, of which half a secret could be left."""
    return text if len(text) <= longest else _without_last_word(text[:longest]) + CUT


def _without_last_word(text: str) -> str:
    end = max(text.rfind(space) for space in " \n\t")
    return text[: max(end, len(text) - _LONGEST_WORD, 0)]
