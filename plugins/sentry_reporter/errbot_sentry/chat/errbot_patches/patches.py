"""All patches that we make to Errbot. They are applied in the order of `PATCHES` and undone in the reverse order.

With `SENTRY_PATCH_ERRBOT = False` none is applied, and `!sentry status` says what is lost. The page for operators is
docs/errbot-patches.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from errbot_sentry.chat.errbot_patches.command_pools import free_old_pools, has_pool
from errbot_sentry.chat.errbot_patches.discord_ids import go_by_ids, is_discord
from errbot_sentry.chat.errbot_patches.irc_nick import take_another_nick
from errbot_sentry.chat.errbot_patches.irc_ping import ping_in_silence
from errbot_sentry.chat.errbot_patches.irc_reconnect import is_irc, reconnect_soon
from errbot_sentry.chat.errbot_patches.markdown_lock import has_converter, lock_converters
from errbot_sentry.chat.errbot_patches.matrix_sync import is_matrix, mend_sync
from errbot_sentry.chat.errbot_patches.mattermost_driver import is_mattermost, mend_driver
from errbot_sentry.chat.errbot_patches.shelf_threads import has_shelf, share_shelves
from errbot_sentry.chat.errbot_patches.shutdown import at_shutdown, chat_dropped
from errbot_sentry.chat.errbot_patches.sigterm import end_orderly, is_unhandled
from errbot_sentry.chat.errbot_patches.telegram_updates import is_telegram, read_all_updates
from errbot_sentry.chat.errbot_patches.xmpp_flush import flush_after_sends, has_loop
from errbot_sentry.chat.errbot_patches.xmpp_reconnect import reconnect_xmpp
from errbot_sentry.domain.errors import RestartNeeded

log = logging.getLogger(__name__)

Undo = Callable[[], None]


@dataclass(frozen=True)
class Patch:
    """One patch. `name` is its module; `without` is the sentence in `!sentry status` if the patch is not applied.

    `needed` says whether a bot object (Errbot's backend) needs the patch. `apply` applies it and returns a function
    that undoes it; a patch may call the second argument of `apply` when the bot ends. `apply` may raise any error, and
    then leaves Errbot as it was. `stays` is set if the patch helps the chat network to come back: then it stays in
    place when Errbot deactivates the plugin because of a lost connection, and the next activation renews it.
    """

    name: str
    needed: Callable[[Any], bool]
    apply: Callable[[Any, Callable[[], None]], Undo]
    without: str
    stays: bool = False


PATCHES = (
    Patch(
        "markdown_lock",
        has_converter,
        lambda bot, _end: lock_converters(bot),
        "messages that are sent at the same time may mix up their text, also across rooms",
    ),
    Patch(
        "xmpp_flush",
        has_loop,
        lambda bot, _end: flush_after_sends(bot),
        "replies and alerts on XMPP may wait for minutes",
    ),
    Patch(
        "discord_ids",
        is_discord,
        lambda bot, _end: go_by_ids(bot),
        "on Discord nobody gets an answer in threads, and whoever joined since July 2022 gets none at all",
    ),
    Patch(
        "matrix_sync",
        is_matrix,
        lambda bot, _end: mend_sync(bot),
        "on Matrix each start runs the latest commands of each room again, and a refused token keeps the bot busy",
        stays=True,
    ),
    Patch(
        "mattermost_driver",
        is_mattermost,
        lambda bot, _end: mend_driver(bot),
        "the bot reads nothing from a Mattermost server with https, and nothing after a cut connection",
        stays=True,
    ),
    Patch(
        "telegram_updates",
        is_telegram,
        lambda bot, _end: read_all_updates(bot),
        "on Telegram notifications have no buttons, reactions and topics do nothing, and the bot comes back late",
        stays=True,
    ),
    Patch(
        "command_pools",
        has_pool,
        lambda bot, _end: free_old_pools(bot),
        "each admin command keeps two file descriptors open until the bot stops",
    ),
    Patch(
        "shutdown",
        lambda _bot: True,
        at_shutdown,
        "webhooks are refused while the chat network is down, also with SENTRY_WEBHOOK_LISTEN",
    ),
    Patch(
        "shelf_threads",
        has_shelf,
        lambda bot, _end: share_shelves(bot),
        'on Python 3.13 Errbot and its plugins cannot use their storage: set STORAGE = "Memory" in config.py',
        stays=True,
    ),
    Patch(
        "sigterm",
        is_unhandled,
        end_orderly,
        "SIGTERM (docker stop, systemd) kills the bot, and its end after Ctrl-C waits for a chat network that hangs",
        stays=True,
    ),
    Patch(
        "irc_reconnect",
        is_irc,
        lambda bot, _end: reconnect_soon(bot),
        "after a drop of the IRC connection the bot is away for a minute to five",
        stays=True,
    ),
    Patch(
        "irc_nick",
        is_irc,
        lambda bot, _end: take_another_nick(bot),
        "where its nick is taken, as after a crash, the bot is away for two minutes",
        stays=True,
    ),
    Patch(
        "irc_ping",
        is_irc,
        lambda bot, _end: ping_in_silence(bot),
        "an IRC connection that dies silently is not noticed for minutes, and messages are lost",
        stays=True,
    ),
    Patch(
        "xmpp_reconnect",
        has_loop,
        lambda bot, _end: reconnect_xmpp(bot),
        "the bot never comes back after a drop of the XMPP connection",
        stays=True,
    ),
)

_STAYING = "sentry_reporter_patches"


class ErrbotPatches:
    """The patches of one bot object.

    Args:
        bot: Errbot's backend object.
        wanted: the setting SENTRY_PATCH_ERRBOT.
        on_shutdown: called when the bot shuts down, before Errbot's own end.
    """

    def __init__(self, bot: Any, wanted: bool, on_shutdown: Callable[[], None]) -> None:
        self._bot = bot
        self._wanted = wanted
        self._on_shutdown = on_shutdown
        self._undos = ExitStack()
        self._staying = ExitStack()
        self._applied: set[str] = set()
        self.without: tuple[str, ...] = ()
        """A sentence for each patch that this bot needs and that is not applied."""
        self.failed = False
        """Whether a patch was wanted and could not be applied."""

    def apply(self) -> None:
        """Apply the patches that are wanted and needed. If one fails, that is logged, and the others still apply."""
        if (staying := vars(self._bot).pop(_STAYING, None)) is not None:
            staying.close()
        lost = []
        for patch in PATCHES:
            if not patch.needed(self._bot):
                continue
            if self._wanted and self._try(patch):
                self._applied.add(patch.name)
            else:
                lost.append(patch.without)
        self.without = tuple(lost)

    def applied(self, name: str) -> bool:
        """Whether the patch of this name is in force."""
        return name in self._applied

    def undo(self) -> None:
        """Undo the patches. If the chat network has just dropped, those that help it to come back stay in place."""
        self._applied.clear()
        self._undos.close()
        if chat_dropped():
            setattr(self._bot, _STAYING, self._staying.pop_all())
        self._staying.close()

    def _try(self, patch: Patch) -> bool:
        try:
            undos = self._staying if patch.stays else self._undos
            undos.callback(patch.apply(self._bot, self._on_shutdown))
        except RestartNeeded as reason:
            log.info("Errbot is patched by %s at its next start: %s", patch.name, reason)
            return False
        except Exception:  # this Errbot differs from 6.2.1: it runs without the patch, and the status says so
            log.exception("Errbot could not be patched by %s: %s", patch.name, patch.without)
            self.failed = True
            return False
        return True
