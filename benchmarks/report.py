"""How long a day's report takes, PDF and all, with 100,000 rides on each of the eight days.

Each run is a process of its own, as it is in production: what is timed is all of it, from the
start of Python to the PDF on the disk, and the memory is that process's most.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import asyncpg

from benchmarks.system import machine
from deloton.migrate import migrate
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from demo.processes import inherit_environment
from reporter.days import day_in
from reporter.queries import count_period
from reporter.summary import Summary, summarise

ZONE = ZoneInfo("Europe/London")
ON = date(2026, 3, 10)
RIDERS = 60_000
BIKES = 20_000
RUNS = 5

_BIKES = "INSERT INTO bikes SELECT 'SN' || n FROM generate_series(0, $1::int - 1) n"

_RIDERS = """
INSERT INTO riders (
    rider_id, first_name, last_name, gender, born_on, town, original_source, seen_at
)
SELECT n, 'Ada', 'Example', (ARRAY['female', 'male'])[n % 2 + 1], date '1950-01-01' + n % 18000,
       'Town ' || n % 300, (ARRAY['direct', 'offline', 'google ads'])[n % 3 + 1], now()
FROM generate_series(0, $1::int - 1) n
"""

# 7919 has no divisor in common with the riders: all of them ride, in no order.
_RIDES = """
INSERT INTO rides (
    rider_id, bike_serial, started_at, ended_at, end_reason, reading_count, duration_s,
    mean_heart_rate_bpm, heart_rate_count, mean_power_watts, max_power_watts,
    total_power_watts, energy_kj, power_deviation_s
)
SELECT n * 7919 % $2, 'SN' || n % $3, at, at + interval '400 s', 'silence', 400, 400,
       120, 330, 60, 500, 24000, 24, CASE WHEN n % 1000 = 0 THEN 60 ELSE 0 END
FROM generate_series(0, 8 * $1::bigint - 1) n
CROSS JOIN LATERAL (SELECT timestamptz '2026-03-03 00:00Z' + n * interval '1 day' / $1 AS at) began
"""

# Some in each quarter of an hour of each partition, for three reasons.
_REFUSED_LINES = """
INSERT INTO refused_lines
SELECT timestamptz '2026-03-03 00:00Z' + n * interval '15 minutes', 'deloton', partition, reason, 10
FROM generate_series(0, 8 * 96 - 1) n, generate_series(0, 11) partition,
     unnest(ARRAY['not_json', 'no_ride', 'unknown_line']) reason
"""


async def fill(connection: asyncpg.Connection, rides: int) -> None:
    """Store eight days of so many rides each."""
    await connection.execute(_BIKES, BIKES)
    await connection.execute(_RIDERS, RIDERS)
    await connection.execute(_RIDES, rides, RIDERS, BIKES)
    await connection.execute(_REFUSED_LINES)
    await connection.execute("ANALYZE")


async def fill_and_count(url: str, rides: int) -> tuple[list[float], Summary]:
    """Store the days, then count and compare the last several times; the seconds of each."""
    connection = await asyncpg.connect(url, command_timeout=300)
    await fill(connection, rides)
    day = day_in(ZONE, ON)
    seconds, summaries = [], []
    for _ in range(RUNS):
        begun = time.monotonic()
        summaries.append(summarise(day, await count_period(connection, day)))
        seconds.append(time.monotonic() - begun)
    await connection.close()
    return seconds, summaries[-1]


def time_reports(url: str) -> list[float]:
    """Draw the report several times by its command; the seconds of each."""
    seconds = []
    with TemporaryDirectory() as folder:
        out = Path(folder) / "report.pdf"
        command = [sys.executable, "-m", "reporter", "--dry-run", f"--date={ON}", f"--out={out}"]
        for _ in range(RUNS):
            begun = time.monotonic()
            subprocess.run(
                command, env=inherit_environment(DATABASE_URL=url), check=True, capture_output=True
            )
            seconds.append(time.monotonic() - begun)
            print(f"report of {out.stat().st_size / 1024:.0f} kB in {seconds[-1]:.2f} s")
    return seconds


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rides", type=int, default=100_000)
    options = parser.parse_args()
    with Guardian() as guardian, EmbeddedPostgres(guardian) as postgres:
        url = postgres.create_database("report")
        migrate(url)
        counting, summary = asyncio.run(fill_and_count(url, options.rides))
        drawing = time_reports(url)
        # Of all that has ended so far: PostgreSQL still runs, and its small programs are smaller.
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    assert {day.rides for day in (*summary.past, summary.totals)} == {options.rides}  # noqa: S101
    print(f"\n{machine()}\n\n| {options.rides:,} rides a day | slowest s | fastest s | peak MB |")
    print("|---|--:|--:|--:|")
    for what, seconds, peak in (
        ("counting alone", counting, ""),
        ("the whole report, PDF and all", drawing, f"{peak_mb:.0f}"),
    ):
        print(f"| {what} | {max(seconds):.2f} | {min(seconds):.2f} | {peak} |")


if __name__ == "__main__":
    main()
