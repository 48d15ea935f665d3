"""CORE: what the Kafka topics hold, as an AsyncAPI 3 document made from the events' own types.

Kafka's headers are bytes; what they hold is told as text. Topics go by the names that they have
unless an environment calls them otherwise.
"""

import json
import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from deloton.events import HeartRate, RideEnded, RideResumed, RideStarted
from deloton.feed.log_lines import RefusalReason

_SCHEMAS: Final = "#/components/schemas/"
_DAYS: Final = {"ride-events": "90 days", "heart-rates": "a day", "dead-letters": "90 days"}
_ORDER: Final = (
    "A message lies in the partition of the raw line that made it, so one consumer of a partition "
    "meets a ride in its order. Delivery is at least once: drop repeats by ride and time."
)
_STREAM_KEY: Final = {"type": "string", "description": "What tells one bike's stream from another."}
_FROM: Final = "2026-03-02T09:15:00.922427Z"


class RawLine(Struct, frozen=True):
    """A line of a bike's log, as the bike wrote it: see the ingestor for its kinds."""

    log: str


class Told(Struct, frozen=True):
    """A message: the type of its value, and an example."""

    type: type[Struct]
    title: str
    example: dict[str, Any]


_HEART_RATE: Final = Told(
    HeartRate,
    "A heart rate",
    {
        "ride_id": 4711,
        "rider_id": 7001,
        "measured_at": _FROM,
        "heart_rate_bpm": 126,
        "cadence_rpm": 38,
    },
)
_RIDE_EVENTS: Final = (
    Told(
        RideStarted,
        "A ride began",
        {
            "event": "ride_started",
            "ride_id": 4711,
            "bike_serial": "SN0000",
            "started_at": _FROM,
            "rider_id": 7001,
        },
    ),
    Told(
        RideEnded,
        "A ride is over",
        {
            "event": "ride_ended",
            "ride_id": 4711,
            "bike_serial": "SN0000",
            "ended_at": "2026-03-02T09:23:41.5Z",
            "reason": "next_ride",
        },
    ),
    Told(
        RideResumed,
        "A ride goes on after all",
        {
            "event": "ride_resumed",
            "ride_id": 4711,
            "bike_serial": "SN0000",
            "resumed_at": "2026-03-02T09:23:42Z",
        },
    ),
)
_RAW_LINE: Final = Told(
    RawLine,
    "A log line",
    {
        "log": "2026-03-02 09:15:02.922501 mendoza v9: [INFO]: Telemetry - hrt = 126; rpm = 38; "
        "power = 8.962429663\n"
    },
)
_TOLD: Final = (_RAW_LINE, _HEART_RATE, *_RIDE_EVENTS)

_LETTER_HEADERS: Final = {
    "type": "object",
    "required": ["topic", "partition", "offset", "reason", "detail"],
    "properties": {
        "topic": {"type": "string", "description": "Where the message lay."},
        "partition": {"type": "string", "pattern": "^[0-9]+$"},
        "offset": {"type": "string", "pattern": "^[0-9]+$"},
        "reason": {
            "type": "string",
            "enum": [reason.value for reason in RefusalReason],
            "description": "The kind of refusal.",
        },
        "detail": {"type": "string", "description": "What was refused, in a sentence."},
        "deloton-replayed": {
            "type": "string",
            "description": "The message was a replayed letter: partition/offset of that one.",
        },
        "cut_from_bytes": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Key and value were too long for a letter and are cut: their length.",
        },
    },
}
_CHANNELS: Final[dict[str, dict[str, Any]]] = {
    "deloton": {
        "description": "The bikes' log lines, one a message, two a second and bike. The bikes "
        "write it; all lines of a bike have one key.",
        "messages": ("RawLine",),
    },
    "heart-rates": {
        "description": "Each measured heart rate. Seconds without hands on the bar give none.",
        "messages": ("HeartRate",),
    },
    "ride-events": {
        "description": "Beginnings and ends of rides. An end may be told again with another "
        "reason, and a ride may go on after it.",
        "messages": ("RideStarted", "RideEnded", "RideResumed"),
    },
    "dead-letters": {
        "description": "Messages of `deloton` that cannot be read or stored, with key and value as "
        "they came, and headers that say why.",
        "messages": ("DeadLetter",),
    },
}


def asyncapi_document() -> dict[str, Any]:
    """The document; it is the same each time."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Deloton's topics",
            "version": "1",
            "description": "What lies on Kafka between the bikes and Deloton's services. Values "
            "are JSON, times ISO 8601 in UTC; null is what is not known. Fields may be added; take "
            "those that you do not know for none.",
            "license": {
                "name": "Apache 2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/json",
        "channels": {_identifier(topic): _channel(topic) for topic in _CHANNELS},
        "operations": {
            f"{'read' if topic == 'deloton' else 'write'}_{_identifier(topic)}": {
                "action": "receive" if topic == "deloton" else "send",
                "channel": {"$ref": f"#/channels/{_identifier(topic)}"},
                "summary": "Deloton reads it."
                if topic == "deloton"
                else f"Deloton writes it; kept for {_DAYS[topic]}.",
                **({} if topic == "deloton" else {"description": _ORDER}),
            }
            for topic in _CHANNELS
        },
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def asyncapi_json() -> str:
    """The document as text."""
    return json.dumps(asyncapi_document(), indent=1, ensure_ascii=False) + "\n"


def _channel(topic: str) -> dict[str, Any]:
    return {
        "address": topic,
        "description": _CHANNELS[topic]["description"],
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"} for name in _CHANNELS[topic]["messages"]
        },
    }


def _messages() -> dict[str, Any]:
    told = {
        each.type.__name__: {
            "name": each.type.__name__,
            "title": each.title,
            "payload": {"$ref": f"{_SCHEMAS}{each.type.__name__}"},
            "bindings": {"kafka": {"key": _STREAM_KEY}},
            "examples": [{"payload": each.example}],
        }
        for each in _TOLD
    }
    told["DeadLetter"] = {
        "name": "DeadLetter",
        "title": "A refused message",
        "contentType": "application/octet-stream",
        "headers": _LETTER_HEADERS,
        "payload": {"description": "The value as it came, bytes of any kind; it may be none."},
        "bindings": {"kafka": {"key": {"description": "The key as it came; it may be none."}}},
    }
    return told


def _schemas() -> dict[str, Any]:
    """The events' types as JSON Schema, their docstrings as single lines."""
    _, schemas = msgspec.json.schema_components(
        [each.type for each in _TOLD], ref_template=_SCHEMAS + "{name}"
    )
    return {name: _in_one_line(schema) for name, schema in sorted(schemas.items())}


def _in_one_line(schema: dict[str, Any]) -> dict[str, Any]:
    if "description" not in schema:
        return schema
    return {**schema, "description": " ".join(schema["description"].split())}


def _identifier(topic: str) -> str:
    return re.sub("[^a-z]", "_", topic)
