"""Who a chat person is on the server: proved by a comment that only that account can have written (docs/adr/0006)."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from errbot_sentry.commands.typed_words import tidy
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.conversation import Person
from errbot_sentry.domain.issues import Comment
from errbot_sentry.domain.locks import Lock
from errbot_sentry.domain.text import cut, one_line

CODE_KEPT_FOR = timedelta(hours=1)
_MOST_CLAIMS = 200
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # nothing that looks like something else
_NOT_IN_NAMES = str.maketrans(":`", "  ")  # one ends the name in the phrase, the other would be shown as something else
_MAIL = re.compile(r"[^\s@<>\"'|,;]{1,64}@[\w-]+(?:\.[\w-]+)+")


class People(Protocol):
    """Links from chat people (by the text that Errbot's rules match) to mail addresses on the server, kept durably."""

    def mail_of(self, acl: str) -> str | None:
        """The proved mail address, or None."""
        ...

    def link(self, acl: str, mail: str, mention: str = "") -> None:
        """Remember a proved address, in place of an earlier one, and how its owner is called in chat."""
        ...

    def unlink(self, acl: str) -> bool:
        """Forget it; whether there was one."""
        ...

    def takes(self, issue_id: str, mail: str) -> None:
        """The owner of this address takes an issue, and need not be called about that; "": nobody does after all."""
        ...


class PeopleInMemory:
    """For as long as the bot runs: where there is no store."""

    def __init__(self) -> None:
        self._mails: dict[str, str] = {}

    def mail_of(self, acl: str) -> str | None:
        return self._mails.get(acl)

    def link(self, acl: str, mail: str, mention: str = "") -> None:  # noqa: ARG002 - there is nobody to call
        self._mails[acl] = mail

    def unlink(self, acl: str) -> bool:
        return self._mails.pop(acl, None) is not None

    def takes(self, issue_id: str, mail: str) -> None:
        """Without a store there are no alerts that could call anybody."""


@dataclass(frozen=True)
class Claim:
    """Somebody says to be the owner of an address; `code` is what the owner has to repeat on the server."""

    mail: str
    code: str
    name: str
    since: datetime

    @property
    def phrase(self) -> str:
        """The whole comment; it says what it does, so that nobody is talked into it unknowingly."""
        return f"I am {self.name} in chat: {self.code}"


class Claims:
    """Claims that wait for their proof, one per person; bounded, and forgotten after an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._claims: OrderedDict[str, Claim] = OrderedDict()

    def open(self, person: Person, mail: str) -> Claim:
        """The person's claim to this address: the one that waits, or a new one with a new code."""
        with self._lock:
            waiting = self._claims.get(person.acl)
            if waiting is not None and waiting.mail == mail and not self._old(waiting):
                return waiting
            code = "".join(secrets.choice(_LETTERS) for _ in range(10))
            name = one_line(tidy(person.name).translate(_NOT_IN_NAMES))
            self._claims[person.acl] = Claim(mail, code, cut(name, 60), self._clock.now())
            self._claims.move_to_end(person.acl)
            while len(self._claims) > _MOST_CLAIMS:
                self._claims.popitem(last=False)
            return self._claims[person.acl]

    def close(self, person: Person) -> None:
        """The claim has been proved or given up."""
        with self._lock:
            self._claims.pop(person.acl, None)

    def _old(self, claim: Claim) -> bool:
        return self._clock.now() - claim.since > CODE_KEPT_FOR


def proves(claim: Claim, comments: Sequence[Comment]) -> bool:
    """Whether one of the comments is the claim's phrase and nothing else, written by the owner of the address.

    Nothing else: a note that the bot leaves for somebody always ends with who asked for it, so the bot, whose token
    belongs to some account too, can never be made to prove that it is that account's owner.
    """
    return any(
        _as_read(comment.text) == _as_read(claim.phrase) and comment.email.casefold() == claim.mail.casefold()
        for comment in comments
    )


def _as_read(text: str) -> str:
    """Without the unseen character that keeps a nick in the phrase from calling its owner: it is copied along."""
    return one_line(tidy(text))


def read_mail(word: str) -> str | None:
    """A mail address, without what chat programs make of it (`<mailto:a@b.c|a@b.c>`), in small letters."""
    text = word.strip().strip('"')
    if text.startswith("<"):
        text = text[1:].rstrip(">").partition("|")[0]
    text = text.removeprefix("mailto:")
    return text.lower() if _MAIL.fullmatch(text) and len(text) <= 254 else None
