"""Around every command: a scope of its own, and a transaction when the operator wants tracing.

Errbot offers no hook for this, so the bot object's `_execute_and_send` is replaced by a function around it, on that
one object, and put back on close. Where the method is missing (another Errbot) commands simply are not watched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from errbot_sentry.reporting.collect.bot_context import NOWHERE, BotContext, of_arguments

log = logging.getLogger(__name__)

_METHOD = "_execute_and_send"
_current: ContextVar[BotContext] = ContextVar("sentry_reporter_command", default=NOWHERE)

Around = Callable[[BotContext], AbstractContextManager[None]]


def current() -> BotContext:
    """The command that this thread runs, as far as commands are watched."""
    return _current.get()


def watch(bot: Any, around: Around) -> Callable[[], None]:
    """Run every command of the bot inside `around`; returns what undoes it."""
    original = getattr(bot, _METHOD, None)
    if not callable(original):
        log.info("This Errbot has no %s: commands get no transactions", _METHOD)
        return lambda: None

    def execute_and_send(*args: Any, **kwargs: Any) -> Any:
        with _entered(around, kwargs):
            return original(*args, **kwargs)

    setattr(bot, _METHOD, execute_and_send)

    def undo() -> None:
        if vars(bot).get(_METHOD) is execute_and_send:
            delattr(bot, _METHOD)

    return undo


@contextmanager
def _entered(around: Around, names: Mapping[str, Any]) -> Iterator[None]:
    """Enter `around` if it lets us; the command runs in any case."""
    where = of_arguments(names)
    token = _current.set(where)
    stack = ExitStack()
    try:
        stack.enter_context(around(where))
    except Exception:
        log.exception("A command runs without its transaction")
    try:
        yield
    finally:
        try:
            stack.close()
        except Exception:
            log.exception("The transaction of a command could not be closed")
        _current.reset(token)
