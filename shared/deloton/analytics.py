"""SHELL: fill the star that analysts see: `python -m deloton.analytics refresh`.

Schema `analytics` is views of tables called `star_…`. A ride enters them after it has ended and
when this runs next: only rides that changed since are looked at, each ride's readings once. What
is deleted leaves at once, with the rows it was made from. `--every 60` goes on, once a minute.

`python -m deloton.analytics password` lets the role `tableau_reader` log in, with the password
in `TABLEAU_READER_PASSWORD`.
"""

import argparse
import asyncio
import contextlib
import functools
import signal
import sys
from collections.abc import Sequence

import asyncpg
from msgspec import Struct
from pydantic import SecretStr

from deloton.age_bands import AGE_BANDS, BAND_STARTS
from deloton.cloudwatch import tell_done
from deloton.database import Connection, connect_pool, is_transient
from deloton.errors import SettingsError
from deloton.heart_rate import PLAUSIBLE_AGES, ZONES, expected_maximum_bpm, zone_of
from deloton.logs import configure_logging, get_logger
from deloton.retries import until_it_works
from deloton.ride_figures import AFTER_START, BEFORE_START
from deloton.roles import set_password
from deloton.settings import CloudWatchSettings, DatabaseSettings

_log = get_logger(__name__)

BATCH_RIDES = 2_000
# Above every heart rate that a reading can hold.
HIGHEST_BPM = 1_000

# Any number that nothing else in the database locks.
_LOCK = 0x73746172

_TIME_ZONE_CHANGED = """
UPDATE star_refreshes SET time_zone = $1 WHERE time_zone <> $1 RETURNING time_zone
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

_FILL = """
WITH chosen AS MATERIALIZED (
    SELECT r.*, k.rider_key, nullif(greatest(p.weight_kg, 0), 0) AS weight_kg,
           coalesce(p.gender, 'unknown') AS rider_gender,
           CASE WHEN b.age_years IS NULL THEN 'unknown'
                ELSE ($10::text[])[width_bucket(b.age_years, $11::int[]) + 1]
                END AS rider_age_band,
           date_trunc('month', p.account_created_on::timestamp) AS rider_joined_month,
           r.started_at AT TIME ZONE $2 AS started_local_at, b.*
    FROM rides r
    LEFT JOIN riders p USING (rider_id)
    LEFT JOIN star_riders k USING (rider_id)
    CROSS JOIN LATERAL (
        SELECT (
            to_char(r.started_at AT TIME ZONE 'UTC', 'YYYYMMDD')::int
            - to_char(p.born_on, 'YYYYMMDD')::int
        ) / 10000 AS years
        -- Once a ride, not once for each age that it is compared with.
        OFFSET 0
    ) age
    LEFT JOIN unnest($3::int[], $4::int[], $5::int[], $6::int[], $7::int[])
        AS b (age_years, zone_2_bpm, zone_3_bpm, zone_4_bpm, zone_5_bpm)
        ON b.age_years = age.years
    WHERE r.ride_id = ANY($1::bigint[]) AND r.ended_at IS NOT NULL
), minutes AS MATERIALIZED (
    SELECT chosen.ride_id,
           floor(extract(epoch FROM at - started_at) / 60)::int AS minute,
           count(*) AS reading_count,
           count(heart_rate_bpm) AS heart_rate_count,
           avg(heart_rate_bpm) AS mean_heart_rate_bpm,
           max(heart_rate_bpm) AS max_heart_rate_bpm,
           avg(cadence_rpm) AS mean_cadence_rpm,
           avg(resistance) AS mean_resistance,
           avg(power_watts) AS mean_power_watts,
           max(power_watts) AS max_power_watts,
           sum(power_watts) / 1000 AS energy_kj,
           count(*) FILTER (WHERE heart_rate_bpm < zone_2_bpm) AS zone_1_s,
           count(*) FILTER (WHERE heart_rate_bpm < zone_3_bpm) AS zone_2_s,
           count(*) FILTER (WHERE heart_rate_bpm < zone_4_bpm) AS zone_3_s,
           count(*) FILTER (WHERE heart_rate_bpm < zone_5_bpm) AS zone_4_s,
           count(zone_5_bpm) AS known
    FROM chosen
    CROSS JOIN LATERAL (
        SELECT * FROM readings
        WHERE readings.ride_id = chosen.ride_id
        AND at BETWEEN started_at - $8::interval AND started_at + $9::interval
    ) near
    GROUP BY 1, 2
), zones AS (
    SELECT ride_id, sum(heart_rate_count) AS counted, sum(zone_1_s) AS below_2,
           sum(zone_2_s) AS below_3, sum(zone_3_s) AS below_4, sum(zone_4_s) AS below_5
    FROM minutes GROUP BY ride_id HAVING sum(known) > 0
), stored AS (
    INSERT INTO star_rides AS former
    SELECT ride_id, rider_key, bike_serial, started_at, started_local_at, started_local_at::date,
           extract(hour FROM started_local_at), duration_s, reading_count, heart_rate_count,
           mean_heart_rate_bpm, max_heart_rate_bpm, mean_cadence_rpm, max_cadence_rpm,
           mean_resistance, mean_power_watts, max_power_watts, mean_power_watts / weight_kg,
           energy_kj, below_2, below_3 - below_2, below_4 - below_3, below_5 - below_4,
           counted - below_5, power_deviation_s, extract(isodow FROM started_local_at),
           rider_gender, rider_age_band, rider_joined_month,
           12 * (extract(year FROM started_local_at) - extract(year FROM rider_joined_month))
           + extract(month FROM started_local_at) - extract(month FROM rider_joined_month)
    FROM chosen LEFT JOIN zones USING (ride_id)
    ON CONFLICT (ride_id) DO UPDATE SET
        rider_key = excluded.rider_key,
        started_local_at = excluded.started_local_at,
        started_on = excluded.started_on,
        started_hour = excluded.started_hour,
        duration_s = excluded.duration_s,
        reading_count = excluded.reading_count,
        heart_rate_count = excluded.heart_rate_count,
        mean_heart_rate_bpm = excluded.mean_heart_rate_bpm,
        max_heart_rate_bpm = excluded.max_heart_rate_bpm,
        mean_cadence_rpm = excluded.mean_cadence_rpm,
        max_cadence_rpm = excluded.max_cadence_rpm,
        mean_resistance = excluded.mean_resistance,
        mean_power_watts = excluded.mean_power_watts,
        max_power_watts = excluded.max_power_watts,
        mean_power_watts_per_kg = excluded.mean_power_watts_per_kg,
        energy_kj = excluded.energy_kj,
        -- Readings may have grown too old since, and be gone.
        zone_1_s = coalesce(excluded.zone_1_s, former.zone_1_s),
        zone_2_s = coalesce(excluded.zone_2_s, former.zone_2_s),
        zone_3_s = coalesce(excluded.zone_3_s, former.zone_3_s),
        zone_4_s = coalesce(excluded.zone_4_s, former.zone_4_s),
        zone_5_s = coalesce(excluded.zone_5_s, former.zone_5_s),
        power_deviation_s = excluded.power_deviation_s,
        started_weekday = excluded.started_weekday,
        rider_gender = excluded.rider_gender,
        rider_age_band = excluded.rider_age_band,
        rider_joined_month = excluded.rider_joined_month,
        months_since_joining = excluded.months_since_joining
)
INSERT INTO star_reading_minutes
SELECT ride_id, minute, reading_count, heart_rate_count, mean_heart_rate_bpm, max_heart_rate_bpm,
       mean_cadence_rpm, mean_resistance, mean_power_watts, max_power_watts, energy_kj
FROM minutes
ON CONFLICT (ride_id, minute) DO UPDATE SET
    reading_count = excluded.reading_count,
    heart_rate_count = excluded.heart_rate_count,
    mean_heart_rate_bpm = excluded.mean_heart_rate_bpm,
    max_heart_rate_bpm = excluded.max_heart_rate_bpm,
    mean_cadence_rpm = excluded.mean_cadence_rpm,
    mean_resistance = excluded.mean_resistance,
    mean_power_watts = excluded.mean_power_watts,
    max_power_watts = excluded.max_power_watts,
    energy_kj = excluded.energy_kj
"""

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


class AnalyticsSettings(DatabaseSettings, CloudWatchSettings):
    """What the refresh reads from its environment; the password is for its own command."""

    tableau_reader_password: SecretStr | None = None


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
    two run at once they take turns.
    """
    async with pool.acquire() as connection:
        async with connection.transaction():
            if await connection.fetchval(_TIME_ZONE_CHANGED, time_zone):
                await connection.execute(_NOTE_ALL)
        rides = skipped = last_change = 0
        while True:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                changes = await connection.fetch(_TAKE, last_change, batch_rides)
                if not changes:
                    await connection.execute("UPDATE star_refreshes SET refreshed_at = now()")
                    return Refreshed(rides, skipped)
                last_change = changes[-1]["change_id"]
                done, left = await _refresh_rides(connection, changes, time_zone)
                rides, skipped = rides + done, skipped + left


async def _refresh_rides(
    connection: Connection, changes: Sequence[asyncpg.Record], time_zone: str
) -> tuple[int, int]:
    asked = list({change["ride_id"] for change in changes})
    riders = [row["rider_id"] for row in await connection.fetch(_HOLD_RIDERS, asked)]
    held = [row["ride_id"] for row in await connection.fetch(_HOLD_RIDES, asked, riders)]
    await connection.execute(_NAME_RIDERS, riders)
    await connection.execute(_RESUMED, held)
    near, bands = (BEFORE_START, AFTER_START), (AGE_BANDS, BAND_STARTS)
    await connection.execute(_FILL, held, time_zone, *zone_bounds(), *near, *bands)
    numbers = [change["change_id"] for change in changes]
    await connection.execute(_DONE, numbers, held)
    left = await connection.fetchval(
        "SELECT count(*) FROM star_changes WHERE change_id = ANY($1::bigint[])", numbers
    )
    return len(held), left


async def run_refresh(settings: AnalyticsSettings, every_s: float | None) -> None:
    """Refresh once, or every so many seconds until SIGTERM or SIGINT."""
    url = settings.database_url.get_secret_value()
    pool = await connect_pool(url, size=1, application="analytics")
    try:
        while True:
            done = await until_it_works(
                "database",
                lambda: refresh(pool, settings.time_zone),
                passes_by_itself=is_transient,
            )
            tell_done(settings.cloudwatch_namespace, "analytics")
            if done.ride_count or not every_s:
                _log.info("star refreshed", rides=done.ride_count, skipped=done.skipped_count)
            if not every_s:
                return
            await asyncio.sleep(every_s)
    finally:
        await pool.close()


async def _until_signal(settings: AnalyticsSettings, every_s: float | None) -> None:
    work = asyncio.ensure_future(run_refresh(settings, every_s))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _set_password(settings: AnalyticsSettings) -> None:
    if settings.tableau_reader_password is None:
        raise SettingsError("TABLEAU_READER_PASSWORD: Field required")
    url = settings.database_url.get_secret_value()
    pool = await connect_pool(url, size=1, application="analytics")
    try:
        password = settings.tableau_reader_password.get_secret_value()
        await set_password(pool, "tableau_reader", password)
    finally:
        await pool.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(prog="python -m deloton.analytics")
    commands = parser.add_subparsers(dest="command", required=True)
    refreshing = commands.add_parser("refresh", help="bring the analysts' star up to date")
    refreshing.add_argument("--every", type=float, metavar="S", help="go on, every S seconds")
    commands.add_parser("password", help="set tableau_reader's password from the environment")
    options = parser.parse_args(arguments)
    try:
        settings = AnalyticsSettings.from_environment()
        configure_logging(settings.log_level)
        if options.command == "refresh":
            asyncio.run(_until_signal(settings, options.every))
        else:
            asyncio.run(_set_password(settings))
            _log.info("password set", role="tableau_reader")
    except SettingsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
