"""Runs Errbot with discord.py, which asks the stand-in at DISCORD_API and DISCORD_GATEWAY instead of discord.com."""

import os
import signal
import sys


def main():
    from discord.gateway import DiscordWebSocket
    from discord.http import Route

    Route.BASE = os.environ["DISCORD_API"]
    DiscordWebSocket.DEFAULT_GATEWAY = os.environ["DISCORD_GATEWAY"]
    from errbot.cli import main as run

    run()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    del sys.path[0]  # this folder: a bot must not be able to import test code
    main()
