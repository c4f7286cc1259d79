"""Reactions to alerts: what a person put under which of our messages (only Slack tells; errbot-facts, section 5)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from errbot.backends.base import REACTION_ADDED

from errbot_sentry.chat.asks import person_of, room_name
from errbot_sentry.model import Person, Place

log = logging.getLogger(__name__)


def reaction_of(bot: Any, reaction: Any) -> tuple[Person, Place, str] | None:
    """Who reacted, where (`thread` is the id of the message reacted to), with what; None for what is no such thing.

    It may ask the chat network for the room's name: not to be called in the receiving thread.
    """
    target = reaction.reacted_to
    if reaction.action != REACTION_ADDED or not isinstance(target, Mapping) or not target.get("ts"):
        return None
    try:
        room = room_name(bot.query_room(str(target.get("channel", ""))), str(bot.mode))
    except Exception as error:  # noqa: BLE001 - each backend raises what it likes
        log.info("a reaction in an unknown place: %s", error)
        return None
    return person_of(reaction.reactor, str(bot.mode)), Place(room, str(target["ts"])), str(reaction.reaction_name or "")
