"""The ingest server of the tests in a process of its own, so that it takes no time from what is measured."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.fakes.ingest_server import IngestServer


def main() -> None:
    """Print the DSN; then for every line on stdin, the number of distinct events so far; end with stdin."""
    server = IngestServer()
    print(server.dsn, flush=True)
    for _ in sys.stdin:
        print(len({event["event_id"] for event in server.events()}), len(server.events()), flush=True)
    server.stop()


if __name__ == "__main__":
    main()
