"""What each chat network can show, as far as our adapters use it; shown by `!sentry status` and in docs/networks.md."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Capabilities:
    """What a network has.

    `confirms`: it answers each message with an id, or refuses it. `threads`: updates go under their notification.
    `edits`: the notification shows later what became of the problem. `cards`: title, colour and facts instead of a
    line. `buttons`, `reactions`: people act by a click. `files`: pictures.
    """

    confirms: bool = False
    threads: bool = False
    edits: bool = False
    cards: bool = False
    buttons: bool = False
    reactions: bool = False
    files: bool = False

    def __str__(self) -> str:
        """`threads, edits, buttons`."""
        return ", ".join(field.name for field in fields(self) if getattr(self, field.name)) or "messages only"


PLAIN = Capabilities()
"""A network without an adapter: whatever Errbot's own backend does with a text."""

CAPABILITIES = {
    "slackv3": Capabilities(
        confirms=True, threads=True, edits=True, cards=True, buttons=True, reactions=True, files=True
    ),
    "discord": Capabilities(
        confirms=True, threads=True, edits=True, cards=True, buttons=True, reactions=True, files=True
    ),
    "mattermost": Capabilities(
        confirms=True, threads=True, edits=True, cards=True, buttons=True, reactions=True, files=True
    ),
    "matrix": Capabilities(confirms=True, threads=True, edits=True, reactions=True, files=True),
    "telegram": Capabilities(
        confirms=True, threads=True, edits=True, cards=True, buttons=True, reactions=True, files=True
    ),
    "zulip": Capabilities(confirms=True, threads=True, edits=True, reactions=True, files=True),
    "xmpp": Capabilities(edits=True, files=True),
    "irc": Capabilities(),
    "test": Capabilities(files=True),
}
"""By Errbot's name of the backend (`bot.mode`)."""
