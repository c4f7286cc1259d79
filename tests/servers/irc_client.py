"""A person on IRC, for tests: a raw socket, a reading thread, and every line kept with the moment when it came."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

_LINE = re.compile(rb"(?:@\S+ +)?(?::(?P<prefix>\S+) +)?(?P<command>\S+) *(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """One line from the server. `at` is `time.monotonic()`, `sender` a nick, `target` a room or our own nick."""

    at: float
    sender: str
    command: str
    target: str
    text: str


class IrcClient:
    """Connects and registers on construction. PINGs are answered; control codes in texts are kept as they came."""

    def __init__(self, host: str, port: int, nick: str = "alice", timeout: float = 20.0) -> None:
        self.nick = nick
        self._timeout = timeout
        self._lines: list[Line] = []
        self._changed = threading.Condition()
        self._closed = False
        self._sending = threading.Lock()
        self._socket = socket.create_connection((host, port), timeout=timeout)
        self._socket.settimeout(None)
        self._reader = threading.Thread(target=self._read, name=f"irc-{nick}", daemon=True)
        self._reader.start()
        self.raw(f"NICK {nick}")
        user = "".join(letter for letter in nick if letter.isalnum() or letter in "-_.")  # ngircd takes no others
        self.raw(f"USER {user} 0 * :{nick}")
        self._wait(lambda line: line.command in ("001", "432", "433"), timeout, "the server's welcome")

    def __enter__(self) -> IrcClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        return not self._closed

    def raw(self, line: str | bytes) -> None:
        """Send one line as it is; the line end is added."""
        data = line.encode() if isinstance(line, str) else line
        with self._sending:
            self._socket.sendall(data + b"\r\n")

    def join(self, room: str) -> None:
        """Join and wait until the server has said the room's names."""
        before = self.count()
        self.raw(f"JOIN {room}")
        self._wait(
            lambda line: line.command == "366" and room in line.text.split(),
            self._timeout,
            f"{self.nick} is in {room}",
            before,
        )

    def part(self, room: str) -> None:
        self.raw(f"PART {room}")

    def say(self, target: str, text: str) -> None:
        """Say one line in a room or to a nick."""
        self.raw(f"PRIVMSG {target} :{text}")

    def count(self) -> int:
        """How many lines came so far; what a later `wait_for(after=...)` takes."""
        with self._changed:
            return len(self._lines)

    def all_lines(self) -> list[Line]:
        """Everything that the server ever sent, numerics and PINGs too."""
        with self._changed:
            return list(self._lines)

    def lines_after(self, count: int, timeout: float) -> list[Line]:
        """The lines after the first `count`, as soon as there are some; none when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._lines) > count, timeout)
            return self._lines[count:]

    def lines(self, target: str | None = None, sender: str | None = None, after: int = 0) -> list[Line]:
        """What was said (PRIVMSG and NOTICE of people), oldest first; `target` is a room or our own nick."""
        return [
            line
            for line in self.all_lines()[after:]
            if line.command in ("PRIVMSG", "NOTICE") and _same(target, line.target) and _same(sender, line.sender)
        ]

    def texts(self, target: str | None = None, sender: str | None = None, after: int = 0) -> list[str]:
        """The texts of `lines`."""
        return [line.text for line in self.lines(target, sender, after)]

    def wait_for(
        self,
        pattern: str,
        timeout: float = 20.0,
        *,
        target: str | None = None,
        sender: str | None = None,
        after: int = 0,
    ) -> Line:
        """The first line said that matches the regular expression, waiting for it; failure lists what came instead."""

        def matches(line: Line) -> bool:
            said = line.command in ("PRIVMSG", "NOTICE")
            return bool(
                said and _same(target, line.target) and _same(sender, line.sender) and re.search(pattern, line.text)
            )

        return self._wait(matches, timeout, f"a line like {pattern!r}", after)

    def wait_for_join(self, nick: str, room: str, timeout: float = 60.0, after: int = 0) -> Line:
        """Wait until somebody joins a room that we are in; at once where they did after line number `after`."""
        return self._wait(
            lambda line: line.command == "JOIN" and line.sender == nick and line.target == room,
            timeout,
            f"{nick} joins {room}",
            after,
        )

    def wait_for_nick(self, nick: str) -> None:
        """Wait until the server calls us so."""
        self._wait(lambda line: line.command == "NICK" and nick in (line.target, line.text), self._timeout, nick)

    def names(self, room: str) -> set[str]:
        """Who is in a room now, without the marks of operators."""
        before = self.count()
        self.raw(f"NAMES {room}")
        end = self._wait(
            lambda line: line.command == "366" and room in line.text.split(), self._timeout, f"names of {room}", before
        )
        replies = [line for line in self.all_lines()[before:] if line.command == "353" and line.at <= end.at]
        return {name.lstrip("@+%&~") for line in replies for name in line.text.rpartition(":")[2].split()}

    def close(self) -> None:
        """Leave, and end the reading thread."""
        with suppress(OSError):  # the server may be gone already
            self.raw("QUIT :bye")
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(5)
        self._socket.close()

    def _wait(self, wanted: Callable[[Line], bool], timeout: float, what: str, after: int = 0) -> Line:
        deadline = time.monotonic() + timeout
        seen = after
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if wanted(line):
                        return line
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    why = "the connection ended" if self._closed else f"{timeout:g} s passed"
                    came = "\n".join(f"  {line}" for line in self._lines[after:][-30:])
                    raise AssertionError(f"{self.nick} waited for {what}, but {why}; what came:\n{came or '  nothing'}")
                self._changed.wait(left)

    def _read(self) -> None:
        unfinished = b""
        try:
            while data := self._socket.recv(65536):
                *whole, unfinished = (unfinished + data).split(b"\n")
                for raw in whole:
                    self._take(raw.rstrip(b"\r"))
        except OSError:
            pass
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _take(self, raw: bytes) -> None:
        line = parse(raw, time.monotonic())
        if line is None:
            return
        if line.command == "PING":
            self.raw(f"PONG :{line.text or line.target}")
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()


def parse(raw: bytes, at: float) -> Line | None:
    """Take a line apart; what is not UTF-8 becomes replacement characters. None for an empty line.

    Of numerics the first parameter (ourselves) is the target and all the rest is the text.
    """
    match = _LINE.fullmatch(raw)
    if match is None:
        return None
    prefix, command, rest = ((match[name] or b"").decode(errors="replace") for name in ("prefix", "command", "rest"))
    nick = prefix.partition("!")[0]
    if rest.startswith(":"):
        target, text = "", rest[1:]
    else:
        target, _, text = rest.partition(" ")
        text = text if command.isdigit() else text.removeprefix(":")
    if command == "JOIN":
        target = target or text
    return Line(at, nick, command, target, text)


def _same(wanted: str | None, found: str) -> bool:
    return wanted is None or wanted.lower() == found.lower()
