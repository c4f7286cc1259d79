"""Sentry's description of its own API, as a judge of requests and answers.

The file is `../shared/sentry-openapi.json` (getsentry/sentry-api-schema); tests that need it skip where it is absent.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

FILE = Path(__file__).resolve().parents[3] / "shared" / "sentry-openapi.json"

# What we use and the description lacks, with the source that it is known from.
UNDESCRIBED = {
    ("POST", "/api/0/organizations/{organization_id_or_slug}/issues/{issue_id}/notes/"): (
        "getsentry/sentry src/sentry/issues/endpoints/group_notes.py (publish_status PRIVATE)"
    ),
    ("GET", "/api/0/organizations/{organization_id_or_slug}/issues/{issue_id}/notes/"): (
        "getsentry/sentry src/sentry/issues/endpoints/group_notes.py (publish_status PRIVATE)"
    ),
    ("GET", "/api/0/organizations/{organization_id_or_slug}/issues/{issue_id}/tags/"): (
        "getsentry/sentry src/sentry/issues/endpoints/group_tags.py (publish_status UNKNOWN)"
    ),
    ("GET", "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/events/{event_id}/owners/"): (
        "getsentry/sentry src/sentry/issues/endpoints/event_owners.py (publish_status PRIVATE)"
    ),
    ("GET", "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/events/{event_id}/committers/"): (
        "getsentry/sentry src/sentry/issues/endpoints/event_file_committers.py (publish_status PRIVATE)"
    ),
    ("GET", "/api/0/organizations/{organization_id_or_slug}/uptime/"): (
        "getsentry/sentry src/sentry/uptime/endpoints/organization_uptime_alert_index.py (publish_status EXPERIMENTAL)"
    ),
    ("GET", "/api/0/"): "getsentry/sentry src/sentry/api/endpoints/index.py",
}

# Answers that the description has wrong, with the source that is right.
OTHER_ANSWERS = {
    "/api/0/organizations/{organization_id_or_slug}/monitors/": (
        "`environments` is a list, and `owner` may be null: getsentry/sentry src/sentry/monitors/serializers.py"
    ),
}

# Parameters that the description lacks.
OTHER_PARAMETERS = {
    ("GET", "/api/0/organizations/{organization_id_or_slug}/issues/", "group"): (
        "getsentry/sentry src/sentry/issues/endpoints/organization_group_index.py"
    ),
    ("GET", "/api/0/organizations/{organization_id_or_slug}/members/", "query"): (
        "getsentry/sentry src/sentry/core/endpoints/organization_member_index.py"
    ),
}


class Deviation(AssertionError):
    """A request or an answer that the description does not allow."""


def is_there() -> bool:
    return FILE.exists()


@cache
def _description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    """Patterns of all described paths, the ones with the fewest parameters first."""
    known = [*_description()["paths"], *(path for _method, path in UNDESCRIBED)]
    ordered = sorted(dict.fromkeys(known), key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\{[^}]+\}", "([^/]+)", path)), path) for path in ordered]


def template_of(path: str) -> str:
    """The described path that a request's path is one of."""
    for pattern, template in _paths():
        if pattern.fullmatch(path):
            return template
    raise Deviation(f"no such path in the description: {path}")


def check_request(method: str, path: str, query: tuple[tuple[str, str], ...], body: Any) -> None:
    """Path, method, names and values of the query, and the body."""
    template = template_of(path)
    if (method, template) in UNDESCRIBED:
        return
    operation = _description()["paths"].get(template, {}).get(method.lower())
    if operation is None:
        raise Deviation(f"{method} is not described for {template}")
    parameters = [_resolved(each) for each in operation.get("parameters", [])]
    known = {each["name"]: each["schema"] for each in parameters if each["in"] == "query"}
    given: dict[str, list[str]] = {}
    for name, value in query:
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        if (method, template, name) in OTHER_PARAMETERS:
            continue
        if name not in known:
            raise Deviation(f"{method} {template} has no parameter {name}; it has {sorted(known)}")
        _check_values(name, values, known[name])
    missing = {each["name"] for each in parameters if each["in"] == "query" and each.get("required")} - set(given)
    if missing:
        raise Deviation(f"{method} {template} lacks {missing}")
    _check_body(method, template, operation, body)


def check_answer(method: str, path: str, status: int, body: Any) -> None:
    """The status, and the body against its schema."""
    template = template_of(path)
    if (method, template) in UNDESCRIBED:
        return
    responses = _description()["paths"][template][method.lower()]["responses"]
    if str(status) not in responses:
        raise Deviation(f"{method} {template} is not described with status {status}")
    if template in OTHER_ANSWERS:
        return
    content = _resolved(responses[str(status)]).get("content", {})
    if "application/json" in content:
        _validate(body, content["application/json"]["schema"], f"answer of {method} {template}")


def example(method: str, template: str) -> Any:
    """The example of a successful answer, to build one's own from."""
    content = _description()["paths"][template][method.lower()]["responses"]["200"]["content"]["application/json"]
    return json.loads(
        json.dumps(next(iter(content["examples"].values()))["value"] if "examples" in content else content["example"])
    )


def _check_values(name: str, values: list[str], schema: dict[str, Any]) -> None:
    schema = _resolved(schema)
    if schema.get("type") == "array":
        schema = _resolved(schema["items"])
    elif len(values) > 1:
        raise Deviation(f"the parameter {name} is given {len(values)} times")
    for value in values:
        _validate(_typed(value, schema), schema, f"parameter {name}")


def _typed(value: str, schema: dict[str, Any]) -> Any:
    """The text of a parameter as the type that the schema wants, where it can be one."""
    wanted = schema.get("type")
    if wanted in ("integer", "number") and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value) if "." in value else int(value)
    if wanted == "boolean" and value in ("true", "false", "1", "0"):
        return value in ("true", "1")
    return value


def _check_body(method: str, template: str, operation: dict[str, Any], body: Any) -> None:
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        if body is not None:
            raise Deviation(f"{method} {template} takes no body")
        return
    schema = _closed(_resolved(content["application/json"]["schema"]))
    if method == "PUT":
        # "Only the attributes submitted are modified": the list of required ones is a slip of the description.
        schema = {**schema, "required": []}
        details = schema.get("properties", {}).get("statusDetails")
        if details:
            schema["properties"] = {**schema["properties"], "statusDetails": {**_all_of(details), "required": []}}
    _validate(body, schema, f"body of {method} {template}")


def _all_of(schema: dict[str, Any]) -> dict[str, Any]:
    return _closed(_resolved(schema["allOf"][0])) if "allOf" in schema else schema


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Unknown keys are mistakes of ours: servers ignore them silently."""
    return {**schema, "additionalProperties": False} if schema.get("type") == "object" else schema


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        found: Any = _description()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _validate(value: Any, schema: dict[str, Any], what: str) -> None:
    errors = list(jsonschema.Draft202012Validator(_plain(schema)).iter_errors(value))
    if errors:
        worst = jsonschema.exceptions.best_match(errors)
        raise Deviation(f"{what}: at {list(worst.absolute_path)}: {worst.message[:300]}")


def _plain(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` and references in the words of JSON Schema."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = _resolved(schema)
    plain = {name: _plain(part) for name, part in schema.items() if name not in ("nullable", "example", "description")}
    if "properties" in schema:
        plain["properties"] = {name: _plain(part) for name, part in schema["properties"].items()}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") else plain
