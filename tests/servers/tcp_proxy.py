"""A way to a server that can go dead without a word: nobody is sent an end or a reset, as when a cable is pulled."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

from demo.processes import listening_socket


class TcpProxy:
    """Passes connections on to a port on loopback, from its construction on.

    `cut` silences those that stand, `refuse` refuses new ones; after `mend` new ones pass.
    """

    host = "127.0.0.1"

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener: socket.socket | None = None
        self.port = 0
        self._open: list[socket.socket] = []
        self._passes = threading.Event()
        self.mend()

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self.end()

    def cut(self) -> None:
        """From now on nothing passes: not on the present connections, ever, nor on new ones until `mend`."""
        self._passes.clear()

    def end(self) -> None:
        """End the connections that stand."""
        ending, self._open = self._open, []
        for each in ending:
            _close(each)

    def refuse(self) -> None:
        """New connections are refused until `mend`, as by a host on which no server runs."""
        if self._listener is not None:
            _close(self._listener)
            self._listener = None

    def mend(self) -> None:
        """New connections pass; those that were cut stay dead."""
        self._passes = threading.Event()
        self._passes.set()
        if self._listener is None:
            self._listener = listening_socket(self.port)
            self.port = int(self._listener.getsockname()[1])
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._open.append(client)
                passes = self._passes
                if not passes.is_set():
                    continue  # taken by the kernel, read by nobody
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                self._open.append(server)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(source, sink, passes), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket, passes: threading.Event) -> None:
        with suppress(OSError):
            while (data := source.recv(65536)) and passes.is_set():
                sink.sendall(data)
        if passes.is_set():
            _close(sink)
            _close(source)


def _close(sock: socket.socket) -> None:
    with suppress(OSError):  # wakes who reads or accepts there
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
