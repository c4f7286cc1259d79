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

from errbot_sentry.chat.networks.errbot_network import Capabilities
from errbot_sentry.chat.networks.selection import ADAPTERS
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
RECONNECT = "a reconnect in the middle of a delivery"
_EDITS = ("threads", "edits", "cards", "buttons", "reactions", "files")
SEEN_BY = {
    "slackv3": {
        "test_what_slack_refuses_is_never_called_delivered": ("confirms",),
        "test_updates_are_in_the_thread_and_the_notification_is_edited": ("threads", "edits"),
        "test_what_is_sent_is_what_the_golden_file_shows": ("cards",),
        "test_buttons_run_commands_with_the_rights_of_who_clicked": ("buttons",),
        "test_reactions_act_with_the_rights_of_who_reacted": ("reactions",),
        "test_commands_are_for_the_room_by_its_name_and_charts_go_there": ("files",),
        "test_a_reconnect_in_the_middle_of_a_delivery_loses_nothing": (RECONNECT,),
    },
    "discord": {
        "test_nothing_refused_is_delivered_and_nothing_comes_twice": ("confirms", RECONNECT),
        "test_cards_threads_clicks_and_reactions": _EDITS,
    },
    "mattermost": {
        "test_what_mattermost_refuses_is_never_called_delivered": ("confirms", RECONNECT),
        "test_cards_threads_clicks_and_reactions": _EDITS,
    },
    "matrix": {
        "test_what_is_refused_is_never_delivered_and_a_server_that_was_away_gets_each_once": ("confirms", RECONNECT),
        "test_an_alert_its_thread_its_edits_and_reactions": ("threads", "edits", "reactions", "files"),
    },
    "telegram": {
        "test_what_telegram_refuses_is_never_called_delivered": ("confirms",),
        "test_a_notification_its_updates_and_what_people_type_under_it": ("threads", "edits", "cards", "files"),
        "test_clicks_and_reactions_act_with_the_rights_of_who_clicked": ("buttons", "reactions"),
        "test_a_reconnect_in_the_middle_of_a_delivery_loses_nothing": (RECONNECT,),
    },
    "zulip": {
        "test_nothing_refused_is_delivered_and_a_restart_knows_the_alerts": ("confirms", RECONNECT),
        "test_a_topic_for_each_problem_and_who_acts_there": ("threads", "edits", "reactions", "files"),
    },
    "xmpp": {
        "test_an_alert_is_corrected_a_picture_is_uploaded_and_a_refusal_is_one": ("edits", "files"),
        "test_after_a_reconnect_nothing_is_lost_and_only_messages_of_the_new_connection_are_corrected": (RECONNECT,),
    },
    "irc": {"test_the_connection_dies_without_a_word": (RECONNECT,)},
    "test": {"test_a_file_goes_to_where_it_was_asked_for": ("files",)},
}


def capabilities() -> Iterator[list[str]]:
    names = [field.name for field in fields(Capabilities)]
    yield from (["network", *names], ["---"] * (len(names) + 1))
    for mode, adapter in ADAPTERS.items():
        yield [mode, *("yes" if getattr(adapter.capabilities, name) else "" for name in names)]


def seen() -> Iterator[list[str]]:
    yield from (["network", "what", "test"], ["---"] * 3)
    for mode, tests in SEEN_BY.items():
        yield from ([mode, ", ".join(what), f"`{name}`"] for name, what in tests.items())


def pythons() -> Iterator[list[str]]:
    yield from (["network", *(f"{major}.{minor}" for major, minor in PYTHONS)], ["---"] * (len(PYTHONS) + 1))
    for backend in BACKENDS:
        yield [backend.name, *(backend.fails_on.get(version, "runs") for version in PYTHONS)]


@pytest.mark.parametrize("mode", ADAPTERS)
def test_each_capability_is_seen_by_a_test(mode: str) -> None:
    names = {name for what in SEEN_BY[mode].values() for name in what}
    assert {field.name for field in fields(Capabilities) if getattr(ADAPTERS[mode].capabilities, field.name)} <= names
    written = "".join(path.read_text() for path in PAGE.parents[1].glob("tests/*/**/test_*.py"))
    assert [name for name in SEEN_BY[mode] if f"def {name}(" not in written] == []


@pytest.mark.parametrize("table", [capabilities, seen, pythons])
def test_the_table_is_the_codes(table: Callable[[], Iterator[list[str]]]) -> None:
    text, name = PAGE.read_text(), table.__name__
    made = "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in table())
    found = re.compile(f"(<!-- {name} -->\n\n).*?(\n<!-- /{name} -->)", re.DOTALL)
    assert found.search(text)
    wanted = found.sub(lambda place: place[1] + made + place[2], text)
    if os.environ.get("GOLDEN"):
        PAGE.write_text(wanted)
    assert wanted == PAGE.read_text()
