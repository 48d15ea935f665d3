"""EDGE: rides begin, go on and end; the totals of an ended one are computed in SQL."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Double, cast, func
from sqlalchemy.dialects.postgresql import asyncpg as postgresql

from deloton.assembly import Ride, Started
from deloton.database import Connection
from deloton.power import (
    DEVIATION_WATTS,
    FASTEST_CADENCE_RPM,
    HIGHEST_RESISTANCE,
    fitted_power_watts,
)
from deloton.tables import readings

_STORE_RIDES = """
INSERT INTO rides AS known (bike_serial, started_at, rider_id)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bigint[])
ON CONFLICT (bike_serial, started_at)
DO UPDATE SET rider_id = coalesce(known.rider_id, excluded.rider_id)
RETURNING ride_id, bike_serial, started_at, ended_at
"""


def _deviates() -> str:
    """The condition that a reading's power is measured and not what the other two give."""
    resistance, cadence_rpm = readings.c.resistance, readings.c.cadence_rpm
    fitted = fitted_power_watts(cast(resistance, Double), cast(cadence_rpm, Double))
    condition = (
        (resistance <= HIGHEST_RESISTANCE)
        & (cadence_rpm <= FASTEST_CADENCE_RPM)
        & (func.abs(readings.c.power_watts - func.greatest(fitted, 0.0)) > DEVIATION_WATTS)
    )
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(condition.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


# A run of consecutive seconds: those whose number in the ride runs ahead of their number in the
# list by the same. A second of which a half is missing says nothing, and breaks the run.
_END_RIDES = f"""
UPDATE rides SET
    ended_at = ended.at,
    end_reason = ended.reason,
    reading_count = total.reading_count,
    duration_s = total.duration_s,
    mean_heart_rate_bpm = total.mean_heart_rate_bpm,
    max_heart_rate_bpm = total.max_heart_rate_bpm,
    heart_rate_count = total.heart_rate_count,
    mean_cadence_rpm = total.mean_cadence_rpm,
    max_cadence_rpm = total.max_cadence_rpm,
    mean_power_watts = total.mean_power_watts,
    max_power_watts = total.max_power_watts,
    total_power_watts = total.total_power_watts,
    energy_kj = total.total_power_watts / 1000,
    mean_resistance = total.mean_resistance,
    power_deviation_s = deviation.longest_s
FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::timestamptz[])
    AS ended (ride_id, at, reason, span_from, span_to)
CROSS JOIN LATERAL (
    SELECT count(*) AS reading_count,
           coalesce(max(elapsed_s), 0) AS duration_s,
           avg(heart_rate_bpm) AS mean_heart_rate_bpm,
           max(heart_rate_bpm) AS max_heart_rate_bpm,
           count(heart_rate_bpm) AS heart_rate_count,
           avg(cadence_rpm) AS mean_cadence_rpm,
           max(cadence_rpm) AS max_cadence_rpm,
           avg(power_watts) AS mean_power_watts,
           max(power_watts) AS max_power_watts,
           coalesce(sum(power_watts), 0) AS total_power_watts,
           avg(resistance) AS mean_resistance,
           array_agg(elapsed_s) FILTER (WHERE {_deviates()}) AS deviating
    FROM readings
    WHERE readings.ride_id = ended.ride_id
    AND readings.at BETWEEN ended.span_from AND ended.span_to
) total
CROSS JOIN LATERAL (
    SELECT coalesce(max(run.seconds), 0) AS longest_s FROM (
        SELECT count(*) AS seconds FROM (
            SELECT elapsed_s - row_number() OVER (ORDER BY elapsed_s) AS ahead
            FROM unnest(total.deviating) AS deviating (elapsed_s)
        ) numbered GROUP BY ahead
    ) run
) deviation
WHERE rides.ride_id = ended.ride_id
RETURNING rides.ride_id
"""  # noqa: S608 - numbers of ours and names of columns

_RESUME_RIDES = """
UPDATE rides SET
    ended_at = NULL, end_reason = NULL, reading_count = NULL, duration_s = NULL,
    mean_heart_rate_bpm = NULL, max_heart_rate_bpm = NULL, heart_rate_count = NULL,
    mean_cadence_rpm = NULL, max_cadence_rpm = NULL, mean_power_watts = NULL,
    max_power_watts = NULL, total_power_watts = NULL, energy_kj = NULL, mean_resistance = NULL,
    power_deviation_s = NULL
WHERE ride_id = ANY($1::bigint[])
"""

_ENDED_RIDE = """
SELECT greatest(ended_at, $2) AS ended_at, end_reason,
       least(started_at, min(at)) AS span_from, greatest(started_at, max(at)) AS span_to
FROM rides LEFT JOIN readings USING (ride_id)
WHERE ride_id = $1 AND ended_at IS NOT NULL GROUP BY rides.ride_id
"""

# A ride that somebody deleted while it went on takes its late readings with it.
_DROP_ORPHANS = "DELETE FROM readings WHERE ride_id = ANY($1::bigint[])"


async def begin_rides(connection: Connection, started: Sequence[Started]) -> None:
    """Store rides and give each its `ride_id`; one that is told again is in progress again."""
    rides = {(start.ride.bike_serial, start.ride.started_at): start.ride for start in started}
    keys = sorted(rides)
    rows = await connection.fetch(
        _STORE_RIDES,
        [serial for serial, _ in keys],
        [started_at for _, started_at in keys],
        [rides[key].rider_id for key in keys],
    )
    told_again = [row["ride_id"] for row in rows if row["ended_at"] is not None]
    if told_again:
        await connection.execute(_RESUME_RIDES, told_again)
    ids = {(row["bike_serial"], row["started_at"]): row["ride_id"] for row in rows}
    for start in started:
        start.ride.ride_id = ids[start.ride.bike_serial, start.ride.started_at]


async def settle_rides(connection: Connection, rides: Sequence[Ride]) -> None:
    """Store which rides have ended, with their totals, and which go on after all."""
    resumed = [ride.ride_id for ride in rides if ride.ended_at is None]
    if resumed:
        await connection.execute(_RESUME_RIDES, resumed)
    ended = [ride for ride in rides if ride.ended_at is not None]
    if not ended:
        return
    spans = [ride.span for ride in ended]
    rows = await connection.fetch(
        _END_RIDES,
        [ride.ride_id for ride in ended],
        [ride.ended_at for ride in ended],
        [ride.end_reason for ride in ended],
        [first for first, _ in spans],
        [last for _, last in spans],
    )
    deleted = {ride.ride_id for ride in ended} - {row["ride_id"] for row in rows}
    if deleted:
        await connection.execute(_DROP_ORPHANS, list(deleted))


async def recount_ride(connection: Connection, ride_id: int, amended_at: datetime) -> None:
    """Total a ride that has ended anew, after a reading of it was amended."""
    row = await connection.fetchrow(_ENDED_RIDE, ride_id, amended_at)
    if row is not None:
        columns = ("ended_at", "end_reason", "span_from", "span_to")
        await connection.fetch(_END_RIDES, [ride_id], *([row[column]] for column in columns))
