"""Calls a notification service through the library Apprise, with a time limit and without secrets in the log."""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
from collections.abc import Iterable
from typing import Any

from errbot_sentry.config.fallback_entries import scheme_of, secret_parts
from errbot_sentry.config.secrets import Secret, mask

log = logging.getLogger(__name__)

CALL_SECONDS = 30.0
# Apprise logs addresses, and below DEBUG does not hide their secrets. The HTTP library logs paths, which hold tokens.
_LOGGERS = ("apprise", "urllib3.connectionpool", "urllib3.util.retry")
_SHORTEST_MASKED = 4


class AppriseAddress:
    """One address of one service. Apprise is imported only when the address is first used."""

    def __init__(self, url: Secret, entry: int, limit: float = CALL_SECONDS) -> None:
        """`entry` is the number of the entry in the setting, from 1. `limit` is how many seconds a call may take."""
        self._url = url
        self._limit = limit
        self._service: Any = None
        self._calling: threading.Thread | None = None
        self._answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.key = hashlib.sha256(url.reveal().encode()).hexdigest()[:12]
        self.name = f"{scheme_of(url)} (entry {entry})"
        self.trouble = ""
        """Why the service did not accept the last message; "" if it did."""

    def send(self, title: str, body: str) -> bool:
        """Send a message as plain text. Returns whether the service accepted it; False if it did not answer in time."""
        if self._calling is not None and self._calling.is_alive():
            self.trouble = f"{self.name} has not answered for more than {self._limit:g} s"
            return False
        # Each call has its own thread, because a library call cannot be stopped from outside.
        answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._answers = answers
        self._calling = threading.Thread(
            target=self._call, args=(title, body, answers), name="sentry-fallback-call", daemon=True
        )
        self._calling.start()
        try:
            took = answers.get(timeout=self._limit)
        except queue.Empty:
            took, self.trouble = False, f"{self.name} did not answer within {self._limit:g} s"
        if took:
            self.trouble = ""
        else:
            log.warning("the fallback failed: %s", self.trouble or "the bot is ending")
        return took

    def check(self) -> None:
        """Note in `trouble` and in the log if Apprise cannot use the address. No service is called."""
        try:
            self._service = _service_of(self._url)
            if not self._service:
                self.trouble = f"Apprise cannot use the address {self.name}; compare it with Apprise's documentation"
        except Exception as error:  # noqa: BLE001 - any code of a service; the error's text may contain the address
            self.trouble = f"{self.name} failed with {type(error).__name__}"
        if self.trouble:
            log.error("the fallback cannot be used: %s", self.trouble)

    def close(self) -> None:
        """Make a `send` that waits for an answer return at once."""
        self._answers.put(False)

    def _call(self, title: str, body: str, answers: queue.SimpleQueue[bool]) -> None:
        took = False
        try:
            if self._service is None:
                self.check()
            if self._service:
                took = bool(self._service.notify(body=body, title=title, body_format="text"))
                self.trouble = "" if took else f"{self.name} refused the last message; Apprise logged the cause"
        except Exception as error:  # noqa: BLE001 - any code of a service; the error's text may contain the address
            self.trouble = f"{self.name} failed with {type(error).__name__}"
        answers.put(took)


def _service_of(url: Secret) -> Any:
    """An Apprise object with only this address. The object is falsy if Apprise cannot use the address."""
    import apprise

    # 0 switches off Apprise's own time limit: with a limit it uses threads that Python waits for before it exits.
    asset = apprise.AppriseAsset(app_id="SentryReporter", app_desc="Alerts of SentryReporter", service_timeout=0)
    service = apprise.Apprise(asset=asset)
    service.add(url.reveal())
    return service


class LogMask(logging.Filter):
    """Masks addresses, passwords and tokens in the log records of Apprise and the HTTP library."""

    def __init__(self, urls: Iterable[Secret]) -> None:
        super().__init__()
        parts = {part for url in urls for part in secret_parts(url, _SHORTEST_MASKED)}
        self._parts = sorted(parts, key=len, reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        """Remove the secrets from a record, and let every record pass."""
        found = text = record.getMessage()
        for part in self._parts:
            text = text.replace(part, mask(part))
        if text != found:
            record.msg, record.args = text, ()
        record.exc_info = record.exc_text = None  # the text of an exception may contain the address
        return True

    def add(self) -> None:
        """Begin to mask."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def remove(self) -> None:
        """Stop masking."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)
