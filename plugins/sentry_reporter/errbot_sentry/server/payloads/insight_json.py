"""Tags, notes, releases and statistics as Sentry and GlitchTip write them in JSON.

Sources: getsentry/sentry-api-schema (getOrganizationIssueTag, listOrganizationReleases, listOrganizationStatsV2); notes
and an issue's list of tags as in getsentry/sentry `src/sentry/issues/endpoints/{group_notes,group_tags}.py`; GlitchTip
as measured (comments, tags, issues-stats) and in its `apps/{stats,releases}/api.py`.
"""

from __future__ import annotations

from typing import Any

from errbot_sentry.domain import json_values
from errbot_sentry.domain.issues import Assignee, Comment, IssueActivity, Release, SuspectCommit, TagSpread
from errbot_sentry.server.payloads.issue_json import read_assignee
from errbot_sentry.server.payloads.json_fields import LONG, Fields, objects
from errbot_sentry.server.time_series import Point, columns_of


def read_tag(row: Fields) -> TagSpread:
    """One tag: `{key, totalValues, uniqueValues, topValues: [{value, count}]}`."""
    tops = [Fields(top) for top in row.rows("topValues", "top_values")]
    values = tuple((top.line("value", "name"), top.whole("count") or 0) for top in tops)
    ordered = tuple(sorted((pair for pair in values if pair[0]), key=lambda pair: -pair[1]))
    total = row.whole("totalValues", "total_values")
    return TagSpread(
        key=row.line("key"),
        values=ordered,
        total=sum(count for _value, count in ordered) if total is None else total,
        unique=row.whole("uniqueValues", "unique_values"),
    )


def read_tags(value: Any) -> tuple[TagSpread, ...]:
    """All tags that have a key.

    Raises:
        BadAnswer: the value is not a list.
    """
    return tuple(tag for tag in map(read_tag, objects(value, "tags")) if tag.key)


def read_comments(value: Any) -> tuple[Comment, ...]:
    """The notes with their authors, newest first. Other activities in the list are left out.

    Raises:
        BadAnswer: the value is not a list.
    """
    found = [
        Comment(
            text=row.fields("data").text("text", longest=LONG),
            author=row.fields("user").line("name", "username", "email"),
            email=row.fields("user").line("email"),
            at=row.time("dateCreated", "date_created"),
        )
        for row in objects(value, "notes")
        if row.line("type") in ("note", "")
    ]
    return tuple(sorted(found, key=lambda comment: comment.at.timestamp() if comment.at else 0.0, reverse=True))


def read_activity(issue: Fields) -> tuple[IssueActivity, ...]:
    """The `activity` of an issue's details, newest first (kinds: getsentry/sentry `src/sentry/types/activity.py`)."""
    found = [
        IssueActivity(
            kind=row.line("type"),
            at=row.time("dateCreated"),
            author=row.fields("user").line("name", "username", "email") or row.fields("sentry_app").line("name"),
            text=row.fields("data").line("text", "version", "assigneeEmail", "priority", "commit", longest=LONG),
        )
        for row in map(Fields, issue.rows("activity"))
        if row.line("type")
    ]
    return tuple(sorted(found, key=lambda each: each.at.timestamp() if each.at else 0.0, reverse=True))


def read_suspect_commits(body: Fields) -> tuple[SuspectCommit, ...]:
    """The suspect commits in `{committers: [{author, commits: […]}]}`, the likeliest first.

    Source: getsentry/sentry `src/sentry/utils/committers.py`, `src/sentry/api/serializers/models/commit.py`.
    """
    return tuple(
        SuspectCommit(
            id=commit.line("id"),
            message=commit.text("message", longest=LONG),
            author=committer.fields("author").line("name", "email"),
            email=committer.fields("author").line("email"),
            at=commit.time("dateCreated"),
            link=json_values.web_link(commit.fields("pullRequest").raw("externalUrl")),
        )
        for committer in map(Fields, body.rows("committers"))
        for commit in map(Fields, committer.rows("commits"))
        if commit.line("id")
    )


def read_owners(body: Fields) -> tuple[Assignee, ...]:
    """The owners by the ownership rules: `{owners: [actor]}` (getsentry/sentry
    `src/sentry/issues/endpoints/event_owners.py`)."""
    owners = (read_assignee(Fields(row)) for row in body.rows("owners"))
    return tuple(owner for owner in owners if owner is not None)


def read_releases(value: Any) -> tuple[Release, ...]:
    """Releases, newest first.

    Raises:
        BadAnswer: the value is not a list.
    """
    found = [
        Release(
            version=row.line("version"),
            at=row.time("dateReleased") or row.time("dateCreated"),
            new_issues=row.whole("newGroups"),
            projects=tuple(slug for project in row.rows("projects") if (slug := Fields(project).line("slug"))),
        )
        for row in objects(value, "releases")
    ]
    return newest_first(release for release in found if release.version)


def newest_first(releases: Any) -> tuple[Release, ...]:
    """The newest releases first, and those without a time last."""
    return tuple(sorted(releases, key=lambda release: release.at.timestamp() if release.at else 0.0, reverse=True))


def read_stats(body: Fields) -> list[Point]:
    """The points of `{intervals: […], groups: [{series: {"sum(quantity)": […]}}]}`, of all groups together."""
    groups = [Fields(group) for group in body.rows("groups")]
    return [
        point
        for group in groups
        for point in columns_of(body.raw("intervals"), group.fields("series").raw("sum(quantity)"))
    ]
