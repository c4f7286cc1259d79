"""Lists are aligned where a block has fixed width, one line per row elsewhere, and nothing in a row acts."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from errbot.backends import irc
from errbot.rendering import ansi, imtext, md, text, xhtml
from errbot.rendering.ansiext import enable_format
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown import Markdown
from markdown.preprocessors import Preprocessor

from demo.picture import width as shown_width
from errbot_sentry.chat.networks.telegram_html import html_of, plain_text
from errbot_sentry.chat.render.columns import WIDEST, Table, cut, in_columns, width
from errbot_sentry.chat.render.escaping import Escape
from errbot_sentry.chat.render.layout import Layout
from errbot_sentry.chat.render.templates import Templates
from errbot_sentry.domain.conversation import Row

LINK = "https://sentry.example.com/organizations/acme/issues/{}/"
LIMITS = {"irc": 510, "telegram": 3500, "discord": 2000, "slackv3": 4096, "mattermost": 16377, "zulip": 9000}
ROWS = (
    Row(
        1,
        "WEB-1",
        "division by zero",
        mark="✗ error",
        about="shop.cart in pay",
        cells=("a minute ago", "3 days old", "37 events", "1 user", "▁▂▄█"),
        link=LINK.format(1),
    ),
    Row(
        2,
        "WEB-1A",
        "デッドロックが検出されました",
        mark="▲ warning",
        about="db",
        cells=("12 minutes ago", "a day old", "1.2k events", "", "▂▄█"),
        more=("regressed", "→ team payments"),
        link=LINK.format(2),
    ),
    Row(
        10,
        "API-3",
        "café e\u0301 " + "long " * 40,
        cells=("now", "", "9M events", "12k users", ""),
        link=LINK.format(3),
    ),
)


class _SlackLinks(Preprocessor):
    """The Slack backend turns Markdown links into its own notation, line by line, before anything else is read."""

    def run(self, lines: list[str]) -> list[str]:
        return [re.sub(r"\[([^\]]+)\]\((\w+:\S+?)\)", r"&lt;\2|\1&gt;", line) for line in lines]


def _slack() -> Markdown:
    converter = imtext()
    converter.preprocessors.register(_SlackLinks(converter), "links", 30)
    return converter


def _irc() -> Markdown:
    enable_format("irc", irc.IRC_CHRS)
    return irc.irc_md()


CONVERTERS: dict[str, Callable[[str], str]] = {
    "text": ansi().convert,
    "test": text().convert,
    "xmpp": text().convert,
    "telegram": lambda part: plain_text(html_of(part)),
    "irc": _irc().convert,
    "slackv3": _slack().convert,
    "mattermost": md().convert,
    "discord": str,
    "zulip": html.unescape,
}


def _messages(mode: str, rows: tuple[Row, ...], limit: int = 10_000) -> list[str]:
    values = {"rows": rows, "nothing": "", "note": "", "next": ""}
    rendered = Templates(mode).render("sentry_issues", values)
    return [CONVERTERS[mode](part) for part in Layout(mode, LIMITS.get(mode, limit)).messages(rendered)]


def _lines(mode: str, rows: tuple[Row, ...]) -> list[str]:
    shown = "\n".join(_messages(mode, rows)).replace("\u200b", "")
    return [line for line in re.sub(r"\x1b\[[0-9;]*m|[\x02\x03\x0f]", "", shown).split("\n") if line.strip()]


def test_a_list_is_aligned_and_its_addresses_stand_on_their_own_lines():
    """As a terminal shows it; wide letters take two columns, combining marks none."""
    assert _lines("text", ROWS) == [
        "#1   WEB-1   ✗ error    division by zero",
        "     a minute ago    3 days old  37 events    1 user     ▁▂▄█  shop.cart in pay",
        "     https://sentry.example.com/organizations/acme/issues/1/",
        "#2   WEB-1A  ▲ warning  デッドロックが検出されました",
        "     12 minutes ago  a day old   1.2k events             ▂▄█   regressed  → team payments  db",
        "     https://sentry.example.com/organizations/acme/issues/2/",
        "#10  API-3              café e\u0301 long long long long long long long long long…",
        "     now                         9M events    12k users",
        "     https://sentry.example.com/organizations/acme/issues/3/",
    ]


def test_where_an_address_hides_behind_a_word_the_numbers_are_links():
    """Slack, Discord, Mattermost and Zulip show no link inside of a block."""
    slack, discord, mattermost = (_lines(mode, ROWS)[-1].strip() for mode in ("slackv3", "discord", "mattermost"))
    assert slack.startswith(f"open: <{LINK.format(1)}|#1> · <{LINK.format(2)}|#2> · ")
    assert discord.startswith(f"open: [#1](<{LINK.format(1)}>) [")  # in <> without a preview each
    assert mattermost.startswith(f"open: [\\#1]({LINK.format(1)}) · ")
    assert _lines("zulip", ROWS)[-1].startswith(f"open: [#1]({LINK.format(1)}) · ")


@pytest.mark.parametrize("mode", ["slackv3", "discord", "mattermost", "xmpp", "zulip"])
def test_the_fences_reach_the_chats_that_show_blocks(mode):
    """Errbot's Markdown takes away those that it understands."""
    heading = Templates(mode).render(
        "sentry_rows", {"id": "A", "title": "b", "about": "tags", "rows": ROWS, "nothing": "", "note": ""}
    )
    (message,) = Layout(mode, 10_000).messages(heading)
    shown = CONVERTERS[mode](message).split("\n")
    assert shown.count("```") == 2
    assert shown[shown.index("```") + 1].startswith("#1 ")


@pytest.mark.parametrize("mode", ["irc", "telegram"])
def test_line_by_line_each_row_is_one_line(mode):
    """Columns are no use there."""
    lines = _lines(mode, ROWS)
    assert [line.strip().split(" ")[0] for line in lines] == ["#1", "#2", "#10"]
    row = (
        "#1 WEB-1 division by zero · ✗ error · shop.cart in pay · a minute ago · 3 days old · 37 events · 1 user · ▁▂▄█"
    )
    # On Telegram the name is the link.
    assert lines[0].strip() == (f"{row} · {LINK.format(1)}" if mode == "irc" else row)


def test_rows_without_a_title_take_one_line_if_they_fit():
    """Tags, projects and releases; events are longer, and their message goes below."""
    short = (Row(1, "browser", cells=("Firefox 60%", "Chrome 40%")), Row(2, "os", cells=("Linux 99%",)))
    assert _lines("text", short) == ["#1  browser  Firefox 60%  Chrome 40%", "#2  os       Linux 99%"]
    events = tuple(Row(number, "e" * 32, cells=("now", "prod"), more=("x" * 50,)) for number in (1, 2))
    assert _lines("text", events)[:2] == [f"#1  {'e' * 32}  now  prod", "    " + "x" * 50]


def test_an_entry_is_not_torn_where_a_list_takes_several_messages():
    """Discord takes 2 000 characters."""
    rows = tuple(
        Row(number, f"WEB-{number}", "t" * 60, "✗ error", "culprit", ("now", "old")) for number in range(1, 40)
    )
    messages = _messages("discord", rows)
    assert len(messages) > 1
    assert all(len(message) <= 2000 and message.count("```") == 2 for message in messages)
    assert all(message.split("\n")[1].startswith("#") for message in messages)


HOSTILE = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=st.sampled_from("ab*_`#<>[]()!&;:\\|~-+.1 @/\n\t{}^=\"'"), max_size=40),
    st.sampled_from(
        [
            "```\n# out\n```", "````", "~~~", "<!channel> <@U1> <mailto:x@y.z|words>", "@here @everyone @channel",
            "[click](http://evil.example/x)", "<div>", "</pre>", "<script>alert(1)</script>", "<!-- x", "<?php", "<p>",
            "a\r\nPRIVMSG #x :hi", "\x00\x01\x02\x03\x1b[31m", "&lt;b&gt; &amp;amp; &#42;", "{: .x color='red'}",
            "\u202eright\u202c \u200b", "[^1]: note", "*[HTML]: x", "wzxhzdk:0 klzzwxh:0001",
        ]
    ),
)  # fmt: skip
HOSTILE_ROWS = st.lists(
    st.builds(
        Row,
        number=st.integers(1, 1000),
        name=HOSTILE,
        title=HOSTILE,
        mark=HOSTILE,
        about=HOSTILE,
        cells=st.tuples(HOSTILE, HOSTILE),
        more=st.tuples(HOSTILE),
        link=st.sampled_from(["", LINK.format(1), "https://x.example/`a`_b_*c*)(~~~"]) | HOSTILE,
    ),
    min_size=1,
    max_size=4,
).map(tuple)


@pytest.mark.parametrize("mode", ["text", "test", "xmpp", "slackv3"])
@settings(max_examples=150, deadline=None)
@given(rows=HOSTILE_ROWS)
def test_a_block_comes_out_as_it_went_in(mode, rows):
    """Byte for byte between its fences, whatever the values: no markup, link, entity or extra line."""
    (message,) = Layout(mode, 100_000).messages(Templates(mode).render("sentry_issues", _values(rows)))
    depth = 3 if mode in ("text", "test") else 4
    body = re.fullmatch(rf"`{{{depth}}}\n\n(.*?)\n`{{{depth}}}(?:\n\n.*)?", message, re.DOTALL)
    assert body is not None
    shown = re.sub(r"\x1b\[0m$", "", CONVERTERS[mode](message))
    assert shown.startswith(body[1].strip())
    if mode in ("slackv3", "xmpp"):
        assert re.fullmatch(r"```\n[^`]*(?:`{1,2}[^`]+)*`{0,2}\n```", body[1])
    assert sum(line.startswith("#") for line in body[1].split("\n")) >= len(rows)


@pytest.mark.parametrize("mode", sorted(CONVERTERS))
@settings(max_examples=100, deadline=None)
@given(rows=HOSTILE_ROWS)
def test_no_row_pages_commands_or_breaks_lines(mode, rows):
    """In any backend; the entries are as many lines as they were made of."""
    rendered = Templates(mode).render("sentry_issues", _values(rows))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", rendered)
    ours = ("*", "[", "open:", "\\#")
    shown = "\n".join(CONVERTERS[mode](part) for part in Layout(mode, 100_000).messages(rendered))
    assert not re.search(r"@(here|everyone|channel)\b", re.sub(r"https?://\S+", "", shown))
    assert not re.search(r"<[!@#]|<mailto:", shown)
    assert "](" not in shown or mode in ("discord", "mattermost", "zulip", "text", "test", "xmpp", "telegram", "irc")
    if mode not in ("irc", "telegram"):
        assert rendered.split("\n")[0] == "```"
        fences = [line for line in rendered.split("\n") if line.startswith("```")]
        assert fences == ["```", "```"]
        outside = rendered.split("\n")[rendered.split("\n").index("```", 1) + 1 :]
        assert all(line.startswith(ours) for line in outside)
    else:
        assert len(rendered.split("\n")) == len(rows)


def _values(rows: tuple[Row, ...]) -> dict[str, object]:
    return {"rows": rows, "nothing": "", "note": "", "next": ""}


LETTERS = st.sampled_from(["a", "b1", "é", "e\u0301", "日", "한", "🔥", "▁", "█", "✗", " "])
WORDS = st.lists(LETTERS, max_size=14).map(lambda letters: " ".join("".join(letters).split()))


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=5))
def test_columns_begin_at_the_same_place_in_every_row(table):
    """Counted in display columns, by another count than the one that padded them."""
    lines = in_columns(table)
    starts = [0]
    for place in range(3):
        widest = max(shown_width(row[place]) for row in table)
        starts.append(starts[-1] + (widest + 2 if widest else 0))
    for row, line in zip(table, lines, strict=True):
        for place in range(3):
            assert _from_column(line, starts[place]).startswith(row[place])


def _from_column(line: str, column: int) -> str:
    taken = 0
    for place, char in enumerate(line):
        if taken >= column and shown_width(char):
            return line[place:]
        taken += shown_width(char)
    return ""


@given(st.text(alphabet=st.sampled_from("ab 日🔥e\u0301"), max_size=200), st.integers(24, 80))
def test_a_cut_fits_its_columns_and_loses_nothing_that_fitted(value, room):
    """By display width."""
    short = cut(value, room)
    assert width(short) <= room
    assert short == value or short.endswith("…")


def test_lines_stay_within_their_width_and_html_gets_a_preformatted_block():
    """For backends that nobody here knows."""
    (message,) = Layout("matrix", 10_000).messages(Templates("matrix").render("sentry_issues", _values(ROWS)))
    assert xhtml().convert(message).startswith("<pre><code>")
    assert all(width(line) <= WIDEST for line in _lines("text", ROWS) if "→" not in line)


@pytest.mark.parametrize("address", ["https://acme.sentry.io/issues/{}/", LINK])
def test_ten_rows_are_one_message_on_discord(address: str) -> None:
    """Its messages are short, and each row's address counts."""
    title = "OperationalError: could not connect to server: connection refused while reading"
    rows = [
        Row(
            number,
            f"CHECKOUT-API-{number * 17}",
            title,
            mark="▲ warning",
            about="shop.views.checkout in process_payment_request",
            cells=("12 minutes ago", "3 days old", "1,240 events", "31 users", "▁▂▄█▁▂▄█"),
            link=address.format(5123456789 + number),
        )
        for number in range(1, 11)
    ]
    shown = Table("discord", Escape("discord")).render(rows)
    (message,) = Layout("discord", LIMITS["discord"]).messages(
        f"10 unresolved issues in shop\n{shown}\nNext page: more"
    )
    assert all(f"{row.name} " in message and row.link in message for row in rows)
