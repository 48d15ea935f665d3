"""How long after a line was sent its row can be seen, while a whole fleet rides live.

The fleet is the simulator's. Probe bikes of our own ride among them: for each of their readings
we note when its Telemetry line was sent, and another connection looks for the row until it sees it.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import asyncpg
import psutil
from aiokafka import AIOKafkaProducer

from benchmarks.system import (
    RAW_TOPIC,
    ROOT,
    System,
    cpu_seconds,
    machine,
    running_system,
)

PROBES = 100
LOOK_EVERY_S = 0.02
WARM_UP_S = 20


def line(text: str, at: datetime) -> bytes:
    """One message of a probe bike."""
    return json.dumps({"log": f"{at:%Y-%m-%d %H:%M:%S.%f} mendoza v9: {text}\n"}).encode()


async def ride_probe(
    producer: AIOKafkaProducer, number: int, until: float, sent: dict[datetime, float]
) -> None:
    """Ride one probe bike; note each Telemetry line's stamp and when it was sent."""
    key = f"PROBE{number:03}".encode()
    await asyncio.sleep(number / PROBES)
    now = datetime.now(UTC)
    data = json.dumps({"user_id": number, "bike_serial": key.decode()})
    await producer.send(RAW_TOPIC, line(f"[SYSTEM] data = {data}", now), key=key)
    second = 0
    while time.monotonic() < until:
        second += 1
        text = f"[INFO]: Ride - duration = {second}.0; resistance = 30"
        await producer.send(RAW_TOPIC, line(text, datetime.now(UTC)), key=key)
        await asyncio.sleep(0.5)
        at = datetime.now(UTC)
        text = "[INFO]: Telemetry - hrt = 120; rpm = 60; power = 55.5"
        sent[at] = time.monotonic()
        await producer.send(RAW_TOPIC, line(text, at), key=key)
        await asyncio.sleep(0.5)


async def watch_rows(url: str, sent: dict[datetime, float], until: float) -> list[float]:
    """Look for the probes' rows until they are seen; return the seconds each took."""
    connection = await asyncpg.connect(url)
    delays = []
    rides: list[int] = []
    while time.monotonic() < until:
        if len(rides) < PROBES:
            query = "SELECT ride_id FROM rides WHERE bike_serial LIKE 'PROBE%'"
            rides = [row["ride_id"] for row in await connection.fetch(query)]
        oldest = min(sent, default=None)
        if oldest is not None:
            query = "SELECT at FROM readings WHERE ride_id = ANY($1::bigint[]) AND at >= $2"
            rows = await connection.fetch(query, rides, oldest)
            now = time.monotonic()
            delays += [now - sent.pop(row["at"]) for row in rows if row["at"] in sent]
        await asyncio.sleep(LOOK_EVERY_S)
    await connection.close()
    return delays


async def probe(system: System, url: str, seconds: float) -> tuple[list[float], int]:
    """Ride all probes for so long; return the delays, and how many rows were never seen."""
    sent: dict[datetime, float] = {}
    until = time.monotonic() + seconds
    async with AIOKafkaProducer(bootstrap_servers=system.broker.bootstrap_servers) as producer:
        riding = [ride_probe(producer, number, until, sent) for number in range(PROBES)]
        watching = asyncio.create_task(watch_rows(url, sent, until + 5))
        await asyncio.gather(*riding)
        return await watching, len(sent)


@contextlib.contextmanager
def program(
    system: System, url: str, *command: str, **environment: str
) -> Iterator[psutil.Process]:
    """Run a service beside us."""
    child = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=system.environment(DATABASE_URL=url, **environment),
        cwd=ROOT,
    )
    try:
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(30)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bikes", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    fleet = ("bike_simulator", "--bikes", str(options.bikes), "--back-to-back", "--live")
    with running_system() as system:
        url = system.fresh_database()
        with (
            program(system, url, "ingestor") as worker,
            program(system, url, *fleet) as simulator,
        ):
            time.sleep(WARM_UP_S)
            processes = {
                "ingestor": worker,
                "simulator": simulator,
                "broker": psutil.Process(system.broker.pid),
                "PostgreSQL": psutil.Process(system.postgres.pid),
                "probe (this program)": psutil.Process(),
            }
            before = {name: cpu_seconds(process) for name, process in processes.items()}
            begun = time.monotonic()
            delays, unseen = asyncio.run(probe(system, url, options.seconds))
            seconds = time.monotonic() - begun
            used = {name: cpu_seconds(each) - before[name] for name, each in processes.items()}
    report(options.bikes, delays, unseen, {name: cpu / seconds for name, cpu in used.items()})


def report(bikes: int, delays: list[float], unseen: int, cores: dict[str, float]) -> None:
    """Print the delays in milliseconds and the share of a core that each process took."""
    percentiles = statistics.quantiles(delays, n=100)
    print(f"{bikes:,} bikes live, {len(delays):,} probe readings; {machine()}\n")
    print("| p50 ms | p99 ms | max ms | never seen |\n|--:|--:|--:|--:|")
    print(
        f"| {percentiles[49] * 1000:.0f} | {percentiles[98] * 1000:.0f} "
        f"| {max(delays) * 1000:.0f} | {unseen} |\n"
    )
    print("| process | of a core |\n|---|--:|")
    for name, share in cores.items():
        print(f"| {name} | {share:.0%} |")


if __name__ == "__main__":
    main()
