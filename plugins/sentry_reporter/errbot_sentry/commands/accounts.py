"""`link`, `unlink`, `whoami`: who a chat person is on the server."""

from __future__ import annotations

from collections.abc import Iterator

from errbot_sentry.commands.account_proof import Claims, proves, read_mail
from errbot_sentry.commands.command_context import Desk
from errbot_sentry.commands.typed_words import split_words
from errbot_sentry.domain.conversation import Ask, View
from errbot_sentry.domain.errors import BadReference, Unsupported, UsageError
from errbot_sentry.domain.text import cut
from errbot_sentry.domain.typed_text import echo
from errbot_sentry.server.protocol import BUGSINK


class Identity:
    """The commands about oneself; everybody may use them, and only for themselves."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._claims = Claims(desk.clock)

    def link(self, ask: Ask) -> Iterator[View]:
        words = split_words(ask.words)
        if not 1 <= len(words) <= 2:
            raise UsageError("Which mail address?", self._desk.usage("link"))
        mail = read_mail(words[0])
        if mail is None:
            raise UsageError(f"{echo(words[0])} is no mail address.", self._desk.usage("link"))
        server = self._desk.find_server()
        if server.kind == BUGSINK:
            raise Unsupported("Bugsink's issues have no assignee and its notes no author: there is nobody to be.")
        claim = self._claims.open(ask.person, mail)
        values = {"mail": mail, "phrase": claim.phrase, "prefix": self._desk.prefix}
        if len(words) == 1:
            yield View("sentry_link", {**values, "step": "prove"})
            return
        issue = self._desk.finder.find(words[1], ask)
        shown_id = cut(issue.short_id or issue.id, 60)
        if not proves(claim, server.comments(issue)):
            raise BadReference(
                f"No comment on {shown_id} by {mail} says exactly what it should; "
                f"{self._desk.prefix}sentry link {mail} shows it once more."
            )
        self._desk.people.link(ask.person.acl, mail, ask.person.mention)
        self._claims.close(ask.person)
        yield View("sentry_link", {**values, "step": "linked"})

    def unlink(self, ask: Ask) -> Iterator[View]:
        self._no_words("unlink", ask)
        self._claims.close(ask.person)
        was_linked = self._desk.people.unlink(ask.person.acl)
        yield View("sentry_link", {"step": "unlinked" if was_linked else "stranger", "mail": "", "prefix": ""})

    def whoami(self, ask: Ask) -> Iterator[View]:
        self._no_words("whoami", ask)
        yield View(
            "sentry_whoami",
            {
                "name": cut(ask.person.name, 60),
                "acl": cut(ask.person.acl, 200),
                "mail": self._desk.people.mail_of(ask.person.acl) or "",
                "may_change": self._desk.access.may_write(ask.person),
                "prefix": self._desk.prefix,
            },
        )

    def _no_words(self, name: str, ask: Ask) -> None:
        if ask.words.strip():
            raise UsageError(f"{name} takes no further words.", self._desk.usage(name))
