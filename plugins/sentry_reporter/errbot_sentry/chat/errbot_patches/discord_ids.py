"""Discord's accounts of today.

Errbot 6.2.1: who sent a message is what the backend makes of it (errbot/core.py, line 268). That of
err-backend-discord 4.0.0 takes ids of exactly 18 digits (discordlib/person.py, `RE_DISCORD_ID`). Since July 2022
Discord gives ids of 19 digits. So new people get no answer, and a new bot's own account is refused when it connects.

Change: the expression takes 15 to 20 digits, as many as Discord's 64-bit ids can have.

Undone: the expression is put back.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

_MODULE = "discordlib.person"
_ID = re.compile(r"^[0-9]{15,20}$")


def knows_old_ids(bot: Any) -> bool:
    """Whether this bot's backend is the one for Discord that looks at the ids' length."""
    return bot_is_on_discord(bot) and hasattr(sys.modules.get(_MODULE), "RE_DISCORD_ID")


def bot_is_on_discord(bot: Any) -> bool:
    """Whether this is the backend for Discord."""
    return getattr(bot, "mode", "") == "discord"


def take_longer_ids(bot: Any) -> Callable[[], None]:
    """Let the backend's module take ids of today; returns what undoes that."""
    del bot
    module: Any = sys.modules[_MODULE]
    original = module.RE_DISCORD_ID
    module.RE_DISCORD_ID = _ID

    def undo() -> None:
        module.RE_DISCORD_ID = original

    return undo
