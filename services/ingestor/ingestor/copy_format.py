"""CORE: readings in PostgreSQL's binary COPY format.

Source: PostgreSQL documentation, COPY, "Binary Format". A tuple is the number of its fields,
then each field as its length in bytes and its value, big-endian; NULL has the length -1 and no
value. A timestamptz is a count of microseconds since 2000-01-01 UTC.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from struct import Struct

from deloton.feed.assembly import Reading

READING_COLUMNS = (
    "ride_id",
    "at",
    "elapsed_s",
    "heart_rate_bpm",
    "cadence_rpm",
    "resistance",
    "power_watts",
)

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

# h: the number of fields; then for each field its length (i) and, unless NULL, its value.
_pack_full = Struct(">hiqiqidihihihid").pack
_pack_without_heart_rate = Struct(">hiqiqidiihihid").pack
_FIELDS = (Struct(">iq"), Struct(">iq"), *map(Struct, (">id", ">ih", ">ih", ">ih", ">id")))
_pack_count = Struct(">h").pack
_NULL = Struct(">i").pack(-1)


def encode_readings(readings: Iterable[Reading]) -> bytes:
    """Encode readings for `COPY readings (ride_id, at, …) FROM STDIN (FORMAT binary)`.

    Each reading's ride must have its `ride_id`.
    """
    rows = [_SIGNATURE]
    rows += map(_encode_reading, readings)
    rows.append(_TRAILER)
    return b"".join(rows)


def _encode_reading(reading: Reading) -> bytes:
    since = reading.at - _EPOCH
    at = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    ride_id = reading.ride.ride_id
    elapsed_s, power_watts = reading.elapsed_s, reading.power_watts
    cadence_rpm, resistance = reading.cadence_rpm, reading.resistance
    if elapsed_s is None or power_watts is None or cadence_rpm is None or resistance is None:
        return _encode_half(reading, at)
    heart_rate_bpm = reading.heart_rate_bpm
    if heart_rate_bpm is None:
        return _pack_without_heart_rate(
            7, 8, ride_id, 8, at, 8, elapsed_s, -1, 2, cadence_rpm, 2, resistance, 8, power_watts
        )
    return _pack_full(
        7, 8, ride_id, 8, at, 8, elapsed_s,
        2, heart_rate_bpm, 2, cadence_rpm, 2, resistance, 8, power_watts,
    )  # fmt: skip


def _encode_half(reading: Reading, at: int) -> bytes:
    values = (
        reading.ride.ride_id,
        at,
        reading.elapsed_s,
        reading.heart_rate_bpm,
        reading.cadence_rpm,
        reading.resistance,
        reading.power_watts,
    )
    fields = (
        _NULL if value is None else layout.pack(layout.size - 4, value)
        for layout, value in zip(_FIELDS, values, strict=True)
    )
    return _pack_count(len(values)) + b"".join(fields)
