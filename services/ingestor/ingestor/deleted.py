"""EDGE: rides that somebody deleted while they went on: nothing of them is stored again.

Their streams go on with them, so that the lines that still come belong to a ride that is known,
and known to be deleted.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import msgspec

from deloton.feed.assembly import SAME_BEGINNING, Assembled, Started
from deloton.store.database import Connection
from deloton.store.deletions import STORING

_DELETED = "SELECT ride_id FROM deleted_rides WHERE ride_id = ANY($1::bigint[])"

_DROP_READINGS = "DELETE FROM readings WHERE ride_id = ANY($1::bigint[])"

# By its bike and start, which a ride whose first lines were lost tells within seconds.
_DELETED_STARTS = """
SELECT told.number - 1 AS number, deleted_rides.ride_id
FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS told (bike_serial, started_at, number)
JOIN deleted_rides ON deleted_rides.bike_serial = told.bike_serial
AND deleted_rides.started_at BETWEEN told.started_at - $3::interval AND told.started_at + $3
"""


async def wait_for_deletions(connection: Connection) -> None:
    """Hold off deletions until the transaction ends; belongs first into it."""
    await connection.execute(STORING)


async def deleted_among(connection: Connection, assembled: Assembled) -> frozenset[int]:
    """The deleted ones of the rides that something was assembled for."""
    told = {reading.ride.ride_id for reading in assembled.readings}
    told.update(half.ride.ride_id for half in assembled.amended)
    told.update(ride.ride_id for ride in assembled.set_clocks)
    told.update(change.ride.ride_id for change in (*assembled.changes, *assembled.told_anew))
    told.update(ride.ride_id for ride in assembled.settled.values())
    rows = await connection.fetch(_DELETED, list(told)) if told else []
    return frozenset(row["ride_id"] for row in rows)


async def drop_what_was_left(connection: Connection, ride_ids: Collection[int | None]) -> None:
    """Delete the readings of deleted rides: who deleted them may have left them behind."""
    await connection.execute(_DROP_READINGS, list(ride_ids))


async def recognise_deleted(
    connection: Connection, started: Sequence[Started]
) -> tuple[frozenset[int], list[Started]]:
    """Give deleted rides that are told again the number they had.

    Returns these numbers, and the starts of other rides.
    """
    rows = await connection.fetch(
        _DELETED_STARTS,
        [start.ride.bike_serial for start in started],
        [start.ride.started_at for start in started],
        SAME_BEGINNING,
    )
    deleted: dict[int, int] = {row["number"]: row["ride_id"] for row in rows}
    for number, ride_id in deleted.items():
        started[number].ride.ride_id = ride_id
    kept = [start for number, start in enumerate(started) if number not in deleted]
    return frozenset(deleted.values()), kept


def without(assembled: Assembled, ride_ids: Collection[int]) -> Assembled:
    """The same without anything of some rides; streams stay on them."""
    return msgspec.structs.replace(
        assembled,
        changes=[each for each in assembled.changes if each.ride.ride_id not in ride_ids],
        readings=[each for each in assembled.readings if each.ride.ride_id not in ride_ids],
        settled={
            key: ride for key, ride in assembled.settled.items() if ride.ride_id not in ride_ids
        },
        amended=[each for each in assembled.amended if each.ride.ride_id not in ride_ids],
        told_anew=[each for each in assembled.told_anew if each.ride.ride_id not in ride_ids],
        shifted={
            ride: by for ride, by in assembled.shifted.items() if ride.ride_id not in ride_ids
        },
        set_clocks={ride: None for ride in assembled.set_clocks if ride.ride_id not in ride_ids},
        implausible=Counter(
            {
                ride: count
                for ride, count in assembled.implausible.items()
                if ride.ride_id not in ride_ids
            }
        ),
    )
