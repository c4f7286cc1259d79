"""Whatever an error's text holds, a room sees that text: on one line, and nothing in it acts."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from errbot.rendering import imtext, md, text
from hypothesis import given, settings
from hypothesis import strategies as st

from errbot_sentry.chat.escape import RAW_MARKDOWN_MODES, Escape, plain
from errbot_sentry.chat.nicks import nicks_of

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


@pytest.mark.parametrize("word", ["@here", "@everyone", "@channel", "<!here>", "<!channel>", "<@U1>", "@bob"])
@pytest.mark.parametrize("mode", ["slackv3", "irc", "discord", "mattermost", "telegram", "xmpp"])
def test_no_mention_survives(word, mode):
    """Neither in running text nor in code, nor by way of entities."""
    escape = Escape(mode)
    for shown in (escape.text(word), escape.code(word), escape.block(word)):
        assert word not in shown
        assert word not in text().convert(shown)
    entities = word.replace("<", "&lt;").replace(">", "&gt;")
    if entities != word and mode not in RAW_MARKDOWN_MODES:  # those are not un-escaped by Errbot
        assert word not in text().convert(escape.text(entities))


@pytest.mark.parametrize("mode", ["irc", "slackv3", "discord", "mattermost", "telegram"])
@pytest.mark.parametrize("value", [".@here", "x@everyone", "_@here", "a.@channel", "é@here", "x@-here", "see:@here."])
def test_no_mention_hides_behind_a_letter_or_a_dot(mode, value):
    """Clients differ in what they take for the beginning of a mention."""
    assert not re.search(r"@(here|everyone|channel)", Escape(mode).text(value))


def test_a_mail_address_can_be_copied_where_it_pages_nobody():
    """Only Discord hears @everyone in the middle of one."""
    assert "bob@example" in Escape("slackv3").text("from bob@example.com")
    assert "@everyone" not in Escape("discord").text("from bob@everyone.com")


def test_a_fence_cannot_be_closed_from_within():
    """Also where the value has several lines."""
    assert "```" not in Escape("text").block("a\n```\n# out\n```")


@pytest.mark.parametrize("address", ["javascript:alert(1)", "http:///x", "ftp://a/b", "//x", "", "http://[bad", None])
def test_only_web_addresses_become_links(address):
    """Anything else has no target."""
    assert Escape("text").href(address) == ""


def test_a_link_target_cannot_break_out_of_its_brackets():
    """Brackets, spaces and quotes are percent-encoded."""
    shown = Escape("text").href('http://x.example/a b)(c" <d>?q=[1]')
    assert not re.search(r'[()\[\]<>" ]', shown)
    assert shown.startswith("http://x.example/a%20b")


def test_long_text_is_bounded():
    """Rendering time grows with length: 6 000 characters of markup took half a second."""
    assert len(plain("*_[" * 5000)) <= 600


@pytest.mark.parametrize(
    "value", ["http://a.example/b_c_d/*e*/?x=1&y=%20#f", "https://127.0.0.1:8000/issues/issue/1-2/"]
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
def test_a_nick_calls_nobody_whatever_stands_beside_it(value):
    """irssi and HexChat take anything but letters and digits for the end of a nick."""
    nicks = ("alice", "a-b", "b-c", "[x]")
    escape = Escape("irc", lambda: frozenset(nicks))
    for shown in (escape.text(value), escape.code(value), escape.block(value)):
        read = shown.replace("\\", "")
        assert _seen(read) == value
        for nick in nicks:
            assert not re.search(rf"(?<![A-Za-z0-9]){re.escape(nick)}(?![A-Za-z0-9])", read, re.IGNORECASE)


@pytest.mark.parametrize(
    "value",
    ["www.evil.example", "see WWW2.evil.example.", "evil.example/x", "(evil.example/x)", "a.b.evil.co:8080/x",
     "evil.рф/x", "evil.xn--p1ai/x", "evil.example?q=1", "http://evil.example/x", "x,evil.example/y"],
)  # fmt: skip
def test_an_address_in_foreign_text_is_no_link(value):
    """Also one without a scheme, of which many clients make a link; it still reads the same."""
    for mode in ("irc", "slackv3", "telegram", "discord"):
        escape = Escape(mode)
        for shown in (escape.text(value), escape.code(value), escape.block(value)):
            read = shown.replace("\\", "")
            assert _seen(read) == value
            assert not re.search(r"://|www\d?\.|(?<=\w)\.\w+(:\d+)?[/?]\w", read, re.IGNORECASE)


@pytest.mark.parametrize(
    "value",
    ["os.path.join", "app.views.checkout", "shop.py:12 in pay", "lib/python3.11/site-packages/foo.egg/x.py", "a.b",
     "1.5/2", "./x.y/z", "bob@example.com", "www", "awww.nice", "e.g. this/that", "django.db.Error: x/y", "src/a.b/c"],
)  # fmt: skip
def test_ordinary_dotted_names_can_be_copied_as_they_are(value):
    assert Escape("slackv3").code(value) == value


@pytest.mark.parametrize("value", ["a." * 4000, "www." * 2000, "a-" * 4000, "evil.example/" * 700, "a.b/c?" * 900])
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
