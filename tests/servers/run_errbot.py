"""Runs Errbot's own command line; SIGINT works although the parent of a test run may have had it ignored."""

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    del sys.path[0]  # this folder: a bot must not be able to import test code
    from errbot.cli import main

    main()
