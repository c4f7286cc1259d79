"""`link`, `unlink`, `whoami`: who a chat person is on the server."""

from __future__ import annotations

from collections.abc import Iterator

from errbot_sentry.commands.account_proof import Claims, proves, read_mail
from errbot_sentry.commands.command_context import CommandContext
from errbot_sentry.commands.typed_words import split_words
from errbot_sentry.domain.conversation import Invocation, View
from errbot_sentry.domain.errors import BadReference, Unsupported, UsageError
from errbot_sentry.domain.text import cut
from errbot_sentry.domain.typed_text import echo
from errbot_sentry.server.protocol import BUGSINK


class Identity:
    """The commands about oneself; everybody may use them, and only for themselves."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context
        self._claims = Claims(context.clock)

    def link(self, invocation: Invocation) -> Iterator[View]:
        words = split_words(invocation.words)
        if not 1 <= len(words) <= 2:
            raise UsageError("Which mail address?", self._context.usage("link"))
        mail = read_mail(words[0])
        if mail is None:
            raise UsageError(f"{echo(words[0])} is no mail address.", self._context.usage("link"))
        server = self._context.find_server()
        if server.kind == BUGSINK:
            raise Unsupported("Bugsink's issues have no assignee and its notes no author: there is nobody to be.")
        claim = self._claims.open(invocation.person, mail)
        values = {"mail": mail, "phrase": claim.phrase, "prefix": self._context.prefix}
        if len(words) == 1:
            yield View("sentry_link", {**values, "step": "prove"})
            return
        issue = self._context.finder.find(words[1], invocation)
        shown_id = cut(issue.short_id or issue.id, 60)
        if not proves(claim, server.comments(issue)):
            raise BadReference(
                f"No comment on {shown_id} by {mail} says exactly what it should; "
                f"{self._context.prefix}sentry link {mail} shows it once more."
            )
        self._context.people.link(invocation.person.acl, mail, invocation.person.mention)
        self._claims.close(invocation.person)
        yield View("sentry_link", {**values, "step": "linked"})

    def unlink(self, invocation: Invocation) -> Iterator[View]:
        self._no_words("unlink", invocation)
        self._claims.close(invocation.person)
        was_linked = self._context.people.unlink(invocation.person.acl)
        yield View("sentry_link", {"step": "unlinked" if was_linked else "stranger", "mail": "", "prefix": ""})

    def whoami(self, invocation: Invocation) -> Iterator[View]:
        self._no_words("whoami", invocation)
        yield View(
            "sentry_whoami",
            {
                "name": cut(invocation.person.name, 60),
                "acl": cut(invocation.person.acl, 200),
                "mail": self._context.people.mail_of(invocation.person.acl) or "",
                "may_change": self._context.access.may_write(invocation.person),
                "prefix": self._context.prefix,
            },
        )

    def _no_words(self, name: str, invocation: Invocation) -> None:
        if invocation.words.strip():
            raise UsageError(f"{name} takes no further words.", self._context.usage(name))
