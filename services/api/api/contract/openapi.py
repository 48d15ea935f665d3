"""CORE: what the OpenAPI document says of every route: parameters, keys, problems, headers, CSV."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from msgspec import Struct
from pydantic import BaseModel

from api.contract.csv_rows import MEDIA_TYPE as CSV
from api.contract.parameters import (
    AlertState,
    DeliveryState,
    LeaderMetric,
    Period,
    ReadingColumn,
    Resolution,
    RideSort,
    RideStatus,
    WebhookEnd,
    WebhookState,
)
from api.contract.problems import (
    DATABASE_AWAY,
    INTERNAL,
    INVALID_PARAMETER,
    KEY_MISSING,
    KEY_WRONG,
    KINDS,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    RIDE_GOES_ON,
    SCOPE_MISSING,
    TOO_MANY_OPEN,
    TOO_MANY_REQUESTS,
    TOO_SLOW,
    UNKNOWN_PARAMETER,
    Kind,
)
from api.contract.problems import MEDIA_TYPE as PROBLEM
from api.contract.ride_file import FIT, TCX
from api.contract.schemas import ExportState
from deloton.events import EndReason, Gender
from deloton.rules.changes import ChangeKind
from deloton.rules.heart_rate import AlertLevel

Responses = dict[int | str, dict[str, Any]]

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "What went wrong, as RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "enum": [kind.type for kind in KINDS],
            "x-enum-varnames": [kind.constant for kind in KINDS],
            "description": "The kind of problem; the address says more about it.",
        },
        "title": {"type": "string", "description": "The kind in words."},
        "status": {"type": "integer", "description": "The HTTP status again."},
        "detail": {"type": "string", "description": "What was wrong this time."},
        "errors": {
            "type": "array",
            "description": "Every parameter that was wrong.",
            "items": {
                "type": "object",
                "required": ["parameter", "in", "message"],
                "properties": {
                    "parameter": {"type": ["string", "null"]},
                    "in": {"type": "string", "enum": ["query", "path", "header", "body"]},
                    "message": {"type": "string"},
                },
            },
        },
    },
}

SECURITY_SCHEME: dict[str, Any] = {
    "type": "http",
    "scheme": "bearer",
    "description": "`Authorization: Bearer deloton_…`. Scopes: `read` opens every GET but the "
    "export; `personal` adds names, addresses, emails and dates of birth, and with `read` opens "
    "the export; `erase` opens DELETE of rides and riders; `webhooks` opens webhooks, with `read`.",
}
# Programs that write clients take the names of their constants from here: `-started_at` is none.
ENUMERATIONS: tuple[type[Enum], ...] = (
    *(AlertLevel, AlertState, ChangeKind, DeliveryState, EndReason, ExportState, Gender),
    *(LeaderMetric, Period),
    *(ReadingColumn, Resolution, RideSort, RideStatus, WebhookEnd, WebhookState),
)

_COME_BACK_LATER = frozenset({"429", "503"})
_RETRY_AFTER = {"Retry-After": {"description": "Seconds after which to ask again."}}
_HEADERS: dict[str, dict[str, Any]] = {
    "RateLimit-Limit": {"description": "Requests that the key may make in a minute."},
    "RateLimit-Remaining": {"description": "How many of them are left."},
    "RateLimit-Reset": {"description": "Seconds until there are more."},
}
_ETAG = {"ETag": {"description": "Send it as `If-None-Match`: what has not changed is a 304."}}
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_CONTENT = {CSV: _TEXT, TCX: _TEXT, FIT: _BINARY}
_LINK = {"Link": {"description": 'The next page, as `rel="next"`.'}}


def responses(
    *extra: Kind, csv: bool = False, etag: bool = True, files: Iterable[str] = ()
) -> Responses:
    """The answers of a route that asks for a key: its own, and those that every such route has.

    `files` are the media types of what else it may answer with.
    """
    always = (
        KEY_MISSING,
        KEY_WRONG,
        SCOPE_MISSING,
        INVALID_PARAMETER,
        UNKNOWN_PARAMETER,
        TOO_MANY_REQUESTS,
        DATABASE_AWAY,
        TOO_SLOW,
    )
    told = problems(*always, *extra)
    headers = {**_HEADERS, **(_ETAG if etag else {}), **(_LINK if csv else {})}
    told[200] = {"headers": _typed(headers)}
    if csv:
        told[200]["content"] = {CSV: _TEXT}
    if files:
        told[200]["content"] = {each: _CONTENT[each] for each in files}
    if etag:
        told[304] = {"description": "Nothing changed since the ETag in `If-None-Match`."}
    return told


def list_responses(*extra: Kind) -> Responses:
    """The answers of a list, which may be JSON or CSV."""
    return responses(NOT_ACCEPTABLE, TOO_MANY_OPEN, *extra, csv=True)


def file_responses(media_type: str) -> Responses:
    """The answers of a ride as FIT or TCX."""
    extra = (NOT_FOUND, NOT_ACCEPTABLE, RIDE_GOES_ON, TOO_MANY_OPEN)
    return responses(*extra, etag=False, files=[media_type])


def creation_responses(*extra: Kind) -> Responses:
    """The answers of a route that makes something."""
    told = responses(*extra, etag=False)
    told[201] = told.pop(200)
    return told


def deletion_responses() -> Responses:
    """The answers of a deletion."""
    told = responses(NOT_FOUND, etag=False)
    told[204] = {"description": "Deleted.", "headers": _typed(_HEADERS)}
    del told[200]
    return told


def accepted_responses(*extra: Kind) -> Responses:
    """The answers of what is begun: where to ask how far it is."""
    told = responses(*extra, etag=False)
    location = {"Location": {"description": "The address that tells how far it is."}}
    told[202] = {"headers": _typed({**_HEADERS, **location})}
    del told[200]
    return told


def problems(*kinds: Kind) -> Responses:
    """Kinds of problems as answers; those of one status together."""
    told: Responses = {}
    for status in sorted({kind.status for kind in kinds}):
        of_status = [kind for kind in kinds if kind.status == status]
        example = of_status[0]
        told[status] = {
            "description": "; ".join(f"{kind.title} (`{kind.slug}`)" for kind in of_status),
            "content": {
                PROBLEM: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": {
                        "type": example.type,
                        "title": example.title,
                        "status": example.status,
                        "detail": example.title + ".",
                    },
                }
            },
        }
    return told


def _typed(headers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {**about, "schema": {"type": "string"}} for name, about in headers.items()}


class Takes(Struct, frozen=True):
    """What an operation takes that FastAPI does not know of: parameters, a key's scopes, a body."""

    parameters: type[BaseModel] | None
    scopes: tuple[str, ...]
    body: type[BaseModel] | None = None


def tidy(document: dict[str, Any], takes: Mapping[tuple[str, str], Takes]) -> dict[str, Any]:
    """Add what FastAPI does not know; `takes` is by path and method, the latter in small letters.

    Parameters are left out, never null.
    """
    components = document["components"]
    components["schemas"]["Problem"] = PROBLEM_SCHEMA
    components["securitySchemes"] = {"ApiKey": SECURITY_SCHEME}
    document["servers"] = [{"url": "/", "description": "Where this document comes from."}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, takes[path, method], components["schemas"])
    # FastAPI's own words for what we tell as problems.
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    for enumeration in ENUMERATIONS:
        components["schemas"][enumeration.__name__]["x-enum-varnames"] = [
            member.name for member in enumeration
        ]
    document["components"]["schemas"] = dict(sorted(components["schemas"].items()))
    return document


def _complete(operation: dict[str, Any], takes: Takes, schemas: dict[str, Any]) -> None:
    if _is_fastapis_own(operation["responses"].get("422", {})):
        del operation["responses"]["422"]
    operation["security"] = [{"ApiKey": list(takes.scopes)}] if takes.scopes else []
    parameters = operation.setdefault("parameters", [])
    if takes.parameters is not None:
        parameters += _query_parameters(takes.parameters, schemas)
    if takes.body is not None:
        operation["requestBody"] = _request_body(takes.body, schemas)
    for parameter in parameters:
        schema = parameter["schema"] = _without_null(parameter["schema"])
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
    if not parameters:
        del operation["parameters"]
    for status, answer in problems(METHOD_NOT_ALLOWED, INTERNAL).items():
        operation["responses"].setdefault(str(status), answer)
    for status in _COME_BACK_LATER & operation["responses"].keys():
        operation["responses"][status].setdefault("headers", {}).update(_typed(_RETRY_AFTER))
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _is_fastapis_own(answer: dict[str, Any]) -> bool:
    """Whether an answer is one that FastAPI tells of by itself, and we never give."""
    return "HTTPValidationError" in str(answer.get("content", {}).get("application/json", ""))


def _query_parameters(model: type[BaseModel], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    told = model.model_json_schema(ref_template="#/components/schemas/{model}")
    for name, schema in told.get("$defs", {}).items():
        schemas.setdefault(name, schema)
    return [
        {
            "name": name,
            "in": "query",
            "required": name in told.get("required", ()),
            "schema": {key: value for key, value in schema.items() if key != "description"},
            "description": schema["description"],
        }
        for name, schema in told.get("properties", {}).items()
    ]


def _request_body(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    told = model.model_json_schema(ref_template="#/components/schemas/{model}")
    for name, schema in told.pop("$defs", {}).items():
        schemas.setdefault(name, schema)
    schemas[model.__name__] = told
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"required": True, "content": {"application/json": {"schema": reference}}}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) != 1:
        return schema
    kept = {
        name: value
        for name, value in schema.items()
        if name != "anyOf" and not (name == "default" and value is None)
    }
    return {**kept, **choices[0]}


def kinds_as_table() -> str:
    """Every kind of problem, as Markdown."""
    rows = [f"| `{kind.type}` | {kind.status} | {kind.title}. {kind.meaning} |" for kind in KINDS]
    return "\n".join(["| type | status | |", "|---|--:|---|", *rows])
