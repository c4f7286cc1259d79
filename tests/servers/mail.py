"""A real SMTP server (aiosmtpd) on loopback, which keeps what it takes."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from demo.processes import free_port

USER, PASSWORD = "bot", "correct-horse-battery"


class MailServer:
    """Takes mail from USER with PASSWORD; `mails` is what came, oldest first."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self._controller = Controller(
            self, hostname="127.0.0.1", port=free_port(), authenticator=_authenticate, auth_required=True,
            auth_require_tls=False,
        )  # fmt: skip

    def url(self, to: str = "oncall@example.com") -> str:
        """Apprise's address for it."""
        return f"mailto://{USER}:{PASSWORD}@127.0.0.1:{self._controller.port}?from=bot@example.com&to={to}"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    def __enter__(self) -> MailServer:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth_data: object) -> AuthResult:
    assert isinstance(auth_data, LoginPassword)
    return AuthResult(success=(auth_data.login, auth_data.password) == (USER.encode(), PASSWORD.encode()))
