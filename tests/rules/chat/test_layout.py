"""One line of a template is one line in chat, on every backend, within its bounds."""

from __future__ import annotations

import re

from errbot.rendering import text
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.chat.render.escaping import Escape
from errbot_sentry.chat.render.layout import Layout, wrap
from tests.rules.chat.test_columns import CONVERTERS


def _shown(messages: list[str]) -> list[str]:
    lines = "\n".join(text().convert(message) for message in messages).split("\n")
    return [line.strip() for line in lines if line.strip()]


def test_lines_stay_lines_after_errbots_rendering():
    """Errbot alone would join them."""
    assert _shown(Layout("irc", 510).messages("one\n\n**two**\nthree")) == ["one", "two", "three"]


def test_raw_markdown_backends_get_the_lines_as_they_are():
    """Discord and Mattermost keep newlines; paragraphs would tear the list apart."""
    assert Layout("discord", 2000).messages("one\ntwo") == ["one\ntwo"]


def test_a_long_reply_is_several_messages_of_whole_lines():
    """Errbot would cut at the limit, in the middle of a word."""
    lines = [f"line {number} " + "word " * 15 for number in range(20)]
    messages = Layout("irc", 510).messages("\n".join(lines))
    assert len(messages) > 1
    assert all(len(message) <= 510 for message in messages)
    assert _shown(messages) == [line.strip() for line in lines]


def test_a_fenced_block_that_is_too_long_is_fenced_in_each_message():
    """So that no part of it is taken for markup."""
    code = [f"    *line* {number}" for number in range(60)]
    messages = Layout("text", 510).messages("\n".join(["before", "```", *code, "```", "after"]))
    assert all(message.count("```") % 2 == 0 and len(message) <= 510 for message in messages)
    assert _shown(messages) == ["before", *(line.strip() for line in code), "after"]


def test_irc_lines_are_cut_at_word_ends_below_400_bytes():
    """Beyond about 490 bytes the IRC library refuses the line, and the server cuts at 512."""
    pieces = list(wrap("añb " * 300, 400))
    assert all(len(piece.encode()) <= 400 for piece in pieces)
    assert " ".join(pieces).split() == ["añb"] * 300


@given(st.text(alphabet="ab \\`[]()é🔥", max_size=300), st.integers(min_value=8, max_value=60))
def test_wrapping_loses_nothing_but_spaces_and_keeps_the_width(line, widest):
    """And it always ends."""
    pieces = list(wrap(line, widest))
    assert "".join(pieces).replace(" ", "") == line.replace(" ", "")
    assert all(len(piece.encode()) <= widest for piece in pieces)


TRACE = [f"{' ' * (line % 7)}line {line} *not bold* a_b_ <x> &amp; `tick` \\ {{: .x}}" for line in range(40)]


def test_on_irc_every_line_arrives_as_it_is() -> None:
    """Errbot strips each message, puts a space before each paragraph after the first, and sends an empty line for a
    fence that ends a message."""
    convert = CONVERTERS["irc"]
    block = "\n".join(TRACE)
    rendered = "\n".join(["**a**", "b", "```", Escape("irc").block(block), "", "```", "c"])
    sent = [line for message in Layout("irc", 510).messages(rendered) for line in convert(message).split("\n")]
    shown = [re.sub("[\x02\x03\x0f\u200b]", "", line) for line in sent]
    assert shown == ["a", "b", *TRACE, "c"]


def test_on_irc_a_long_line_of_code_is_cut_within_the_limit() -> None:
    convert = CONVERTERS["irc"]
    line = "    " + "*&" * 600
    messages = Layout("irc", 510).messages(f"```\n{line}\n```")
    assert all(len(message.encode()) <= 510 for message in messages)
    assert "".join(re.sub("[\x02\x03\x0f]", "", convert(message)) for message in messages) == line
