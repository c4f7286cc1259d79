"""golden.md says what a room reads of every body. `python -m tests.webhooks.golden` writes it anew."""

from __future__ import annotations

import re

from tests.webhooks.bodies import every
from tests.webhooks.golden import PAGE, page


def test_the_golden_page_is_what_rooms_read() -> None:
    """The body, the decision and the text, by the real receiver, pipeline and templates."""
    assert page().split("\n") == PAGE.read_text(encoding="utf-8").split("\n")


def test_the_golden_page_has_every_body_and_garbles_none() -> None:
    """Each is there under its name; none reads as what Sentry writes where it has no words."""
    golden = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^### `(\w+)`", golden, re.MULTILINE) == [body.name for body in every()]
    assert "<untitled>" not in golden
    assert "(no title)" not in golden
