"""The tables of docs/networks.md are made from the code: what each adapter shows, and on which Pythons it runs.

`GOLDEN=1` writes them anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from errbot_sentry.chat.networks.capabilities import CAPABILITIES, Capabilities
from tests.servers.discord_bot import DISCORD
from tests.servers.matrix_bot import MATRIX
from tests.servers.mattermost_bot import MATTERMOST
from tests.servers.network_bot import IRC, XMPP
from tests.servers.slack_bot import SLACK
from tests.servers.telegram_bot import TELEGRAM
from tests.servers.zulip_bot import ZULIP

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
BACKENDS = (DISCORD, IRC, MATRIX, MATTERMOST, SLACK, TELEGRAM, XMPP, ZULIP)
PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13))


def capabilities() -> Iterator[list[str]]:
    names = [field.name for field in fields(Capabilities)]
    yield from (["network", *names], ["---"] * (len(names) + 1))
    for mode, has in CAPABILITIES.items():
        yield [mode, *("yes" if getattr(has, name) else "" for name in names)]


def pythons() -> Iterator[list[str]]:
    yield from (["network", *(f"{major}.{minor}" for major, minor in PYTHONS)], ["---"] * (len(PYTHONS) + 1))
    for backend in BACKENDS:
        yield [backend.name, *(backend.fails_on.get(version, "runs") for version in PYTHONS)]


@pytest.mark.parametrize("table", [capabilities, pythons])
def test_the_table_is_the_codes(table: Callable[[], Iterator[list[str]]]) -> None:
    text, name = PAGE.read_text(), table.__name__
    made = "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in table())
    found = re.compile(f"(<!-- {name} -->\n\n).*?(\n<!-- /{name} -->)", re.DOTALL)
    assert found.search(text)
    wanted = found.sub(lambda place: place[1] + made + place[2], text)
    if os.environ.get("GOLDEN"):
        PAGE.write_text(wanted)
    assert wanted == PAGE.read_text()
