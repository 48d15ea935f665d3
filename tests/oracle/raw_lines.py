"""One raw message → one line of the log, or None where it must be refused.

Written from the description of the feed alone: `json`, `re` and `datetime`, nothing of ours.
"""

import json
import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

# A line without its newline may have been cut in the middle of a number.
MARKERS = ("--------- beginning of main\n", "--------- beginning of a new ride\n")
STAMPED = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}) ([^:]+): (.*)\n")
NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
RIDE = re.compile(rf"\[INFO\]: Ride - duration = {NUMBER}; resistance = (\d+)")
TELEMETRY = re.compile(rf"\[INFO\]: Telemetry - hrt = (\d+); rpm = (\d+); power = {NUMBER}")
SYSTEM = "[SYSTEM] data = "
ASKING = "Getting user data from server.."

TITLES = {"mr", "mrs", "miss", "ms", "mx", "dr", "prof"}
BIGGEST_ID = 2**63 - 1


class Line(NamedTuple):
    """A line that could be read; the fields of its kind are set, the others stay None."""

    offset: int
    kind: str
    at: datetime | None = None
    firmware: str | None = None
    user_data: dict[str, Any] | None = None
    duration_s: float | None = None
    resistance: int | None = None
    heart_rate_bpm: int | None = None
    cadence_rpm: int | None = None
    power_watts: float | None = None
    # Told something that no person and no bike can do.
    impossible: bool = False
    # When it came, None where that is not known.
    came_at: datetime | None = None


def read_line(offset: int, value: bytes | None) -> Line | None:
    """The line in a message's value; None for what the feed's description does not allow."""
    try:
        text = json.loads((value or b"").decode())["log"]
        if text in MARKERS:
            return Line(offset, "announcement")
        match = STAMPED.fullmatch(text)
        return stamped_line(offset, *match.groups()) if match else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def stamped_line(offset: int, stamp: str, firmware: str, words: str) -> Line | None:
    """A line of one of the four kinds that bear a stamp."""
    at = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    if words == ASKING:
        return Line(offset, "announcement", at, firmware)
    if words.startswith(SYSTEM):
        user_data = json.loads(words.removeprefix(SYSTEM))
        return Line(offset, "system", at, firmware, user_data=user_data)
    if ride := RIDE.fullmatch(words):
        resistance = possible(int(ride[2]), 0, 250)
        return Line(
            *(offset, "ride", at, firmware),
            duration_s=float(ride[1]),
            resistance=resistance,
            impossible=resistance is None,
        )
    if telemetry := TELEMETRY.fullmatch(words):
        told = {
            "heart_rate_bpm": possible(int(telemetry[1]), 25, 240),
            "cadence_rpm": possible(int(telemetry[2]), 0, 300),
            "power_watts": possible(float(telemetry[3]), 0, 3000),
        }
        if int(telemetry[1]) == 0:
            told["heart_rate_bpm"] = None
        impossible = list(told.values()).count(None) > (int(telemetry[1]) == 0)
        return Line(offset, "telemetry", at, firmware, impossible=impossible, **told)
    return None


def possible(value: Any, lowest: float, highest: float) -> Any:  # noqa: ANN401 - any number
    """The value, or None of one that cannot be."""
    return value if lowest <= value <= highest else None


def rider_row(user_data: dict[str, Any], seen_at: datetime) -> dict[str, Any] | None:
    """The row of `riders` that the data tell, None without a usable id."""
    rider_id = whole_number(user_data.get("user_id"))
    if rider_id is None:
        return None
    return {
        "rider_id": rider_id,
        **name_parts(user_data.get("name")),
        "gender": gender(user_data.get("gender")),
        "born_on": day(user_data.get("date_of_birth")),
        "email": words_or_none(user_data.get("email_address")),
        "height_cm": size(user_data.get("height_cm")),
        "weight_kg": size(user_data.get("weight_kg")),
        **address_parts(user_data.get("address")),
        "account_created_on": day(user_data.get("account_create_date")),
        "original_source": words_or_none(user_data.get("original_source")),
        "seen_at": seen_at,
    }


def name_parts(value: object) -> dict[str, str | None]:
    """Title without its dot, first word, all the rest."""
    words = (words_or_none(value) or "").split()
    title = None
    if words and words[0].rstrip(".").lower() in TITLES:
        title = words.pop(0).rstrip(".")
    return {
        "title": title,
        "first_name": words[0] if words else None,
        "last_name": " ".join(words[1:]) or None,
    }


def address_parts(value: object) -> dict[str, str | None]:
    """Street, town and postcode in this order, as far as they go; of four the first is a flat."""
    parts = (words_or_none(value) or "").split(",")
    if len(parts) < 4:
        parts = ["", *parts, "", ""][:4]
    names = ("flat", "street", "town", "postcode")
    return {name: part.strip() or None for name, part in zip(names, parts, strict=True)}


def gender(value: object) -> str:
    """Female and male as given; other for any other word, unknown for none."""
    word = (words_or_none(value) or "unknown").lower()
    return word if word in ("female", "male", "unknown") else "other"


def day(value: object) -> date | None:
    """Milliseconds since 1970, negative before."""
    milliseconds = number(value)
    if milliseconds is None:
        return None
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).date()
    except OverflowError:
        return None


def number(value: object) -> float | None:
    """A JSON number that is finite; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def size(value: object) -> float | None:
    """A height or a weight: nobody has none."""
    size = number(value)
    return size if size and size > 0 else None


def whole_number(value: object) -> int | None:
    """An integer, also as a text of digits, that fits a bigint; 7001.0 is none."""
    if isinstance(value, str) and re.fullmatch("[0-9]+", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= BIGGEST_ID else None


def words_or_none(value: object) -> str | None:
    """A text with something in it."""
    return (value.strip() or None) if isinstance(value, str) else None
