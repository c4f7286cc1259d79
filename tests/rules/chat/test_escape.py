"""Whatever an error's text holds, a room sees that text: on one line, and nothing in it acts."""

from __future__ import annotations

import html
import re
from types import SimpleNamespace

import pytest
from errbot.rendering import imtext, md, text
from hypothesis import given, settings
from hypothesis import strategies as st

from errbot_sentry.chat.nicks import nicks_of
from errbot_sentry.chat.render.escaping import RAW_MARKDOWN_MODES, Escape, plain, plain_file
from errbot_sentry.domain.json_values import web_link

NASTY = [
    "**bold** _it_ `code` [x](http://evil.example/a_b) ![i](y)",
    "# heading",
    "1. item",
    "- item",
    "> quote",
    "    indented",
    "<!channel> <@U123> <script>alert(1)</script> </div>",
    "&lt;!channel&gt; &amp; &#42;",
    "@here @everyone @channel bob@example.com (@bob)",
    "a\nb\r\nc\u2028d\x0be",
    "\x00\x01\x02\x03bell\x07 \x1b[31mred\x1b[0m",
    "\u202eright to left\u202c \u200bzero",
    "[ref]: http://evil.example",
    "[^z]: footnote",
    "a | b\n--|--\n1 | 2",
    "```\nfence\n```",
    "\\` \\\\ \\* trailing \\",
    "*[HTML]: Hyper",
    "{: .class color='red'}",
    "__init__ __all__",
    "Term\n: definition",
]


def _seen(rendered: str) -> str:
    return rendered.replace("\u200b", "")


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("renderer", [text, imtext])
def test_nasty_text_is_shown_as_it_is_on_one_line(value, renderer):
    """Errbot's renderers give back exactly the visible text."""
    assert _seen(renderer().convert("x " + Escape("text").text(value))) == f"x {plain(value)}".rstrip()


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab*_`#<>[]()!&;:\\|~-+.1 @/\n\t{}^=\"'"), max_size=40))
def test_any_mix_of_markup_characters_is_shown_as_it_is(value):
    """The same for generated text, after a word, as templates use it."""
    assert _seen(text().convert("x " + Escape("text").text(value))).strip() == f"x {plain(value)}".strip()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_no_control_code_or_line_end_survives(value):
    """In no mode and by no filter of one line."""
    for mode in ("irc", "slackv3", "discord"):
        escape = Escape(mode)
        for shown in (escape.text(value), escape.code(value), escape.href(value)):
            assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", shown)


# Mattermost's Markdown leaves only these to the browser (marked/lib/marked.js, `escape`); Python's reads `&#1` too.
_ENTITIES = re.compile(r"&#?\w+;")
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # w3.org/TR/xml, `Char`


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", " ", "&", "#", "x", "ffff", "65535", ";", "amp;", "\uffff", "\ufffe", "\0", "\ud800"])
    )
)
def test_nothing_survives_that_no_xml_can_contain(parts):
    """An XMPP server ends the connection of who sends such a character, and the message would be sent again."""
    value, escape = "".join(parts), Escape("xmpp")
    for shown in (escape.text(value), f"`{escape.code(value)}`", f"\n```\n{escape.block(value)}\n```"):
        assert not _NOT_XML.search(text().convert(f"x {shown}"))
    assert not _NOT_XML.search(plain_file(value))


@pytest.mark.parametrize("word", ["@here", "@everyone", "@channel", "<!here>", "<!channel>", "<@U1>", "@bob"])
@pytest.mark.parametrize("mode", ["slackv3", "irc", "discord", "mattermost", "telegram", "xmpp", "zulip"])
def test_no_mention_survives(word, mode):
    """Neither in running text nor in code, nor by way of entities."""
    escape = Escape(mode)
    for shown in (escape.text(word), escape.code(word), escape.block(word)):
        assert word not in shown
        assert word not in text().convert(shown)
    entities = word.replace("<", "&lt;").replace(">", "&gt;")
    if entities != word and mode not in RAW_MARKDOWN_MODES:  # those are not un-escaped by Errbot
        assert word not in text().convert(escape.text(entities))


@pytest.mark.parametrize("mode", ["irc", "slackv3", "discord", "mattermost", "telegram", "zulip"])
@pytest.mark.parametrize("value", [".@here", "x@everyone", "_@here", "a.@channel", "é@here", "x@-here", "see:@here."])
def test_no_mention_hides_behind_a_letter_or_a_dot(mode, value):
    """Clients differ in what they take for the beginning of a mention."""
    assert not re.search(r"@(here|everyone|channel)", Escape(mode).text(value))


def test_a_mail_address_can_be_copied_where_it_pages_nobody():
    """Only Discord reads @everyone in the middle of one."""
    assert "bob@example" in Escape("slackv3").text("from bob@example.com")
    assert "@everyone" not in Escape("discord").text("from bob@everyone.com")


def test_a_fence_cannot_be_closed_from_within():
    """Also where the value has several lines."""
    assert "```" not in Escape("text").block("a\n```\n# out\n```")


# What Zulip acts upon in a line, before it reads entities and after (zerver/lib/markdown/__init__.py in zulip/zulip;
# MENTIONS_RE and USER_GROUP_MENTIONS_RE in its zerver/lib/mention.py). `com` and `py` stand for all hosts' endings.
_ACTS_IN_ZULIP = re.compile(
    r"`|@_?\*+[^*]+\*|#\*\*|\$\$|<time:|\[[^\]]*\]\(|https?://|(?<![^\s'\"(,:<])([\w-]+\.)+(com|py)|[\w.-]+@[\w.-]+\.\w"
    r"|bitcoin:[13]|\*|~~|:[\w+-]+:|^ {0,3}(#|>|[-+] |\d+\.|-{3}|~{3}|/)|\|"
)


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("ValueError: no such key", "ValueError: no such key"),
        ("@**all** #**web**", "&#64;&#42;&#42;all&#42;&#42; &#35;&#42;&#42;web&#42;&#42;"),
        ("checkout in shop.py, at 12:30.", "checkout in shop&#46;py, at 12&#58;30&#46;"),
        ("/poll", "&#47;poll"),
        ("- a - b", "&#45; a - b"),
        ("1. a", "1&#46; a"),
        ("a &lt; b", "a &#38;lt; b"),
        (r"C:\temp _x_ (y) {z} !", r"C&#58;\temp _x_ (y) {z} !"),
    ],
)
def test_zulip_shows_the_text_as_it_is(value, escaped):
    """By entities: it knows no backslash."""
    assert Escape("zulip").text(value) == escaped


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=st.sampled_from("abcom13py_é*`#<>[]()!&;:\\|~-+. @/$'{}"), max_size=30))
def test_any_text_reads_the_same_in_zulip_and_nothing_acts(value):
    made = Escape("zulip").text(value)
    assert _seen(html.unescape(made)) == _seen(plain(value))
    assert not _ACTS_IN_ZULIP.search(re.sub(r"&#\d+;", "\ufffc", made))
    assert not _ACTS_IN_ZULIP.search(made.replace("&#", "&"))


# What Mattermost does to running text (github.com/mattermost/marked, lib/marked.js, `inline.escape`); then the browser
# reads entities.
_UNESCAPED = re.compile(r"\\([`*{}\[\]()#+\-.!_>|~]|\\(?![A-Za-z0-9_]))")
# webapp/channels/src/utils/emoticons.tsx and text_formatting.tsx; marked's `inlinelatex`, `autolink` and `tag`.
_ACTS_IN_MATTERMOST = re.compile(
    r":[a-zA-Z0-9_+-]+:|(^|\B)(:-?\)|:-?d\b|:-?p\b|:-?/|;-?\)|<3\b|:o\b|:-?\(|:-x\b)|(^|\W)#[^\W\d_]|\B~[a-z0-9]",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("ValueError: no such key", "ValueError: no such key"),
        ("List<String> x < y", r"List&lt;String\> x &lt; y"),
        (r"C:\temp\new.txt", r"C:\temp\new\.txt"),
        (r"a\_b \\host\é end\ ", r"a\\\_b \\\host\\é end\\"),
        ("&lt;b&gt; a & b", r"&amp;lt;b&amp;gt; a & b"),
        ("$HOME/x$ and $5", "&#36;HOME/x&#36; and &#36;5"),
        ("===", "\u200b==="),
        ("", ""),
        ("costs $5 and $6", "costs $5 and $6"),
        ("at 12:30:45 :smile: :) :D <3", "at 12:\u200b30:45 :\u200bsmile: :\u200b\\) :\u200bD &lt;\u200b3"),
        ("#tag ~ops @here _it_ [x](y)", "\\#\u200btag \\~\u200bops @\u200bhere \\_it\\_ \\[x\\]\\(y\\)"),
    ],
)
def test_mattermost_shows_the_text_as_it_is(value, escaped):
    """It un-escapes less than other Markdown: `ValueError\\:` was in every title."""
    assert Escape("mattermost").text(value) == escaped


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=st.sampled_from("abxdop13_é*`#<>[]()!&;:\\|~-+. @/$'{}"), max_size=30))
def test_any_text_reads_the_same_in_mattermost_and_nothing_acts(value):
    made = Escape("mattermost").text(value)
    shown = _UNESCAPED.sub(r"\1", made)
    read = _ENTITIES.sub(lambda found: html.unescape(found[0]), shown)
    assert _seen(read) == _seen(plain(value))
    assert not _ACTS_IN_MATTERMOST.search(shown)
    assert "<" not in made
    assert not re.search(r"\$[^$\n]+\$(?!\w)", made)


@pytest.mark.parametrize("address", ["javascript:alert(1)", "http:///x", "ftp://a/b", "//x", "", "http://[bad", None])
def test_only_web_addresses_become_links(address):
    """Anything else has no target."""
    assert Escape("text").href(address) == ""


@pytest.mark.parametrize(
    "address",
    [
        "https://sentry.example.com@evil.example/",
        "https://sentry.example.com:443@evil.example/",
        "https://u:p@evil.example/x",
        "https://@evil.example/",
        "https://sentry.example.com\\@evil.example/",
        "https://sentry.example.com%40evil.example/",
        "https://sentry.example.com\u200b@evil.example/",
    ],
)
def test_no_link_shows_one_host_and_leads_to_another(address):
    """What stands before an @ is a user's name, not the host."""
    assert Escape("text").href(address) == Escape("discord").address(address) == ""
    assert web_link(address) == ""


def test_a_link_target_cannot_break_out_of_its_brackets():
    """Brackets, spaces and quotes are percent-encoded."""
    shown = Escape("text").href('http://x.example/a b)(c" <d>?q=[1]')
    assert not re.search(r'[()\[\]<>" ]', shown)
    assert shown.startswith("http://x.example/a%20b")


def test_long_text_is_bounded():
    """Rendering time grows with length: 6 000 characters of markup took half a second."""
    assert len(plain("*_[" * 5000)) <= 600


@pytest.mark.parametrize(
    "value", ["http://a.example/b_c_d/*e*/?x=1&y=%20&notification=1&lt=2#f", "https://127.0.0.1:8000/issues/issue/1-2/"]
)
def test_an_address_stands_as_it_is_after_rendering(value):
    """So that it can be clicked, also with underscores in it."""
    assert text().convert("x " + Escape("text").address(value)) == f"x {value}"
    assert Escape("text").address("javascript:alert(1)") == ""


def test_no_bare_nick_in_foreign_text_pages_anybody():
    """On IRC a client calls its person for the nick anywhere in a line; the text still reads the same."""
    escape = Escape("irc", lambda: frozenset({"alice", "bob-1"}))
    for value in ("alice: look", "hi Alice", "(bob-1)", "to alice,bob-1 and carol"):
        for shown in (escape.text(value), escape.code(value), escape.block(value)):
            words = re.findall(r"[\w-]+", shown.replace("\\", ""))
            assert not {word.casefold() for word in words} & {"alice", "bob-1"}
            assert _seen(shown.replace("\\", "")) == value
    assert "malice" in escape.text("malice aforethought")


PIECES = """<div> </div> <p> <pre> <script> <!-- --> <?php <![CDATA[ &lt; &#0: &#12 & < ``` ~~~ ` [x](http://e.x/y) * _
a \\ # &#42; | [^1]: *[H]: {: .c}"""
BLOCKS = st.lists(st.sampled_from([*PIECES.split(), " ", "\n", "\t"]), max_size=10).map("".join)


@pytest.mark.parametrize("fence", ["```", "````"])
@pytest.mark.parametrize("renderer", [text, imtext])
@settings(max_examples=150, deadline=None)
@given(value=BLOCKS)
def test_a_block_is_shown_as_it_is_and_ends_at_its_fence(fence, renderer, value):
    """An HTML tag at the beginning of a line would swallow the closing fence and what follows."""
    block = Escape("text").block(value)
    assert _seen(renderer().convert(f"before\n\n{fence}\nx\n{block}\n{fence}\n\nafter")).split() == [
        "before",
        *_seen(f"x\n{block}").split(),
        "after",
    ]


@pytest.mark.parametrize("value", ["a &# b </A\nc >", "&#x41 </pre\n>", "&#; </A\n>"])
def test_an_unfinished_entity_in_a_block_changes_nothing_behind_it(value):
    """Python-Markdown took the closing tag after it for one of its own, and the line behind it with it."""
    assert _seen(text().convert(f"```\n{Escape('text').block(value)}\n```")) == value


@pytest.mark.parametrize("value", ['"{:.2f}".format(x)', "{: .class }"])
def test_code_keeps_its_braces_where_errbot_drops_attributes(value):
    """Errbot takes `{: … }` out of all that Discord and Mattermost get, also out of code."""
    escape = Escape("mattermost")
    assert _seen(md().convert(escape.code(value))) == _seen(md().convert(escape.block(value))) == value


def test_no_words_hide_an_address_in_slack():
    """`<mailto:…|words>` is a link there."""
    for shown in (Escape("slackv3").text("<mailto:x@y.z|words>"), Escape("slackv3").block("<tel:1|words>")):
        assert not re.search(r"<\w", text().convert(shown))


@pytest.mark.parametrize(
    "value", ["alice's", "alice_", "x-alice", "_alice_", "/alice/", "ALICE|away", "a-b-c", "b-c", "[x]"]
)
def test_a_nick_mentions_nobody_whatever_stands_beside_it(value):
    """irssi and HexChat take anything but letters and digits for the end of a nick."""
    nicks = ("alice", "a-b", "b-c", "[x]")
    escape = Escape("irc", lambda: frozenset(nicks))
    for shown in (escape.text(value), escape.code(value), escape.block(value)):
        read = shown.replace("\\", "")
        assert _seen(read) == value
        for nick in nicks:
            assert not re.search(rf"(?<![A-Za-z0-9]){re.escape(nick)}(?![A-Za-z0-9])", read, re.IGNORECASE)


@pytest.mark.parametrize(
    ("nick", "value"),
    [
        ("Weiß", "Weiß is called"), ("Weiß", "to weiß, and WEISS"), ("Weiß", "Weiss"), ("Groß", "x-GROß:"),
        ("İbrahim", "İbrahim: look"), ("İbrahim", "i̇brahim"), ("ibrahim", "IBRAHIM"), ("ﬁn", "FIN ﬁn"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("a-a", "a-a-a"), ("foo[x]", "foo{x} FOO[X]"), ("ß-x", "ß-x ss-x"),
        ("Straße", "ßtra Straße"),
    ],
)  # fmt: skip
def test_a_nick_mentions_nobody_in_whatever_case(nick, value):
    """Folding changes the length of a text: `ß` is `ss`, `İ` is two letters."""
    escape = Escape("irc", lambda: nicks_of(irc_with(nick)))
    for shown in (escape.text(value), escape.code(value), escape.block(value)):
        read = shown.replace("\\", "")
        assert _seen(read) == value
        assert not re.search(rf"(?<![^\W_]){re.escape(_folded(nick))}(?![^\W_])", _folded(read))


def _folded(name):
    """As clients on IRC compare names: RFC 1459 has {}|^ for []\\~ in small letters."""
    return name.casefold().translate(str.maketrans("[]\\~", "{}|^"))


def irc_with(*nicks):
    channel = SimpleNamespace(users=lambda: list(nicks))
    return SimpleNamespace(mode="irc", conn=SimpleNamespace(channels={"#ops": channel}))


NAMES = st.text(alphabet="aßSİiI-ſΣς[{K", min_size=2, max_size=4)


@settings(max_examples=400, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=3), st.lists(NAMES, max_size=4), st.sampled_from([" ", "-", "", ": "]))
def test_no_nick_is_left_in_any_text(nicks, words, joint):
    value = joint.join([*words, nicks[0].swapcase(), nicks[-1]])
    shown = Escape("irc", lambda: nicks_of(irc_with(*nicks))).code(value)
    assert _seen(shown) == plain(value)
    for nick in nicks:
        found = re.search(rf"(?<![^\W_]){re.escape(_folded(nick))}(?![^\W_])", _folded(shown))
        # A nick that is one letter folded into two has no inside.
        assert not found or found[0] in ("ss", "i̇"), shown


def test_a_file_keeps_its_lines_and_nothing_that_acts():
    """Escape codes recolour the terminal that shows the file; bidi marks change what a line says."""
    raw = "a\x1b[31mred\x1b[0m\r\nif x:\u202e # x\u202c\n\tb\x07\x9b31m\u2028c\u200b\ufeff\x00"
    assert plain_file(raw) == "a[31mred[0m\nif x: # x\n\tb31m\nc"


@pytest.mark.parametrize(
    "value",
    ["www.evil.example", "see WWW2.evil.example.", "evil.example/x", "(evil.example/x)", "a.b.evil.co:8080/x",
     "evil.рф/x", "evil.xn--p1ai/x", "evil.example?q=1", "http://evil.example/x", "x,evil.example/y",
     "//evil.example/x", "(//evil.example", "//user@evil.example/x", "evil.example:8080", "evil.example:8080.",
     "a.evil.example:80,", "evil.rs:443/x", "evil.example#f", "evil。example/x", "evil．example:8080", "evil｡example?x",
     "//evil。example", "http://evil。example/x", "www。evil。example", "evil․example/x", "10.1.2.3:8080", "10.1.2.3/x",
     "xmpp:ops@conference.evil.example?join", "XMPP:x@evil?message", "mailto:x@evil.example", "Mailto:x@evil.example",
     "tel:+33123", "sms:123", "javascript:alert(1)", "data:text/html,x", "magnet:?xt=urn:x", "ms-word:ofe|u|x",
     "web+evil:x", "(mailto:x@evil.example)", "geo:1,2", "irc://evil.example/x", "user@evil.example/x"],
)  # fmt: skip
def test_an_address_in_foreign_text_is_no_link(value):
    """Also one without a scheme, of which many clients make a link; it still reads the same."""
    for mode in ("irc", "slackv3", "telegram", "discord"):
        escape = Escape(mode)
        for shown in (escape.text(value), escape.code(value), escape.block(value)):
            read = shown.replace("\\", "")
            assert _seen(read) == value
            assert not LIVE.search(read)


LIVE = re.compile(
    r"://|(?<!:)//[\w@]+[.。．｡]|www\d?[.。．｡]|(?<=\w)[.。．｡․]\w+(:\d+)?[/?#]\w|(?<=\w)[.。．｡]\w+:\d"
    r"|\b(xmpp|mailto|tel|sms|javascript|data|magnet|ms-word|web\+evil|geo):[^\s\u200b]",
    re.IGNORECASE,
)
HOSTS = st.sampled_from(["evil.example", "evil。example", "a.b.evil.co", "evil.xn--p1ai", "évil．рф", "10.1.2.3"])
BEFORE = st.sampled_from(
    ["", "//", "http://", "HTTPS://", "ftp://", "www.", "mailto:x@", "xmpp:x@", "u@", "u:p@", "//u@"]
)
AFTER = st.sampled_from(["/x", ":8080", ":8080/x", "?join", "#x", "/", ":1"])
AROUND = st.sampled_from(["", " ", "(", "'", "see ", "x,", "=", "|"])


@settings(max_examples=300, deadline=None)
@given(AROUND, BEFORE, HOSTS, AFTER, AROUND)
def test_no_way_of_writing_an_address_is_a_link(left, before, host, after, right):
    value = left + before + host + after + right
    for shown in (Escape("slackv3").code(value), Escape("xmpp").block(value)):
        assert not LIVE.search(shown), shown
        assert _seen(shown).strip() == value.strip()


@pytest.mark.parametrize(
    "value",
    ["os.path.join", "app.views.checkout", "shop.py:12 in pay", "lib/python3.11/site-packages/foo.egg/x.py", "a.b",
     "1.5/2", "./x.y/z", "bob@example.com", "www", "awww.nice", "a // b", "//comment", "x[a:b]", "std::vector", "1.2.3",
     "KeyError:x", "at 12:30:01.5", "shop.js:12:30", "pool.go:7", "C:/x.y/z", "f(data: x)",
     "lambda tel: 1", "e.g. this/that", "django.db.Error: x/y", "src/a.b/c"],
)  # fmt: skip
def test_ordinary_dotted_names_can_be_copied_as_they_are(value):
    assert Escape("slackv3").code(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "a." * 4000,
        "www." * 2000,
        "a-" * 4000,
        "evil.example/" * 700,
        "a.b/c?" * 900,
        "a。" * 4000 + "?x",
        "//a@" * 3000,
        "a-mailto:" * 900,
        "İ" * 4000 + "alice",
    ],
)
def test_odd_long_texts_take_no_time(value):
    """A pattern that goes back and forth would take minutes here: the test would never end."""
    assert Escape("irc", lambda: frozenset({"alice"})).block(value)


def test_the_nicks_of_a_room_are_known_on_irc_and_xmpp_and_asked_of_nobody_else():
    """As irc.bot and slixmpp's XEP-0045 keep them (tried with slixmpp 1.8.6, which Errbot's own pin excludes)."""
    channel = SimpleNamespace(users=lambda: ["Alice", "bob"])
    irc = SimpleNamespace(channels={"#ops": channel})
    muc = SimpleNamespace(rooms={"ops@conf.example": {"Alice": {}, "bob": {}}})
    xmpp = SimpleNamespace(client=SimpleNamespace(plugin={"xep_0045": muc}))
    for mode, connection, known in (
        ("irc", irc, {"alice", "bob"}),
        ("xmpp", xmpp, {"alice", "bob"}),
        ("xmpp", SimpleNamespace(client=SimpleNamespace(plugin={})), set()),
        ("xmpp", None, set()),
        ("irc", SimpleNamespace(channels=None), set()),
        ("slackv3", irc, set()),
    ):
        assert nicks_of(SimpleNamespace(mode=mode, conn=connection)) == known


SIGNS = st.sampled_from([
    "www", "WwW1", ".", "\u3002", "\u2024", "/", "//", ":", "?", "#", "@", "<!", " ", "a", "evil", "com", "http",
    "mailto", "127.0.0.1", "8", "é", "1.2k events", "os.path.join", "KeyError: 'x'",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(SIGNS, max_size=12).map("".join), max_size=6), st.sampled_from(["text", "discord", "slackv3"]))
def test_what_acts_in_a_line_of_a_block_acts_wherever_the_line_stands(lines, mode):
    escape = Escape(mode)
    assert escape.block("\n".join(lines)) == "\n".join(map(escape.block, lines))


@pytest.mark.parametrize("address", ["https://s.example/@everyone", "https://s.example/?q=a&b=@here#@all"])
def test_no_address_mentions_anybody(address: str) -> None:
    """Discord looks for @everyone in the whole message, addresses included."""
    for mode in ("discord", "mattermost", "irc", "zulip"):
        escape = Escape(mode)
        assert escape.href(address) == address.replace("@", "%40")
        assert "@" not in escape.address(address)
