"""Messages on the stand-in for Slack, as they stand now. Fields as in docs.slack.dev/reference/block-kit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

BOT_ID, BOT_NAME = "U00BOT", "sentrybot"


def parsed(value: Any) -> list[dict[str, Any]]:
    """Blocks and attachments come as a list or as its JSON text."""
    found: list[dict[str, Any]] = json.loads(value) if isinstance(value, str) else value
    return found or []


@dataclass
class Said:
    """A message in a channel as it stands now; `texts` is every version of it, `reactions` what the bot put there."""

    channel: str
    ts: str
    texts: list[str]
    thread: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    reactions: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.texts[-1]

    def change(self, values: dict[str, Any]) -> None:
        """Edit: blocks go where a text comes without them, and stay where neither comes (chat.update, "blocks")."""
        self.texts.append(values.get("text", self.text))
        if "blocks" in values or "text" in values:
            self.blocks = parsed(values.get("blocks"))
        if "attachments" in values:
            self.attachments = parsed(values["attachments"])

    def element(self, action_id: str) -> dict[str, Any]:
        """The button or menu with this `action_id`. Raises AssertionError where a person could not click it."""
        for block in self.blocks:
            for each in [*block.get("elements", []), *([block["accessory"]] if "accessory" in block else [])]:
                if each.get("action_id") == action_id:
                    return {**each, "block_id": block.get("block_id", "b1")}
        raise AssertionError(f"nothing to click with action_id {action_id!r} in {self.blocks}")


@dataclass(frozen=True)
class Whispered:
    """What only one person sees: an ephemeral message."""

    channel: str
    user: str
    text: str
    blocks: list[dict[str, Any]]
