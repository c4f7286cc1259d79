"""Runs Errbot with Slack's own client library, which asks the stand-in at SLACK_API instead of slack.com."""

import os
import signal
import sys


def main() -> None:
    from slack_sdk.web import WebClient

    begin = WebClient.__init__

    def begin_here(self, *args, **options):
        begin(self, *args, **{**options, "base_url": os.environ["SLACK_API"]})

    WebClient.__init__ = begin_here
    from errbot.cli import main as run

    run()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    del sys.path[0]  # this folder: a bot must not be able to import test code
    main()
