"""Untrusted text made harmless in every backend: one line, no markup, no mention, no link, no control code.

Errbot renders Markdown for most backends, and un-escapes HTML entities on the way; Discord, Mattermost and Zulip get
the Markdown as it is. What a backend does afterwards (Slack's `<!channel>`, IRC's line per newline) is dealt with here
too, so that a template can print any text. All of this was measured on Errbot 6.2.1 and its backends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from errbot_sentry.chat.nicks import ZERO_WIDTH_SPACE as _ZERO_WIDTH_SPACE
from errbot_sentry.chat.nicks import Nicks, without_nicks

RAW_MARKDOWN_MODES = frozenset({"discord", "mattermost", "zulip"})

LONGEST = 600

# C0 and C1 controls, zero-width and direction-changing characters, tags: all that acts without being seen. U+FFFE and
# U+FFFF no XML may contain: an XMPP server ends the connection of who sends them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_BREAKS = re.compile("[\\s\x85\u2028\u2029]+")
_LINE_ENDS = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
# @here, @nick, also in ".@here" and "x@everyone", which some clients take for mentions; not the @ of bob@example.org.
_MENTION = re.compile(r"@(?=\w)(?!(?<=[\w+-]@)[\w-]+\.\w)")
_ANY_MENTION = re.compile(r"@(?=\w)")
# <!here>, <@U1>, <#C1>, and <mailto:…|words>, in which the address is hidden behind the words.
_BACKTICKS = re.compile("`+")
_SLACK_COMMAND = re.compile(r"<(?=[!@#]|[A-Za-z]+:)")
# At the beginning of a line an HTML tag takes all up to its end with it, closing fences included.
_TAG_FIRST = re.compile(r"^( {0,3})<", re.MULTILINE)
# Python-Markdown ends such a number with the semicolon that it lacks, also in code; behind one without digits it takes
# the next closing tag apart.
_OPEN_NUMBER = re.compile(r"&(?=#(?!\d+;))")
# What browsers take for the dot of a host name: IDNA's three, and what NFKC makes a full stop of.
_EACH_DOT = ".\u3002\uff0e\uff61\u2024\ufe52"
_DOT = f"[{_EACH_DOT}]"
_DOTS = re.compile(_DOT)
_AUTO_LINK = re.compile(r"(?<=\w):(//[^\s/?#]*)")
_WITHOUT_SCHEME = re.compile(r"(?<![\w:/.])//[^\s/?#]+")
# Schemes without // that some client acts upon. Any other text before a colon is left as it is: `KeyError:x`.
_SCHEME = re.compile(r"(?<![^\W_])([A-Za-z][A-Za-z0-9+.-]{1,20}):(?=[^\s\u200b])")
_ACTING = re.compile(
    r"about|aim|bitcoin|blob|callto|cid|ethereum|facetime|fax|feed|file|ftp|ftps|geo|gtalk|"
    r"http|https|im|intent|irc|ircs|javascript|litecoin|magnet|mailto|maps|market|matrix|mid|"
    r"mms|monero|news|nntp|openpgp4fpr|pres|sftp|sip|sips|skype|slack|sms|smsto|spotify|"
    r"steam|tel|telnet|tg|vbscript|view-source|webcal|whatsapp|xmpp|ymsgr|zoommtg"
)
_DATA = re.compile(r"data:[\w.+-]+/", re.IGNORECASE)
_FAMILIES = ("ms-", "web+", "itms-")
# Addresses without a scheme that clients make links of: www.x, and a name or number with a path, query or port behind
# it. A name alone stays: os.path.join and evil.io look the same. What follows a slash is a part of a path; a source
# file with a number is a line of it.
_WWW = re.compile(rf"(?<![\w@-])www\d{{0,3}}{_DOT}(?=\w)[^\s/?#:]*", re.IGNORECASE)
_SOURCE = (
    "(?:py|pyi|pyx|js|jsx|mjs|ts|tsx|vue|go|rs|rb|php|java|kt|scala|swift|c|cc|cpp|cxx|h|hpp|cs|fs|ex|erl|lua|pl|sh)"
)
_BARE_ADDRESS = re.compile(
    rf"(?<![\w\-/])(?<!{_DOT})(?:(?:[\w-]+{_DOT})+(?!{_SOURCE}:\d+(?![\d/?#]))(?=(?:xn--[\w-]{{2,59}}|[^\W\d_]{{2,24}})TAIL)"
    rf"|\d{{1,3}}(?:{_DOT}\d{{1,3}}){{3}}(?=TAIL))".replace("TAIL", r"(?::\d{1,5}|(?::\d{1,5})?(?:/|[?#][^\s/?]))")
)
# Something of this is in each text that `defuse` changes. Every alternative begins with a plain character: `re` then
# looks for these alone, and a list of a hundred issues takes a tenth of a millisecond.
_SIGN = re.compile(r"@|<|//|:(?=[^\s\u200b])|ww|wW|Ww|WW|" + "|".join(rf"\{dot}[^\s/?#:]*[/?#:]" for dot in _EACH_DOT))
# Nothing before the host: `https://sentry.example.com@evil.example/` shows one host and leads to another.
_HOST = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PLAIN_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:[/?#][A-Za-z0-9:/?#!$&*+,;=%~._-]*)?")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()>#+\-.!])")
_MARKDOWN_IN_ADDRESS = re.compile(r"([*_])")
_RAW_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:@])")
# Mattermost un-escapes these alone, and a backslash only where no ASCII letter or digit follows (github.com/mattermost/
# marked, lib/marked.js, `inline.escape`); `\:` would be shown as it is. It leaves entities to the browser.
_MATTERMOST = re.compile(r"([`*_{}\[\]()>#+\-.!|~]|\\(?![A-Za-z0-9]))")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_FORMULA = re.compile(r"\$[^$]+\$(?!\w)")
# What it looks for in the text that is left: #tags, ~channels, :names: of emoji, and faces such as :D (webapp/channels/
# src/utils/emoticons.tsx and text_formatting.tsx).
_MATTERMOST_ACTS = re.compile(
    r"(?:#(?=[^\W\d_])|~(?=\w)|:(?=[\w+-]+:)|(?<!\w):(?=[^\s\w]|[odpsx]\b)|;(?=-?\))|<(?=/?3\b)|\bx(?=-d\b))",
    re.IGNORECASE,
)
# Zulip knows no backslash, but entities, which it reads after mentions and links and before emphasis and emoji (zerver/
# lib/markdown/__init__.py in zulip/zulip, `build_inlinepatterns`). It makes links of all that ends like a host's name,
# `shop.py` too. A list, a rule or a command such as /poll begins a line.
_ZULIP = re.compile(r"[`*\[\]<>&@~$|#]|:(?=\S)|\.(?=\w)|(?<=\d)\.|^[-+/]")


def plain(text: object, longest: int = LONGEST) -> str:
    """One line of visible characters, at most `longest`, with an ellipsis where it was cut; still unescaped."""
    line = str(text)
    if len(line) <= longest and line.isprintable() and "  " not in line:
        return line.strip()
    line = line[: longest * 4]
    if not line.isprintable() or "  " in line:  # nearly every text is printable as it is
        line = _BREAKS.sub(" ", _UNSEEN.sub("", line))
    line = line.strip()
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def defuse(text: str) -> str:
    """Visible text in which nothing pages anybody, commands Slack, or turns into a link by itself."""
    if not _SIGN.search(text):
        return text
    if "\n" in text:  # nothing of this goes over the end of a line, and most lines of a list need nothing
        return "\n".join(map(defuse, text.split("\n")))
    if "@" in text:
        text = _MENTION.sub("@" + _ZERO_WIDTH_SPACE, text)
    if "<" in text:
        text = _SLACK_COMMAND.sub("<" + _ZERO_WIDTH_SPACE, text)
    if "//" in text:
        text = _AUTO_LINK.sub(lambda found: ":" + _ZERO_WIDTH_SPACE + _without_dots(found[1]), text)
        text = _WITHOUT_SCHEME.sub(lambda found: _without_dots(found[0]), text)
    if ":" in text:
        text = _SCHEME.sub(_without_scheme, text)
    if _DOTS.search(text):
        if any(mark in text for mark in "/?#:"):
            text = _BARE_ADDRESS.sub(lambda found: _without_dots(found[0]), text)
        if "www" in text.lower():
            text = _WWW.sub(lambda found: _without_dots(found[0]), text)
    return text


def _without_dots(host: str) -> str:
    return _DOTS.sub(lambda dot: _ZERO_WIDTH_SPACE + dot[0], host)


def _without_scheme(found: re.Match[str]) -> str:
    name = found[1].lower()
    # Clients find a scheme behind any sign that is no letter.
    acts = any(map(_ACTING.fullmatch, (name, re.split("[+.-]", name)[-1]))) or any(each in name for each in _FAMILIES)
    return found[0] + _ZERO_WIDTH_SPACE if acts or _DATA.match(found.string, found.start()) else found[0]


def plain_file(text: str) -> str:
    """A file's text with its lines and tabs, and without control codes, unseen characters and marks of direction.

    A terminal obeys escape codes in a file that it shows, and a mark of direction changes what a line seems to say.
    """
    return "\n".join(_UNSEEN.sub("", line) for line in _LINE_ENDS.split(text))


def _visible_lines(text: str) -> Iterator[str]:
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.isprintable():  # nearly all of them; no other line end is printable
            yield line.rstrip()[:LONGEST]
        else:
            for each in _LINE_ENDS.split(line):
                yield _UNSEEN.sub("", each.expandtabs(4)).rstrip()[:LONGEST]


def _for_mattermost(line: str) -> str:
    line = _MATTERMOST_ACTS.sub(lambda found: found[0] + _ZERO_WIDTH_SPACE, line)
    if line and not line.strip("= "):  # it would make a heading of the line above
        line = _ZERO_WIDTH_SPACE + line
    line = _MATTERMOST.sub(r"\\\1", _ENTITY.sub("&amp;", line)).replace("<", "&lt;")
    return line.replace("$", "&#36;") if _FORMULA.search(line) else line


def _for_zulip(line: str) -> str:
    return _ZULIP.sub(lambda found: f"&#{ord(found[0])};", line)


def escape_markdown(text: str) -> str:
    """The text so that Errbot's Markdown shows just that."""
    # Entities come back as characters after Errbot's rendering; a raw "<" would start an HTML block.
    return _MARKDOWN.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))


class Escape:
    """Escaping for one backend; `mode` is Errbot's name of it ("irc", "slackv3", "discord", …).

    `nicks` returns whom a bare nick would page at the moment (IRC, XMPP).
    """

    def __init__(self, mode: str, nicks: Nicks = frozenset) -> None:
        self._raw_markdown = mode.lower() in RAW_MARKDOWN_MODES
        self._mattermost = mode.lower() == "mattermost"
        self._zulip = mode.lower() == "zulip"
        self._slack = mode.lower() == "slackv3"
        self._nicks = nicks

    def text(self, value: object) -> str:
        """A value for running text: it reads as it is, whatever is in it."""
        line = without_nicks(defuse(plain(value)), self._nicks)
        if self._zulip:
            return _for_zulip(line)
        if self._raw_markdown:
            # Discord takes @everyone for a mention in the middle of a mail address too, and through a backslash.
            line = _ANY_MENTION.sub("@" + _ZERO_WIDTH_SPACE, line)
            if self._mattermost:
                return _for_mattermost(line)
            return _RAW_MARKDOWN.sub(r"\\\1", line)
        return escape_markdown(line)

    def code(self, value: object) -> str:
        """A value for between backticks, on one line; backticks become apostrophes."""
        line = without_nicks(defuse(plain(value)), self._nicks).replace("`", "'")
        return self._without_rewriting(line)

    def exact(self, value: object) -> str:
        """A value for between backticks that people copy: without the unseen characters that keep others from being
        notified, so only for what names the reader or an operator's setting. Where it has backticks (an IRC nick can),
        those around it become more."""
        text = _SLACK_COMMAND.sub("(", plain(value))
        longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
        return f"{'`' * longest} {text} {'`' * longest}" if longest else text

    def block(self, value: object) -> str:
        """Lines for between fences: layout stays, tabs become spaces, no line can close the fence."""
        text = "\n".join(_visible_lines(str(value)))
        text = defuse(text).replace("```", "'''").replace("~~~", "---")
        if not self._raw_markdown:
            if "<" in text:
                text = _TAG_FIRST.sub(r"\1" + _ZERO_WIDTH_SPACE + "<", text)
            if "&#" in text:
                text = _OPEN_NUMBER.sub("&" + _ZERO_WIDTH_SPACE, text)
        return without_nicks(self._without_rewriting(text), self._nicks)

    def _without_rewriting(self, text: str) -> str:
        """Code as it is in spite of the backend: Errbot drops "{: … }" before Discord and Mattermost see it, also out
        of code, and the Slack backend makes links of "[…](…)" there."""
        if self._raw_markdown:
            return text.replace("{:", "{" + _ZERO_WIDTH_SPACE + ":")
        return text.replace("](", "]" + _ZERO_WIDTH_SPACE + "(") if self._slack else text

    def address(self, value: object) -> str:
        """A web address to stand by itself, which clients make a link of: an http(s) one, or nothing."""
        address = self.href(value)
        if self._raw_markdown:
            return address
        # `&notification=1` would come back as `¬ification=1`.
        return _MARKDOWN_IN_ADDRESS.sub(r"\\\1", address.replace("&", "&amp;"))

    def href(self, value: object) -> str:
        """A link target: an http(s) address of visible ASCII characters, or nothing.

        An @ becomes %40, because Discord looks for @everyone in the whole message, addresses included.
        """
        if isinstance(value, str) and _PLAIN_ADDRESS.fullmatch(value):  # nearly all of them
            return value
        address = _UNSEEN.sub("", str(value)).strip()
        try:
            parts = urlsplit(address)
        except ValueError:
            return ""
        if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc):
            return ""
        return quote(address, safe=":/?#!$&*+,;=%~._-")
