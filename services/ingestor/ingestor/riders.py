"""EDGE: bikes and riders, as the rides that begin tell of them."""

from collections.abc import Sequence
from datetime import datetime

from deloton.events import Rider
from deloton.feed.assembly import Started
from deloton.store.database import Connection

_STORE_BIKES = """
INSERT INTO bikes (serial, firmware) SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT (serial) DO UPDATE SET firmware = excluded.firmware
WHERE excluded.firmware IS NOT NULL AND bikes.firmware IS DISTINCT FROM excluded.firmware
"""

_STORE_RIDER = """
INSERT INTO riders AS known (
    rider_id, title, first_name, last_name, gender, born_on, email, height_cm, weight_kg,
    flat, street, town, postcode, account_created_on, original_source, seen_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (rider_id) DO UPDATE SET
    title = excluded.title, first_name = excluded.first_name, last_name = excluded.last_name,
    gender = excluded.gender, born_on = excluded.born_on, email = excluded.email,
    height_cm = excluded.height_cm, weight_kg = excluded.weight_kg, flat = excluded.flat,
    street = excluded.street, town = excluded.town, postcode = excluded.postcode,
    account_created_on = excluded.account_created_on,
    original_source = excluded.original_source, seen_at = excluded.seen_at
WHERE known.seen_at <= excluded.seen_at
"""

_ERASED = "SELECT rider_id, erased_at FROM erasures WHERE rider_id = ANY($1::bigint[])"

_FORGET_ERASED = """
DELETE FROM riders USING erasures
WHERE riders.rider_id = erasures.rider_id AND riders.rider_id = ANY($1::bigint[])
AND riders.seen_at <= erasures.erased_at
"""


async def store_bikes(connection: Connection, started: Sequence[Started]) -> None:
    """Store the bikes of rides; a known firmware is not overwritten by an unknown one."""
    firmware: dict[str, str | None] = {}
    for start in started:
        serial = start.ride.bike_serial
        firmware[serial] = start.firmware or firmware.get(serial)
    # In the order of their keys, so that two workers never wait for each other in a circle.
    serials = sorted(firmware)
    await connection.execute(_STORE_BIKES, serials, [firmware[serial] for serial in serials])


async def store_riders(connection: Connection, started: Sequence[Started]) -> None:
    """Store the riders of rides: the newest stamp wins, and who was erased since stays away."""
    newest: dict[int, tuple[datetime, Rider]] = {}
    for start in started:
        rider, seen_at = start.rider, start.ride.started_at
        if rider is not None and (
            rider.rider_id not in newest or newest[rider.rider_id][0] <= seen_at
        ):
            newest[rider.rider_id] = (seen_at, rider)
    if not newest:
        return
    by_id = sorted(newest.items())
    await connection.executemany(
        _STORE_RIDER, [_rider_row(rider, seen_at) for _, (seen_at, rider) in by_id]
    )
    # Asked after the riders' rows are ours: an erasure that comes later waits for us.
    rows = await connection.fetch(_ERASED, list(newest))
    erased: dict[int, datetime] = {row["rider_id"]: row["erased_at"] for row in rows}
    if not erased:
        return
    await connection.execute(_FORGET_ERASED, list(erased))
    for start in started:
        ride = start.ride
        if ride.rider_id in erased and ride.started_at <= erased[ride.rider_id]:
            ride.rider_id = None


def _rider_row(rider: Rider, seen_at: datetime) -> tuple[object, ...]:
    address = rider.address
    return (
        rider.rider_id,
        rider.title,
        rider.first_name,
        rider.last_name,
        rider.gender,
        rider.born_on,
        rider.email,
        rider.height_cm,
        rider.weight_kg,
        address.flat,
        address.street,
        address.town,
        address.postcode,
        rider.account_created_on,
        rider.original_source,
        seen_at,
    )
