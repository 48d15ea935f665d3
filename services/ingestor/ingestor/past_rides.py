"""EDGE: a ride that has ended, from its row, as far as it takes to know its lines again."""

from typing import Final

import asyncpg

from deloton.feed.assembly import Ride

# A ride whose first reading counts so much further than it lasted was taken over in mid-ride: by a
# second at least, where another counts from half a second before its `[SYSTEM]` line at most.
TAKEN_OVER_S: Final = 0.75

# Beside a row of `rides`: with which count its readings begin, and when, where some seconds that it
# counted are not there. Others begin with their first second, and need not be looked into.
FIRST_COUNT = """
LEFT JOIN LATERAL (
    SELECT elapsed_s AS first_count_s, at AS first_counted_at
    FROM readings_of(rides.ride_id, rides.started_at, rides.started_at + interval '1 minute')
    WHERE rides.reading_count < rides.duration_s
    AND elapsed_s IS NOT NULL
    AND at BETWEEN rides.started_at AND rides.started_at + interval '1 minute'
    ORDER BY at LIMIT 1
) first ON true
"""


def past_ride(row: asyncpg.Record) -> Ride:
    """The ride of a row of `rides` that has its `ended_at`, with `FIRST_COUNT`."""
    beginnings = row["clock_beginnings"] or [row["started_at"]]
    ahead = row["started_at"] - beginnings[-1]
    last_stamp = row["ended_at"] - ahead
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
        elapsed_s=row["duration_s"] or 0.0,
        from_s=_counted_before_s(row),
        ended_at=row["ended_at"],
    )


def _counted_before_s(row: asyncpg.Record) -> float:
    """With which count the ride began: not 0 where a rider took over in mid-ride."""
    first_s = row["first_count_s"]
    if first_s is None:
        return 0.0
    lasted_s = (row["first_counted_at"] - row["started_at"]).total_seconds()
    return first_s - 1.0 if first_s - lasted_s > TAKEN_OVER_S else 0.0
