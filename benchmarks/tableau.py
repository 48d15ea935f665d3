"""What analysts wait for: the workbook's questions and an extract, with a million rides.

Rides, riders and minutes are made by SQL: of a million rides nobody here has the readings. What a
refresh takes is measured apart, on fewer rides that have all theirs.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from benchmarks.system import machine
from deloton.analytics import refresh
from deloton.database import Connection, connect_pool
from deloton.migrate import migrate
from deloton_tableau.questions import question_of
from deloton_tableau.sheets import SHEETS
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian

RIDERS = 100_000
BIKES = 20_000
RUNS = 3
MINUTES_A_RIDE = 7
REFRESHED_RIDES = 5_000
READINGS_A_RIDE = 400

_FILL = (
    ("bikes", "INSERT INTO bikes SELECT 'SN' || n FROM generate_series(0, {bikes} - 1) n"),
    (
        "riders",
        """
        INSERT INTO riders (rider_id, gender, born_on, town, postcode, account_created_on,
                            weight_kg, original_source, seen_at)
        SELECT n, (ARRAY['female', 'male'])[n % 2 + 1], date '1950-01-01' + n % 18000,
               'Town ' || n % 300, 'EX4 4MP', date '2022-01-01' + n % 1500, 60 + n % 40,
               (ARRAY['direct', 'offline', 'google ads'])[n % 3 + 1], now()
        FROM generate_series(0, {riders} - 1) n
        """,
    ),
    (
        "rides",
        """
        INSERT INTO rides (rider_id, bike_serial, started_at, ended_at, end_reason, reading_count,
            duration_s, mean_heart_rate_bpm, heart_rate_count, mean_power_watts, max_power_watts,
            total_power_watts, energy_kj)
        SELECT n * 7919 % {riders}, 'SN' || n % {bikes}, at, at + interval '400 s', 'silence',
               400, 400, 100 + n % 60, 330, 60 + n % 90, 500 + n % 500, 24000, 24 + n % 30
        FROM generate_series(0, {rides}::bigint - 1) n
        CROSS JOIN LATERAL (
            SELECT timestamptz '2025-03-01 00:00Z' + n * interval '365 days' / {rides} AS at
        ) began
        """,
    ),
    (
        "alerts",
        """
        INSERT INTO heart_rate_alerts (ride_id, rider_id, level, measured_at, heart_rate_bpm,
                                       limit_bpm, limit_rule, state, settled_at)
        SELECT ride_id, rider_id, 'high', started_at + interval '99 s', 170, 165, 'rule', 'sent',
               started_at + interval '100 s'
        FROM rides WHERE ride_id % 100 = 0
        """,
    ),
)

_MINUTES = """
INSERT INTO star_reading_minutes
SELECT ride_id, minute, 60, 50, 120, 140, 60, 30, 70, 400, 4.2
FROM star_rides CROSS JOIN generate_series(0, {minutes} - 1) minute
"""

_READINGS = """
INSERT INTO readings
SELECT ride_id, started_at + second * interval '1.00004 s', second,
       CASE WHEN second % 6 > 0 THEN 90 + (ride_id + second) % 90 END, 60, 30, 70.5
FROM rides CROSS JOIN generate_series(1, {readings}) second
"""


async def seconds_of(work: Callable[[], Awaitable[object]]) -> float:
    """How long it takes."""
    begun = time.monotonic()
    await work()
    return time.monotonic() - begun


async def fill(connection: Connection, rides: int) -> None:
    """Riders, bikes, rides and alerts; no reading."""
    for _, statement in _FILL:
        await connection.execute(statement.format(riders=RIDERS, bikes=BIKES, rides=rides))


async def measure_refresh(url: str) -> float:
    """Seconds that a refresh takes whose rides have all their readings."""
    pool = await connect_pool(url, size=1, application="bench")
    async with pool.acquire() as connection:
        await fill(connection, REFRESHED_RIDES)
        await connection.execute(_READINGS.format(readings=READINGS_A_RIDE))
        await connection.execute("ANALYZE")
    seconds = await seconds_of(lambda: refresh(pool, "Europe/London"))
    await pool.close()
    return seconds


async def prepare(url: str, rides: int) -> float:
    """Fill the star with so many rides; return what taking them up took."""
    pool = await connect_pool(url, size=1, application="bench")
    async with pool.acquire() as connection:
        await connection.execute("SET statement_timeout = 0")
        await fill(connection, rides)
        await connection.execute("ANALYZE")
    seconds = await seconds_of(lambda: refresh(pool, "Europe/London", batch_rides=20_000))
    async with pool.acquire() as connection:
        await connection.execute(_MINUTES.format(minutes=MINUTES_A_RIDE), timeout=600)
        await connection.execute("VACUUM ANALYZE", timeout=600)
    await pool.close()
    return seconds


async def ask(url: str, workers: int) -> dict[str, list[float]]:
    """Seconds of each question, several times, with so many parallel workers allowed."""
    questions = [(sheet.title, question_of(sheet)) for sheet in SHEETS]
    connection = await asyncpg.connect(
        url,
        server_settings={"max_parallel_workers_per_gather": str(workers), "role": "tableau_reader"},
    )
    found = {
        title: [
            await seconds_of(lambda query=query: connection.fetch(query))  # type: ignore[misc]
            for _ in range(RUNS)
        ]
        for title, query in questions
    }
    await connection.close()
    return found


def extract(url: str) -> tuple[float, float]:
    """Seconds and megabytes of an extract, as `make tableau-extract` writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deloton.hyper"
        begun = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "deloton_tableau", "extract", str(path)],
            env={**os.environ, "DATABASE_URL": url},
            check=True,
            stderr=subprocess.DEVNULL,
        )
        return time.monotonic() - begun, path.stat().st_size / 1e6


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rides", type=int, default=1_000_000)
    options = parser.parse_args()
    with Guardian() as guardian, EmbeddedPostgres(guardian) as postgres:
        refreshed, star = (postgres.create_database(name) for name in ("refreshed", "star"))
        migrate(refreshed)
        print(machine(), flush=True)
        seconds = asyncio.run(measure_refresh(refreshed))
        rate = REFRESHED_RIDES / seconds
        print(
            f"refresh: {REFRESHED_RIDES:,} rides of {READINGS_A_RIDE} readings in {seconds:.1f} s"
        )
        print(f"= {rate:,.0f} rides/s, {rate * READINGS_A_RIDE:,.0f} readings/s", flush=True)
        migrate(star)
        taken = asyncio.run(prepare(star, options.rides))
        print(f"{options.rides:,} rides without readings taken up in {taken:.0f} s", flush=True)
        alone, shared = (asyncio.run(ask(star, workers)) for workers in (0, 2))
        print("\n| question | slowest s | with 2 parallel workers |\n|---|--:|--:|")
        for title, each in alone.items():
            print(f"| {title} | {max(each):.2f} | {max(shared[title]):.2f} |", flush=True)
        seconds, size_mb = extract(star)
        print(f"\nextract: {seconds:.1f} s, {size_mb:.0f} MB")


if __name__ == "__main__":
    main()
