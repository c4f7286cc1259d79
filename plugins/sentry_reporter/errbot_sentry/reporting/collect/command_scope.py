"""The scope of a command: its context for all code that it runs, its own tags, and a transaction if tracing is on.

Errbot has no hook around commands. So the method `_execute_and_send` of the one bot object is replaced by a function
that calls it, and restored on close. If the method is missing (in another version of Errbot), commands have no scope.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import sentry_sdk
from sentry_sdk.scope import Scope, ScopeType, use_isolation_scope

from errbot_sentry.reporting.collect.bot_context import NOWHERE, BotContext, of_arguments

log = logging.getLogger(__name__)

_METHOD = "_execute_and_send"

Around = Callable[[BotContext], AbstractContextManager[None]]


class CommandScope(Scope):
    """The SDK's isolation scope of a command.

    The SDK gives a copy to each thread that the command starts, and to its jobs in a ThreadPoolExecutor.
    """

    __slots__ = ("command", "thread")
    command: BotContext
    thread: int

    def __copy__(self) -> Scope:
        copied = super().__copy__()
        copied.command, copied.thread = self.command, self.thread  # type: ignore[attr-defined]  # it has this class
        return copied


def current_command() -> BotContext:
    """The command that runs in this thread.

    In a thread that a command started, only the typed words of that command are returned, so that they can be masked.
    """
    scope = sentry_sdk.get_isolation_scope()
    if not isinstance(scope, CommandScope):
        return NOWHERE
    return scope.command if scope.thread == threading.get_ident() else NOWHERE.with_words_of(scope.command)


def with_words(context: BotContext) -> BotContext:
    """The context, with the typed words of the running command if it has none of its own."""
    return context if context.typed else context.with_words_of(current_command())


@contextmanager
def command_scope(command: BotContext) -> Iterator[None]:
    """Run the body in its own scope: what is set inside, such as tags, ends with it."""
    scope = CommandScope(ty=ScopeType.ISOLATION)
    scope.update_from_scope(sentry_sdk.get_isolation_scope())
    scope.command = replace(command, message=None)  # a thread with this scope may live long and keep the message alive
    scope.thread = threading.get_ident()
    with use_isolation_scope(scope):
        yield


def mark_failed() -> None:
    """Mark the transaction of the running command as failed. (Errbot catches the exception before the SDK sees it.)"""
    span = sentry_sdk.get_current_span()
    if span is not None:
        whole = getattr(span, "containing_transaction", None) or span
        whole.set_status("internal_error")


def watch(bot: Any, around: Around) -> Callable[[], None]:
    """Run every command of the bot inside `around`; returns a function that undoes this."""
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
    """Enter `around`; if it fails, run the command without it."""
    stack = ExitStack()
    try:
        stack.enter_context(around(of_arguments(names)))
    except Exception:  # the command runs in any case
        log.exception("A command runs without its scope")
    try:
        yield
    finally:
        try:
            stack.close()
        except Exception:  # the command has run, and its reply must be sent
            log.exception("The scope of a command could not be closed")
