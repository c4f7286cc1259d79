"""A stand-in for Sentry, stateful, that answers as `sentry-openapi.json` describes.

Every request and every answer is checked against the description where the file is there; deviations are collected, so
that a test can show them instead of a client's error.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.fakes import openapi
from tests.fakes.http_server import HttpServer, Reply, Request, as_html, as_json
from tests.fakes.tracker import TrackedEvent, TrackedIssue, Tracker, entries, frames, iso

_KEYS = {"date": "last_seen", "new": "first_seen"}


class SentryServer(HttpServer):
    """Serves one Tracker. `deviations` holds what the description does not allow; empty is well."""

    def __init__(self, tracker: Tracker) -> None:
        super().__init__(self._answer)
        self.tracker = tracker
        self.deviations: list[str] = []
        self.checked = 0
        org = re.escape(tracker.org)
        issue = rf"/api/0/organizations/{org}/issues/(?P<issue>[^/]+)"
        event = rf"/api/0/projects/{org}/(?P<project>[^/]+)/events/(?P<event>[^/]+)"
        self._routes: list[tuple[str, str, Callable[..., Reply]]] = [
            ("GET", "/api/0/", self._index),
            ("GET", rf"/api/0/organizations/{org}/projects/", self._projects),
            ("GET", rf"/api/0/organizations/{org}/issues/", self._list),
            ("PUT", rf"/api/0/organizations/{org}/issues/", self._bulk),
            ("GET", rf"{issue}/", self._issue),
            ("PUT", rf"{issue}/", self._update),
            ("GET", rf"{issue}/events/", self._events),
            ("GET", rf"{issue}/events/latest/", self._latest),
            ("GET", rf"{issue}/tags/", self._tags),
            ("GET", rf"{issue}/tags/(?P<key>[^/]+)/", self._tag),
            ("GET", rf"{issue}/notes/", self._notes),
            ("POST", rf"{issue}/notes/", self._add_note),
            ("GET", rf"/api/0/organizations/{org}/shortids/(?P<short>[^/]+)/", self._short_id),
            ("GET", rf"/api/0/organizations/{org}/eventids/(?P<event>[^/]+)/", self._event_id),
            ("GET", rf"/api/0/organizations/{org}/releases/", self._releases),
            ("GET", rf"/api/0/organizations/{org}/stats_v2/", self._stats),
            ("GET", rf"/api/0/organizations/{org}/teams/", self._teams),
            ("GET", rf"/api/0/organizations/{org}/members/", self._members),
            ("GET", rf"/api/0/organizations/{org}/members/(?P<member>[0-9]+)/", self._member),
            ("GET", rf"/api/0/organizations/{org}/environments/", self._environments),
            ("GET", rf"/api/0/projects/{org}/(?P<project>[^/]+)/environments/", self._environments),
            ("GET", rf"/api/0/organizations/{org}/monitors/", self._cron_monitors),
            ("GET", rf"/api/0/organizations/{org}/uptime/", self._uptime_monitors),
            ("GET", rf"{event}/owners/", self._owners),
            ("GET", rf"{event}/committers/", self._committers),
        ]

    def _answer(self, request: Request) -> Reply:
        if not request.path.startswith("/api/0/"):  # the web pages: a login, for whoever has no session
            if request.path == "/auth/login/":
                return as_html()
            return Reply(302, headers={"Location": "/auth/login/"})
        if request.headers.get("authorization") != f"Bearer {self.tracker.token}":
            return as_json({"detail": "Invalid token"}, 401)
        for method, pattern, handler in self._routes:
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                return self._checked(request, handler(request, **match.groupdict()))
        return as_json({"detail": "The requested resource does not exist"}, 404)

    def _checked(self, request: Request, reply: Reply) -> Reply:
        if openapi.is_there():
            self.checked += 1
            try:
                openapi.check_request(request.method, request.path, request.query, request.json)
                if reply.status < 400:
                    body = None if not reply.body else openapi.json.loads(reply.body)
                    openapi.check_answer(request.method, request.path, reply.status, body)
            except openapi.Deviation as deviation:
                self.deviations.append(str(deviation))
                return as_json({"detail": "not as described"}, 400)
        return reply

    def _index(self, request: Request) -> Reply:
        return as_json({"version": "0", "auth": {"scopes": ["event:read"]}, "user": {"id": "1", "name": "bot"}})

    # --- lists ------------------------------------------------------------------------------------------------------

    def _paged(self, request: Request, rows: list[Any], size: int) -> Reply:
        start = int(request.value("cursor", "0:0:0").split(":")[1])
        page = rows[start : start + size]

        def link(rel: str, offset: int, *, results: bool) -> str:
            cursor = f"0:{max(offset, 0)}:{int(rel == 'previous')}"
            word = "true" if results else "false"
            return f'<{self.url}{request.path}?cursor={cursor}>; rel="{rel}"; results="{word}"; cursor="{cursor}"'

        links = [
            link("previous", start - size, results=start > 0),
            link("next", start + size, results=start + size < len(rows)),
        ]
        return as_json(page, Link=", ".join(links), X_Sentry_Rate_Limit_Limit="40", X_Sentry_Rate_Limit_Remaining="39")

    def _projects(self, request: Request) -> Reply:
        rows = [_project_row(project.id, project.slug, project.name) for project in self.tracker.projects]
        return self._paged(request, rows, min(int(request.value("per_page", "100")), 2))

    def _list(self, request: Request) -> Reply:
        if ids := request.values("group"):  # "just ignore any query components": organization_group_index.py
            rows = [self._row(issue, "24h") for issue in self._in_projects(request) if issue.id in ids]
            return as_json(rows)
        if not set(request.values("environment")) <= set(self.tracker.environments()):
            return as_json({"detail": "The requested resource does not exist"}, 404)
        if re.fullmatch("[0-9a-f]{32}", request.value("query")):  # a "direct hit", in whatever status it is
            hit = self.tracker.issue_of_event(request.value("query"))
            return as_json([self._row(hit, "24h")] if hit in self._in_projects(request) else [])
        if "query" not in dict(request.query):
            return as_json({"detail": "this stand-in wants an explicit query: Sentry would add its own"}, 400)
        found = [issue for issue in self._in_projects(request) if self._fits(issue, request)]
        sort = request.value("sort", "date")
        if sort in _KEYS:
            found.sort(key=lambda issue: getattr(issue, _KEYS[sort]), reverse=True)
        else:
            found.sort(key=lambda issue: len(issue.events) if sort == "freq" else _users(issue), reverse=True)
        rows = [self._row(issue, request.value("groupStatsPeriod", "24h")) for issue in found]
        return self._paged(request, rows, int(request.value("limit", "100")))

    def _in_projects(self, request: Request) -> list[TrackedIssue]:
        """The issues of the projects named; -1 is all of them, none is "my projects" for the person of a personal token
        (`src/sentry/api/bases/organization.py`)."""
        wanted = request.values("project")

        def named(issue: TrackedIssue) -> bool:
            project = issue.project
            return project.member if not wanted else bool({"-1", project.id, project.slug} & set(wanted))

        return [issue for issue in self.tracker.listed() if named(issue)]

    def _fits(self, issue: TrackedIssue, request: Request) -> bool:
        environments = request.values("environment")
        period = request.value("statsPeriod")
        if environments and not any(event.tags.get("environment") in environments for event in issue.events):
            return False
        if period and issue.last_seen < self.tracker.now - _span(period):
            return False
        return all(_matches(issue, term) for term in request.value("query").split())

    # --- one issue --------------------------------------------------------------------------------------------------

    def _found(self, name: str) -> TrackedIssue | None:
        """By number or short id; the number of a merged one finds what it was merged into (`GroupRedirect`)."""
        known = next((issue for issue in self.tracker.issues if issue.id == name), None)
        return known.merged_into if known is not None and known.merged_into else self.tracker.issue(name)

    def _issue(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        if found is None:
            return as_json({"detail": "The requested resource does not exist"}, 404)
        return as_json(self._detail(found))

    def _short_id(self, request: Request, short: str) -> Reply:
        found = self._found(short)
        if found is None:
            return as_json({"detail": "The requested resource does not exist"}, 404)
        return as_json({"organizationSlug": self.tracker.org, "projectSlug": found.project.slug, "groupId": found.id,
                        "group": self._base(found), "shortId": found.short_id})  # fmt: skip

    def _event_id(self, request: Request, event: str) -> Reply:
        found = self.tracker.issue_of_event(event)
        if found is None:
            return as_json({"detail": "No event found"}, 404)
        tracked = next(each for each in found.events if each.id == event)
        return as_json({"organizationSlug": self.tracker.org, "projectSlug": found.project.slug, "groupId": found.id,
                        "eventId": event, "event": self._event(found, tracked)})  # fmt: skip

    def _events(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        if found is None:
            return as_json({"detail": "The requested resource does not exist"}, 404)
        newest = sorted(found.events, key=lambda event: event.at, reverse=True)
        rows = [
            {
                "id": event.id, "event.type": "error", "groupID": found.id, "eventID": event.id,
                "projectID": found.project.id, "message": "", "title": found.title, "location": "shop.py:12",
                "culprit": "shop in checkout", "user": event.user, "tags": _pairs(event.tags), "platform": "python",
                "dateCreated": iso(event.at), "crashFile": None, "metadata": {},
            }
            for event in newest
        ]  # fmt: skip
        return self._paged(request, rows, int(request.value("per_page", "100")))

    def _latest(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        if found is None or not found.events:
            return as_json({"detail": "No events found for issue"}, 404)
        event = max(found.events, key=lambda event: event.at)
        return as_json(
            {**self._event(found, event), "release": None, "resolvedWith": [], "sdkUpdates": [], "userReport": None,
             "nextEventID": None, "previousEventID": None}
        )  # fmt: skip

    def _event(self, issue: TrackedIssue, event: TrackedEvent) -> dict[str, Any]:
        values = [{"type": issue.kind, "value": issue.value, "module": None, "stacktrace": {"frames": frames()}}]
        return {
            "id": event.id, "groupID": issue.id, "eventID": event.id, "projectID": issue.project.id, "size": 7055,
            "entries": entries(event, values), "dist": None, "message": "",
            "title": issue.title, "location": "shop.py:12", "user": event.user, "contexts": event.contexts, "sdk": None,
            "context": {}, "packages": {}, "type": "error", "metadata": {"type": issue.kind, "value": issue.value},
            "tags": _pairs(event.tags), "platform": "python", "dateReceived": iso(event.at), "errors": [],
            "occurrence": None, "_meta": {}, "crashFile": None, "culprit": "shop in checkout",
            "dateCreated": iso(event.at), "fingerprints": [],
        }  # fmt: skip

    def _tags(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        if found is None:
            return as_json({"detail": "The requested resource does not exist"}, 404)
        keys = sorted({key for event in found.events for key in event.tags})
        return as_json([_tag_row(found, key) for key in keys])

    def _tag(self, request: Request, issue: str, key: str) -> Reply:
        found = self._found(issue)
        if found is None or not any(key in event.tags for event in found.events):
            return as_json({"detail": "The requested resource does not exist"}, 404)
        return as_json(_tag_row(found, key))

    def _notes(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        assert found is not None
        user = {"id": "1", "name": "The Bot", "email": "bot@example.com"}
        rows = [
            {"id": str(place), "type": "note", "data": {"text": text}, "dateCreated": iso(at), "user": user}
            for place, (text, at) in enumerate(found.notes)
        ]
        return self._paged(request, rows[::-1], 100)  # newest first, and nothing but notes: group_notes.py

    def _add_note(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        if found is None:
            return as_json({"detail": "The requested resource does not exist"}, 404)
        text = request.json.get("text")
        if not text:
            return as_json({"text": ["This field is required."]}, 400)
        if any(known == text and at > self.tracker.now - timedelta(hours=1) for known, at in found.notes):
            return as_json({"detail": "You have already posted that comment."}, 400)
        found.notes.append((text, self.tracker.now))
        return as_json({"id": "5", "type": "note", "data": {"text": text}}, 201)

    # --- changes ----------------------------------------------------------------------------------------------------

    def _update(self, request: Request, issue: str) -> Reply:
        found = self._found(issue)
        if found is None:
            return as_json({"detail": "The requested resource does not exist"}, 404)
        refusal = self._change(found, request.json)
        return as_json(self._updated(found)) if refusal is None else refusal

    def _change(self, issue: TrackedIssue, body: dict[str, Any]) -> Reply | None:
        details = body.get("statusDetails", {})
        if "status" in body:
            refusal = self._set_status(issue, body, details)
            if refusal is not None:
                return refusal
        if "priority" in body:
            issue.priority = body["priority"]
        if "assignedTo" in body:
            return self._assign(issue, body["assignedTo"])
        return None

    def _set_status(self, issue: TrackedIssue, body: dict[str, Any], details: dict[str, Any]) -> Reply | None:
        if body["status"] == "resolved":
            shown = self._resolution(details)
            if shown is None:
                return as_json(
                    {"statusDetails": {"inRelease": ["Unable to find a release with the given version."]}}, 400
                )
            issue.substatus, issue.details = None, shown
        elif body["status"] == "ignored":
            shown = {name: value for name, value in details.items() if name != "ignoreDuration"}
            if "ignoreDuration" in details:
                shown["ignoreUntil"] = iso(self.tracker.now + timedelta(minutes=details["ignoreDuration"]))
            if issue.status != "ignored":  # an archived issue keeps its substatus, as in Sentry
                issue.substatus = body.get("substatus")
            issue.details = shown
        else:
            issue.substatus, issue.details = "ongoing", {}
        issue.status = body["status"]
        return None

    def _resolution(self, details: dict[str, Any]) -> dict[str, Any] | None:
        known = {version for version, _at, _slug in self.tracker.releases}
        if details.get("inNextRelease"):
            return {"inNextRelease": True}
        if "inCommit" in details:
            commit = (details["inCommit"]["repository"], details["inCommit"]["commit"])
            return {"inCommit": commit[1]} if commit in self.tracker.commits else None
        if details.get("inRelease") == "latest":
            return {"inRelease": self.tracker.releases[-1][0]} if self.tracker.releases else None
        if "inRelease" in details:
            return {"inRelease": details["inRelease"]} if details["inRelease"] in known else None
        return {}

    def _assign(self, issue: TrackedIssue, wanted: str) -> Reply | None:
        teams = {number: slug for slug, number in self.tracker.teams.items()}
        users = {number: mail for mail, number in self.tracker.members.items()}
        if wanted == "":
            issue.assigned = None
        elif wanted.startswith("team:") and wanted[5:] in teams:
            issue.assigned = {"type": "team", "id": wanted[5:], "name": teams[wanted[5:]]}
        elif wanted in self.tracker.members:
            issue.assigned = {"type": "user", "id": self.tracker.members[wanted], "name": wanted, "email": wanted}
        elif wanted.startswith("user:") and wanted[5:] in users:
            mail = users[wanted[5:]]
            issue.assigned = {"type": "user", "id": wanted[5:], "name": mail, "email": mail}
        else:
            return as_json({"assignedTo": ["Could not parse actor. Format should be `type:id`"]}, 400)
        return None

    def _bulk(self, request: Request) -> Reply:
        ids = request.values("id")
        if not ids:
            raise AssertionError("a bulk change without ids would change everything")
        found = [issue for issue in self.tracker.listed() if issue.id in ids]
        if not found:  # then what a search finds: `src/sentry/api/helpers/group_index/update.py`
            query = request.value("query", "is:unresolved")
            found = [issue for issue in self._in_projects(request) if all(_matches(issue, t) for t in query.split())]
        if not found:
            return Reply(204)
        if len({issue.project.id for issue in found}) > 1:
            return as_json({"detail": "Merging across multiple projects is not supported"}, 400)
        parent = min(found, key=lambda issue: issue.first_seen)  # merge.py: the primary group is the oldest
        self.tracker.merge(found, parent)
        children = [issue.id for issue in found if issue is not parent]
        return as_json({"merge": {"parent": parent.id, "children": children}})

    # --- around -----------------------------------------------------------------------------------------------------

    def _releases(self, request: Request) -> Reply:
        asked = request.values("project")
        wanted = {
            project.slug
            for project in self.tracker.projects
            if (project.member if not asked else {"-1", project.id, project.slug} & set(asked))
        }
        rows = [
            {
                "id": place, "version": version, "shortVersion": version, "status": "open", "versionInfo": None,
                "dateReleased": None, "dateCreated": iso(at), "data": {}, "newGroups": 3, "commitCount": 0,
                "deployCount": 0, "authors": [], "ref": None, "url": None, "owner": None, "lastCommit": None,
                "lastDeploy": None, "firstEvent": None, "lastEvent": None, "currentProjectMeta": {}, "userAgent": None,
                "projects": [{"id": 1, "slug": slug, "name": slug, "newGroups": 3, "platform": None, "platforms": [],
                              "hasHealthData": False}],
            }
            for place, (version, at, slug) in enumerate(self.tracker.releases)
            if slug in wanted
        ]  # fmt: skip
        rows.sort(key=lambda row: str(row["dateCreated"]), reverse=True)
        return self._paged(request, rows, int(request.value("per_page", "100")))

    def _stats(self, request: Request) -> Reply:
        step = {"1h": 3600, "1d": 86400}[request.value("interval")]
        end = int(self.tracker.now.timestamp()) // step * step
        start = end - int(_span(request.value("statsPeriod")).total_seconds()) // step * step
        times = list(range(start, end + step, step))
        events = [
            event.at.timestamp()
            for issue in self.tracker.issues
            if issue.project.id in request.values("project")
            for event in issue.events
        ]
        series = [sum(1 for at in events if time <= at < time + step) for time in times]
        intervals = [datetime.fromtimestamp(time, self.tracker.now.tzinfo).isoformat() for time in times]
        return as_json(
            {
                "start": intervals[0], "end": intervals[-1], "intervals": intervals,
                "groups": [{"by": {"outcome": "accepted"}, "totals": {"sum(quantity)": sum(series)},
                            "series": {"sum(quantity)": series}}],
            }
        )  # fmt: skip

    def _teams(self, request: Request) -> Reply:
        rows = [
            {
                "id": number, "slug": slug, "name": slug, "dateCreated": None, "isMember": False, "teamRole": None,
                "flags": {}, "access": [], "hasAccess": True, "isPending": False, "memberCount": 2, "avatar": {},
            }
            for slug, number in self.tracker.teams.items()
            if request.value("query") in slug
        ]  # fmt: skip
        return self._paged(request, rows, 100)

    def _members(self, request: Request) -> Reply:
        """Only `query=email:` is understood: anybody with that address."""
        wanted = request.value("query").removeprefix("email:")
        return self._paged(
            request, [_member(mail, key) for mail, key in self.tracker.members.items() if mail == wanted], 100
        )

    def _member(self, request: Request, member: str) -> Reply:
        """A member's own page, which lists the teams too."""
        del request
        found = next((mail for mail, key in self.tracker.members.items() if key == member), None)
        if found is None:
            return as_json({"detail": "The requested resource does not exist"}, 404)
        teams = self.tracker.memberships.get(found, [])
        more = {"teamRoles": [{"teamSlug": team, "role": None} for team in teams], "invite_link": None}
        lists: dict[str, Any] = {"orgRoleList": [], "teamRoleList": []}
        return as_json({**_member(found, member), "teams": teams, "isOnlyOwner": False, **more, **lists})

    def _environments(self, request: Request, project: str = "") -> Reply:
        more = {"isHidden": False} if project else {}
        names = self.tracker.environments(project)
        return as_json([{"id": str(number), "name": name, **more} for number, name in enumerate(names)])

    def _owners(self, request: Request, project: str, event: str) -> Reply:
        """getsentry/sentry `src/sentry/issues/endpoints/event_owners.py`."""
        found = self.tracker.issue_of_event(event)
        if found is None or found.project.slug != project:
            return as_json({"detail": "Event not found"}, 404)
        return as_json({"owners": self.tracker.owners.get(found.id, []), "rule": None, "rules": []})

    def _committers(self, request: Request, project: str, event: str) -> Reply:
        """getsentry/sentry `src/sentry/issues/endpoints/event_file_committers.py`: 404 where nothing is known."""
        found = self.tracker.issue_of_event(event)
        suspects = (
            self.tracker.suspects.get(found.id, []) if found is not None and found.project.slug == project else []
        )
        if not suspects:
            return as_json({"detail": "No committers found"}, 404)
        return as_json(
            {
                "committers": [
                    {
                        "author": {"name": mail.partition("@")[0], "email": mail},
                        "commits": [
                            {"id": sha, "message": message, "dateCreated": iso(self.tracker.now),
                             "pullRequest": {"id": "9", "externalUrl": "https://git.example/shop/pull/9"},
                             "suspectCommitType": "via commit in release"}
                        ],
                    }
                    for sha, message, mail in suspects
                ]
            }
        )  # fmt: skip

    def _cron_monitors(self, request: Request) -> Reply:
        return self._paged(request, self._of_projects(request, self.tracker.monitors), 100)

    def _uptime_monitors(self, request: Request) -> Reply:
        return self._paged(request, self._of_projects(request, self.tracker.uptime), 100)

    def _of_projects(self, request: Request, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        wanted = {*request.values("project")}
        slugs = {project.slug for project in self.tracker.projects if wanted & {"-1", project.id}}
        return [row for row in rows if (row.get("projectSlug") or row["project"]["slug"]) in slugs]

    # --- JSON -------------------------------------------------------------------------------------------------------

    def _base(self, issue: TrackedIssue) -> dict[str, Any]:
        return {
            "id": issue.id, "shareId": None, "shortId": issue.short_id, "title": issue.title,
            "culprit": "shop in checkout",
            "permalink": f"{self.url}/organizations/{self.tracker.org}/issues/{issue.id}/",
            "logger": None,
            "level": issue.level, "status": issue.status, "statusDetails": issue.details, "substatus": issue.substatus,
            "isPublic": False, "platform": "python", "priority": issue.priority, "priorityLockedAt": None,
            "seerFixabilityScore": None, "seerAutofixLastTriggered": None, "seerExplorerAutofixLastTriggered": None,
            "project": {"id": issue.project.id, "name": issue.project.name, "slug": issue.project.slug,
                        "platform": "python"},
            "type": "error", "issueType": "error", "issueCategory": "error",
            "metadata": {"type": issue.kind, "value": issue.value}, "numComments": len(issue.notes),
            "assignedTo": issue.assigned, "isBookmarked": False, "isSubscribed": False, "subscriptionDetails": None,
            "hasSeen": False, "annotations": [], "isUnhandled": False, "count": str(len(issue.events)),
            "userCount": _users(issue), "firstSeen": iso(issue.first_seen), "lastSeen": iso(issue.last_seen),
        }  # fmt: skip

    def _row(self, issue: TrackedIssue, stats: str) -> dict[str, Any]:
        lifetime = {"count": str(len(issue.events)), "userCount": 1, "firstSeen": None, "lastSeen": None}
        step, slices = (3600, 24) if stats == "24h" else (86400, 14)
        return {
            **self._base(issue), "stats": {stats: self._series(issue, step, slices)}, "lifetime": lifetime,
            "filtered": None, "sessionCount": 0,
            "inbox": {"reason": 0, "reason_details": None, "date_added": iso(self.tracker.now)},
            "owners": {"type": "user", "owner": "1", "date_added": iso(self.tracker.now)}, "integrationIssues": [],
            "sentryAppIssues": [], "latestEventHasAttachments": False, "matchingEventId": None,
            "matchingEventEnvironment": None,
            "derivedData": {"blocker": "none", "progress": "", "status": "open", "viewCount": 1, "hasOpenFixPr": False,
                            "isAssigned": False, "hasRootCause": False, "lastCompletedAutofixStep": "",
                            "lastProgressedAt": None},
        }  # fmt: skip

    def _updated(self, issue: TrackedIssue) -> dict[str, Any]:
        return self._base(issue)

    def _detail(self, issue: TrackedIssue) -> dict[str, Any]:
        releases = [
            event.tags["release"] for event in sorted(issue.events, key=lambda e: e.at) if "release" in event.tags
        ]
        return {
            **self._base(issue), "activity": self._activity(issue), "seenBy": [], "participants": [], "tags": [],
            "userReportCount": 0,
            "firstRelease": {"version": releases[0]} if releases else None,
            "lastRelease": {"version": releases[-1]} if releases else None,
            "stats": {"24h": self._series(issue, 3600, 24), "30d": self._series(issue, 86400, 30)},
        }  # fmt: skip

    def _activity(self, issue: TrackedIssue) -> list[dict[str, Any]]:
        """As in getOrganizationIssue; newest first, and `first_seen` last."""
        user = {"id": "7", "name": "Ann", "username": "ann", "email": "ann@example.com"}
        rows = [(kind, at, data, user) for kind, at, data in issue.activity]
        rows.append(("first_seen", issue.first_seen, {"priority": "high"}, None))
        rows.sort(key=lambda row: row[1], reverse=True)
        return [
            {"id": str(place), "type": kind, "data": data, "user": who, "dateCreated": iso(at)}
            for place, (kind, at, data, who) in enumerate(rows)
        ]

    def _series(self, issue: TrackedIssue, step: int, slices: int) -> list[list[int]]:
        end = int(self.tracker.now.timestamp()) // step * step + step
        times = range(end - slices * step, end, step)
        return [
            [time, sum(1 for event in issue.events if time <= event.at.timestamp() < time + step)] for time in times
        ]


def _project_row(number: str, slug: str, name: str) -> dict[str, Any]:
    flags = [
        "firstTransactionEvent", "isBookmarked", "isMember", "hasAccess", "hasFeedbacks", "hasFlags",
        "hasInsightsAgentMonitoring", "hasInsightsAppStart", "hasInsightsAssets", "hasInsightsCaches", "hasInsightsDb",
        "hasInsightsHttp", "hasInsightsMCP", "hasInsightsQueues", "hasInsightsScreenLoad", "hasInsightsVitals",
        "hasLogs", "hasMinifiedStackTrace", "hasMonitors", "hasNewFeedbacks", "hasProfiles", "hasReplays",
        "hasSessions", "hasTraceMetrics", "hasUserReports",
    ]  # fmt: skip
    return {
        **dict.fromkeys(flags, False), "id": number, "slug": slug, "name": name, "platform": None,
        "dateCreated": "2026-01-01T00:00:00Z", "firstEvent": None, "access": [], "team": None, "teams": [],
        "environments": [], "features": [], "platforms": [], "latestRelease": None,
    }  # fmt: skip


def _member(mail: str, number: str) -> dict[str, Any]:
    """A row of the list of members (sentry-api-schema, listOrganizationMembers); it has no teams."""
    at = "2026-01-05T10:00:00.000Z"
    user = {
        "id": number, "name": mail, "username": mail, "email": mail, "avatarUrl": "", "isActive": True,
        "hasPasswordAuth": True, "isManaged": False, "dateJoined": at, "lastLogin": at, "has2fa": False,
        "lastActive": at, "isSuperuser": False, "isStaff": False, "isSuspended": False, "experiments": {}, "emails": [],
    }  # fmt: skip
    flags = dict.fromkeys(
        ("idp:provisioned", "idp:role-restricted", "sso:linked", "sso:invalid", "member-limit:restricted",
         "partnership:restricted"), False,
    )  # fmt: skip
    return {
        "id": number, "email": mail, "name": mail, "user": user, "orgRole": "member", "role": "member",
        "roleName": "Member", "pending": False, "expired": False, "flags": flags, "dateCreated": at,
        "inviteStatus": "approved", "inviterName": None,
    }  # fmt: skip


def _matches(issue: TrackedIssue, term: str) -> bool:
    key, colon, value = term.partition(":")
    if not colon:
        return term.lower() in issue.title.lower()
    if key == "issue.id":
        return issue.id in value.strip("[]").split(",")
    if key == "is":
        return issue.status == {"ignored": "ignored", "archived": "ignored"}.get(value, value)
    return any(event.tags.get(key) == value for event in issue.events)


def _span(period: str) -> timedelta:
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[period[-1]]
    return timedelta(**{unit: int(period[:-1])})


def _users(issue: TrackedIssue) -> int:
    return len({event.user["id"] for event in issue.events if event.user})


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _tag_row(issue: TrackedIssue, key: str) -> dict[str, Any]:
    counts = Counter(event.tags[key] for event in issue.events if key in event.tags)
    tops = [
        {"key": value, "name": value, "value": value, "count": count, "lastSeen": None, "firstSeen": None}
        for value, count in counts.most_common()
    ]
    return {
        "key": key,
        "name": key.title(),
        "uniqueValues": len(counts),
        "totalValues": counts.total(),
        "topValues": tops,
    }


def cron_monitor_row(name: str, slug: str, *environments: dict[str, Any], status: str = "active") -> dict[str, Any]:
    """As in listOrganizationMonitors, but that `environments` is a list, as in `src/sentry/monitors/serializers.py`."""
    config = {"schedule_type": "crontab", "schedule": "0 * * * *", "checkin_margin": 1, "max_runtime": 30,
              "timezone": "UTC", "failure_issue_threshold": None, "recovery_threshold": None,
              "alert_rule_id": None}  # fmt: skip
    places = [{"isMuted": False, "activeIncident": None, **environment} for environment in environments]
    return {
        "id": "5e1f0000-0000-4000-8000-000000000001", "name": name, "slug": name, "status": status, "isMuted": False,
        "isUpserting": False, "config": config, "dateCreated": "2026-01-01T00:00:00Z", "environments": places,
        "owner": None, "project": _project_row("2", slug, slug),
    }  # fmt: skip


def uptime_monitor_row(name: str, slug: str, url: str, *, state: int, status: str = "active") -> dict[str, Any]:
    """getsentry/sentry `src/sentry/uptime/endpoints/serializers.py`; `state` is 1 for up and 2 for down."""
    return {
        "id": "77", "projectSlug": slug, "environment": "production", "name": name, "status": status,
        "uptimeStatus": state, "mode": 1, "owner": None, "recoveryThreshold": 1, "downtimeThreshold": 3, "url": url,
        "method": "GET", "body": None, "headers": [], "intervalSeconds": 60, "timeoutMs": 5000, "traceSampling": False,
        "assertion": None,
    }  # fmt: skip
