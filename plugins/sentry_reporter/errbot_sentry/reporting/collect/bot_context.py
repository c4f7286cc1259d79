"""Who, where and which command: read from the frames of Errbot that are on the stack when something goes wrong.

Errbot passes a command's message from function to function and stores it nowhere else, and its worker threads have no
scope of ours. So the frames are the one source that is right for every entry point, at no cost until it is needed.
Function and variable names are those of Errbot 6.2.1 (core.py, botplugin.py, flow.py, plugin_manager.py,
core_plugins/wsview.py); where another version differs the context is poorer, never wrong, and nothing raises.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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
        kind: one of the words above, "" when none of Errbot's entry points is on the stack.
        command: with underscores, as Errbot keeps it.
        plugin: its name; `module` is the module that its class comes from.
        entry: the callback, poller or webhook method.
        room: "direct" for a direct message, "" when no message is involved.
        person: id and nick of the chat person, "" when there is none.
        acl: the text that Errbot's own access rules match for the person; in an XMPP room that is the room.
        typed: the person's words, for masking only.
        typed_to: the command that the words were typed to, where it is not `command`: a thread has its words from
            whoever started it, and nothing else.
        message: the message object itself, for the chat side, and never looked into.
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
        """What the event is filed under: the command, or the entry point."""
        if self.command and self.kind in (COMMAND, FLOW):
            return self.command
        return " ".join(part for part in (self.kind, self.plugin, self.entry) if part) if self.kind else ""

    def with_words_of(self, other: BotContext) -> BotContext:
        """This context, with the other's words to mask where it has none of its own."""
        if self.typed or not other.typed:
            return self
        return replace(self, typed=other.typed, typed_to=other.typed_to or other.command)


NOWHERE = BotContext()


@dataclass(frozen=True)
class BotFacts:
    """Facts about the bot for every event, and one look-up, so that nothing here imports Errbot.

    Args:
        backend: the bot's mode, "irc" or "slackv3" say.
        errbot_version: Errbot's own version.
        plugin_of: the name of the plugin that has this command (as in `cmd`, with underscores), "" when none has it.
        name: distinguishes this bot from others that report to the same project; goes into events, so nothing secret.
    """

    backend: str = ""
    errbot_version: str = ""
    plugin_of: Callable[[str], str] = lambda _command: ""
    name: str = ""


def of_exception(traceback: TracebackType | None) -> BotContext:
    """The context of an exception: its traceback from the newest frame out, then whoever called the oldest one."""
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
    """The innermost entry point; who and where from the next one outwards where it does not know itself."""
    inner: BotContext | None = None
    for frame in frames:
        if frame.f_code.co_name not in _READERS:
            continue
        found = _read(frame)
        if found is None:
            continue
        if inner is None:
            inner = found
        elif found.person:
            inner = replace(
                inner,
                command=inner.command or found.command,
                room=found.room,
                person=found.person,
                nick=found.nick,
                typed=inner.typed + found.typed,
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
    except Exception:  # noqa: BLE001 - objects of any backend, in any state: a poorer context, never an error
        return NOWHERE


def short(value: object) -> str:
    """A name out of an object, on one line and bounded; "" for None or for an object that has none."""
    return "" if value is None else " ".join(_text(value).split())[:_LONGEST]


def printed(value: object) -> str:
    """Any text of an object, bounded; a cut leaves no half of a word. Its lines stay: by them the masking
    knows where a secret ends."""
    return cut(_text(value), _LONGEST)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - __str__ is foreign code
        return ""


def _attribute(holder: object, name: str) -> Any:
    """An attribute, None where it cannot be had: a backend's broken room must not hide the words that go with it."""
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a property of foreign code
        return None


def _plugin(plugin: object) -> dict[str, Any]:
    """Name and module of a plugin object, without touching its store (its length, truth and items are the store's)."""
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


def _typed(found: dict[str, Any], args: object) -> dict[str, Any]:
    if isinstance(args, str) and args:
        found["typed"] = (*found.get("typed", ()), args)
    return found


def _of_command(names: Mapping[str, Any]) -> BotContext:
    message = names.get("msg")
    owner = getattr(names.get("method") or names.get("f"), "__self__", None)
    found = _typed(_message(message), names.get("args"))
    return BotContext(COMMAND, short(names.get("cmd")), **_plugin(owner), **found, message=message)


def _of_filter(names: Mapping[str, Any]) -> BotContext:
    owner = getattr(names.get("cmd_filter"), "__self__", None)
    entry = short(getattr(names.get("cmd_filter"), "__name__", None))
    found = _typed(_message(names.get("msg")), names.get("args"))
    return BotContext(FILTER, short(names.get("cmd")), **_plugin(owner), **found, entry=entry)


def _of_dispatch(names: Mapping[str, Any]) -> BotContext:
    given = names.get("args") or ()
    first = given[0] if isinstance(given, tuple) and given else None
    found = _message(first) if hasattr(first, "frm") and hasattr(first, "body") else {}
    identifier = getattr(first, "identifier", None)  # of a Presence
    if not found and identifier is not None:
        found = {"person": short(identifier), "nick": short(getattr(identifier, "nick", None))}
    return BotContext(CALLBACK, **_plugin(names.get("plugin")), **found, entry=short(names.get("method")))


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
    """The texts of a posted body, however deep: a webhook may bring what people wrote elsewhere. Once they are
    more than the mask reads, the rest does not matter: then it hides everything."""
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
    except Exception:  # noqa: BLE001 - as in _read
        return NOWHERE
