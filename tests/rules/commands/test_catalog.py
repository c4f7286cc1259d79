"""The table of commands."""

from __future__ import annotations

import pytest

from errbot_sentry.commands.command_context import CHANGE, Command, find_command
from errbot_sentry.commands.registry import COMMANDS, help_text


def test_every_name_and_alias_stands_for_one_command() -> None:
    names = [name for entry in COMMANDS for name in (entry.name, *entry.aliases)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_help_has_usage_and_an_example_of_that_command(entry: Command) -> None:
    text = help_text(entry, ".")
    name = ".sentry" if entry.name == "sentry" else f".sentry {entry.name}"
    assert f"Usage: {name}" in text
    assert f"Examples: {name}" in text


def test_aliases_lead_to_their_command() -> None:
    found = find_command("unresolve", COMMANDS)
    assert found is not None
    assert found.name == "reopen"
    assert find_command("nothing", COMMANDS) is None


def test_what_changes_issues_or_alert_settings_is_for_writers_only() -> None:
    assert {entry.name for entry in COMMANDS if entry.writers_only} == {
        *(entry.name for entry in COMMANDS if entry.group == CHANGE),
        *("subscribe", "unsubscribe", "silence", "unsilence", "resend", "digest"),
    }
