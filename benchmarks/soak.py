"""Every service at work for an hour: memory must not grow, nor lag, and no log tell of an error.

The demo's services on an Apache Kafka, because the demo's own broker keeps all messages in memory
and takes longer the more there are (`make test-system` fetches the jars). All bikes ride, back to
back. The dashboard's address is printed: `benchmarks.live_page` can look at it meanwhile.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import msgspec
import psutil

from benchmarks.system import cpu_seconds, machine
from demo import settings as chosen
from demo.embedded_postgres import EmbeddedPostgres
from demo.figures import FigureReader, read_or_none
from demo.guardian import Guardian
from demo.launch import PASSWORD, Restartable, migrate
from demo.ports import LOCALHOST, free_port
from demo.processes import inherit_environment
from demo.services import (
    DEAD_LETTERS_TOPIC,
    RAW_TOPIC,
    RAW_TOPIC_PARTITIONS,
    make_services,
    shared_environment,
)
from demo.settings import PORTS, Settings
from tests.kafka.apache_kafka import ApacheKafka

LOOK_EVERY_S = 5.0
# The services start and the fleet sits down: the first rows are of what comes after.
WARM_UP_S = 60.0


@dataclass(frozen=True)
class Look:
    """How things stood at one moment; None where the database did not answer."""

    at_s: float
    lag_lines: int | None
    newest_age_s: float | None
    riding: int | None
    rss_mb: dict[str, float]


@dataclass(frozen=True)
class Soaked:
    """The system that is watched."""

    database_url: str
    bootstrap_servers: str
    logs: Path
    dashboard: str
    programs: dict[str, Restartable]


@contextmanager
def running_services(bikes: int) -> Iterator[Soaked]:
    """Start the servers and every service; stop them when left."""
    with (
        tempfile.TemporaryDirectory(prefix="deloton-soak-") as folder,
        Guardian() as guardian,
        EmbeddedPostgres(guardian, password=PASSWORD) as postgres,
        ApacheKafka(guardian) as kafka,
    ):
        logs = Path(folder)
        asyncio.run(kafka.create_topic(RAW_TOPIC, RAW_TOPIC_PARTITIONS))
        settings = settings_for(bikes, logs)
        url = postgres.create_database("deloton")
        environment = inherit_environment(
            **shared_environment(settings, url, kafka.bootstrap_servers)
        )
        asyncio.run(migrate(guardian, environment, logs))
        programs = {
            service.name: Restartable(guardian, service, environment, logs)
            for service in make_services(settings)
        }
        dashboard = f"http://{LOCALHOST}:{settings.port(chosen.DASHBOARD)}"
        try:
            for program in programs.values():
                program.start()
            yield Soaked(url, kafka.bootstrap_servers, logs, dashboard, programs)
        finally:
            for program in reversed(programs.values()):
                program.stop()


def settings_for(bikes: int, folder: Path) -> Settings:
    """A demo's settings: a fleet that rides live from now on, one heart in a hundred abnormal."""
    return Settings(
        ports={port.variable: free_port() for port in PORTS},
        run_directory=folder,
        bikes=bikes,
        since="1s",
        seed=1,
        faults="light",
        dangerous_share=0.01,
        first_danger="2m",
        back_to_back=True,
        stop_with_parent=False,
    )


async def watch(soaked: Soaked, seconds: float) -> tuple[list[Look], dict[str, float]]:
    """Look every few seconds; what was seen, and each program's share of a core."""
    reader = FigureReader(
        soaked.database_url, soaked.bootstrap_servers, RAW_TOPIC, DEAD_LETTERS_TOPIC
    )
    processes = {name: psutil.Process(one.pid) for name, one in soaked.programs.items()}
    looks = []
    async with reader:
        await asyncio.sleep(WARM_UP_S)
        cpu_before = {name: cpu_seconds(process) for name, process in processes.items()}
        begun = time.monotonic()
        while (elapsed_s := time.monotonic() - begun) < seconds:
            for program in soaked.programs.values():
                if not program.running:
                    raise SystemExit(program.explain_end())
            looks.append(await look(reader, processes, elapsed_s))
            await asyncio.sleep(LOOK_EVERY_S)
    return looks, {
        name: (cpu_seconds(process) - cpu_before[name]) / (time.monotonic() - begun)
        for name, process in processes.items()
    }


async def look(
    reader: FigureReader, processes: dict[str, psutil.Process], elapsed_s: float
) -> Look:
    """One look at everything."""
    figures = await read_or_none(reader)
    return Look(
        elapsed_s,
        figures.lag_lines if figures else None,
        figures.newest_reading_age_s if figures else None,
        figures.riding_now if figures else None,
        {name: process.memory_info().rss / 1e6 for name, process in processes.items()},
    )


def table(looks: list[Look], cores: dict[str, float], slice_s: float) -> str:
    """A row a slice: how many ride, the longest lag, the oldest newest reading, memory."""
    names = list(cores)
    rows = [
        "| minutes | riding | most lag, lines | oldest newest reading s | "
        + " | ".join(f"{name} MB" for name in names)
        + " |",
        "|--:|--:|--:|--:|" + "--:|" * len(names),
    ]
    for number, group in groupby(looks, lambda one: int(one.at_s // slice_s)):
        seen = list(group)
        held = [statistics.median(one.rss_mb[name] for one in seen) for name in names]
        figures = (
            statistics.median(one.riding for one in seen if one.riding is not None),
            max(one.lag_lines for one in seen if one.lag_lines is not None),
            max(one.newest_age_s for one in seen if one.newest_age_s is not None),
        )
        first, last = (round(each * slice_s / 60) for each in (number, number + 1))
        rows.append(
            f"| {first}–{last} | {figures[0]:,.0f} | {figures[1]:,} | {figures[2]:.1f} | "
            + " | ".join(f"{mb:.0f}" for mb in held)
            + " |"
        )
    rows.append("| CPU, of a core | | | | " + " | ".join(f"{cores[n]:.0%}" for n in names) + " |")
    return "\n".join(rows)


def troubles(logs: Path) -> Counter[str]:
    """Warnings and worse of all logs, how often each."""
    found: Counter[str] = Counter()
    for path in sorted(logs.glob("*.log")):
        for line in path.read_text(errors="replace").splitlines():
            try:
                entry = msgspec.json.decode(line, type=dict[str, object])
            except msgspec.DecodeError:
                found[f"{path.stem}: {line[:120]}"] += 1
                continue
            level = entry.get("level")
            if level in {"warning", "error", "critical"}:
                found[f"{path.stem}: {level}: {entry.get('event')}"] += 1
    return found


def main() -> None:
    """Soak and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bikes", type=int, default=5_000)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--slice", type=float, default=10.0, help="minutes a row stands for")
    options = parser.parse_args()
    with running_services(options.bikes) as soaked:
        print(f"The dashboard: {soaked.dashboard}", flush=True)
        looks, cores = asyncio.run(watch(soaked, 60 * options.minutes))
        print(f"\n{options.bikes:,} bikes, {options.minutes:g} minutes; {machine()}\n")
        print(table(looks, cores, 60 * options.slice))
        print("\nWarnings and worse in the logs:")
        print(
            "\n".join(f"{count} × {what}" for what, count in troubles(soaked.logs).items())
            or "none"
        )


if __name__ == "__main__":
    main()
