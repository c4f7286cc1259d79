"""The one tree of this product's own exceptions.

`str(error)` is one sentence that is safe to show in chat: it carries no secret, no traceback and no foreign text.
The foreign exception, where there is one, is chained as `__cause__` for the log.
"""

from __future__ import annotations

_GUESSED_WAIT = 30.0


class SentryReporterError(Exception):
    """Root of the tree; `str()` of any of them may be shown to people."""


class SettingsError(SentryReporterError):
    """A setting in config.py cannot be used."""


class UserError(SentryReporterError):
    """A mistake of the person: it cannot be done as typed; the sentence says what to do instead."""


class UsageError(UserError):
    """The words typed do not fit the command; `usage` is the one line that matters."""

    def __init__(self, sentence: str, usage: str = "") -> None:
        super().__init__(f"{sentence} Usage: {usage}" if usage else sentence)
        self.usage = usage


class NotAllowed(UserError):
    """This person or this room has no right to it."""


class BadReference(UserError):
    """A REF that names no issue here, names it no longer, or could name several."""


class Unsupported(UserError):
    """This kind of server cannot do it."""


class ServerError(SentryReporterError):
    """The Sentry-compatible server did not do what it should.

    `retry` says whether the same call may succeed later; `wait` is the number of seconds that the server gave, if any;
    `status` is the HTTP status where there was one. `detail` is the server's own words, short and on one line, without
    our token but otherwise foreign text: escape it like any other.
    """

    retry = False

    def __init__(
        self, sentence: str, wait: float | None = None, *, status: int | None = None, detail: str = ""
    ) -> None:
        super().__init__(sentence)
        self.wait = wait
        self.status = status
        self.detail = detail

    def again(self) -> ServerError:
        """The same for another caller, with a traceback of its own."""
        return type(self)(str(self), self.wait, status=self.status, detail=self.detail)


class Unreachable(ServerError):
    """No connection, a broken one, or TLS that cannot be verified."""

    retry = True


class TimedOut(ServerError):
    """No whole answer within the time limit."""

    retry = True


class NoAnswer(ServerError):
    """The server had the request, or a part of it, and hung up or fell silent: it may be the request's own fault."""

    retry = True


class RateLimited(ServerError):
    """429: too many requests; `wait` says how long where the server says so."""

    retry = True


class ServerFailed(ServerError):
    """The server failed on its side (5xx)."""

    retry = True


class BadToken(ServerError):
    """401: the token is missing, wrong or expired."""


class MissingScope(ServerError):
    """403: the token is known but may not do this."""


class NotFound(ServerError):
    """404 or 410: no such organization, project, issue or endpoint."""


class BadQuery(ServerError):
    """400 or 422: the server refuses the request."""


class RedirectRefused(ServerError):
    """The server points to another host; the token is never sent there."""


class TooLarge(ServerError):
    """The answer is larger than the client is willing to read."""


class BadAnswer(ServerError):
    """The answer is no JSON, or JSON of a shape that the API does not have."""


class NotAsAsked(BadAnswer):
    """The server took a change, but its own answer shows the issue in another state."""


class WebhookRefused(SentryReporterError):
    """A webhook that is not taken; `status` is the HTTP status of the answer."""

    status = 400


class NotAuthentic(WebhookRefused):
    """Bad or missing signature, or an unknown token: always the same answer."""

    status = 401


class BadBody(WebhookRefused):
    """The body is no JSON object, or lacks what it must have."""


class BodyTooLarge(WebhookRefused):
    """The body is over the limit."""

    status = 413


class ReceiverClosed(WebhookRefused):
    """Alerts are off, the plugin is not active, or the store cannot be written."""

    status = 503


class StoreError(SentryReporterError):
    """The state could not be read or written."""


class StoreAway(StoreError):
    """The state's server does not answer, or not in time."""


class RestartNeeded(SentryReporterError):
    """It can be done only when the bot starts."""


class Reentered(SentryReporterError):
    """A thread takes a lock that it has already: a finaliser or a signal handler came back into our own code."""


class SendError(SentryReporterError):
    """The chat network did not take a message."""


class NotConnected(SendError):
    """The bot is offline; the message stays in the outbox and is tried again."""


class LoginRefused(NotConnected):
    """The chat network does not accept the bot's token any more: nothing can be sent to any room until it does.

    `code` is the network's own name of the reason, one of those in our adapter's table.
    """

    def __init__(self, network: str, code: str, proof: str = "token") -> None:
        super().__init__(
            f"{network} refuses the bot's {proof} ({code}). Enable it again there, or put a new one into BOT_IDENTITY "
            "and restart the bot. Messages wait until then."
        )
        self.code = code


class RoomUnknown(SendError):
    """There is no such room on this chat network, or no longer: unknown, archived, deleted."""


class NotAdmitted(SendError):
    """The bot may not speak in the room: not in it, removed from it, or without the right."""


class SendLimited(SendError):
    """The chat network wants fewer messages; `wait` is how many seconds it says, or a guess where it says nothing.

    What it says may be no time at all (JSON's NaN), which no row can store: a guess is taken then, too.
    """

    def __init__(self, sentence: str, wait: float = 1.0) -> None:
        super().__init__(sentence)
        self.wait = wait if 0 <= wait < float("inf") else _GUESSED_WAIT


class MessageTooLong(SendError):
    """The message is longer than the network takes, or has a form that it never takes: trying again is useless."""
