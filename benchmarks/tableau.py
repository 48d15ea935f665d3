"""What analysts wait for: the workbook's questions and an extract, with a million rides.

Rides, riders and minutes are made by SQL: of a million rides nobody here has the readings. What a
refresh takes is measured apart, on fewer rides that have all theirs. Beside the seconds stand those
in which a core worked for the session: they tell most where others use the machine too.
"""

import argparse
import asyncio
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil

from benchmarks.system import machine
from deloton.migrate import migrate
from deloton.store.database import Connection, connect_pool
from deloton.store.star import refresh
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


class Cost(NamedTuple):
    """What some work took: seconds, and those in which the server's process was at work."""

    seconds: float
    cpu_s: float


async def cost_of(session: int, work: Callable[[], Awaitable[object]]) -> Cost:
    """What it takes, where all of it is done by the session of this process number."""
    server = psutil.Process(session)
    begun, worked_s = time.monotonic(), sum(server.cpu_times()[:2])
    await work()
    return Cost(time.monotonic() - begun, sum(server.cpu_times()[:2]) - worked_s)


async def fill(connection: Connection, rides: int) -> None:
    """Riders, bikes, rides and alerts; no reading."""
    for _, statement in _FILL:
        await connection.execute(statement.format(riders=RIDERS, bikes=BIKES, rides=rides))


async def measure_refresh(url: str) -> Cost:
    """What a refresh takes whose rides have all their readings."""
    pool = await connect_pool(url, size=1, application="bench")
    async with pool.acquire() as connection:
        await fill(connection, REFRESHED_RIDES)
        await connection.execute(_READINGS.format(readings=READINGS_A_RIDE))
        await connection.execute("ANALYZE")
        session = connection.get_server_pid()
    cost = await cost_of(session, lambda: refresh(pool, "Europe/London"))
    await pool.close()
    return cost


async def prepare(url: str, rides: int) -> float:
    """Fill the star with so many rides; return the seconds of taking them up."""
    pool = await connect_pool(url, size=1, application="bench")
    async with pool.acquire() as connection:
        await connection.execute("SET statement_timeout = 0")
        await fill(connection, rides)
        await connection.execute("ANALYZE")
    begun = time.monotonic()
    await refresh(pool, "Europe/London", batch_rides=20_000)
    seconds = time.monotonic() - begun
    async with pool.acquire() as connection:
        await connection.execute(_MINUTES.format(minutes=MINUTES_A_RIDE), timeout=600)
        await connection.execute("VACUUM ANALYZE", timeout=600)
    await pool.close()
    return seconds


async def ask(url: str) -> dict[str, list[Cost]]:
    """What each sheet's question takes, several times."""
    connection = await asyncpg.connect(url, server_settings={"role": "tableau_reader"})
    session = connection.get_server_pid()
    found: dict[str, list[Cost]] = {}
    for sheet in SHEETS:
        question = functools.partial(connection.fetch, question_of(sheet))
        found[sheet.title] = [await cost_of(session, question) for _ in range(RUNS)]
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
        seconds, cpu_s = asyncio.run(measure_refresh(refreshed))
        print(
            f"refresh: {REFRESHED_RIDES:,} rides of {READINGS_A_RIDE} readings in {seconds:.1f} s"
        )
        rates = [f"{REFRESHED_RIDES / each:,.0f} rides/s" for each in (seconds, cpu_s)]
        print(f"= {rates[0]}; {rates[1]} of a core's time", flush=True)
        migrate(star)
        taken = asyncio.run(prepare(star, options.rides))
        print(f"{options.rides:,} rides without readings taken up in {taken:.0f} s", flush=True)
        print("\n| question | slowest s | of a core |\n|---|--:|--:|")
        for title, costs in asyncio.run(ask(star)).items():
            slowest = Cost(*map(max, zip(*costs, strict=True)))
            print(f"| {title} | {slowest.seconds:.2f} | {slowest.cpu_s:.2f} |", flush=True)
        seconds, size_mb = extract(star)
        print(f"\nextract: {seconds:.1f} s, {size_mb:.0f} MB")


if __name__ == "__main__":
    main()
