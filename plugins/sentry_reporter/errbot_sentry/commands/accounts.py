"""Handlers of `link`, `unlink` and `whoami`: which account on the server belongs to a person in chat.

People prove it with a comment that only that account can have written (docs/adr/0006).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cachetools import TTLCache

from errbot_sentry.commands.command_context import CommandContext, ParsedCommand
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Person, View
from errbot_sentry.domain.errors import BadReference
from errbot_sentry.domain.identifiers import small
from errbot_sentry.domain.issues import Comment
from errbot_sentry.domain.locks import Lock
from errbot_sentry.domain.text import cut, one_line
from errbot_sentry.domain.typed_text import echo, tidy

CODE_VALID_FOR = timedelta(hours=1)
_MOST_CLAIMS = 200
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # nothing that looks like something else
_NOT_IN_NAMES = str.maketrans(":`", "  ")  # in the phrase ":" ends the name, and "`" would end the code that shows it
_MAIL = re.compile(r"[^\s@<>\"'|,;]{1,64}@[\w-]+(?:\.[\w-]+)+")


@dataclass(frozen=True)
class Claim:
    """A person says that this mail address is theirs. The account's owner has to post a comment with `code`."""

    mail: str
    code: str
    name: str

    @property
    def phrase(self) -> str:
        """The whole comment. It says what it does, so that nobody posts it by mistake."""
        return f"I am {self.name} in chat: {self.code}"


class Claims:
    """Claims without a proof yet: one per person, a bounded number, and each for an hour."""

    def __init__(self, clock: Clock) -> None:
        self._lock = Lock()
        self._claims: TTLCache[str, Claim] = TTLCache(
            _MOST_CLAIMS, CODE_VALID_FOR.total_seconds(), timer=clock.monotonic
        )

    def open(self, person: Person, mail: str) -> Claim:
        """The person's open claim to this address, or a new one with a new code."""
        with self._lock:
            waiting = self._claims.get(person.acl)
            if waiting is not None and waiting.mail == mail:
                return waiting
            code = "".join(secrets.choice(_LETTERS) for _ in range(10))
            name = one_line(tidy(person.name).translate(_NOT_IN_NAMES))
            claim = self._claims[person.acl] = Claim(mail, code, cut(name, 60))
            return claim

    def close(self, person: Person) -> None:
        """Forget the person's claim: it was proved or given up."""
        with self._lock:
            self._claims.pop(person.acl, None)


def proves(claim: Claim, comments: Sequence[Comment]) -> bool:
    """Whether the owner of the address has written a comment that is the claim's phrase and nothing else.

    The bot's token belongs to an account as well. Each note that the bot writes ends with the name of the person who
    asked for it, so no note is the phrase alone, and nobody can claim the bot's account by `!sentry note`.
    """
    return any(
        _as_read(comment.text) == _as_read(claim.phrase) and small(comment.email) == small(claim.mail)
        for comment in comments
    )


def _as_read(text: str) -> str:
    """The comment without the invisible characters that we put into nicks: people copy them with the phrase."""
    return one_line(tidy(text))


def link(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Ask the person to post the claim's phrase, or link the account if that is done."""
    if not typed.words:
        raise typed.mistake("Which mail address?")
    mail = read_mail(typed.words[0])
    if mail is None:
        raise typed.mistake(f"{echo(typed.words[0])} isn't a valid mail address.")
    server = context.find_server()
    claim = context.claims.open(typed.person, mail)
    values = {"mail": mail, "phrase": claim.phrase, "prefix": context.prefix}
    if len(typed.words) == 1:
        yield View("sentry_link", {**values, "step": "prove"})
        return
    issue = context.finder.find(typed.words[1], typed.invocation)
    if not proves(claim, server.comments(issue)):
        raise BadReference(
            f"No comment on {cut(issue.short_id or issue.id, 60)} by {mail} has exactly that text. "
            f"Run `{context.prefix}sentry link {mail}` to see the text again."
        )
    with context.store.write() as tx:
        person = typed.person
        tx.accounts.put(person.acl, mail, context.clock.now().timestamp(), person.mention, person.address)
    _subscriptions_changed(context)
    context.claims.close(typed.person)
    yield View("sentry_link", {**values, "step": "linked"})


def unlink(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Forget which account the person has."""
    context.claims.close(typed.person)
    with context.store.write() as tx:
        was_linked = tx.accounts.drop(typed.person.acl)
    _subscriptions_changed(context)
    yield View("sentry_link", {"step": "unlinked" if was_linked else "not_linked", "mail": "", "prefix": ""})


def _subscriptions_changed(context: CommandContext) -> None:
    """Have the routes read again: a person's subscriptions count only while the person is linked."""
    if context.alerts is not None:
        context.alerts.routes.changed()


def whoami(context: CommandContext, typed: ParsedCommand) -> Iterator[View]:
    """Show the linked account, and what the person may do."""
    yield View(
        "sentry_whoami",
        {
            "name": cut(typed.person.name, 60),
            "acl": cut(typed.person.acl, 200),
            "mail": linked_mail(context, typed.person) or "",
            "refusal": context.refusal("accounts"),
            "may_change": context.access.may_write(typed.person),
            "room": "" if typed.conversation.is_direct else cut(typed.conversation.room, 200),
            "prefix": context.prefix,
        },
    )


def linked_mail(context: CommandContext, person: Person) -> str | None:
    """The mail address on the server that a person has proved to be theirs. Raises StoreError."""
    with context.store.read() as tx:
        return tx.accounts.mail_of(person.acl)


def read_mail(word: str) -> str | None:
    """A mail address in small letters, also from what chat programs make of one (`<mailto:a@b.c|a@b.c>`)."""
    text = word.strip().strip('"')
    if text.startswith("<"):
        text = text[1:].rstrip(">").partition("|")[0]
    text = text.removeprefix("mailto:")
    return small(text) if _MAIL.fullmatch(text) and len(text) <= 254 else None
