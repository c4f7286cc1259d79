"""`subscribe`, `subscriptions`, `unsubscribe`: which alerts a room gets besides those of the routes in config.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from errbot_sentry.alerting.decide.visibility import may_name, shows_all_of
from errbot_sentry.commands.command_context import CommandContext, ParsedCommand
from errbot_sentry.commands.parser import matchers, one_number
from errbot_sentry.commands.project_scope import projects_named, refuse_unknown_projects
from errbot_sentry.domain.conversation import Conversation, View
from errbot_sentry.domain.errors import BadReference, UserError
from errbot_sentry.store.records import Subscription

MOST_SUBSCRIPTIONS = 50  # of one room


def subscribe(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """`subscribe`."""
    room = context.alert_room(typed.conversation, "Run this in the room that should get the alerts.")
    asked_for = matchers(typed, typed.words)
    refuse_unknown_projects(context.access, typed.conversation, context.find_server, projects_named(asked_for))
    chosen = tuple(str(matcher) for matcher in asked_for)
    made = Subscription(room, chosen, typed.person.name, context.clock.now().timestamp())
    with context.store.write() as tx:
        here = [each for each in tx.subscriptions.all() if each.room == room]
        same = next((each for each in here if set(each.matchers) == set(chosen)), None)
        if same is not None:
            raise UserError(f"This room has that already: subscription {same.id}.")
        if len(here) >= MOST_SUBSCRIPTIONS:
            raise UserError(
                f"There are {MOST_SUBSCRIPTIONS} subscriptions here. "
                f"End one with `{context.prefix}sentry unsubscribe N` first."
            )
        number = tx.subscriptions.add(made)
    context.alert_flow().routes.changed()
    context.alert_flow().wake()
    yield View("sentry_alert_setting", {"kind": "Subscription", "number": number, "label": _label(made), "until": ""})


def list_subscriptions(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """`subscriptions`."""
    direct, here = typed.conversation.is_direct, context.room_name(typed.conversation)
    with context.store.read() as tx:
        found = [each for each in tx.subscriptions.all() if direct or each.room == here]
    access, is_writer = context.access, context.access.may_write(typed.person)
    rows: list[dict[str, Any]] = []
    for each in found:
        row = {"number": each.id, "label": _label(each), "room": each.room, "author": each.author}
        if shows_all_of(each.room, Conversation(here), access, to_writer=is_writer):
            rows.append(row)
        elif may_name(each.matchers, typed.conversation, access):
            rows.append({**row, "room": "another room", "author": ""})
    context.lists.keep_aside(typed.conversation, typed.person, "", max((row["number"] for row in rows), default=0))
    yield View("sentry_subscriptions", {"rows": rows, "direct": direct})


def unsubscribe(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """`unsubscribe`."""
    number = one_number(typed)
    with context.store.write() as tx:
        found = next((each for each in tx.subscriptions.all() if each.id == number), None)
        here = context.room_name(typed.conversation)
        if found is None or not (typed.conversation.is_direct or found.room == here):
            command = f"{context.prefix}sentry subscriptions"
            raise BadReference(f"There's no subscription {number} here. `{command}` lists them.")
        tx.subscriptions.remove(number)
    context.alert_flow().routes.changed()
    yield View("sentry_alert_setting", {"kind": "Subscription", "number": number, "label": "", "until": ""})


def _label(subscription: Subscription) -> str:
    return " ".join(subscription.matchers) or "everything that this room may see"
