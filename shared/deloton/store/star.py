"""EDGE: the star that analysts see, filled from rides and readings: tables called `star_…`.

Schema `analytics` is views of them. A ride enters after it has ended, when `refresh` runs next:
only rides that changed since are looked at, each ride's readings once. What is deleted leaves at
once, with the rows it was made from.
"""

import functools
from collections.abc import Container, Iterable, Sequence
from typing import Final

import asyncpg
from msgspec import Struct

from deloton.rules.age_bands import AGE_BANDS, BAND_STARTS
from deloton.rules.calendar import PLAUSIBLE_AGES
from deloton.rules.figures import FIGURES
from deloton.rules.heart_rate import ZONES, expected_maximum_bpm, zone_of
from deloton.store.database import Connection
from deloton.store.figure_sql import of_readings, readings_for_figures
from deloton.store.ride_readings import readings_of_ride
from deloton.store.rider_sql import GENDER, age_in_ride
from deloton.store.star_bikes import tell_bikes
from deloton.store.star_cells import place_riders
from deloton.store.star_groups import count_groups

BATCH_RIDES = 2_000
# Above every heart rate that a reading can hold.
HIGHEST_BPM = 1_000

# Raised by each migration that gives the star a column: who fills fewer deletes no note of a ride
# that waits (migration 0043), so that this and the next version may run beside each other.
FILL_VERSION: Final = 1

# Whoever refreshes has the one row, and others who do wait for it.
_TAKE_TURN = "SELECT FROM star_refreshes FOR UPDATE"

_TIME_ZONE_CHANGED = """
UPDATE star_refreshes SET time_zone = $1, groups_on = NULL WHERE time_zone <> $1
RETURNING time_zone
"""

_NOTE_ALL = "INSERT INTO star_changes (ride_id) SELECT ride_id FROM star_rides"

_TAKE = """
SELECT change_id, ride_id FROM star_changes WHERE change_id > $1 ORDER BY change_id LIMIT $2
"""

# Held so that nobody deletes them meanwhile. Those whom somebody is deleting just now are left
# for the next time: who waits for nobody is never in the way of an erasure.
_HOLD_RIDERS = """
SELECT rider_id FROM riders
WHERE rider_id IN (SELECT rider_id FROM rides WHERE ride_id = ANY($1::bigint[]))
FOR KEY SHARE SKIP LOCKED
"""

_HOLD_RIDES = """
SELECT ride_id FROM rides
WHERE ride_id = ANY($1::bigint[]) AND (rider_id IS NULL OR rider_id = ANY($2::bigint[]))
FOR KEY SHARE SKIP LOCKED
"""

# 52 random bits of a version 4 UUID: exact in programs that count in doubles. A key that exists
# already is not taken; such a rider gets one the next time.
_NAME_RIDERS = """
INSERT INTO star_riders (rider_id, rider_key)
SELECT wanted.rider_id, ('x' || left(digits, 12) || right(digits, 1))::bit(52)::bigint
FROM unnest($1::bigint[]) AS wanted (rider_id)
LEFT JOIN star_riders known USING (rider_id)
-- Asked with the rider's number, so that it is asked anew for each.
CROSS JOIN LATERAL (
    SELECT replace(gen_random_uuid()::text, '-', '') AS digits WHERE wanted.rider_id IS NOT NULL
) random
WHERE known.rider_id IS NULL
ON CONFLICT DO NOTHING
"""

MINUTE_FIGURES: Final = [figure for figure in FIGURES if figure.of_minutes]

# Each column of the star's rides: what fills it.
_STAR_RIDES: Final = {
    "ride_id": "ride_id",
    "rider_key": "rider_key",
    "bike_serial": "bike_serial",
    "started_at": "started_at",
    "started_local_at": "started_local_at",
    "started_on": "started_local_at::date",
    "started_hour": "extract(hour FROM started_local_at)",
    "started_weekday": "extract(isodow FROM started_local_at)",
    **{figure.name: figure.name for figure in FIGURES if figure.in_star},
    "mean_power_watts_per_kg": "mean_power_watts / weight_kg",
    "zone_1_s": "below_2",
    "zone_2_s": "below_3 - below_2",
    "zone_3_s": "below_4 - below_3",
    "zone_4_s": "below_5 - below_4",
    "zone_5_s": "counted - below_5",
    "rider_gender": "rider_gender",
    "rider_age_band": "rider_age_band",
    "rider_joined_month": "rider_joined_month",
    "months_since_joining": (
        "12 * (extract(year FROM started_local_at) - extract(year FROM rider_joined_month)) "
        "+ extract(month FROM started_local_at) - extract(month FROM rider_joined_month)"
    ),
}
_STAR_MINUTES: Final = ("ride_id", "minute", *(figure.name for figure in MINUTE_FIGURES))
# Readings may have grown too old since, and be gone: what they once told stays.
_FROM_OLD_READINGS: Final = frozenset(f"zone_{zone.number}_s" for zone in ZONES)


def _renewed(columns: Iterable[str], kept: Container[str] = ()) -> str:
    """How a row that is there already takes the new values; those `kept` only where there are."""
    return ",\n        ".join(
        f"{name} = coalesce(excluded.{name}, former.{name})"
        if name in kept
        else f"{name} = excluded.{name}"
        for name in columns
    )


_READINGS_OF_CHOSEN = readings_of_ride("chosen.ride_id", "chosen.started_at")

_FILL = f"""
WITH chosen AS MATERIALIZED (
    SELECT rides.*, k.rider_key, nullif(greatest(riders.weight_kg, 0), 0) AS weight_kg,
           {GENDER} AS rider_gender,
           CASE WHEN b.age_years IS NULL THEN 'unknown'
                ELSE ($8::text[])[width_bucket(b.age_years, $9::int[]) + 1]
                END AS rider_age_band,
           date_trunc('month', riders.account_created_on::timestamp) AS rider_joined_month,
           rides.started_at AT TIME ZONE $2 AS started_local_at, b.*
    FROM rides
    LEFT JOIN riders USING (rider_id)
    LEFT JOIN star_riders k USING (rider_id)
    CROSS JOIN LATERAL (
        SELECT {age_in_ride("$2")} AS years
        -- Once a ride, not once for each age that it is compared with.
        OFFSET 0
    ) age
    LEFT JOIN unnest($3::int[], $4::int[], $5::int[], $6::int[], $7::int[])
        AS b (age_years, zone_2_bpm, zone_3_bpm, zone_4_bpm, zone_5_bpm)
        ON b.age_years = age.years
    WHERE rides.ride_id = ANY($1::bigint[]) AND rides.ended_at IS NOT NULL
), minutes AS MATERIALIZED (
    SELECT chosen.ride_id, floor(extract(epoch FROM readings.at - started_at) / 60)::int AS minute,
           {of_readings(MINUTE_FIGURES)},
           count(*) FILTER (WHERE readings.heart_rate_bpm < zone_2_bpm) AS below_2,
           count(*) FILTER (WHERE readings.heart_rate_bpm < zone_3_bpm) AS below_3,
           count(*) FILTER (WHERE readings.heart_rate_bpm < zone_4_bpm) AS below_4,
           count(*) FILTER (WHERE readings.heart_rate_bpm < zone_5_bpm) AS below_5,
           count(zone_5_bpm) AS known
    FROM chosen
    CROSS JOIN LATERAL {readings_for_figures(_READINGS_OF_CHOSEN)}
    GROUP BY 1, 2
), zones AS (
    SELECT ride_id, sum(heart_rate_count) AS counted, sum(below_2) AS below_2,
           sum(below_3) AS below_3, sum(below_4) AS below_4, sum(below_5) AS below_5
    FROM minutes GROUP BY ride_id HAVING sum(known) > 0
), stored AS (
    INSERT INTO star_rides AS former ({", ".join(_STAR_RIDES)})
    SELECT {", ".join(_STAR_RIDES.values())}
    FROM chosen LEFT JOIN zones USING (ride_id)
    ON CONFLICT (ride_id) DO UPDATE SET
        {_renewed(_STAR_RIDES, _FROM_OLD_READINGS)}
)
INSERT INTO star_reading_minutes ({", ".join(_STAR_MINUTES)})
SELECT {", ".join(_STAR_MINUTES)} FROM minutes
ON CONFLICT (ride_id, minute) DO UPDATE SET
    {_renewed(_STAR_MINUTES)}
"""  # noqa: S608 - names of columns and SQL of our own

_RESUMED = """
DELETE FROM star_rides USING rides
WHERE star_rides.ride_id = rides.ride_id AND rides.ride_id = ANY($1::bigint[])
AND rides.ended_at IS NULL
"""

_DONE = """
DELETE FROM star_changes WHERE change_id = ANY($1::bigint[])
AND (ride_id = ANY($2::bigint[]) OR NOT EXISTS (
    SELECT FROM rides WHERE rides.ride_id = star_changes.ride_id
))
"""


class Refreshed(Struct, frozen=True):
    """What a refresh did: rides brought up to date, and rides that were in use and must wait."""

    ride_count: int
    skipped_count: int


@functools.cache
def zone_bounds() -> tuple[list[int], ...]:
    """Parallel lists: ages in years, and for each the first whole bpm of zones 2, 3, 4 and 5.

    Heart rates are whole numbers: what is below a bound here is exactly what `zone_of` puts
    below it.
    """
    ages = list(PLAUSIBLE_AGES)
    bounds = [_first_bpm_of_zones(expected_maximum_bpm(age)) for age in ages]
    return ages, *(list(column) for column in zip(*bounds, strict=True))


def _first_bpm_of_zones(maximum_bpm: float) -> list[int]:
    numbers = [zone_of(bpm, maximum_bpm).number for bpm in range(HIGHEST_BPM)]
    return [numbers.index(zone.number) for zone in ZONES[1:]]


async def refresh(
    pool: asyncpg.Pool, time_zone: str, *, batch_rides: int = BATCH_RIDES
) -> Refreshed:
    """Bring the star up to date: rides that ended, went on or were amended since the last time.

    Each batch is a transaction, so that a refresh that is interrupted goes on where it was. Where
    two run at once they take turns. A batch that takes too long is halved, and so are those after.
    """
    await _note_change_of_zone(pool, time_zone)
    rides = skipped = last_change = 0
    while True:
        try:
            batch = await _refresh_batch(pool, time_zone, last_change, batch_rides)
        except (asyncpg.QueryCanceledError, TimeoutError):
            if batch_rides == 1:
                raise
            batch_rides //= 2
            continue
        if batch is None:
            return Refreshed(rides, skipped)
        last_change, done, left = batch
        rides, skipped = rides + done, skipped + left


async def _note_change_of_zone(pool: asyncpg.Pool, time_zone: str) -> None:
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(_TIME_ZONE_CHANGED, time_zone):
            await connection.execute(_NOTE_ALL)


async def _refresh_batch(
    pool: asyncpg.Pool, time_zone: str, after: int, batch_rides: int
) -> tuple[int, int, int] | None:
    """The last change that it took up, rides brought up to date, changes left; None: no more."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_TAKE_TURN)
        changes = await connection.fetch(_TAKE, after, batch_rides)
        if not changes:
            await tell_bikes(connection)
            await place_riders(connection, time_zone)
            await count_groups(connection, time_zone)
            await connection.execute("UPDATE star_refreshes SET refreshed_at = now()")
            return None
        return changes[-1]["change_id"], *await _refresh_rides(connection, changes, time_zone)


async def _refresh_rides(
    connection: Connection, changes: Sequence[asyncpg.Record], time_zone: str
) -> tuple[int, int]:
    asked = list({change["ride_id"] for change in changes})
    riders = [row["rider_id"] for row in await connection.fetch(_HOLD_RIDERS, asked)]
    held = [row["ride_id"] for row in await connection.fetch(_HOLD_RIDES, asked, riders)]
    await connection.execute(_NAME_RIDERS, riders)
    await connection.execute(_RESUMED, held)
    bands = (AGE_BANDS, BAND_STARTS)
    await connection.execute(_FILL, held, time_zone, *zone_bounds(), *bands)
    numbers = [change["change_id"] for change in changes]
    await connection.execute(f"SET LOCAL deloton.star_fill = {FILL_VERSION}")
    await connection.execute(_DONE, numbers, held)
    left = await connection.fetchval(
        "SELECT count(*) FROM star_changes WHERE change_id = ANY($1::bigint[])", numbers
    )
    return len(held), left
