"""EDGE: a ride that has ended, from its row, as far as it takes to know its lines again."""

from typing import Final

import asyncpg

from deloton.feed.assembly import Ride

# A ride that counts so much further than it lasted was taken over in mid-ride.
TAKEN_OVER_S: Final = 2.0

# Beside a row of `rides`: with which count its readings begin, of one that was taken over.
FIRST_COUNT = f"""
LEFT JOIN LATERAL (
    SELECT elapsed_s AS first_count_s
    FROM readings_of(rides.ride_id, rides.started_at, rides.started_at + interval '1 minute')
    WHERE rides.duration_s - extract(epoch FROM rides.ended_at - rides.started_at) > {TAKEN_OVER_S}
    AND elapsed_s IS NOT NULL
    AND at BETWEEN rides.started_at AND rides.started_at + interval '1 minute'
    ORDER BY at LIMIT 1
) first ON true
"""  # noqa: S608 - a number of ours


def past_ride(row: asyncpg.Record) -> Ride:
    """The ride of a row of `rides` that has its `ended_at`, with `FIRST_COUNT`."""
    beginnings = row["clock_beginnings"] or [row["started_at"]]
    ahead = row["started_at"] - beginnings[-1]
    last_stamp = row["ended_at"] - ahead
    duration_s = row["duration_s"] or 0.0
    counted_before_s = duration_s - (row["ended_at"] - row["started_at"]).total_seconds()
    return Ride(
        stream_key=b"",
        bike_serial=row["bike_serial"],
        started_at=row["started_at"],
        beginnings=beginnings,
        ahead=ahead,
        rider_id=row["rider_id"],
        ride_id=row["ride_id"],
        last_stamp=last_stamp,
        counted_stamp=last_stamp,
        elapsed_s=duration_s,
        from_s=(row["first_count_s"] or 1.0) - 1.0 if counted_before_s > TAKEN_OVER_S else 0.0,
        ended_at=row["ended_at"],
    )
