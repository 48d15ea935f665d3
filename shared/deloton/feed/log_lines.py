"""One log line of a bike → one typed line, or a refusal that says why.

The only file that knows how bikes spell things. The envelope is JSON with one key, `log`; the
text ends in one newline and, but for markers, opens with a UTC stamp of six decimals and the
tag of the bike's firmware.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import final

import msgspec
from msgspec import Struct

from deloton.events import Rider
from deloton.feed.rider_payload import cut, parse_rider, text
from deloton.rules.plausible import PLAUSIBLE


class RefusalReason(StrEnum):
    """Why a message cannot be used."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NO_LOG = "no_log"
    UNKNOWN_LINE = "unknown_line"
    BAD_STAMP = "bad_stamp"
    BAD_NUMBER = "bad_number"
    BAD_RIDER_DATA = "bad_rider_data"
    NO_RIDE = "no_ride"
    IMPLAUSIBLE = "implausible"
    REFUSED_BY_DATABASE = "refused_by_database"
    TWO_BIKES = "two_bikes"
    BEYOND_RETENTION = "beyond_retention"
    OTHER_WORLD = "other_world"


@final
class Refusal(Struct, frozen=True):
    """A message that cannot be used. `detail` is plain English and quotes no personal data."""

    reason: RefusalReason
    detail: str


@final
class Marker(Struct, frozen=True):
    """The stream announces a new ride, without saying when."""


@final
class RiderRequested(Struct, frozen=True):
    """The bike asked the server who rides: half a second later the answer follows."""

    at: datetime


@final
class RideAnnounced(Struct, frozen=True):
    """The bike was told who rides; the ride starts. `rider` and `bike_serial` may be unknown."""

    at: datetime
    firmware: str
    bike_serial: str | None
    rider: Rider | None


@final
class RideLine(Struct, frozen=True, gc=False):
    """The first half of a reading: seconds since the ride began, and the resistance level."""

    at: datetime
    elapsed_s: float
    resistance: int | None


@final
class TelemetryLine(Struct, frozen=True, gc=False):
    """The second half of a reading. No heart rate without hands on the bar."""

    at: datetime
    heart_rate_bpm: int | None
    cadence_rpm: int | None
    power_watts: float | None


@final
class DoubtfulLine(Struct, frozen=True):
    """Half of a reading without what cannot be (`deloton.rules.plausible`), and what that was."""

    line: RideLine | TelemetryLine
    refusal: Refusal


LogLine = Marker | RiderRequested | RideAnnounced | RideLine | TelemetryLine
Parsed = LogLine | DoubtfulLine | Refusal


class _Envelope(Struct):
    log: str


_datetime_from_iso = datetime.fromisoformat
_decode_envelope = msgspec.json.Decoder(_Envelope).decode

# All but a handful of messages are readings in the spelling that bikes use today; the bounds in
# this pattern make every match a plausible value (a test compares them with the table). Whatever
# does not match is looked at again with patience. Possessive quantifiers let a mismatch fail at
# once. Over many messages, a line each, the pattern gives one match a line: of a line of any other
# kind all groups are empty.
_USUAL_READING = (
    r'\{"log": "((?:19|20|21)[0-9 :.-]{24}) [ !#-9;-\[\]-~]++: \[INFO\]: (?:'
    r"Ride - duration = ([0-9]{1,6}+(?:\.[0-9]{1,20}+)?+); resistance = (1?[0-9]{1,2})"
    r"|Telemetry - hrt = ((?:[3-9]|1[0-9]|2[0-3])[0-9]|0); rpm = ([12]?[0-9]{1,2}); "
    r"power = ([12]?[0-9]{1,3}(?:\.[0-9]{1,20}+)?+(?:e-[0-9]{1,2}+)?+)"
    r')\\n"\}'
)
_find_usual_readings = re.compile(rf"^(?:{_USUAL_READING}|.*)$", re.MULTILINE).findall
_match_reading = re.compile(
    r"\[INFO\]: (?:"
    r"Ride - duration = ([^;]*); resistance = ([^;]*)"
    r"|Telemetry - hrt = ([^;]*); rpm = ([^;]*); power = ([^;]*))",
    re.DOTALL,
).fullmatch
_match_stamped = re.compile(r"(.{26}) ([^:\n]++): (.*)\n", re.DOTALL).fullmatch
_match_number = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch

_MARKERS = frozenset(
    {"--------- beginning of main\n", "--------- beginning of a new ride\n"},
)
_MARKER = Marker()
_REQUESTED = "Getting user data from server.."
_SYSTEM = "[SYSTEM] data = "
# So small that its square is still a number, so that means and deviations are too.
_SMALLEST_FLOAT = 1e-140
# Years that a clock may show, right or wrong; far enough from the ends of time to count from.
_YEARS = range(1900, 2200)
# In bytes. A longer serial is unknown, not cut: what is left could be another bike's.
_LONGEST_SERIAL = 255
# Digits; Python reads some more, but not any number of them.
_LONGEST_WHOLE_NUMBER = 4_000
# A ride of a hundred days: any more cannot be a duration.
_LONGEST_S = 8_640_000.0


def parse_messages(values: Sequence[bytes | None]) -> list[Parsed]:
    """Parse the values of Kafka messages, each on its own, in one pass. Never raises.

    Some hundreds at once are cheapest: what is found stays in the processor's cache.
    """
    try:
        # Latin-1 maps every byte to one character; the pattern asks for ASCII alone.
        found = _find_usual_readings(b"\n".join(values).decode("latin-1"))  # type: ignore[arg-type]
    except TypeError:  # a message without a value
        return [parse_message(value) for value in values]
    if len(found) != len(values):  # a message with a line break in it
        return [parse_message(value) for value in values]
    lines: list[Parsed] = []
    for groups, value in zip(found, values, strict=True):
        stamp, elapsed_s, resistance, heart_rate, cadence, power = groups
        try:
            # A line of another kind has no stamp here, which is no time either.
            at = _datetime_from_iso(stamp + "+00:00")
        except ValueError:
            lines.append(parse_message(value))
            continue
        lines.append(
            RideLine(at, float(elapsed_s), int(resistance))
            if elapsed_s
            else TelemetryLine(at, int(heart_rate) or None, int(cadence), float(power))
        )
    return lines


def parse_message(value: bytes | None) -> Parsed:
    """Parse the value of one Kafka message. Never raises."""
    try:
        line = _decode_envelope(value or b"").log
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _refuse_envelope(value or b"")
    return parse_line(line)


def parse_line(line: str) -> Parsed:
    """Parse one line with its newline. Never raises."""
    if line in _MARKERS:
        return _MARKER
    match = _match_stamped(line)
    if match is None:
        return Refusal(RefusalReason.UNKNOWN_LINE, "the line has no stamp and firmware tag")
    stamp, firmware, body = match.groups()
    at = _parse_stamp(stamp)
    if at is None:
        return Refusal(RefusalReason.BAD_STAMP, "the stamp is no time")
    if body == _REQUESTED:
        return RiderRequested(at)
    if body.startswith(_SYSTEM):
        return _parse_announcement(at, firmware, body.removeprefix(_SYSTEM))
    return _parse_reading(at, body)


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_WHOLE_NUMBER else float(digits)


def _parse_reading(at: datetime, body: str) -> RideLine | TelemetryLine | DoubtfulLine | Refusal:
    match = _match_reading(body)
    if match is None:
        return Refusal(RefusalReason.UNKNOWN_LINE, "a line of a kind nobody has seen")
    elapsed_s, resistance, heart_rate, cadence, power = match.groups()
    line: RideLine | TelemetryLine
    try:
        if elapsed_s is not None:
            line = RideLine(at, _parse_elapsed(elapsed_s), _parse_level(resistance))
        else:
            line = TelemetryLine(
                at, _parse_level(heart_rate) or None, _parse_level(cadence), _parse_float(power)
            )
    except ValueError as error:
        return Refusal(RefusalReason.BAD_NUMBER, str(error))
    return _without_the_implausible(line)


def _without_the_implausible(
    line: RideLine | TelemetryLine,
) -> RideLine | TelemetryLine | DoubtfulLine:
    beyond = [
        name
        for name, bounds in PLAUSIBLE.items()
        if (value := getattr(line, name, None)) is not None and not bounds.admit(value)
    ]
    if not beyond:
        return line
    detail = f"more or less than can be: {', '.join(beyond)}"
    return DoubtfulLine(
        msgspec.structs.replace(line, **dict.fromkeys(beyond)),
        Refusal(RefusalReason.IMPLAUSIBLE, detail),
    )


def _parse_announcement(at: datetime, firmware: str, payload: str) -> RideAnnounced | Refusal:
    try:
        # The standard library's reader: a number out of all bounds costs its own field alone.
        data = json.loads(payload, parse_int=_whole_number)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        return Refusal(RefusalReason.BAD_RIDER_DATA, "the rider data are no JSON object")
    serial = text(data.get("bike_serial"))
    return RideAnnounced(
        at=at,
        firmware=cut("firmware", text(firmware)) or "unknown",
        bike_serial=serial if serial and len(serial.encode()) <= _LONGEST_SERIAL else None,
        rider=parse_rider(data),
    )


def _parse_stamp(stamp: str) -> datetime | None:
    try:
        at = _datetime_from_iso(stamp + "+00:00")
    except ValueError:
        return None
    return at if at.year in _YEARS else None


def _parse_level(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("a level that is no whole number from 0")
    return int(digits[:_LONGEST_WHOLE_NUMBER])


def _parse_elapsed(spelling: str) -> float:
    elapsed_s = _parse_float(spelling)
    if not 0 <= elapsed_s <= _LONGEST_S:
        raise ValueError("a duration below 0 or above 100 days")
    return elapsed_s


def _parse_float(spelling: str) -> float:
    if _match_number(spelling) is None:
        raise ValueError("a number that is none")
    number = float(spelling)
    if 0 < abs(number) < _SMALLEST_FLOAT:
        raise ValueError("a number too small to hold")
    return number


def _refuse_envelope(value: bytes) -> Refusal:
    try:
        value.decode()
    except UnicodeDecodeError:
        return Refusal(RefusalReason.NOT_UTF8, "the message is no UTF-8")
    try:
        msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Refusal(RefusalReason.NOT_JSON, "the message is no JSON")
    except RecursionError:
        return Refusal(RefusalReason.NOT_JSON, "the message is JSON nested too deeply")
    return Refusal(RefusalReason.NO_LOG, "the message has no text under `log`")
