"""Which adapter serves which backend of Errbot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from errbot_sentry.chat.background_queue import BackgroundQueue
from errbot_sentry.chat.networks.discord import DiscordNetwork
from errbot_sentry.chat.networks.errbot_network import Capabilities, ErrbotNetwork
from errbot_sentry.chat.networks.matrix import MatrixNetwork
from errbot_sentry.chat.networks.mattermost import MattermostNetwork
from errbot_sentry.chat.networks.slack import SlackNetwork
from errbot_sentry.chat.networks.telegram import TelegramNetwork
from errbot_sentry.chat.networks.unconfirmed import IrcNetwork
from errbot_sentry.chat.networks.xmpp import XmppNetwork
from errbot_sentry.chat.networks.zulip import ZulipNetwork


class ErrbotTestNetwork(ErrbotNetwork):
    """Errbot's Test backend, which takes files."""

    capabilities = Capabilities(files=True)


ADAPTERS: dict[str, type[ErrbotNetwork]] = {
    "slackv3": SlackNetwork,
    "discord": DiscordNetwork,
    "mattermost": MattermostNetwork,
    "matrix": MatrixNetwork,
    "telegram": TelegramNetwork,
    "zulip": ZulipNetwork,
    "xmpp": XmppNetwork,
    "irc": IrcNetwork,
    "test": ErrbotTestNetwork,
}
"""By Errbot's name of the backend (`bot.mode`). All other backends get an ErrbotNetwork."""


def network_of(bot: Any, is_active: Callable[[], bool], background: BackgroundQueue) -> ErrbotNetwork:
    """The adapter for this bot's chat network."""
    return ADAPTERS.get(str(bot.mode), ErrbotNetwork)(bot, is_active, background)
