"""What rides take packed, beside their rows: bytes, write-ahead log, CPU; and reading one of them.

A simulated fleet rides, with faults; one worker stores its lines, as rows; then all rides that
have ended are packed, and both homes are compared reading by reading.
"""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import asyncpg
import psutil

from benchmarks.ingest import PROGRESS
from benchmarks.system import (
    RAW_TOPIC,
    System,
    cpu_seconds_with_ended,
    length_of,
    machine,
    measure_program,
    running_system,
)
from deloton.store.database import connect_pool
from deloton.store.series import pack_rides

READ_TIMES = 2_000

_ROWS_BYTES = """
SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits
WHERE inhparent = 'readings'::regclass
"""
_SERIES_BYTES = """
SELECT pg_total_relation_size('ride_series') + pg_total_relation_size('bike_powers')
"""
_WAL = "SELECT pg_current_wal_lsn() - '0/0'"
_DIFFERENT = """
SELECT count(*) FROM (
    (SELECT readings.* FROM readings JOIN ride_series USING (ride_id)
     EXCEPT ALL SELECT * FROM packed_readings)
    UNION ALL
    (SELECT * FROM packed_readings
     EXCEPT ALL SELECT readings.* FROM readings JOIN ride_series USING (ride_id))
) AS different
"""
_READ_ROWS = """
SELECT * FROM readings WHERE ride_id = $1 AND at BETWEEN $2 AND $2 + interval '1 day' ORDER BY at
"""
_READ_PACKED = "SELECT * FROM packed_readings WHERE ride_id = $1 ORDER BY at"


@dataclass(frozen=True)
class Cost:
    """What a step took of PostgreSQL, by reading."""

    wal_bytes: float
    cpu_us: float
    seconds: float


@dataclass(frozen=True)
class Result:
    """Both homes of the same readings."""

    reading_count: int
    ride_count: int
    differences: int
    rows_bytes: float
    series_bytes: float
    stored: Cost
    packed: Cost
    read_rows_ms: float
    read_packed_ms: float


async def measure(system: System, bikes: int, hours: float, faults: str) -> Result:
    """Let a fleet ride, store its lines, pack its rides, and look at what each took."""
    ride(system, bikes, hours, faults)
    total = await length_of(RAW_TOPIC, system.broker.bootstrap_servers)
    url = await asyncio.to_thread(system.fresh_database)
    server = psutil.Process(system.postgres.pid)
    async with await connect_pool(url, size=2, application="bench", answer_within_s=None) as pool:
        before = (await pool.fetchval(_WAL), cpu_seconds_with_ended(server), time.monotonic())
        await asyncio.to_thread(store, system, url, total)
        count = await pool.fetchval("SELECT count(*) FROM readings")
        stored = await cost_since(pool, server, before, count)
        await pool.execute("VACUUM ANALYZE")
        before = (await pool.fetchval(_WAL), cpu_seconds_with_ended(server), time.monotonic())
        while await pack_rides(pool, ended_for_s=0):
            pass
        packed_count = await pool.fetchval("SELECT sum(reading_count) FROM ride_series")
        packed = await cost_since(pool, server, before, packed_count)
        await pool.execute("VACUUM ANALYZE")
        rides = await pool.fetch(
            "SELECT ride_id, started_at FROM rides JOIN ride_series USING (ride_id) "
            "WHERE ride_series.reading_count > 400 ORDER BY random() LIMIT $1",
            READ_TIMES,
        )
        return Result(
            packed_count,
            await pool.fetchval("SELECT count(*) FROM ride_series"),
            await pool.fetchval(_DIFFERENT),
            await pool.fetchval(_ROWS_BYTES) / count,
            await pool.fetchval(_SERIES_BYTES) / packed_count,
            stored,
            packed,
            await read_ms(pool, _READ_ROWS, [tuple(ride) for ride in rides]),
            await read_ms(pool, _READ_PACKED, [(ride["ride_id"],) for ride in rides]),
        )


def ride(system: System, bikes: int, hours: float, faults: str) -> None:
    """Send the lines of a fleet that rides for so long."""
    command = ["bike_simulator", "--no-live", "--bikes", str(bikes), "--faults", faults]
    command += ["--start", "2026-03-02T00:00:00", "--duration", f"{hours * 60:.0f}m"]
    subprocess.run(
        [sys.executable, "-m", *command],
        env=system.environment(),
        check=True,
        stderr=subprocess.DEVNULL,
    )


def store(system: System, url: str, total: int) -> None:
    """One worker stores all lines, and leaves packing to us."""
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        connection = loop.run_until_complete(asyncpg.connect(url))
        measure_program(
            "worker",
            ["-m", "ingestor"],
            system.environment(
                DATABASE_URL=url, CONSUMER_GROUP=url.rsplit("/", 1)[1], PACK_AFTER_S="86400"
            ),
            total=total,
            progress=lambda: int(loop.run_until_complete(connection.fetchval(PROGRESS))),
        )
        loop.run_until_complete(connection.close())


async def cost_since(
    pool: asyncpg.Pool, server: psutil.Process, before: tuple[int, float, float], count: int
) -> Cost:
    """What PostgreSQL has written and worked since then, by reading."""
    wal, cpu, at = before
    return Cost(
        float(await pool.fetchval(_WAL) - wal) / count,
        (cpu_seconds_with_ended(server) - cpu) / count * 1e6,
        time.monotonic() - at,
    )


async def read_ms(pool: asyncpg.Pool, query: str, arguments: list[tuple[object, ...]]) -> float:
    """How long a ride's readings take to come, in the median."""
    times = []
    async with pool.acquire() as connection:
        statement = await connection.prepare(query)
        for values in arguments:
            began = time.perf_counter()
            await statement.fetch(*values)
            times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def table(result: Result) -> str:
    """Rows beside series."""
    stored, packed = result.stored, result.packed
    rows = {
        "bytes, indexes included": (result.rows_bytes, result.series_bytes),
        "bytes of write-ahead log": (stored.wal_bytes, packed.wal_bytes),
        "µs of PostgreSQL's CPU, to write": (stored.cpu_us, packed.cpu_us),
        "ms to read a whole ride, median": (result.read_rows_ms, result.read_packed_ms),
    }
    lines = ["| a reading | as rows | packed |", "|---|--:|--:|"]
    lines += [f"| {what} | {one:.2f} | {other:.2f} |" for what, (one, other) in rows.items()]
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bikes", type=int, default=100)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--faults", default="light")
    options = parser.parse_args()
    with running_system() as system:
        result = asyncio.run(measure(system, options.bikes, options.hours, options.faults))
    rate = result.reading_count / result.packed.seconds
    print(f"{machine()}\n")
    print(
        f"{result.reading_count:,} readings of {result.ride_count:,} rides, packed at {rate:,.0f} "
        f"a second; {result.differences} differ\n"
    )
    print(table(result))


if __name__ == "__main__":
    main()
