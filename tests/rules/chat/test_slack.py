"""Slack's cards without Slack: what stands in the blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from errbot_sentry.chat.networks.slack import _blocks
from errbot_sentry.domain.outgoing import OPEN_BUTTONS, Card

UNSEEN = "\u200b\u202e\x07 "


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["text"]
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _texts(each)


@pytest.mark.parametrize("link", ["", "https://s.test/1/"])
@pytest.mark.parametrize("text", ["", UNSEEN, "x"])
def test_no_text_of_a_card_is_empty(text: str, link: str) -> None:
    """Slack refuses all blocks for one empty text ("must be more than 0 characters"): no card, and no edit of one."""
    card = Card(text, text, link, text, text, text, (("", text), ("Rule", text)), text, text, OPEN_BUTTONS)
    assert all(_texts(list(_blocks(card, ""))))
