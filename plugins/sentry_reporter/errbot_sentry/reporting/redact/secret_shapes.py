"""What secrets look like: names whose values are secret, and shapes of secrets.

The shapes are tokens, private keys, credentials in URLs, and mail addresses. Each rule has a hint: a lower-case text
that every match contains. A rule is only tried if its hint is in the text, so most strings of an event only need a few
substring searches. Each rule looks at a character a bounded number of times.
"""

from __future__ import annotations

import re
from functools import lru_cache

FILTERED = "[Filtered]"

_WORDS = (
    "passw|passphrase|secret|token|credential|cookie|signature|authoriz|bearer"
    "|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|sentry[_-]?key|encryption[_-]?key"
    "|webhook[_-]?url|connection[_-]?string"
)
# These are also parts of harmless words (author, passenger, sidebar), so they only count between separators.
_ALONE = "auth|pwd|pass|pw|session|sessionid|sid|sig|dsn|jwt|csrf|xsrf|otp|pin"
_SENSITIVE = re.compile(rf"(?i){_WORDS}|(?:^|[^a-z])(?:{_ALONE})(?:$|[^a-z])")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_NAME_GOES_ON = r"(?:[_0-9][\w-]{0,40}|-(?:data|hash|id|key|value)(?![A-Za-z]))?"  # not `auth-service: started`
NAME = rf"(?:(?:{_WORDS})[\w-]{{0,40}}|(?<![A-Za-z])(?:{_ALONE})(?![A-Za-z]){_NAME_GOES_ON})"
"""A part of a regular expression that matches such a name; use it with IGNORECASE."""

# Every lower-case text with such a name contains one of these.
_HINTS = ("pass", "secret", "token", "credential", "cookie", "signature", "auth", "bearer", "key", "pwd", "pw",
    "session", "sid", "sig", "dsn", "jwt", "csrf", "xsrf", "otp", "pin", "webhook", "connection")  # fmt: skip


@lru_cache(maxsize=4096)
def is_sensitive_name(name: str) -> bool:
    """Whether a value under this key, or in a variable of this name, is masked whatever it looks like."""
    return _SENSITIVE.search(_CAMEL.sub("_", name)) is not None


def may_name_a_secret(low: str) -> bool:
    """Whether this lower-case text may contain such a name."""
    return any(hint in low for hint in _HINTS)


Rule = tuple[str, re.Pattern[str], str]


def _rule(hint: str, pattern: str, replacement: str = FILTERED) -> Rule:
    return hint, re.compile(pattern), replacement


# PEM (also PGP's), RFC 4716 (SSH2), and PuTTY's own format.
KEY_BEGINS = re.compile(
    r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}|PuTTY-User-Key-File-\d|Private-Lines: *\d"
)
"""Where a private key begins."""
KEY_ENDS = re.compile(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}|Private-(?:MAC|Hash): *[0-9a-fA-F]*")
"""Where a private key ends."""

# Common tokens, by their prefixes, which exist so that tokens can be recognised.
_SHAPES: tuple[Rule, ...] = (
    _rule("bearer", r"""(?i)(\bbearer\s+)[^\s"',;]{6,}""", rf"\1{FILTERED}"),
    _rule("basic", r"(?i)(\bbasic\s+)[a-z0-9+/=_-]{8,}", rf"\1{FILTERED}"),
    _rule("sntry", r"sntry[a-z]{1,2}_[A-Za-z0-9_+/=.-]{8,}"),
    _rule("eyj", r"eyJ[\w-]{16,}(?:\.[\w-]*){0,4}|eyJ[\w-]{6,15}\.[\w-]{6,}(?:\.[\w-]*){0,3}"),
    _rule("xox", r"xox[a-z](?:-[A-Za-z0-9]+)+"),
    _rule("xapp-", r"xapp(?:-[A-Za-z0-9]+)+"),
    _rule("hooks.slack.com", r"(hooks\.slack\.com/\w+/)[\w/]+", rf"\1{FILTERED}"),
    _rule("/webhooks/", r"(/webhooks/\d{5,25}/)[\w-]{20,}", rf"\1{FILTERED}"),  # Discord
    _rule("webhookb2/", r"(webhookb2/)[^\s\"'<>]+", rf"\1{FILTERED}"),  # Teams
    _rule("/hooks/", r"(/hooks/)[a-z0-9]{20,}", rf"\1{FILTERED}"),  # Mattermost
    _rule("gh", r"gh[pousr]_[A-Za-z0-9]{16,}"),
    _rule("github_pat_", r"github_pat_\w{16,}"),
    _rule("gl", r"gl[a-z]{2,6}-[\w-]{16,}(?:\.[\w-]+){0,2}"),
    _rule("hf_", r"hf_\w{20,}"),
    _rule("hv", r"hv[sbr]\.[\w-]{20,}"),  # Vault: service, batch, recovery
    _rule("ya29.", r"ya29\.[\w-]{20,}"),
    _rule("gocspx-", r"GOCSPX-[\w-]{16,}"),  # Google: an OAuth client's secret
    _rule("1//0", r"1//0[\w-]{16,}"),  # Google: a refresh token
    _rule("shp", r"shp(?:at|ss|ca|pa)_\w{16,}"),
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
    _rule("mysql", r"(mysql[^\r\n]{0,300}?(?<![\w-])-p[\"']?)[^\s\"',;\\\]]+", rf"\1{FILTERED}"),
    _rule("mariadb", r"(mariadb[^\r\n]{0,300}?(?<![\w-])-p[\"']?)[^\s\"',;\\\]]+", rf"\1{FILTERED}"),
    _rule("sshpass", r"(sshpass[^\r\n]{0,300}?(?<![\w-])-p[\"']?,?\s{0,3}[\"']?)[^\s\"',;\\\]]+", rf"\1{FILTERED}"),
    _rule("age-secret-key-", r"(?i)age-secret-key-[a-z0-9-]{16,}"),
    _rule("private", rf"(?:{KEY_BEGINS.pattern})(?s:.*?)(?:{KEY_ENDS.pattern}|\Z)"),
)  # fmt: skip
_LONG_HEX = re.compile(r"[0-9a-fA-F]{64,}")  # API tokens, HMAC signatures
# A line of a key that was split into lines. Paths do not match: they have fewer kinds of characters, or a dot.
_KEY_LINE = re.compile(r"(?<![A-Za-z0-9+/._-])[A-Za-z0-9+/]{64,}={0,2}")
_BOT_TOKEN = re.compile(r"(?<!\d)\d{6,12}:[\w-]{30,}")  # Telegram's, which follows "/bot" in URLs without a separator
_DISCORD_TOKEN = re.compile(r"(?:(?<![\w-])|(?<=\\[nrt]))[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{27,}")

_BEHIND_SCHEME = re.compile(r"""(?<=://)[^\s"'<>]+""")
_AUTHORITY = re.compile(r"[^/?#]*")

_AT = re.compile(r"@|\uff20|%(?:25)*40|&#(?:64|[xX]40);|(?<!\\)\\{1,31}(?:u0040|x40)")
_ACCENTS = "\u0300-\u036f\u0900-\u0dff"
_LOCAL_BACKWARDS = re.compile(rf"[\w{_ACCENTS}.+%'!#$&*^~-]{{1,64}}")
_LOCAL_ESCAPED_BACKWARDS = re.compile(rf"[\w{_ACCENTS}.+%'!#$&*^~\\-]{{1,130}}")
_ESCAPE = r"\\{1,31}(?:u[0-9a-fA-F]{4}|x[89a-fA-F][0-9a-fA-F])|%(?:25)*[89a-fA-F][0-9a-fA-F]"
_DOMAIN = re.compile(
    rf"(?:(?:[\w{_ACCENTS}-]|{_ESCAPE}){{1,400}}[.\u3002]){{1,8}}"
    rf"(?:[xX][nN]--[A-Za-z0-9-]{{1,59}}|(?:[^\W\d_]|[{_ACCENTS}]|{_ESCAPE}){{2,400}})"
    r"(?![^\W_])"
)


def without_shapes(text: str, low: str, mails: bool = True) -> str:
    """The text (`low` is its lower case) without secrets of known shapes. Without `mails`, mail addresses stay."""
    if "://" in low:
        text = _BEHIND_SCHEME.sub(_without_credentials, text)
    for hint, pattern, replacement in _SHAPES:
        if hint in low:
            text = pattern.sub(replacement, text)
    if mails and ("@" in low or "40" in low or "\uff20" in low or "&#64" in low):
        text = _without_mails(text)
    if len(text) >= 37:
        if len(text) >= 64:
            text = _KEY_LINE.sub(_key_line, _LONG_HEX.sub(FILTERED, text))
        if ":" in text:
            text = _BOT_TOKEN.sub(FILTERED, text)
        if "." in text:
            text = _DISCORD_TOKEN.sub(FILTERED, text)
    return text


def _without_credentials(match: re.Match[str]) -> str:
    """The part of a URL after `://` without credentials; a URL may contain another URL."""
    return "://".join(_hosts_only(part) for part in match[0].split("://"))


def _hosts_only(part: str) -> str:
    authority = _AUTHORITY.match(part)
    ends = authority.end() if authority else 0
    at = part.rfind("@", 0, ends)
    if at > 0:
        return FILTERED + part[at:]
    # The password may contain a slash, which ends the authority too early.
    at = part.rfind("@")
    if 0 <= part.find(":", 0, ends) < at - 1 and (
        part[at + 1 : at + 2].isalnum() or part[at + 1 : at + 2] in ("[", "_")
    ):
        return FILTERED + part[at:]
    return part


def _key_line(match: re.Match[str]) -> str:
    line = match[0]
    mixed = any(map(str.isdigit, line)) and any(map(str.islower, line)) and any(map(str.isupper, line))
    return FILTERED if mixed else line


def _without_mails(text: str) -> str:
    escaped = "\\u" in text or "\\x" in text
    backwards, most = (_LOCAL_ESCAPED_BACKWARDS, 130) if escaped else (_LOCAL_BACKWARDS, 64)
    pieces = []
    done = 0
    for sign in _AT.finditer(text):
        if sign.start() < done:
            continue
        before = backwards.match(text[max(done, sign.start() - most) : sign.start()][::-1])
        domain = _DOMAIN.match(text, sign.end()) if before else None
        if before and domain:
            pieces += [text[done : sign.start() - before.end()], FILTERED]
            done = domain.end()
    return "".join([*pieces, text[done:]]) if pieces else text
