"""Every column that takes a value from outside, by `tables.py`: how a line tells it.

A value comes in the middle of a ride or as a ride's beginning, on a bike of its own.
"""

import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, DateTime, Text

from deloton.store.tables import bikes, readings, riders, rides
from deloton.testing import a_message, a_rider, an_announcement, at, payload_of, stamp

# What no line tells: numbers that the database gives, and what is computed when a ride ends.
OURS = {"ride_id", "ended_at", "end_reason", "duration_s", "reading_count"}
OURS |= {"implausible_count", "power_denied_s", "power_deviation_s", "clock_beginnings"}
COMPUTED = ("mean_", "max_", "total_", "heart_rate_count", "energy_kj")

# A value's line comes at this second, between two others.
VALUE_S = 3.75


class Told(NamedTuple):
    """A column, by its table, and the line that tells a value of it."""

    table: str
    column: str
    tell: Callable[[Any], bytes]

    @property
    def name(self) -> str:
        """`riders.town`."""
        return f"{self.table}.{self.column}"


def outside_columns() -> Iterator[Column[Any]]:
    """The columns whose values come with the bikes' lines."""
    for table in (riders, bikes, rides, readings):
        for column in table.columns:
            if column.name not in OURS and not column.name.startswith(COMPUTED):
                yield column


def told_columns() -> list[Told]:
    """All of them; KeyError where a new one is not told of below."""
    return [
        Told(column.table.name, column.name, LINES[column.table.name, column.name])
        for column in outside_columns()
    ]


def system_at(stamped: str, firmware: str = "mendoza v9", **changes: object) -> bytes:
    """The line that begins a ride, with other facts than usual."""
    payload = payload_of(an_announcement(rider=a_rider(600), bike_serial="SN600")) | changes
    compact = json.dumps(payload, separators=(",", ":"))
    return a_message(f"{stamped} {firmware}: [SYSTEM] data = {compact}\n")


def of_its_own(value: bytes, number: int) -> bytes:
    """The same line of a rider and a bike that no other line tells of."""
    return value.replace(rb"\"user_id\":600,", rb"\"user_id\":%d," % (600_000 + number)).replace(
        rb"\"bike_serial\":\"SN600\"", rb"\"bike_serial\":\"SN6-%d\"" % number
    )


def info(text: str, stamped: str | None = None) -> bytes:
    """A line of a reading."""
    return a_message(f"{stamped or stamp(at(VALUE_S))} mendoza v9: [INFO]: {text}\n")


def ride_line(
    duration: object = VALUE_S, resistance: object = 30, stamped: str | None = None
) -> bytes:
    return info(f"Ride - duration = {duration}; resistance = {resistance}", stamped)


def telemetry(hrt: object = 120, rpm: object = 60, power: object = 100.0) -> bytes:
    return info(f"Telemetry - hrt = {hrt}; rpm = {rpm}; power = {power}")


def begin(firmware: str = "mendoza v9", **changes: object) -> bytes:
    """The line that begins another ride later."""
    return system_at(stamp(at(50.0)), firmware, **changes)


def address(*parts: object) -> bytes:
    return begin(address=",".join(map(str, parts)))


LINES: dict[tuple[str, str], Callable[[Any], bytes]] = {
    ("riders", "rider_id"): lambda value: begin(user_id=value),
    ("riders", "title"): lambda value: begin(name=f"{value} Ada Example"),
    ("riders", "first_name"): lambda value: begin(name=f"Ms {value} Example"),
    ("riders", "last_name"): lambda value: begin(name=f"Ms Ada {value}"),
    ("riders", "gender"): lambda value: begin(gender=value),
    ("riders", "born_on"): lambda value: begin(date_of_birth=value),
    ("riders", "email"): lambda value: begin(email_address=value),
    ("riders", "height_cm"): lambda value: begin(height_cm=value),
    ("riders", "weight_kg"): lambda value: begin(weight_kg=value),
    ("riders", "flat"): lambda value: address(value, "1 Lane", "Town", "EX4 4MP"),
    ("riders", "street"): lambda value: address(value, "Town", "EX4 4MP"),
    ("riders", "town"): lambda value: address("1 Lane", value, "EX4 4MP"),
    ("riders", "postcode"): lambda value: address("1 Lane", "Town", value),
    ("riders", "account_created_on"): lambda value: begin(account_create_date=value),
    ("riders", "original_source"): lambda value: begin(original_source=value),
    ("riders", "seen_at"): lambda value: system_at(stamped(value)),
    ("bikes", "serial"): lambda value: begin(bike_serial=value),
    ("bikes", "firmware"): lambda value: begin(firmware=value),
    ("rides", "rider_id"): lambda value: begin(user_id=value),
    ("rides", "bike_serial"): lambda value: begin(bike_serial=value),
    ("rides", "started_at"): lambda value: system_at(stamped(value)),
    ("readings", "at"): lambda value: ride_line(stamped=stamped(value)),
    ("readings", "elapsed_s"): lambda value: ride_line(duration=value),
    ("readings", "heart_rate_bpm"): lambda value: telemetry(hrt=value),
    ("readings", "cadence_rpm"): lambda value: telemetry(rpm=value),
    ("readings", "resistance"): lambda value: ride_line(resistance=value),
    ("readings", "power_watts"): lambda value: telemetry(power=value),
}


def stamped(value: object) -> str:
    return stamp(value) if isinstance(value, datetime) else str(value)


def extremes(column: Column[Any]) -> list[object]:
    """Values that a column of this type cannot hold, or that our texts and indexes could not."""
    if isinstance(column.type, Text):
        noise = random.Random(7)
        letters = [chr(noise.randrange(0x3400, 0x9FFF)) for _ in range(20_000)]
        return ["".join(letters), "nul\0nul", "\0", "half\ud800", "\udfff", "🚲" * 3000]
    if isinstance(column.type, DateTime):
        years = ("0001", "1899", "1900", "2199", "2200", "9999", "0000", "-001")
        return [f"{year}-12-31 23:59:59.999999" for year in years]
    return [
        *(2**15, 2**31, 2**63, 2**64, 10**400, -1, -(2**63)),
        *(1e99, 1e308, 5e-324, -1e300, float("inf"), float("nan"), "1e999", "9" * 5000, ""),
    ]
