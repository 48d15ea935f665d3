"""CORE: what the OpenAPI document says of every route: problems, headers, CSV."""

from typing import Any

from api.csv_rows import MEDIA_TYPE as CSV
from api.problems import (
    DATABASE_AWAY,
    INVALID_PARAMETER,
    KEY_MISSING,
    KEY_WRONG,
    KINDS,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    SCOPE_MISSING,
    TOO_MANY_REQUESTS,
    TOO_SLOW,
    UNKNOWN_PARAMETER,
    Kind,
)
from api.problems import MEDIA_TYPE as PROBLEM

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
                    "in": {"type": "string", "enum": ["query", "path", "header"]},
                    "message": {"type": "string"},
                },
            },
        },
    },
}

_HEADERS: dict[str, dict[str, Any]] = {
    "RateLimit-Limit": {"description": "Requests that the key may make in a minute."},
    "RateLimit-Remaining": {"description": "How many of them are left."},
    "RateLimit-Reset": {"description": "Seconds until there are more."},
}
_ETAG = {"ETag": {"description": "Send it as `If-None-Match`: what has not changed is a 304."}}
_LINK = {"Link": {"description": 'The next page, as `rel="next"`.'}}


def responses(*extra: Kind, csv: bool = False, etag: bool = True) -> Responses:
    """The answers of a route that asks for a key: its own, and those that every such route has."""
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
        told[200]["content"] = {CSV: {"schema": {"type": "string"}}}
    if etag:
        told[304] = {"description": "Nothing changed since the ETag in `If-None-Match`."}
    return told


def list_responses(*extra: Kind) -> Responses:
    """The answers of a list, which may be JSON or CSV."""
    return responses(NOT_ACCEPTABLE, *extra, csv=True)


def deletion_responses() -> Responses:
    """The answers of a deletion."""
    told = responses(NOT_FOUND, etag=False)
    told[204] = {"description": "Deleted.", "headers": _typed(_HEADERS)}
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


def tidy(document: dict[str, Any]) -> dict[str, Any]:
    """Add what FastAPI does not know; parameters are left out, never null."""
    schemas = document["components"]["schemas"]
    schemas["Problem"] = PROBLEM_SCHEMA
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
    return document


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **choices[0]}


def kinds_as_table() -> str:
    """Every kind of problem, as Markdown."""
    rows = [f"| `{kind.type}` | {kind.status} | {kind.title}. {kind.meaning} |" for kind in KINDS]
    return "\n".join(["| type | status | |", "|---|--:|---|", *rows])
