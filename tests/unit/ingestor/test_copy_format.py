"""Readings as bytes of COPY: what the documentation of PostgreSQL prescribes.

That a server takes them is tested with one, in `tests/integration/ingestor`.
"""

import struct

from deloton.testing import a_reading, a_ride
from ingestor.copy_format import READING_COLUMNS, encode_readings

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
# Microseconds from 2000 to 2026-03-02 09:15:01.5.
AT = 825_758_101_500_000


def field(layout: str, value: float | None) -> bytes:
    if value is None:
        return struct.pack(">i", -1)
    return struct.pack(f">i{layout}", struct.calcsize(f">{layout}"), value)


def row(*values: float | None) -> bytes:
    return struct.pack(">h", 7) + b"".join(map(field, "qqdhhhd", values))


def test_no_reading_is_a_header_and_a_trailer() -> None:
    assert encode_readings([]) == HEADER + TRAILER


def test_columns_come_in_the_order_of_their_names() -> None:
    data = encode_readings([a_reading(a_ride(42), elapsed_s=1.0, heart_rate_bpm=126)])
    assert READING_COLUMNS == (
        "ride_id", "at", "elapsed_s", "heart_rate_bpm", "cadence_rpm", "resistance", "power_watts",
    )  # fmt: skip
    assert data == HEADER + row(42, AT, 1.0, 126, 60, 30, 100.0) + TRAILER


def test_what_was_not_measured_is_null() -> None:
    readings = [
        a_reading(heart_rate_bpm=None),
        a_reading(elapsed_s=None, resistance=None),
        a_reading(heart_rate_bpm=None, cadence_rpm=None, power_watts=None),
    ]
    assert encode_readings(readings) == b"".join(
        (
            HEADER,
            row(1, AT, 1.0, None, 60, 30, 100.0),
            row(1, AT, None, 120, 60, None, 100.0),
            row(1, AT, 1.0, None, None, 30, None),
            TRAILER,
        )
    )


def test_zeros_and_extremes_are_values_not_nulls() -> None:
    full = a_reading(
        a_ride(2**63 - 1),
        elapsed_s=0.0,
        heart_rate_bpm=32_767,
        cadence_rpm=0,
        resistance=0,
        power_watts=-0.0,
    )
    expected = row(2**63 - 1, AT, 0.0, 32_767, 0, 0, -0.0)
    assert encode_readings([full]) == HEADER + expected + TRAILER


def test_moments_before_2000_are_negative() -> None:
    data = encode_readings([a_reading(at_s=-AT / 1e6 + 1.5 - 1)])
    assert data == HEADER + row(1, -1_000_000, 1.0, 120, 60, 30, 100.0) + TRAILER
