"""What following the rides in progress costs one process of the API, with 50,000 of them.

Each ride gets a reading a second. Listeners of the whole (`all`) or of one bike each (`bike`) take
what comes, compressed, as browsers ask for it. Of the API's process the main thread, in which its
event loop runs, is told apart from the threads that compress.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import psutil

from benchmarks.api import Api, make_key, running
from benchmarks.system import machine
from deloton.migrate import migrate
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian

# How long each ride has been under way.
SECONDS = 60
# So many steps after somebody began, pictures are no more on their way.
SETTLED = 5
# The last event of a step tells after how long to reconnect; its id is the first thing in it, and
# that may be the first of a piece.
STEP_ENDS = b"\nretry: "
# Of so many rides a first picture takes seconds; five steps follow.
BEGUN_WITHIN_S = 300
ROWS = (("all", 0), ("all", 1), ("all", 20), ("all", 50), ("bike", 100))

_FILL = """
INSERT INTO bikes SELECT 'SN' || n FROM generate_series(1, {rides}) n;
INSERT INTO riders (rider_id, gender, born_on, town, seen_at)
SELECT n, 'female', date '1950-01-01' + n % 18000, 'Town ' || n % 300, now()
FROM generate_series(1, {rides}) n;
INSERT INTO rides (rider_id, bike_serial, started_at)
SELECT n, 'SN' || n, now() - interval '{seconds} s' FROM generate_series(1, {rides}) n;
"""
_PARTITION = """
CREATE TABLE readings_{name} PARTITION OF readings
FOR VALUES FROM (date 'today' + {day}) TO (date 'today' + {day} + 1)
"""
# As the ingestor stores them: those of a second after those of the second before.
_READINGS = """
INSERT INTO readings
SELECT ride_id, started_at + s * interval '1 s', s, 100 + (ride_id + s) % 60, 60 + s % 30, 30,
       (ride_id * 7 + s) % 300 + 0.962429663
FROM generate_series($1::int, $2::int) s, rides
"""


async def fill(url: str, rides: int) -> None:
    """Store rides in progress with their readings until now."""
    connection = await asyncpg.connect(url, command_timeout=600)
    await connection.execute(_FILL.format(rides=rides, seconds=SECONDS))
    for day in (-1, 0, 1):
        await connection.execute(_PARTITION.format(name=f"day{day + 1}", day=day))
    await connection.execute(_READINGS, 1, SECONDS)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


class Rider:
    """Stores a reading of every ride each second, in a process of PostgreSQL's own."""

    def __init__(self, url: str) -> None:
        """Begin after what is stored."""
        self._url = url
        self._second = SECONDS

    @asynccontextmanager
    async def riding(self) -> AsyncIterator[None]:
        """Ride until left."""
        connection = await asyncpg.connect(self._url, command_timeout=60)
        task = asyncio.create_task(self._ride(connection))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await connection.close()

    async def _ride(self, connection: asyncpg.Connection) -> None:
        while True:
            begun = time.monotonic()
            self._second += 1
            await connection.execute(_READINGS, self._second, self._second)
            await asyncio.sleep(max(0.0, begun + 1.0 - time.monotonic()))


@dataclass
class Heard:
    """What listeners have taken; steps are counted by one of them."""

    taken_bytes: int = 0
    steps: int = 0
    health_ms: list[float] = field(default_factory=list)


async def listen(
    address: str, key: str, path: str, heard: Heard, begun: asyncio.Event, *, counts: bool
) -> None:
    """Take what comes; `begun` is set with the first of it, or the fifth step where they count."""
    unpacked, line_begun = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), b""
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "gzip"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=60) as client,
        client.stream("GET", f"{address}{path}") as answer,
    ):
        answer.raise_for_status()
        async for piece in answer.aiter_raw():
            heard.taken_bytes += len(piece)
            if counts:
                plain = line_begun + unpacked.decompress(piece)
                heard.steps += plain.count(STEP_ENDS)
                line_begun = plain[-len(STEP_ENDS) + 1 :]
            if not counts or heard.steps >= SETTLED:
                begun.set()


async def ask_for_health(address: str, heard: Heard) -> None:
    """Ask ten times a second how the process is: what its event loop is busy with, delays it."""
    async with httpx.AsyncClient() as client:
        while True:
            begun = time.perf_counter()
            (await client.get(f"{address}/health/live")).raise_for_status()
            heard.health_ms.append(1e3 * (time.perf_counter() - begun))
            await asyncio.sleep(0.1)


async def all_begun(
    begun: Sequence[asyncio.Event], listening: Sequence[asyncio.Task[None]]
) -> None:
    """Wait until all have begun; raise what a listener failed of, or `TimeoutError`."""
    async with asyncio.timeout(BEGUN_WITHIN_S):
        for event in begun:
            waiting = asyncio.create_task(event.wait())
            await asyncio.wait([waiting, *listening], return_when=asyncio.FIRST_COMPLETED)
            for task in listening:
                if task.done():
                    task.result()
            await waiting


def cpu_s(process: psutil.Process) -> tuple[float, float]:
    """Processor time of the main thread, and of all."""
    times = {each.id: each.user_time + each.system_time for each in process.threads()}
    return times[process.pid], sum(times.values())


@contextmanager
def served(guardian: Guardian, url: str) -> Iterator[Api]:
    """A process of the API."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running(guardian, url, Path(folder), "api") as api,
    ):
        yield api


async def measure(guardian: Guardian, url: str, kind: str, listeners: int, seconds: float) -> str:
    """A row of the table: a process of the API, and so many listeners."""
    key, heard, rider = make_key(url), Heard(), Rider(url)
    with served(guardian, url) as (address, process):
        async with rider.riding():
            paths = [
                "/v1/live/stream" + (f"?bike=SN{n + 1}" if kind == "bike" else "")
                for n in range(listeners)
            ]
            begun = [asyncio.Event() for _ in paths]
            tasks = [
                asyncio.create_task(
                    listen(address, key, path, heard, event, counts=event is begun[0])
                )
                for path, event in zip(paths, begun, strict=True)
            ]
            await all_begun(begun, tasks)
            watching = asyncio.create_task(ask_for_health(address, heard))
            before, at = cpu_s(process), time.monotonic()
            heard.taken_bytes = heard.steps = 0
            await asyncio.sleep(seconds)
            took_s = time.monotonic() - at
            after = cpu_s(process)
            for task in (watching, *tasks):
                task.cancel()
            await asyncio.wait([watching, *tasks])
    loop, whole = (1e3 * (b - a) / took_s for a, b in zip(before, after, strict=True))
    each = heard.taken_bytes / took_s / max(1, listeners) / 1e3
    health = sorted(heard.health_ms)
    return (
        f"| {kind} | {listeners} | {loop:.1f} | {whole:.1f} | {each:,.1f} | "
        f"{heard.steps / took_s:.2f} | {statistics.median(health):.1f} | {health[-1]:.0f} |"
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rides", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each row")
    parser.add_argument("--rows", type=int, default=len(ROWS), help="so many of the table's")
    options = parser.parse_args()
    with Guardian() as guardian, EmbeddedPostgres(guardian) as postgres:
        print(f"{options.rides:,} rides in progress; {machine()}\n")
        print(
            "| listeners of | number | event loop ms/s | process ms/s | each kB/s | steps/s", end=""
        )
        print(" | health p50 ms | max ms |\n|---|--:|--:|--:|--:|--:|--:|--:|")
        for kind, listeners in ROWS[: options.rows]:
            url = postgres.create_database(f"live_{kind}_{listeners}")
            migrate(url)
            asyncio.run(fill(url, options.rides))
            print(asyncio.run(measure(guardian, url, kind, listeners, options.seconds)), flush=True)
            postgres.drop_database(url.rpartition("/")[2])
        print(f"\nload of the machine: {' '.join(f'{each:.1f}' for each in os.getloadavg())}")


if __name__ == "__main__":
    main()
