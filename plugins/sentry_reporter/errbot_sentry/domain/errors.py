"""All exceptions of this plugin.

`str(error)` is one sentence that is safe to show in chat: it contains no secret, no traceback and no foreign text. If a
foreign exception caused the error, it is chained as `__cause__` for the log.
"""

from __future__ import annotations

_GUESSED_WAIT = 30.0


class SentryReporterError(Exception):
    """Base class of all exceptions here."""


class SettingsError(SentryReporterError):
    """A setting in config.py cannot be used."""


class UserError(SentryReporterError):
    """The person's request cannot be done as typed; the sentence says what to do instead."""


class UsageError(UserError):
    """The typed words do not fit the command; `usage` is the line of its usage that applies."""

    def __init__(self, sentence: str, usage: str = "") -> None:
        super().__init__(f"{sentence} Usage: {usage}" if usage else sentence)
        self.usage = usage


class NotAllowed(UserError):
    """This person or this room does not have the right."""


class BadReference(UserError):
    """A reference to an issue that is invalid, outdated or ambiguous, or whose issue is not found here."""


class Unsupported(UserError):
    """This kind of server does not have the feature."""


class ServerError(SentryReporterError):
    """A call to the Sentry-compatible server failed.

    `retry` says whether the same call may succeed later. `wait` is how many seconds the server asked to wait, if it
    did. `status` is the HTTP status, if there was an answer. `detail` is the server's own message, short, on one line
    and without our token. It is foreign text, so escape it.
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
        """A copy to raise for another caller, so that it gets its own traceback."""
        return type(self)(str(self), self.wait, status=self.status, detail=self.detail)


class Unreachable(ServerError):
    """There is no connection, it broke, or its TLS certificate cannot be verified."""

    retry = True


class TimedOut(ServerError):
    """The server did not answer completely within the time limit."""

    retry = True


class NoAnswer(ServerError):
    """The server got at least a part of the request, and then closed the connection or went silent.

    The request itself may be the cause.
    """

    retry = True


class RateLimited(ServerError):
    """429: too many requests; `wait` says how long to wait, if the server does."""

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
    """The server redirects to another host, to which the token must not be sent."""


class TooLarge(ServerError):
    """The answer is larger than the client is willing to read."""


class BadAnswer(ServerError):
    """The answer is not JSON, or its JSON does not have the API's shape."""


class NotAsAsked(BadAnswer):
    """The server accepted a change, but its answer shows the issue in another state."""


class WebhookRefused(SentryReporterError):
    """A webhook is refused; `status` is the HTTP status of the answer."""

    status = 400


class NotAuthentic(WebhookRefused):
    """The signature is wrong or missing, or the token is unknown. The answer does not say which."""

    status = 401


class BadBody(WebhookRefused):
    """The body is not a JSON object, or a required field is missing."""


class BodyTooLarge(WebhookRefused):
    """The body is over the limit."""

    status = 413


class ReceiverClosed(WebhookRefused):
    """Alerts are off, the plugin is not active, or the store cannot be written."""

    status = 503


class StoreError(SentryReporterError):
    """The database could not be read or written."""


class StoreAway(StoreError):
    """The database server does not answer, or not in time."""


class RestartNeeded(SentryReporterError):
    """Something can only be done while the bot starts, so it must be restarted."""


class Reentered(SentryReporterError):
    """A thread tried to take a lock that it already has: a finaliser or a signal handler re-entered our code."""


class SendError(SentryReporterError):
    """The chat network did not accept a message."""


class NotConnected(SendError):
    """The bot is offline; the message stays in the outbox and is tried again."""


class TokenRefused(NotConnected):
    """The chat network does not accept the bot's token (on XMPP its password): nothing can be sent until it does.

    `code` is the network's own name of the reason, one of those in our adapter's table.
    """

    def __init__(self, network: str, code: str, proof: str = "token") -> None:
        super().__init__(
            f"{network} refuses the bot's {proof} ({code}). Enable it again there, or put a new one into BOT_IDENTITY "
            "and restart the bot. Messages wait until then."
        )
        self.code = code


class RoomUnknown(SendError):
    """The room does not exist on this chat network: it is unknown, archived or deleted."""


class NotAdmitted(SendError):
    """The bot may not post in the room: it is not a member, was removed, or does not have the right."""


class SendLimited(SendError):
    """The chat network's rate limit is reached; `wait` is how many seconds it asks to wait.

    If it sends a value that is not a time, such as NaN or infinity, which no row can store, `wait` is a guess.
    """

    def __init__(self, sentence: str, wait: float = 1.0) -> None:
        super().__init__(sentence)
        self.wait = wait if 0 <= wait < float("inf") else _GUESSED_WAIT


class MessageTooLong(SendError):
    """The network never accepts this message, because of its length or form: trying again is useless."""
