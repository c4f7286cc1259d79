"""A chat network that refuses the bot's token: which answers say so, and how often it is asked again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import requests

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.networks import discord, matrix, mattermost, slack, zulip
from errbot_sentry.chat.networks.errbot_network import ErrbotNetwork
from errbot_sentry.domain.errors import NotAdmitted, NotConnected, SendError, TokenRefused
from errbot_sentry.domain.outgoing import Outgoing


def _slack(code: str) -> SendError:
    return slack._refusal(SimpleNamespace(response=SimpleNamespace(get={"error": code}.get)), has_card=True)


def _discord(status: int, code: int = 0) -> SendError:
    error = OSError("discord.py's")
    vars(error).update(status=status, code=code)
    return discord._refusal(error)


def _mattermost(status: int, error: str = "") -> SendError:
    response = requests.Response()
    response.status_code, response._content = status, f'{{"id": "{error}"}}'.encode()
    return mattermost._refusal(requests.HTTPError(response=response))


def _matrix(status: int, code: str) -> SendError:
    return matrix._refusal(status, {"errcode": code})


def _zulip(code: str) -> SendError:
    return zulip._refusal({"result": "error", "code": code, "msg": ""})


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        *((_slack(code), code) for code in sorted(slack._TOKEN_REFUSED)),
        (_discord(401), "401"),
        (_discord(401, 50014), "50014"),
        (_discord(403, 40002), "40002"),
        (_mattermost(401, "api.context.session_expired.app_error"), "api.context.session_expired.app_error"),
        (_mattermost(401), "401"),
        *((_matrix(401, code), code) for code in sorted(matrix._TOKEN_REFUSED)),
        *((_zulip(code), code) for code in sorted(zulip._TOKEN_REFUSED)),
    ],
)
def test_each_code_of_a_refused_token_is_about_the_whole_network(refusal: SendError, code: str) -> None:
    assert isinstance(refusal, TokenRefused)
    assert refusal.code == code
    assert f"refuses the bot's token ({code})" in str(refusal)


@pytest.mark.parametrize(
    "refusal",
    [
        _slack("not_in_channel"),
        _slack("missing_scope"),
        _discord(403, 50013),
        _mattermost(403),
        _matrix(403, "M_FORBIDDEN"),
    ],
)
def test_what_is_about_one_room_is_not(refusal: SendError) -> None:
    assert not isinstance(refusal, NotConnected)


class Refusing(ErrbotNetwork):
    """Answers with `answer`, and counts how often it was asked."""

    answer: Exception | None = None
    asked = 0

    def _post_text(self, target: Any, body: str, thread: str) -> str:
        self.asked += 1
        if self.answer is not None:
            raise self.answer
        return "1"


@pytest.fixture
def network() -> Refusing:
    bot: Any = SimpleNamespace(mode="of the future", message_size_limit=1000, query_room=lambda name: name)
    return Refusing(bot, lambda: True, BackgroundQueue())


def test_a_network_that_refuses_the_token_is_asked_again_after_a_pause_or_a_reconnect(network: Refusing) -> None:
    network.answer = TokenRefused("Slack", "invalid_auth")
    for room in ("a", "a", "b"):
        with pytest.raises(NotConnected, match="invalid_auth"):
            network.post(room, Outgoing("text"))
    assert network.asked == 1
    assert "invalid_auth" in network.trouble()
    network.renew()
    with pytest.raises(TokenRefused):
        network.post("a", Outgoing("text"))
    network.renew()
    network.answer = None
    assert network.post("a", Outgoing("text")) == "1"
    assert network.trouble() == network.token_refused() == ""


def test_an_answer_about_a_room_shows_that_the_token_is_accepted(network: Refusing) -> None:
    network.token_pause = 0.0
    network.answer = TokenRefused("Slack", "invalid_auth")
    with pytest.raises(TokenRefused):
        network.post("a", Outgoing("text"))
    network.answer = SendError("Slack did not answer.")
    with pytest.raises(SendError):
        network.post("a", Outgoing("text"))
    assert network.trouble()
    network.answer = NotAdmitted("No.")
    with pytest.raises(NotAdmitted):
        network.post("a", Outgoing("text"))
    assert network.trouble() == ""
