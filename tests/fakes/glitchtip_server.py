"""A stand-in for GlitchTip that behaves as one of December 2025 was measured to, its bugs included.

Among them: a `Link` header printed as a Python set, web pages with status 200 for unknown paths, lists with 422 for
what it cannot parse, 500 to an odd quote and to a change without a status, snake_case after a change, a wrong
permalink, an empty list for whatever it does not know, `auth: null` with 200 for a wrong token. `newer=True` adds the
assignee of 2026.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.fakes.http_server import HttpServer, Reply, Request, as_html, as_json
from tests.fakes.tracker import TrackedEvent, TrackedIssue, Tracker, entries, frames, iso

_SORTS = ("last_seen", "first_seen", "count", "priority")
_SPA = ("/issues", "/projects", "/releases", "/settings", "/performance", "/uptime-monitors")
_STATUSES = ("unresolved", "resolved", "ignored")
# Any one of these is enough (the `has_permission` lines of `apps/{releases,stats,environments}/api.py`).
_SCOPES = {
    "_releases": {"project:releases"},
    "_stats": {"org:read", "org:write", "org:admin"},
    "_environments": {"org:read", "org:write", "org:admin", "project:read", "project:write", "project:admin"},
}


class GlitchTipServer(HttpServer):
    """Serves one Tracker, and a foreign organization `other` whose issues the same token sees."""

    def __init__(self, tracker: Tracker, *, newer: bool = False) -> None:
        super().__init__(self._answer)
        self.tracker = tracker
        self.newer = newer
        self._turn = False
        self.foreign: dict[str, TrackedIssue] = {}
        org = "/api/0/organizations/(?P<org>[-a-zA-Z0-9_]+)"
        issue = r"/api/0/issues/(?P<issue>\d+)"
        self._routes: list[tuple[str, str, Callable[..., Reply]]] = [
            ("GET", rf"{org}/projects/", self._projects),
            ("GET", rf"{org}/issues/", self._list),
            ("PUT", rf"{org}/issues/", self._bulk),
            ("PUT", rf"{org}/issues/(?P<issue>\d+)/", self._update),
            ("GET", rf"{org}/issues-stats/", self._issue_stats),
            ("GET", rf"{org}/stats_v2/", self._stats),
            ("GET", rf"{org}/releases/", self._releases),
            ("GET", r"/api/0/projects/(?P<org>[-\w]+)/(?P<project>[-\w]+)/releases/", self._releases),
            ("GET", rf"{org}/monitors/", self._monitors),
            ("GET", rf"{org}/environments/", self._environments),
            ("GET", r"/api/0/projects/(?P<org>[-\w]+)/(?P<project>[-\w]+)/environments/", self._environments),
            ("GET", rf"{issue}/", self._issue),
            ("PUT", rf"{issue}/", self._update),
            ("GET", rf"{issue}/events/", self._events),
            ("GET", rf"{issue}/events/latest/", self._latest),
            ("GET", rf"{issue}/tags/", self._tags),
            ("GET", rf"{issue}/comments/", self._comments),
            ("POST", rf"{issue}/comments/", self._add_comment),
        ]

    def _answer(self, request: Request) -> Reply:
        allowed = request.headers.get("authorization") == f"Bearer {self.tracker.token}"
        if request.path == "/api/0/":
            known = {"scopes": ["event:read"], "token": self.tracker.token, "label": "bot", "id": 1}
            return as_json(
                {"version": "0", "user": {"id": "1"} if allowed else None, "auth": known if allowed else None}
            )
        matches = [(method, re.fullmatch(path, request.path), handler) for method, path, handler in self._routes]
        fitting = [(method, match, handler) for method, match, handler in matches if match]
        if not fitting:
            return self._unmatched(request)
        if not allowed:
            return as_json({"detail": "Unauthorized"}, 401)
        for method, match, handler in fitting:
            if method == request.method:
                needed = _SCOPES.get(handler.__name__, self.tracker.scopes)
                if not needed & self.tracker.scopes:
                    return as_json({"detail": "Permission denied"}, 403)
                return handler(request, **match.groupdict())
        return as_html("Method not allowed", 405)

    def _unmatched(self, request: Request) -> Reply:
        if request.method != "GET":
            return as_html("<h1>Forbidden</h1> CSRF", 403)
        if not request.path.endswith("/"):
            return Reply(301, headers={"Location": request.path + "/"})
        if any(part in request.path for part in _SPA):
            return as_html("<!doctype html><title>GlitchTip</title>")
        return as_html("<h1>Not Found</h1>" * 100, 404)

    # --- lists ------------------------------------------------------------------------------------------------------

    def _paged(self, request: Request, rows: list[Any]) -> Reply:
        limit = request.value("limit", "50")
        if not re.fullmatch(r"-?\d+", limit):
            return _unprocessable("limit", "Input should be a valid integer")
        size = min(int(limit) or 50, 100)
        start = 0
        if cursor := request.value("cursor"):
            try:
                start = int(base64.b64decode(cursor, validate=True).decode().removeprefix("o="))
            except ValueError:
                return as_json({"detail": "Invalid cursor."}, 422)
        page = rows[start : start + size]
        links = [self._link(request, "previous", start - size if start else None),
                 self._link(request, "next", start + size if start + size < len(rows) else None)]  # fmt: skip
        return as_json(page, Link="{'" + ", ".join(links) + "'}", X_Hits=str(min(len(rows), 1000)), X_Max_Hits="1000")

    def _link(self, request: Request, rel: str, offset: int | None) -> str:
        if offset is None:
            return f'<{self.url}{request.path}>; rel="{rel}"; results="false"'
        cursor = base64.b64encode(f"o={max(offset, 0)}".encode()).decode()
        return f'<{self.url}{request.path}?cursor={cursor}>; rel="{rel}"; results="true"; cursor="{cursor}"'

    def _projects(self, request: Request, org: str) -> Reply:
        rows = [{"id": each.id, "slug": each.slug, "name": each.name} for each in self.tracker.projects]
        return self._paged(request, rows if org == self.tracker.org else [])

    def _list(self, request: Request, org: str) -> Reply:
        if org != self.tracker.org:
            return as_json({"detail": "Not Found"}, 404)
        sort = request.value("sort", "-last_seen")
        if sort.removeprefix("-") not in _SORTS:
            return _unprocessable("sort", "Input should be 'last_seen', 'first_seen', ...")
        for name in ("project", "id"):
            if not all(value.lstrip("-").isdigit() for value in request.values(name)):
                return _unprocessable(name, "Input should be a valid integer")
        try:
            found = [issue for issue in self.tracker.listed() if self._fits(issue, request)]
        except ValueError:  # shlex: No closing quotation
            return as_json({"detail": "Internal Server Error"}, 500)
        found.sort(key=lambda issue: _key(issue, sort), reverse=sort.startswith("-"))
        if sort.endswith("count"):  # ties have no order: each request sees another one
            self._turn = not self._turn
            found.sort(key=lambda issue: (_key(issue, sort), int(issue.id) * (1 if self._turn else -1)), reverse=True)
        hit = {"X_Sentry_Direct_Hit": "1"} if _is_event_id(request.value("query")) else {}
        rows = [{**self._row(issue), "matchingEventId": request.value("query") if hit else None} for issue in found]
        reply = self._paged(request, rows)
        reply.headers.update({name.replace("_", "-"): value for name, value in hit.items()})
        return reply

    def _fits(self, issue: TrackedIssue, request: Request) -> bool:
        query = request.value("query")
        if _is_event_id(query):
            return any(event.id == query.replace("-", "") for event in issue.events)
        if request.values("id") and issue.id not in request.values("id"):
            return False
        if request.values("project") and issue.project.id not in request.values("project"):
            return False
        wanted = request.values("environment")
        if wanted and not any(event.tags.get("environment") in wanted for event in issue.events):
            return False
        words = shlex.split(query)
        for place, word in enumerate(words):
            key, colon, value = word.partition(":")
            if not colon:
                text = " ".join(words[place:]).lower()
                return all(_has_word(issue.title.lower(), part) for part in text.split())
            if not _has(issue, key, value.strip('"')):
                return False
        return True

    # --- one issue --------------------------------------------------------------------------------------------------

    def _found(self, number: str) -> TrackedIssue | None:
        """Not scoped to an organization: the token's others are found as well, and merged ones still."""
        known = next((issue for issue in self.tracker.issues if issue.id == number), None)
        return known or self.foreign.get(number)

    def _issue(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        return as_json(self._row(found)) if found else as_json({"detail": "Not Found"}, 404)

    def _latest(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        if found is None or not found.events:
            return as_json({"detail": "Not Found"}, 404)
        event = max(found.events, key=lambda event: event.at)
        values = [{"type": found.kind, "value": found.value, "stacktrace": {"frames": frames()}}]
        return as_json(
            {
                "id": event.id, "eventID": event.id, "groupID": found.id, "projectID": int(found.project.id),
                "dateCreated": iso(event.at), "dateReceived": iso(event.at), "culprit": "shop in checkout",
                "title": found.title, "message": "", "metadata": {}, "tags": _pairs(event), "platform": "python",
                "entries": entries(event, values), "contexts": event.contexts or None, "context": None,
                "user": event.user, "sdk": None, "packages": None, "nextEventID": None, "previousEventID": None,
                "userReport": None, "errors": [],
            }
        )  # fmt: skip

    def _events(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        newest = sorted(found.events if found else [], key=lambda event: event.at, reverse=True)
        rows = [
            {"id": event.id, "event_id": event.id, "group_id": issue, "date_created": iso(event.at),
             "title": found.title if found else "", "message": "", "tags": _pairs(event), "platform": "python",
             "user": event.user, "entries": []}
            for event in newest
        ]  # fmt: skip
        return self._paged(request, rows)

    def _tags(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        if found is None:
            return as_json({"detail": "Not Found"}, 404)
        wanted = request.value("key")
        keys = {key for event in found.events for key in event.tags if key != "level" and wanted in ("", key)}
        return as_json([_tag_row(found, key) for key in sorted(keys)])

    def _comments(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        rows = [
            {"data": {"text": text}, "type": "note", "dateCreated": iso(at), "id": place,
             "user": {"id": "1", "email": "bot@example.com"}}
            for place, (text, at) in enumerate(found.notes if found else [])
        ]  # fmt: skip
        return self._paged(request, rows)

    def _add_comment(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        if found is None:
            return as_json({"detail": "Issue does not exist"}, 400)
        data = request.json.get("data")
        if not isinstance(data, dict) or "text" not in data:
            return _unprocessable("data", "Field required")
        found.notes.append((data["text"], self.tracker.now))
        said = {"data": data, "type": "note", "dateCreated": iso(self.tracker.now), "id": len(found.notes)}
        return as_json({**said, "user": {"id": "1", "email": "bot@example.com"}}, 201)

    # --- changes ----------------------------------------------------------------------------------------------------

    def _update(self, request: Request, issue: str, org: str = "") -> Reply:
        found = self._found(issue)
        if found is None or found.deleted or (org and issue in self.foreign):
            return as_json({"detail": "Not Found"}, 404)
        body = request.json
        status = body.get("status")
        if status is None:
            return as_json({"detail": "Internal Server Error"}, 500)
        if status not in _STATUSES:
            return _unprocessable("status", "Input should be 'resolved', 'unresolved' or 'ignored'")
        found.status = status  # substatus and priority are ignored, by older ones statusDetails too
        if self.newer:
            found.details = self._resolution(found, body.get("statusDetails") or {}) if status == "resolved" else {}
        if self.newer and "assignedTo" in body:
            refusal = self._assign(found, body["assignedTo"])
            if refusal is not None:
                return refusal
        row = self._row(found)
        snake = {"shareId": "share_id", "statusDetails": "status_details", "userCount": "user_count"}
        return as_json({snake.get(name, name): value for name, value in row.items()})

    def _resolution(self, issue: TrackedIssue, details: dict[str, Any]) -> dict[str, Any]:
        """The release that it is resolved in; where there is none, it is resolved at once."""
        known = [version for version, _at, slug in self.tracker.releases if slug == issue.project.slug]
        version = details.get("inRelease") or (known[-1] if details.get("inNextRelease") and known else "")
        return {"inRelease": version} if version in known else {}

    def _assign(self, issue: TrackedIssue, wanted: str) -> Reply | None:
        if wanted == "":
            issue.assigned = None
        elif wanted.removeprefix("team:") in self.tracker.teams and wanted.startswith("team:"):
            issue.assigned = {"type": "team", "id": self.tracker.teams[wanted[5:]], "name": wanted[5:]}
        elif wanted in self.tracker.members:
            issue.assigned = {"type": "user", "id": self.tracker.members[wanted], "name": wanted, "email": wanted}
        else:
            return as_json({"detail": "Not Found"}, 404)
        return None

    def _bulk(self, request: Request, org: str) -> Reply:
        ids = request.values("id")
        if not ids:
            raise AssertionError("a bulk change without ids would change every issue of the organization")
        found = [issue for issue in self.tracker.listed() if issue.id in ids]
        body = request.json
        if body.get("merge") and found:
            self.tracker.merge(found, max(found, key=lambda issue: int(issue.id)))
        return as_json({"status": body.get("status"), "merge": body.get("merge")})

    # --- around -----------------------------------------------------------------------------------------------------

    def _issue_stats(self, request: Request, org: str) -> Reply:
        period = request.value("statsPeriod", "24h")
        if period not in ("24h", "14d"):
            return _unprocessable("statsPeriod", "Input should be '14d' or '24h'")
        step = 3600 if period == "24h" else 86400
        rows = []
        for issue in (issue for issue in self.tracker.issues if issue.id in request.values("groups")):
            counts = Counter(int(event.at.timestamp()) // step * step for event in issue.events)
            series = [[time, count] for time, count in sorted(counts.items())]  # empty slices are absent
            rows.append({"id": issue.id, "count": str(len(issue.events)), "userCount": len(issue.events),
                         "stats": {period: series}})  # fmt: skip
        return as_json(rows)

    def _stats(self, request: Request, org: str) -> Reply:
        needed = ("category", "field", "start", "end")
        if any(not request.value(name) for name in needed) or request.value("statsPeriod"):
            return _unprocessable("start", "Field required")
        start = datetime.fromisoformat(request.value("start")).replace(minute=0, second=0, microsecond=0)
        end = datetime.fromisoformat(request.value("end"))
        hours = [start + timedelta(hours=place) for place in range(int((end - start) / timedelta(hours=1)) + 1)]
        events = [
            event
            for issue in self.tracker.issues
            if issue.project.id in request.values("project")
            for event in issue.events
        ]
        series = [sum(1 for event in events if hour <= event.at < hour + timedelta(hours=1)) or None for hour in hours]
        intervals = [hour.astimezone(timezone.utc).isoformat() for hour in hours]
        return as_json({"intervals": intervals, "groups": [{"series": {"sum(quantity)": series}}]})

    def _releases(self, request: Request, org: str, project: str = "") -> Reply:
        rows = [
            {"version": version, "dateReleased": None, "dateCreated": iso(at), "newGroups": 0,
             "projects": [{"slug": slug, "name": slug}]}
            for version, at, slug in self.tracker.releases
            if not project or slug == project
        ]  # fmt: skip
        return self._paged(request, rows)

    def _environments(self, request: Request, org: str, project: str = "") -> Reply:
        return self._paged(request, [{"id": 1, "name": name} for name in self.tracker.environments(project)])

    def _monitors(self, request: Request, org: str) -> Reply:
        """GlitchTip `apps/uptime/{api,schema}.py`; here each row has only what differs from monitor to monitor."""
        common = {"monitorType": "GET", "environmentId": None, "envName": None, "endpointId": None, "checks": [],
                  "heartbeatEndpoint": None, "organizationId": 1, "expectedStatus": 200, "timeout": None}  # fmt: skip
        return self._paged(request, [{**common, **row} for row in self.tracker.monitors])

    def _row(self, issue: TrackedIssue) -> dict[str, Any]:
        row = {
            "id": issue.id, "count": str(len(issue.events)), "type": "error", "level": issue.level,
            "status": issue.status, "project": {"id": issue.project.id, "platform": "python",
                                                "slug": issue.project.slug, "name": issue.project.name},
            "shortId": issue.short_id, "numComments": len(issue.notes), "stats": {"24h": []}, "shareId": None,
            "logger": None, "permalink": f"{self.url}/{issue.project.slug}/issues/{issue.id}", "statusDetails": {},
            "subscriptionDetails": None, "userCount": 0, "matchingEventId": None, "firstSeen": iso(issue.first_seen),
            "lastSeen": iso(issue.last_seen), "title": issue.title, "culprit": "",
            "metadata": {"type": issue.kind, "value": issue.value, "filename": "shop.py", "function": "checkout"},
        }  # fmt: skip
        return {**row, "assignedTo": issue.assigned} if self.newer else row


def _unprocessable(name: str, message: str) -> Reply:
    return as_json({"detail": [{"type": "literal_error", "loc": ["query", name], "msg": message, "ctx": {}}]}, 422)


def _has_word(title: str, word: str) -> bool:
    """Whole words, or a beginning with `*`, as in a full-text index."""
    words = re.findall(r"[\w']+", title)
    return all(
        any(each.startswith(part[:-1]) if part.endswith("*") else each == part for each in words)
        for part in re.findall(r"[\w']+\*?", word)
    )


def _is_event_id(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{32}", text.replace("-", "")) is not None


def _has(issue: TrackedIssue, key: str, value: str) -> bool:
    """Anything unknown is taken for a tag that no event has."""
    if key == "is":
        return issue.status == value
    if key == "level":
        return issue.level == value
    if key == "has":
        return any(value in event.tags for event in issue.events)
    return any(event.tags.get(key) == value for event in issue.events if key != "level")


def _key(issue: TrackedIssue, sort: str) -> Any:
    if sort.endswith("count"):
        return len(issue.events)
    return issue.first_seen if sort.endswith("first_seen") else issue.last_seen


def _pairs(event: TrackedEvent) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in event.tags.items() if key != "level"]


def _tag_row(issue: TrackedIssue, key: str) -> dict[str, Any]:
    counts = Counter(event.tags[key] for event in issue.events if key in event.tags)
    tops = [{"name": value, "value": value, "count": count, "key": key} for value, count in counts.most_common()]
    return {"key": key, "name": key, "uniqueValues": len(counts), "totalValues": counts.total(), "topValues": tops}
