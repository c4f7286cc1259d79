"""Makes untrusted text harmless in every backend: one line, no markup, no mention, no link, no control code.

Errbot renders Markdown for most backends, and un-escapes HTML entities while it does so. Discord, Mattermost and Zulip
get the Markdown unchanged. This module also covers what a backend does later (Slack reads `<!channel>`, IRC sends each
line by itself), so that a template can print any text. All of this was measured on Errbot 6.2.1 and its backends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from errbot_sentry.chat.nicks import ZERO_WIDTH_SPACE as _ZERO_WIDTH_SPACE
from errbot_sentry.chat.nicks import Nicks, without_nicks

RAW_MARKDOWN_MODES = frozenset({"discord", "mattermost", "zulip"})

LONGEST = 600

# Invisible characters that have an effect: C0 and C1 controls, zero-width and direction-changing characters, tags. XML
# must not contain U+FFFE and U+FFFF: an XMPP server closes the connection of a client that sends them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_BREAKS = re.compile("[\\s\x85\u2028\u2029]+")
_LINE_ENDS = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
# @here and @nick, also in ".@here" and "x@everyone", because some clients read these as mentions. The @ of
# bob@example.org does not match.
_MENTION = re.compile(r"@(?=\w)(?!(?<=[\w+-]@)[\w-]+\.\w)")
_ANY_MENTION = re.compile(r"@(?=\w)")
_BACKTICKS = re.compile("`+")
# <!here>, <@U1>, <#C1>, and <mailto:…|words>, which shows the words in place of the address.
_SLACK_COMMAND = re.compile(r"<(?=[!@#]|[A-Za-z]+:)")
# An HTML tag at the beginning of a line swallows everything up to its end, even the closing fence.
_TAG_FIRST = re.compile(r"^( {0,3})<", re.MULTILINE)
# `&#65` without its semicolon: Python-Markdown adds the semicolon, even in code. After `&#` without digits it breaks
# the next closing tag.
_OPEN_NUMBER = re.compile(r"&(?=#(?!\d+;))")
# Characters that browsers read as the dot of a host name: the dot, IDNA's three, and those that NFKC turns into a dot.
_EACH_DOT = ".\u3002\uff0e\uff61\u2024\ufe52"
_DOT = f"[{_EACH_DOT}]"
_DOTS = re.compile(_DOT)
_AUTO_LINK = re.compile(r"(?<=\w):(//[^\s/?#]*)")
_WITHOUT_SCHEME = re.compile(r"(?<![\w:/.])//[^\s/?#]+")
# Schemes that some clients act on even without //. Any other text before a colon stays as it is: `KeyError:x`.
_SCHEME = re.compile(r"(?<![^\W_])([A-Za-z][A-Za-z0-9+.-]{1,20}):(?=[^\s\u200b])")
_ACTING = re.compile(
    r"about|aim|bitcoin|blob|callto|cid|ethereum|facetime|fax|feed|file|ftp|ftps|geo|gtalk|"
    r"http|https|im|intent|irc|ircs|javascript|litecoin|magnet|mailto|maps|market|matrix|mid|"
    r"mms|monero|news|nntp|openpgp4fpr|pres|sftp|sip|sips|skype|slack|sms|smsto|spotify|"
    r"steam|tel|telnet|tg|vbscript|view-source|webcal|whatsapp|xmpp|ymsgr|zoommtg"
)
_DATA = re.compile(r"data:[\w.+-]+/", re.IGNORECASE)
_FAMILIES = ("ms-", "web+", "itms-")
# Addresses without a scheme that clients turn into links: www.x, and a host name or IP address with a path, query or
# port after it. A name by itself stays as it is, because os.path.join and evil.io look the same. A name after a slash
# is part of a path, and a source file with a number (`shop.py:12`) is a line of that file.
_WWW = re.compile(rf"(?<![\w@-])www\d{{0,3}}{_DOT}(?=\w)[^\s/?#:]*", re.IGNORECASE)
_SOURCE = (
    "(?:py|pyi|pyx|js|jsx|mjs|ts|tsx|vue|go|rs|rb|php|java|kt|scala|swift|c|cc|cpp|cxx|h|hpp|cs|fs|ex|erl|lua|pl|sh)"
)
_BARE_ADDRESS = re.compile(
    rf"(?<![\w\-/])(?<!{_DOT})(?:(?:[\w-]+{_DOT})+(?!{_SOURCE}:\d+(?![\d/?#]))(?=(?:xn--[\w-]{{2,59}}|[^\W\d_]{{2,24}})TAIL)"
    rf"|\d{{1,3}}(?:{_DOT}\d{{1,3}}){{3}}(?=TAIL))".replace("TAIL", r"(?::\d{1,5}|(?::\d{1,5})?(?:/|[?#][^\s/?]))")
)
# Every text that `defuse` changes contains one of these signs. Each alternative begins with a literal character, which
# `re` searches for fast: a list of a hundred issues takes a tenth of a millisecond.
_SIGN = re.compile(r"@|<|//|:(?=[^\s\u200b])|ww|wW|Ww|WW|" + "|".join(rf"\{dot}[^\s/?#:]*[/?#:]" for dot in _EACH_DOT))
# A host with an optional port, but no user name: `https://sentry.example.com@evil.example/` leads to `evil.example`.
_HOST = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PLAIN_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:[/?#][A-Za-z0-9:/?#!$&*+,;=%~._-]*)?")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()>#+\-.!])")
_MARKDOWN_IN_ADDRESS = re.compile(r"([*_])")
_RAW_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:@])")
# Mattermost un-escapes only these characters, and a backslash only if no ASCII letter or digit follows
# (github.com/mattermost/marked, lib/marked.js, `inline.escape`). `\:` would be shown with its backslash. Mattermost
# leaves entities to the browser.
_MATTERMOST = re.compile(r"([`*_{}\[\]()>#+\-.!|~]|\\(?![A-Za-z0-9]))")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_FORMULA = re.compile(r"\$[^$]+\$(?!\w)")
# In the remaining text Mattermost looks for #tags, ~channels, :names: of emoji, and emoticons such as :D
# (webapp/channels/src/utils/emoticons.tsx and text_formatting.tsx).
_MATTERMOST_ACTS = re.compile(
    r"(?:#(?=[^\W\d_])|~(?=\w)|:(?=[\w+-]+:)|(?<!\w):(?=[^\s\w]|[odpsx]\b)|;(?=-?\))|<(?=/?3\b)|\bx(?=-d\b))",
    re.IGNORECASE,
)
# Zulip has no escape with a backslash, but it has entities. It reads them after mentions and links, and before emphasis
# and emoji (zerver/lib/markdown/__init__.py in zulip/zulip, `build_inlinepatterns`). It turns everything that ends like
# a host name into a link, even `shop.py`. Lists, rules and commands such as /poll are at the beginning of a line.
_ZULIP = re.compile(r"[`*\[\]<>&@~$|#]|:(?=\S)|\.(?=\w)|(?<=\d)\.|^[-+/]")


def plain(text: object, longest: int = LONGEST) -> str:
    """The text as one line of at most `longest` visible characters, not escaped. A cut line ends with an ellipsis."""
    line = str(text)
    if len(line) <= longest and line.isprintable() and "  " not in line:
        return line.strip()
    line = line[: longest * 4]
    if not line.isprintable() or "  " in line:  # nearly every text is printable as it is
        line = _BREAKS.sub(" ", _UNSEEN.sub("", line))
    line = line.strip()
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def defuse(text: str) -> str:
    """Change the text so that nothing in it notifies people, is a command to Slack, or turns into a link."""
    if not _SIGN.search(text):
        return text
    if "\n" in text:  # no pattern crosses the end of a line, and most lines of a list need no change
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
    # Clients find a scheme after any character that is not a letter, so the part after the last sign counts too.
    acts = any(map(_ACTING.fullmatch, (name, re.split("[+.-]", name)[-1]))) or any(each in name for each in _FAMILIES)
    return found[0] + _ZERO_WIDTH_SPACE if acts or _DATA.match(found.string, found.start()) else found[0]


def plain_file(text: str) -> str:
    """A file's text without control codes, invisible characters and direction marks. Lines and tabs stay.

    A terminal obeys escape codes in a file that it shows, and a direction mark changes what a line seems to say.
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
    if line and not line.strip("= "):  # a line of "=" would turn the line above into a heading
        line = _ZERO_WIDTH_SPACE + line
    line = _MATTERMOST.sub(r"\\\1", _ENTITY.sub("&amp;", line)).replace("<", "&lt;")
    return line.replace("$", "&#36;") if _FORMULA.search(line) else line


def _for_zulip(line: str) -> str:
    return _ZULIP.sub(lambda found: f"&#{ord(found[0])};", line)


def escape_markdown(text: str) -> str:
    """Escape the text so that Errbot's Markdown shows exactly this text."""
    # Errbot's rendering turns entities back into characters. A raw "<" would start an HTML block.
    return _MARKDOWN.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))


class Escape:
    """Escapes values for one backend. `mode` is Errbot's name for the backend ("irc", "slackv3", "discord", …).

    `nicks` returns the nicks that would notify somebody at this moment (IRC, XMPP).
    """

    def __init__(self, mode: str, nicks: Nicks = frozenset) -> None:
        self._raw_markdown = mode.lower() in RAW_MARKDOWN_MODES
        self._mattermost = mode.lower() == "mattermost"
        self._zulip = mode.lower() == "zulip"
        self._slack = mode.lower() == "slackv3"
        self._nicks = nicks

    def text(self, value: object) -> str:
        """A value for running text: the chat shows exactly this text, whatever it contains."""
        line = without_nicks(defuse(plain(value)), self._nicks)
        if self._zulip:
            return _for_zulip(line)
        if self._raw_markdown:
            # Discord reads @everyone as a mention even inside a mail address, and even after a backslash.
            line = _ANY_MENTION.sub("@" + _ZERO_WIDTH_SPACE, line)
            if self._mattermost:
                return _for_mattermost(line)
            return _RAW_MARKDOWN.sub(r"\\\1", line)
        return escape_markdown(line)

    def code(self, value: object) -> str:
        """A value to put between backticks, on one line. Backticks in it become apostrophes."""
        line = without_nicks(defuse(plain(value)), self._nicks).replace("`", "'")
        return self._without_rewriting(line)

    def exact(self, value: object) -> str:
        """A value to put between backticks that people copy, so no invisible characters are added.

        The value could therefore notify people. Use this only for names of the reader and for operators' settings. If
        the value contains backticks, as an IRC nick can, more backticks are put around it.
        """
        text = _SLACK_COMMAND.sub("(", plain(value))
        longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
        return f"{'`' * longest} {text} {'`' * longest}" if longest else text

    def block(self, value: object) -> str:
        """Lines to put between fences. Their layout stays, tabs become spaces, and no line can close the fence."""
        text = "\n".join(_visible_lines(str(value)))
        text = defuse(text).replace("```", "'''").replace("~~~", "---")
        if not self._raw_markdown:
            if "<" in text:
                text = _TAG_FIRST.sub(r"\1" + _ZERO_WIDTH_SPACE + "<", text)
            if "&#" in text:
                text = _OPEN_NUMBER.sub("&" + _ZERO_WIDTH_SPACE, text)
        return without_nicks(self._without_rewriting(text), self._nicks)

    def _without_rewriting(self, text: str) -> str:
        """Keep the backend from changing code.

        Errbot removes "{: … }", even from code, before Discord and Mattermost get it. The Slack backend turns "[…](…)"
        into links, even in code.
        """
        if self._raw_markdown:
            return text.replace("{:", "{" + _ZERO_WIDTH_SPACE + ":")
        return text.replace("](", "]" + _ZERO_WIDTH_SPACE + "(") if self._slack else text

    def address(self, value: object) -> str:
        """An http(s) address that stands by itself in the text, where clients turn it into a link; else ""."""
        address = self.href(value)
        if self._raw_markdown:
            return address
        # `&not` is an entity: `&notification=1` would become `¬ification=1`.
        return _MARKDOWN_IN_ADDRESS.sub(r"\\\1", address.replace("&", "&amp;"))

    def href(self, value: object) -> str:
        """A link target: an http(s) address of visible ASCII characters; "" for any other value.

        An @ becomes %40, because Discord looks for @everyone in the whole message, addresses included.
        """
        if isinstance(value, str) and _PLAIN_ADDRESS.fullmatch(value):  # nearly all addresses
            return value
        address = _UNSEEN.sub("", str(value)).strip()
        try:
            parts = urlsplit(address)
        except ValueError:
            return ""
        if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc):
            return ""
        return quote(address, safe=":/?#!$&*+,;=%~._-")
