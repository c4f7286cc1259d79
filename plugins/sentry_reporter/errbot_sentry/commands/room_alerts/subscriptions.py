"""Handlers of `subscribe`, `subscriptions`, `unsubscribe`: alerts that a room or a person gets besides the routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from errbot_sentry.alerting.decide.visibility import may_name, shows_all_of
from errbot_sentry.commands.command_context import CommandContext, ParsedCommand
from errbot_sentry.commands.parser import matchers, one_number
from errbot_sentry.commands.project_scope import projects_named, refuse_unknown_projects
from errbot_sentry.config.matchers import MY_TEAMS, personal
from errbot_sentry.domain.conversation import Conversation, View, address_of
from errbot_sentry.domain.errors import BadReference, Unsupported, UserError
from errbot_sentry.store.records import Subscription

MOST_SUBSCRIPTIONS = 50  # of one room or person


def subscribe(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Subscribe the room, or in a direct message the person, to alerts with these values."""
    is_own = typed.conversation.is_direct
    asked_for = matchers(typed, typed.words, of_a_person=is_own)
    room = _own_room(context, typed) if is_own else context.room_name(typed.conversation)
    named = projects_named(asked_for)
    refuse_unknown_projects(context.access, typed.conversation, context.find_server, named, is_own=is_own)
    wanted = {personal(matcher) for matcher in asked_for} - {""}
    if wanted and (refusal := context.refusal("assign")):
        raise Unsupported(refusal)
    if MY_TEAMS in wanted:
        _read_teams(context, typed)
    chosen = tuple(str(matcher) for matcher in asked_for)
    made = Subscription(room, chosen, typed.person.name, context.clock.now().timestamp())
    with context.store.write() as tx:
        here = [each for each in tx.subscriptions.all() if each.room == room]
        same = next((each for each in here if set(each.matchers) == set(chosen)), None)
        if same is not None:
            raise UserError(f"{'You already have' if is_own else 'The room already has'} this: subscription {same.id}.")
        if len(here) >= MOST_SUBSCRIPTIONS:
            raise UserError(
                f"There are {MOST_SUBSCRIPTIONS} subscriptions here. "
                f"End one with `{context.prefix}sentry unsubscribe N` first."
            )
        number = tx.subscriptions.add(made)
    context.alert_flow().routes.changed()
    context.alert_flow().wake()
    yield View("sentry_alert_setting", {"kind": "Subscription", "number": number, "label": _label(made), "until": ""})


def _own_room(context: CommandContext, typed: ParsedCommand) -> str:
    """The room name that stands for direct messages to this person. Raises UserError if none can be sent."""
    person = typed.person
    if not person.address:
        raise UserError(
            "The bot can't address you by this conversation. Run this in the room that should get the alerts."
        )
    if refusal := context.refusal("accounts"):
        raise Unsupported(f"{refusal} Run this in a room instead.")
    with context.store.write() as tx:
        if not tx.accounts.set_address(person.acl, person.address):
            raise UserError(
                f"Link your server account first, with `{context.prefix}sentry link MAIL`. "
                "Alerts in direct messages are only for people whom the server knows."
            )
    return typed.conversation.room


def _read_teams(context: CommandContext, typed: ParsedCommand) -> None:
    """Store the person's teams on the server. Raises UserError if there are none, and what the server raises."""
    with context.store.read() as tx:
        mail = tx.accounts.mail_of(typed.person.acl) or ""
    teams = context.find_server().read_teams(mail)
    if not teams:
        raise UserError(f"On the server, {mail} is in no team. Join one there, or use assignee=me.")
    with context.store.write() as tx:
        tx.accounts.set_teams(typed.person.acl, teams)


def list_subscriptions(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """List the subscriptions of the room or person; those of other rooms in a direct message."""
    direct, own = typed.conversation.is_direct, typed.conversation.room
    here = own if direct else context.room_name(typed.conversation)
    with context.store.read() as tx:
        found = [each for each in tx.subscriptions.all() if each.room == here or (direct and not address_of(each.room))]
        is_linked = tx.accounts.at_address(address_of(own)) is not None
    access, is_writer = context.access, context.access.may_write(typed.person)
    rows: list[dict[str, Any]] = []
    for each in found:
        row = {"number": each.id, "label": _label(each), "room": each.room, "author": each.author, "paused": ""}
        if direct and each.room == own:
            rows.append({**row, "room": "you", "author": "", "paused": _why_paused(context, typed, each, is_linked)})
        elif shows_all_of(each.room, Conversation(here), access, to_writer=is_writer):
            rows.append(row)
        elif may_name(each.matchers, typed.conversation, access):
            rows.append({**row, "room": "another room", "author": ""})
    context.lists.keep_aside(typed.conversation, typed.person, "", max((row["number"] for row in rows), default=0))
    yield View("sentry_subscriptions", {"rows": rows, "direct": direct})


def _why_paused(context: CommandContext, typed: ParsedCommand, subscription: Subscription, is_linked: bool) -> str:
    """Why a subscription of a person brings nothing at present; "" if it does."""
    if not is_linked:
        return f"nothing is sent: link your server account again, with {context.prefix}sentry link MAIL"
    if not context.access.sees_anything(typed.conversation):
        return "nothing is sent: no project may be shown in direct messages any more"
    if not may_name(subscription.matchers, typed.conversation, context.access):
        return "nothing is sent: its project may not be shown in direct messages any more"
    return ""


def unsubscribe(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """End a subscription."""
    number = one_number(typed)
    with context.store.write() as tx:
        found = next((each for each in tx.subscriptions.all() if each.id == number), None)
        if found is None or not _may_end(context, typed, found):
            command = f"{context.prefix}sentry subscriptions"
            raise BadReference(f"There's no subscription {number} here. `{command}` lists them.")
        tx.subscriptions.remove(number)
    context.alert_flow().routes.changed()
    yield View("sentry_alert_setting", {"kind": "Subscription", "number": number, "label": "", "until": ""})


def _may_end(context: CommandContext, typed: ParsedCommand, subscription: Subscription) -> bool:
    """Whether a subscription can be ended here: in its room, or by a writer in a direct message.

    Only the person themselves can end a person's subscription.
    """
    if not typed.conversation.is_direct:
        return subscription.room == context.room_name(typed.conversation)
    if address_of(subscription.room):
        return subscription.room == typed.conversation.room
    return context.access.may_write(typed.person)


def _label(subscription: Subscription) -> str:
    whose = "you" if address_of(subscription.room) else "this room"
    return " ".join(subscription.matchers) or f"everything that {whose} may see"
