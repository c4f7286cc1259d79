"""A Sentry that answers with prepared bytes, in a process of its own: what the client costs is all that is measured.

    python benchmarks/query_server_worker.py

Prints its base URL, then serves until its standard input ends. `GET /asked` tells how many other requests came.
"""

from __future__ import annotations

import json
import sys
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NOW = datetime.now(timezone.utc)


def row(number: int) -> dict[str, Any]:
    """An issue as Sentry's list has it, with 24 hours of counts."""
    return {
        "id": str(4000 + number), "shareId": None, "shortId": f"WEB-{number:X}", "culprit": "shop.cart in checkout",
        "title": f"ZeroDivisionError: division by zero in the basket of shop {number}", "isPublic": False,
        "permalink": f"https://sentry.example.com/organizations/acme/issues/{4000 + number}/", "logger": None,
        "level": "error", "status": "unresolved", "statusDetails": {}, "substatus": "ongoing", "platform": "python",
        "project": {"id": "1", "name": "web", "slug": "web", "platform": "python"}, "type": "error",
        "metadata": {"type": "ZeroDivisionError", "value": "division by zero", "filename": "shop/cart.py",
                     "function": "checkout", "sdk": {"name": "sentry.python", "name_normalized": "sentry.python"}},
        "numComments": 0, "assignedTo": None, "isBookmarked": False, "isSubscribed": False, "hasSeen": True,
        "annotations": [], "isUnhandled": True, "count": str(37 * number), "userCount": number, "priority": "high",
        "firstSeen": (NOW - timedelta(days=number)).isoformat(),
        "lastSeen": (NOW - timedelta(minutes=number)).isoformat(),
        "stats": {"24h": [[1700000000 + 3600 * hour, (hour * number) % 17] for hour in range(24)]},
        "lifetime": {"count": str(37 * number), "userCount": number}, "filtered": None,
    }  # fmt: skip


EVENT = {
    "id": "1", "eventID": "e" * 32, "dateCreated": NOW.isoformat(), "title": "ZeroDivisionError: division by zero",
    "message": "", "platform": "python", "tags": [{"key": "environment", "value": "production"}],
    "entries": [{"type": "exception", "data": {"values": [{
        "type": "ZeroDivisionError", "value": "division by zero", "stacktrace": {"frames": [
            {"filename": "shop/cart.py", "function": "checkout", "lineNo": 12, "inApp": True, "context": [
                [11, "def checkout(basket):"], [12, "    return total(basket) / len(basket)"]]}]}}]}}],
}  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with connections that stay open; header and body leave in one packet."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    asked = 0
    lock = threading.Lock()
    pages: dict[str, bytes] = {}  # noqa: RUF012 - made once, never changed for a page

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/asked":
            return self._send(str(Handler.asked).encode())
        with Handler.lock:
            Handler.asked += 1
        if parts.path.endswith("/projects/"):
            return self._send(b'[{"id": "1", "slug": "web", "name": "web"}]')
        if parts.path.endswith("/events/latest/"):
            return self._send(json.dumps(EVENT).encode())
        if not parts.path.endswith("/issues/"):
            return self._send(json.dumps(row(1)).encode())
        limit = parse_qs(parts.query).get("limit", ["25"])[0]
        if limit not in Handler.pages:
            Handler.pages[limit] = json.dumps([row(number) for number in range(1, int(limit) + 1)]).encode()
        return self._send(Handler.pages[limit])

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Link", '<http://x/>; rel="next"; results="true"; cursor="0:100:0"')
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library has
        pass


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
