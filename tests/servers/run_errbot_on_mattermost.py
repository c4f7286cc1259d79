"""Runs Errbot with err-backend-mattermost 3.0.0 and mattermostdriver 7.3.2, with what MATTERMOST_SHIMS names mended.

coroutine: the backend's class body calls asyncio.coroutine, which Python 3.11 has no more.
tls: the driver makes its TLS context for a server, and so no wss:// connection (mended upstream, never released).
config: the lines of docs/networks.md for config.py, which Errbot runs before it loads the backend.
"""

import asyncio
import inspect
import os
import signal
import ssl
import sys


def give_back_coroutine():
    def coroutine(function):
        async def run(*args, **options):
            result = function(*args, **options)
            if inspect.isgenerator(result):
                raise TypeError(f"{function.__name__} awaits something")
            return result

        return run

    if not hasattr(asyncio, "coroutine"):
        asyncio.coroutine = coroutine


def mend_tls():
    import mattermostdriver.websocket

    class ClientSsl:
        """The module ssl, whose contexts are for a client."""

        def __getattr__(self, name):
            return getattr(ssl, name)

        def create_default_context(self, purpose=None):
            return ssl.create_default_context()

    mattermostdriver.websocket.ssl = ClientSsl()


def main():
    shims = os.environ["MATTERMOST_SHIMS"].split()
    if "coroutine" in shims:
        give_back_coroutine()
    if "tls" in shims:
        mend_tls()
    if "config" in shims:
        exec(os.environ["MATTERMOST_CONFIG"], {})
    from errbot.cli import main as run

    run()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    del sys.path[0]  # this folder: a bot must not be able to import test code
    main()
