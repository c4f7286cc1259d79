"""The scope of a command: what is known of it for all code that runs because of it, tags that end with it, and a
transaction where the operator wants tracing.

Errbot offers no hook around commands, so the bot object's `_execute_and_send` is replaced by a function around it, on
that one object, and put back on close. Where the method is missing (another Errbot) commands have no scope.
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
    """The SDK's isolation scope of a command. The SDK gives a copy to each thread that the command starts, and to its
    jobs in a ThreadPoolExecutor."""

    __slots__ = ("command", "thread")
    command: BotContext
    thread: int

    def __copy__(self) -> Scope:
        made = super().__copy__()
        made.command, made.thread = self.command, self.thread  # type: ignore[attr-defined]  # it is of this class
        return made


def current_command() -> BotContext:
    """The command that runs here. In a thread that it started only its words are known, so that they can be masked."""
    scope = sentry_sdk.get_isolation_scope()
    if not isinstance(scope, CommandScope):
        return NOWHERE
    return scope.command if scope.thread == threading.get_ident() else NOWHERE.with_words_of(scope.command)


def with_words(context: BotContext) -> BotContext:
    """The context, with the words of the command that runs here where it has none of its own."""
    return context if context.typed else context.with_words_of(current_command())


@contextmanager
def command_scope(command: BotContext) -> Iterator[None]:
    """Run the body in a scope of its own: what is set inside, tags say, ends with it."""
    scope = CommandScope(ty=ScopeType.ISOLATION)
    scope.update_from_scope(sentry_sdk.get_isolation_scope())
    scope.command = replace(command, message=None)  # a thread may live for long
    scope.thread = threading.get_ident()
    with use_isolation_scope(scope):
        yield


def mark_failed() -> None:
    """Note in its transaction that the command that runs here failed. (Errbot swallows the exception.)"""
    span = sentry_sdk.get_current_span()
    if span is not None:
        whole = getattr(span, "containing_transaction", None) or span
        whole.set_status("internal_error")


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
    """Enter `around` if that works; the command runs in any case."""
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
        except Exception:  # the command has run, its reply counts
            log.exception("The scope of a command could not be closed")
