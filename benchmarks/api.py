"""How quickly one process of the API answers, with a million rides and five million readings.

The load comes from wrk (Debian and Homebrew call it so) over loopback: one connection for the
time of an answer, 32 for requests a second.
"""

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from benchmarks.system import ROOT, machine
from deloton.migrate import migrate
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from demo.ports import LOCALHOST, free_port
from demo.processes import Program, inherit_environment

DAYS = 100
RIDERS = 50_000
BIKES = 5_000
RIDE_SECONDS = 500

_FILL = """
INSERT INTO bikes SELECT 'SN' || n FROM generate_series(0, {bikes} - 1) n;
INSERT INTO riders (
    rider_id, first_name, last_name, gender, born_on, town, weight_kg, seen_at
)
SELECT n, 'Ada', 'Example', (ARRAY['female', 'male'])[n % 2 + 1], date '1950-01-01' + n % 18000,
       'Town ' || n % 300, 50 + n % 50, '2026-03-02Z'
FROM generate_series(0, {riders} - 1) n;
INSERT INTO rides (
    ride_id, rider_id, bike_serial, started_at, ended_at, end_reason, reading_count, duration_s,
    mean_heart_rate_bpm, max_heart_rate_bpm, heart_rate_count, mean_cadence_rpm, max_cadence_rpm,
    mean_power_watts, max_power_watts, total_power_watts, energy_kj, mean_resistance
)
SELECT n, n * 7919 % {riders}, 'SN' || n % {bikes}, at, at + interval '500 s', 'silence', 500, 500,
       120, 150, 400, 60, 90, n * 31 % 300, n * 17 % 1400, n * 13 % 90000, n * 13 % 90000 / 1e3, 30
FROM generate_series(1, {rides}::bigint) n
CROSS JOIN LATERAL (
    SELECT timestamptz '2026-01-01Z' + n * interval '1 day' * {days} / {rides} AS at
) began;
INSERT INTO rides (ride_id, rider_id, bike_serial, started_at)
SELECT {rides} + 1 + n, n, 'SN' || n, timestamptz '2026-04-11 12:00Z' + n * interval '1 s'
FROM generate_series(0, 49) n;
SELECT setval(pg_get_serial_sequence('rides', 'ride_id'), {rides} + 1000);
"""
_PARTITION = """
CREATE TABLE readings_{name} PARTITION OF readings FOR VALUES
FROM (timestamptz '2026-01-01Z' + {day} * interval '1 day')
TO (timestamptz '2026-01-02Z' + {day} * interval '1 day')
"""
# Every so-many-th ride has its seconds, through all the days.
_READINGS = """
INSERT INTO readings
SELECT ride_id, started_at + s * interval '1 s', s, 100 + s % 60, 60, 30, 100 + s % 300
FROM rides, generate_series(1, {seconds}) s WHERE ride_id % {every} = 0 OR ended_at IS NULL
"""


@dataclass(frozen=True)
class Load:
    """One kind of request: an address with %d for the number of a ride that has readings."""

    name: str
    address: str


LOADS = (
    Load("100 rides", "/v1/rides"),
    Load("100 rides of a day by energy", "/v1/rides?date=2026-02-10&sort=-energy_kj"),
    Load("100 rides of a bike", "/v1/rides?bike=SN77"),
    Load("one ride with zones and best powers", "/v1/rides/%d"),
    Load("its 500 readings", "/v1/rides/%d/readings"),
    Load("its readings by the minute", "/v1/rides/%d/readings?resolution_s=60"),
    Load("one rider", "/v1/riders/77"),
    Load("a day of 10,000 rides", "/v1/daily?date=2026-02-10"),
    Load("leaders of a week of 70,000 rides", "/v1/leaderboard?period=week&date=2026-02-10"),
    Load("leaders since ever", "/v1/leaderboard?period=all"),
    Load("50 rides in progress", "/v1/live"),
)

_SCRIPT = """
math.randomseed(7)
wrk.headers["Authorization"] = "Bearer {key}"
request = function()
    local number = math.random(1, {count}) * {every}
    return wrk.format("GET", (string.gsub("{address}", "%%d", tostring(number))))
end
"""


async def fill(url: str, rides: int, readings: int) -> int:
    """Store the rows; return which rides have readings: every so-many-th."""
    every = rides * RIDE_SECONDS // readings
    connection = await asyncpg.connect(url, command_timeout=600)
    await connection.execute(_FILL.format(rides=rides, riders=RIDERS, bikes=BIKES, days=DAYS))
    for day in range(DAYS + 1):
        await connection.execute(_PARTITION.format(name=f"day{day}", day=day))
    await connection.execute(_READINGS.format(seconds=RIDE_SECONDS, every=every))
    await connection.execute("VACUUM ANALYZE")
    count = await connection.fetchval("SELECT count(*) FROM readings")
    await connection.close()
    print(f"{rides:,} rides and {count:,} readings in {DAYS + 2} partitions\n")
    return every


@contextmanager
def running_api(guardian: Guardian, url: str, folder: Path) -> Iterator[tuple[str, str]]:
    """One process of the API and a key that may read: its address, and the key."""
    port = free_port()
    environment = inherit_environment(DATABASE_URL=url, PORT=str(port), LOG_LEVEL="WARNING")
    made = subprocess.run(
        [
            *(sys.executable, "-m", "api.keys", "create", "--name", "bench"),
            *("--requests-per-minute", "1000000"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    program = Program(
        guardian, "api", [sys.executable, "-m", "api"], folder / "api.log", environment=environment
    )
    program.start()
    address = f"http://{LOCALHOST}:{port}"
    try:
        wait_until_ready(address, program)
        yield address, made.stdout.strip()
    finally:
        program.stop()


def wait_until_ready(address: str, program: Program) -> None:
    """Return when the API answers."""
    while True:
        try:
            httpx.get(f"{address}/health/ready").raise_for_status()
            return
        except httpx.TransportError:
            if not program.running:
                raise RuntimeError(program.explain_end()) from None
        time.sleep(0.1)


def wrk(script: Path, address: str, *, connections: int, seconds: int) -> str:
    """What wrk prints; raises where an answer was no 200."""
    done = subprocess.run(
        [
            *("wrk", "--latency", "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{seconds}s", "--timeout", "20s", "--script", script, address),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    if "Non-2xx" in done.stdout or "Requests/sec:" not in done.stdout:
        raise RuntimeError(done.stdout)
    return done.stdout


def percentile_ms(printed: str, percent: int) -> float:
    """A percentile of the times that wrk printed."""
    found = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s)$", printed, re.MULTILINE)
    if found is None:
        raise ValueError(printed)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def measure(load: Load, address: str, key: str, numbers: tuple[int, int], seconds: int) -> str:
    """A row of the table."""
    count, every = numbers
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT.format(key=key, address=load.address, count=count, every=every))
        script.flush()
        path = Path(script.name)
        wrk(path, address, connections=1, seconds=1)
        alone = wrk(path, address, connections=1, seconds=seconds)
        many = wrk(path, address, connections=32, seconds=seconds)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", many)
    assert rate is not None  # noqa: S101  looked for before
    p50, p99 = percentile_ms(alone, 50), percentile_ms(alone, 99)
    return f"| {load.name} | {p50:.1f} | {p99:.1f} | {float(rate[1]):,.0f} |"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rides", type=int, default=1_000_000)
    parser.add_argument("--readings", type=int, default=5_000_000)
    parser.add_argument("--seconds", type=int, default=4, help="for each figure")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk, or brew install wrk.")
    with (
        tempfile.TemporaryDirectory() as folder,
        Guardian() as guardian,
        EmbeddedPostgres(guardian) as postgres,
    ):
        url = postgres.create_database("api")
        migrate(url)
        print(machine())
        every = asyncio.run(fill(url, options.rides, options.readings))
        numbers = (options.rides // every, every)
        with running_api(guardian, url, Path(folder)) as (address, key):
            print("| request | p50 ms | p99 ms | requests/s |\n|---|--:|--:|--:|")
            for load in LOADS:
                print(measure(load, address, key, numbers, options.seconds), flush=True)


if __name__ == "__main__":
    main()
