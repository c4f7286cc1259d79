"""Messages that are rendered at the same time keep their own words."""

from __future__ import annotations

import threading
from types import SimpleNamespace

from errbot.rendering import ansi, text

from errbot_sentry.chat.converters import lock_converters

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
