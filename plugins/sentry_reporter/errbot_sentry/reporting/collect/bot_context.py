"""Finds out which command, room and person an error belongs to, from the frames of Errbot on the stack.

Errbot passes a command's message from function to function and stores it nowhere else, and its worker threads do not
have our scope. So only the frames are right for every entry point, and they cost nothing until they are needed. The
names of functions and variables are those of Errbot 6.2.1 (core.py, botplugin.py, flow.py, plugin_manager.py,
core_plugins/wsview.py). If another version has other names, the context has less in it, but is not wrong, and nothing
raises.
"""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import chain
from types import FrameType, TracebackType
from typing import Any

from errbot_sentry.domain.access import DIRECT
from errbot_sentry.reporting.redact.chat_redaction import LONGEST_READ
from errbot_sentry.reporting.redact.scrubber import cut

COMMAND, FILTER, CALLBACK, POLLER, WEBHOOK = "command", "filter", "callback", "poller", "webhook"
FLOW, ACTIVATION = "flow", "activation"

_LONGEST = 200


@dataclass(frozen=True)
class BotContext:
    """What the bot was doing.

    Args:
        kind: one of the constants above, "" if none of Errbot's entry points is on the stack.
        command: the command's name with underscores, as in Errbot.
        plugin: the plugin's name.
        module: the module of the plugin's class.
        entry: the callback, poller or webhook method.
        room: "direct" for a direct message, "" if no message is involved.
        person: the chat person's id, "" if there is none.
        nick: the chat person's nick.
        acl: the text that Errbot's access rules match for the person; in an XMPP room, that is the room.
        typed: the words that the person typed, only to mask them.
        typed_to: the command that the words were typed to, if it is not `command`: a thread gets the words of the
            command that started it, and nothing else of it.
        message: the message object, for the reply; never read here.
    """

    kind: str = ""
    command: str = ""
    plugin: str = ""
    module: str = ""
    entry: str = ""
    room: str = ""
    person: str = ""
    nick: str = ""
    acl: str = ""
    typed: tuple[str, ...] = ()
    typed_to: str = ""
    message: object | None = field(default=None, repr=False, compare=False)

    @property
    def transaction(self) -> str:
        """The event's transaction name: the command, or the entry point."""
        if self.command and self.kind in (COMMAND, FLOW):
            return self.command
        return " ".join(part for part in (self.kind, self.plugin, self.entry) if part) if self.kind else ""

    def with_words_of(self, other: BotContext) -> BotContext:
        """This context, with the other's typed words if it has none of its own."""
        if self.typed or not other.typed:
            return self
        return replace(self, typed=other.typed, typed_to=other.typed_to or other.command)


NOWHERE = BotContext()


@dataclass(frozen=True)
class BotFacts:
    """Facts about the bot for every event. They are passed in, so that nothing here imports Errbot.

    Args:
        backend: the bot's mode, such as "irc" or "slackv3".
        errbot_version: Errbot's own version.
        plugin_of: returns the name of the plugin that has a command (given with underscores), "" if none has it.
        name: distinguishes this bot from others that report to the same project. It is part of events, so not secret.
    """

    backend: str = ""
    errbot_version: str = ""
    plugin_of: Callable[[str], str] = lambda _command: ""
    name: str = ""


def facts_of(bot: Any) -> BotFacts:
    """The facts about Errbot's bot object."""

    def plugin_of(command: str) -> str:
        method = bot.all_commands.get(command)
        return str(getattr(getattr(method, "__self__", None), "name", "") or "")

    identity = getattr(bot.bot_config, "BOT_IDENTITY", None)
    nick = next((identity[key] for key in ("username", "nickname") if key in identity), "") if identity else ""
    name = hashlib.sha256(f"{bot.mode} {nick}".encode()).hexdigest()[:12]
    return BotFacts(backend=str(bot.mode), errbot_version=version("errbot"), plugin_of=plugin_of, name=name)


def of_exception(traceback: TracebackType | None) -> BotContext:
    """The context of an exception, from the frames of its traceback and the callers of the oldest of these."""
    if traceback is None:
        return of_stack()
    frames = []
    link: TracebackType | None = traceback
    while link is not None:
        frames.append(link.tb_frame)
        link = link.tb_next
    return _first(chain(reversed(frames), _outwards(frames[0].f_back)))


def of_stack() -> BotContext:
    """The context of the caller and of everything that called it."""
    return _first(_outwards(sys._getframe(1)))  # noqa: SLF001 - logging does the same


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _first(frames: Iterable[FrameType]) -> BotContext:
    """The context of the innermost entry point.

    If that one has no person, the person and room are those of the next entry point outwards that has one.
    """
    inner: BotContext | None = None
    for frame in frames:
        if frame.f_code.co_name not in _READERS:
            continue
        context = _read(frame)
        if context is None:
            continue
        if inner is None:
            inner = context
        elif context.person:
            inner = replace(
                inner,
                command=inner.command or context.command,
                room=context.room,
                person=context.person,
                nick=context.nick,
                typed=inner.typed + context.typed,
            )
        if inner.person:
            break
    return inner or NOWHERE


def _read(frame: FrameType) -> BotContext | None:
    reader = _READERS[frame.f_code.co_name].get(frame.f_globals.get("__name__", ""))
    if reader is None:
        return None
    try:
        return reader(frame.f_locals)
    except Exception:  # noqa: BLE001 - a backend's objects may be in any state: no context is better than an error
        return NOWHERE


def short(value: object) -> str:
    """An object's text on one line and bounded; "" for None, or if its text cannot be read."""
    return "" if value is None else " ".join(_text(value).split())[:_LONGEST]


def printed(value: object) -> str:
    """An object's text, cut to a length at the end of a word.

    Line breaks stay, because the masking recognises the end of a secret by them.
    """
    return cut(_text(value), _LONGEST)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - __str__ is foreign code
        return ""


def _attribute(holder: object, name: str) -> Any:
    """An attribute, None if reading it fails.

    A backend's broken room object must not hide the typed words of the same message, which have to be masked.
    """
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a property of foreign code
        return None


def _plugin(plugin: object) -> dict[str, Any]:
    """Name and module of a plugin object. Its truth, length and items are not read, as they belong to its store."""
    if plugin is None:
        return {}
    return {"plugin": short(getattr(plugin, "name", None)), "module": short(type(plugin).__module__)}


def _message(message: object) -> dict[str, Any]:
    """Room, person and words of a message object."""
    if message is None:
        return {}
    sender = _attribute(message, "frm")
    body = _attribute(message, "body")
    room = _attribute(sender, "room")
    if room is None and _attribute(message, "is_group"):
        room = _attribute(message, "to")
    return {
        "room": short(room) or DIRECT,
        "person": short(_attribute(sender, "person")) or short(sender),
        "nick": short(_attribute(sender, "nick")),
        "acl": short(_attribute(sender, "aclattr")),
        "typed": (body,) if isinstance(body, str) else (),
    }


def _typed(fields: dict[str, Any], args: object) -> dict[str, Any]:
    """The fields of a context, with a command's arguments added to its typed words."""
    if isinstance(args, str) and args:
        fields["typed"] = (*fields.get("typed", ()), args)
    return fields


def _of_command(names: Mapping[str, Any]) -> BotContext:
    message = names.get("msg")
    owner = getattr(names.get("method") or names.get("f"), "__self__", None)
    fields = _typed(_message(message), names.get("args"))
    return BotContext(COMMAND, short(names.get("cmd")), **_plugin(owner), **fields, message=message)


def _of_filter(names: Mapping[str, Any]) -> BotContext:
    owner = getattr(names.get("cmd_filter"), "__self__", None)
    entry = short(getattr(names.get("cmd_filter"), "__name__", None))
    fields = _typed(_message(names.get("msg")), names.get("args"))
    return BotContext(FILTER, short(names.get("cmd")), **_plugin(owner), **fields, entry=entry)


def _of_dispatch(names: Mapping[str, Any]) -> BotContext:
    given = names.get("args") or ()
    first = given[0] if isinstance(given, tuple) and given else None
    fields = _message(first) if hasattr(first, "frm") and hasattr(first, "body") else {}
    identifier = getattr(first, "identifier", None)  # a Presence has one
    if not fields and identifier is not None:
        fields = {"person": short(identifier), "nick": short(getattr(identifier, "nick", None))}
    return BotContext(CALLBACK, **_plugin(names.get("plugin")), **fields, entry=short(names.get("method")))


def _of_incoming(names: Mapping[str, Any]) -> BotContext:
    return BotContext(CALLBACK, **_message(names.get("msg")), entry="message")


def _of_outgoing(names: Mapping[str, Any]) -> BotContext:
    body = getattr(names.get("msg"), "body", None)
    typed = (body,) if isinstance(body, str) else ()
    return BotContext(CALLBACK, **_plugin(names.get("bot")), typed=typed, entry="callback_botmessage")


def _of_connect(names: Mapping[str, Any]) -> BotContext:
    return BotContext(CALLBACK, **_plugin(names.get("bot")), entry="callback_connect")


def _of_poller(names: Mapping[str, Any]) -> BotContext:
    return BotContext(POLLER, **_plugin(names.get("self")), entry=short(getattr(names.get("method"), "__name__", None)))


def _of_webhook(names: Mapping[str, Any]) -> BotContext:
    function = getattr(names.get("self"), "func", None)
    entry = short(getattr(function, "__name__", None))
    posted = tuple(_texts(names.get("data", names.get("content"))))
    return BotContext(WEBHOOK, **_plugin(getattr(function, "__self__", None)), entry=entry, typed=posted)


def _texts(value: object) -> Iterator[str]:
    """All texts in a posted body, to mask them: a webhook may contain what people wrote elsewhere.

    Stops after more than the mask reads, because the mask then hides everything anyway.
    """
    letters = 0
    waiting = deque([value])
    while waiting and letters <= LONGEST_READ:
        item = waiting.popleft()
        if isinstance(item, str) and item:
            letters += len(item)
            yield item
        elif isinstance(item, (dict, list)):
            waiting.extend(item.values() if isinstance(item, dict) else item)


def _of_flow(names: Mapping[str, Any]) -> BotContext:
    requestor = getattr(names.get("flow"), "requestor", None)
    person = short(getattr(requestor, "person", None)) or short(requestor)
    step = names.get("autostep")
    entry = short(getattr(names.get("flow"), "name", None))
    return BotContext(FLOW, short(getattr(step, "command", None)), person=person, entry=entry)


def _of_flow_setup(names: Mapping[str, Any]) -> BotContext:
    return BotContext(FLOW, plugin=short(names.get("classname")), entry=short(names.get("name")))


def _of_activation(names: Mapping[str, Any]) -> BotContext:
    return BotContext(ACTIVATION, **(_plugin(names.get("plugin")) or {"plugin": short(names.get("name"))}))


Reader = Callable[[Mapping[str, Any]], BotContext]
_READERS: dict[str, dict[str, Reader]] = {
    "_execute_and_send": {"errbot.core": _of_command},
    "_process_command": {"errbot.core": _of_command},
    "_process_command_filters": {"errbot.core": _of_filter},
    "process_message": {"errbot.core": _of_incoming},
    "callback_message": {"errbot.core": _of_incoming},
    "_dispatch_to_plugins": {"errbot.core": _of_dispatch},
    "send_message": {"errbot.core": _of_outgoing},
    "signal_connect_to_all_plugins": {"errbot.core": _of_connect},
    "inject_flows_from": {"errbot.core": _of_flow_setup},
    "poller": {"errbot.botplugin": _of_poller},
    "dispatch_request": {"errbot.core_plugins.wsview": _of_webhook},
    "execute": {"errbot.flow": _of_flow},
    "_activate_plugin": {"errbot.plugin_manager": _of_activation},
    "activate_plugin": {"errbot.plugin_manager": _of_activation},
}


def of_arguments(names: Mapping[str, Any]) -> BotContext:
    """The context of a command from the arguments of `_execute_and_send`."""
    try:
        return _of_command(names)
    except Exception:  # noqa: BLE001 - for the same reason as in _read
        return NOWHERE
