"""Signs buttons whose clicks come by unsigned HTTP, so that only clicks on the present form of a message count.

A message has a random `token`, new after each edit. Each of its buttons carries the token and a signature of token and
action, which only the chat network's server sees. So nobody can make up a click, use one for another message or action,
or repeat one after the message has changed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from cachetools import LRUCache

from errbot_sentry.domain.locks import Lock

_MESSAGES = 1000


class SignedClicks:
    """Signs buttons and checks clicks.

    Args:
        secret: returns the secret for signatures; may raise StoreError.
    """

    def __init__(self, secret: Callable[[], str]) -> None:
        self._secret = secret
        self._key = b""
        self._lock = Lock()
        self._shown: LRUCache[str, str] = LRUCache(_MESSAGES)
        self._before: LRUCache[str, tuple[str, float]] = LRUCache(_MESSAGES)

    def new_token(self) -> str:
        """A token for a message that is about to be posted or edited."""
        return secrets.token_urlsafe(12)

    def sign(self, token: str, action: str) -> str:
        """The signature for a button. Raises StoreError."""
        if not self._key:
            self._key = self._secret().encode()
        return hmac.new(self._key, f"{token} {action}".encode(), hashlib.sha256).hexdigest()

    def is_signed(self, token: str, action: str, signature: str) -> bool:
        """Whether we have signed this. Raises StoreError."""
        return hmac.compare_digest(self.sign(token, action).encode(), signature.encode("utf-8", "replace"))

    def note(self, message_id: str, token: str) -> None:
        """Note that a message shows this token from now on."""
        with self._lock:
            before = self._shown.get(message_id, token)
            if before != token:
                self._before[message_id] = (before, time.monotonic())
            self._shown[message_id] = token

    def was_shown(self, message_id: str, token: str, at: float) -> bool:
        """Whether a message showed this token at that time (of time.monotonic), though it has another one now.

        So the second of two clicks counts if the first one has changed the message.
        """
        with self._lock:
            before, until = self._before.get(message_id, ("", 0.0))
        return token == before and at < until
