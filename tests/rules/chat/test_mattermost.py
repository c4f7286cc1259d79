"""Mattermost's adapter without a server: names of rooms, and what the operator is shown."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.network_rooms import NetworkRooms
from errbot_sentry.chat.networks.errbot_network import taken_id
from errbot_sentry.chat.networks.mattermost import MattermostNetwork
from errbot_sentry.chat.networks.mattermost_cards import attachment_of
from errbot_sentry.chat.networks.signed_clicks import SignedClicks
from errbot_sentry.chat.render.escaping import Escape
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.errors import SendError, StoreAway
from errbot_sentry.domain.outgoing import Card
from errbot_sentry.store.database import Store

KNOWN, UNKNOWN, AWAY = "a1" * 13, "b2" * 13, "c3" * 13


class Channels:
    """The part of the driver that knows channels."""

    def get_channel(self, channel_id: str) -> dict[str, str]:
        if channel_id == AWAY:
            raise requests.ConnectionError
        if channel_id == UNKNOWN:
            response = requests.Response()
            response.status_code = 404
            raise requests.HTTPError(response=response)
        return {"name": "ops"}


@pytest.fixture
def network() -> MattermostNetwork:
    driver = SimpleNamespace(options={"request_timeout": None}, channels=Channels())
    bot: Any = SimpleNamespace(mode="mattermost", message_size_limit=16377, driver=driver)
    return MattermostNetwork(bot, lambda: True, BackgroundQueue("files", SystemClock()))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("~ops", "~ops"),
        ("ops", "~ops"),
        ("#ops", "~ops"),
        ("web-*", "~web-*"),
        ("*", "*"),
        ("?ops", "?ops"),
        ("@ann", "@ann"),
        (KNOWN, "~ops"),
        (UNKNOWN, f"~{UNKNOWN}"),  # a channel may have such a name
        (AWAY, AWAY),
    ],
)
def test_every_spelling_of_a_room_is_one_room(network: MattermostNetwork, written: str, name: str) -> None:
    assert network.room_named(written) == name


@pytest.mark.parametrize("answer", [{}, [], None, "ops", {"name": None}])
def test_no_answer_about_a_room_stops_the_start(network: MattermostNetwork, tmp_path: Path, answer: object) -> None:
    network._bot.driver.channels = SimpleNamespace(get_channel=lambda channel_id: answer)
    store = Store(tmp_path / "state.sqlite3")
    assert NetworkRooms(network.room_named, store).ask(KNOWN) == KNOWN
    store.close()


@pytest.mark.parametrize("odd", [None, True, 7.5, {"a": 1}, [], ""])
def test_what_has_no_id_was_not_taken(odd: object) -> None:
    """A network that answers with anything else has not said that it took the message."""
    assert (taken_id("abc", "Mattermost"), taken_id(7, "Telegram")) == ("abc", "7")
    with pytest.raises(SendError):
        taken_id(odd, "Mattermost")


def test_the_driver_waits_for_no_answer_for_ever(network: MattermostNetwork) -> None:
    network.room_named(KNOWN)
    assert network._bot.driver.options["request_timeout"] > 0


def test_without_a_public_url_there_are_no_buttons_and_the_status_says_so(network: MattermostNetwork) -> None:
    network.offer_buttons("", lambda: "secret")
    assert "buttons" not in network.status()[1]
    assert network.status()[-1] == "no buttons: set SENTRY_PUBLIC_URL"
    assert network.take_click({}, b"{}").status == 404
    network.offer_buttons("https://bot.example.com", lambda: "secret")
    assert "buttons" in network.status()[1]
    assert len(network.status()) == 2


def test_a_click_counts_for_the_message_as_it_stood_when_it_came() -> None:
    """The second of two quick clicks comes before the first has changed the message; an old one comes after."""
    clicks = SignedClicks(lambda: "secret")
    one, two, three = (clicks.new_token() for _ in range(3))
    assert clicks.is_signed(one, "resolve", clicks.sign(one, "resolve"))
    assert not clicks.is_signed(one, "reopen", clicks.sign(one, "resolve"))
    assert not SignedClicks(lambda: "another").is_signed(one, "resolve", clicks.sign(one, "resolve"))
    clicks.note("post", one)
    at = time.monotonic()
    clicks.note("post", two)
    assert clicks.was_shown("post", one, at)
    assert not clicks.was_shown("post", one, time.monotonic() + 1.0)
    assert not clicks.was_shown("other", one, at)
    clicks.note("post", three)
    assert not clicks.was_shown("post", one, at)


def test_a_click_while_the_state_is_away_is_refused(network: MattermostNetwork) -> None:
    def away() -> str:
        raise StoreAway("It is away.")

    network.offer_buttons("https://bot.example.com", away)
    body = b'{"user_id": "u", "post_id": "p", "context": {"action": "resolve", "token": "t", "signature": "s"}}'
    assert network.take_click({}, body).status == 503


def test_a_card_without_a_link_escapes_its_title_and_nothing_in_its_fields_acts() -> None:
    card = Card("New in shop", "*KeyError*: x", facts=(("", "3 events"), ("Rule", "a_b")), mark="resolved by @here")
    made = attachment_of(card, Escape("mattermost"), lambda _: {})
    assert made["title"] == r"\*KeyError\*: x"
    assert [(field["title"], field["value"]) for field in made["fields"]] == [
        ("Rule", r"a\_b"),
        ("Status", "resolved by @\u200bhere"),
    ]
