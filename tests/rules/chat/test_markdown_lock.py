"""Messages that are rendered at the same time keep their own words."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from errbot.backends import irc
from errbot.rendering import ansi, imtext, text, xhtml
from errbot.rendering.ansiext import enable_format
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown import Markdown
from markdown.preprocessors import Preprocessor

from errbot_sentry.chat.errbot_patches.markdown_lock import lock_converters, plain_block

THREADS, TIMES = 8, 150


def _wrong(bot: SimpleNamespace) -> list[str]:
    """Texts that came out as another's, or not at all, of many converted at once."""
    wrong: list[str] = []

    def convert(number: int) -> None:
        for time in range(TIMES):
            word = f"thread{number}time{time}"
            try:
                shown = bot.md.convert(
                    f"**{word}** and `{word}`\n\n```\n{word}\n```\n\n[{word}](http://x.example/{word})"
                )
            except Exception as error:  # noqa: BLE001 - whatever the race makes of it
                wrong.append(repr(error))
            else:
                if shown.count(word) < 4:
                    wrong.append(shown)

    threads = [threading.Thread(target=convert, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_no_message_gets_the_words_of_another():
    """Without the lock some of these come out wrong in nearly every run."""
    bot = SimpleNamespace(md=text(), md_ansi=ansi(), mode="text")
    lock_converters(bot)
    assert _wrong(bot) == []


def test_the_lock_is_taken_back_and_set_once():
    """Each activation sets it, each deactivation takes it back."""
    bot = SimpleNamespace(md=text())
    undo = lock_converters(bot)
    first = bot.md.convert
    lock_converters(bot)
    assert bot.md.convert is first
    undo()
    assert "convert" not in vars(bot.md)
    assert bot.md.convert("**a**") == "a"


def _irc() -> Markdown:
    enable_format("irc", irc.IRC_CHRS)
    return irc.irc_md()


MAKERS = {"text": text, "ansi": ansi, "imtext": imtext, "irc": _irc, "xhtml": xhtml}
FRESH = {name: make() for name, make in MAKERS.items()}
LOCKED = {name: SimpleNamespace(md=make()) for name, make in MAKERS.items()}
for _bot in LOCKED.values():
    lock_converters(_bot)

PIECES = r"""#1 **b** _i_ [x](http://y.z/) ![i](j) [^1]: *[H]: {: .c} | --|-- === --- 1. - > # : \ \* " ' ✗ é 日 ▁ `
``` ~~~ < <div> & &lt; klzzwxh:0001 [TOC] http://a.b"""
SPACES = ["a b", "  ", "    ", "\n", "\n\n", "\t", "\r", "\x02", "\x03wzxhzdk:0", "\u200b", "\u2028", "\u3000"]
BODIES = st.lists(st.sampled_from([*PIECES.split(), *SPACES]), max_size=12).map("".join)


@pytest.mark.parametrize("name", sorted(MAKERS))
@settings(max_examples=400, deadline=None)
@given(body=BODIES | st.text(max_size=80))
def test_a_block_that_goes_past_the_converter_comes_out_as_out_of_it(name, body):
    """Byte for byte, for every block that is let past and every one that is not."""
    source = f"```\n\n{body}\n```"
    FRESH[name].reset()
    assert LOCKED[name].md.convert(source) == FRESH[name].convert(source)


def test_a_list_goes_past_the_converter_and_anything_else_through_it():
    """A list of issues, that is; a word, a second paragraph, a tag or a fence are the converter's."""
    assert plain_block("```\n\n#1  WEB-1  ✗ error\n    now\n```")
    for other in ("word", "```\n\na\n```\n\nb", "```\n\na <b>\n```", "```\n\na\n```\n\n```\n\nb\n```", "```\na\n```"):
        assert not plain_block(other)


def test_a_backend_with_additions_of_its_own_gets_every_block():
    """Slack's rewrites links, also inside of blocks."""

    class Shout(Preprocessor):
        def run(self, lines: list[str]) -> list[str]:
            return [line.replace("](", "]!(") for line in lines]

    bot = SimpleNamespace(md=text())
    bot.md.preprocessors.register(Shout(bot.md), "shout", 30)
    lock_converters(bot)
    assert bot.md.convert("```\n\n[a](b)\n```") == "[a]!(b)"


def test_nothing_of_a_message_is_left_for_the_next():
    """Without forgetting, the footnote stands below every later message, and every block stays in memory."""
    bot = SimpleNamespace(md=text())
    lock_converters(bot)
    bot.md.convert("note[^z]\n\n[^z]: LEAKED\n\n[ref]: http://evil.example\n\n```\n<b>\n```")
    assert bot.md.convert("see [ref]") == "see [ref]"
    assert bot.md.htmlStash.html_counter == 0
