"""The servers a benchmark runs on, a backlog for it to work off, and how programs are watched."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from deloton.migrate import migrate
from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from demo.ports import free_port

RAW_TOPIC = "deloton"
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class System:
    """An embedded PostgreSQL and broker on this machine."""

    postgres: EmbeddedPostgres
    broker: EmbeddedBroker
    partitions: int

    def fresh_database(self) -> str:
        """The address of a new, migrated database."""
        url = self.postgres.create_database(f"bench_{time.monotonic_ns()}")
        migrate(url)
        return url

    def environment(self, **extra: str) -> dict[str, str]:
        """What a service needs to find its servers."""
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
            "METRICS_PORT": str(free_port()),
            "SESSION_TIMEOUT_S": "3",
            "LOG_LEVEL": "WARNING",
            **extra,
        }


@contextmanager
def running_system(partitions: int = 12) -> Iterator[System]:
    """Start the servers and make the raw topic; stop them afterwards."""
    with (
        Guardian() as guardian,
        EmbeddedPostgres(guardian) as postgres,
        EmbeddedBroker(guardian) as broker,
    ):
        asyncio.run(broker.create_topic(RAW_TOPIC, partitions))
        yield System(postgres, broker, partitions)


def produce_backlog(system: System, bikes: int, lines: int) -> int:
    """Let back-to-back bikes ride until they have sent about `lines`; return how many it was."""
    seconds = max(1, lines // (2 * bikes))
    command = [
        "bike_simulator",
        "--no-live",
        "--back-to-back",
        *("--bikes", str(bikes)),
        *("--start", "2026-03-02T09:00:00"),
        *("--duration", f"{seconds}s"),
    ]
    subprocess.run(
        [sys.executable, "-m", *command],
        env=system.environment(),
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return asyncio.run(settled_length(system))


async def settled_length(system: System) -> int:
    """The topic's length, once two looks agree: the broker tells of new records a little late."""
    consumer = AIOKafkaConsumer(bootstrap_servers=system.broker.bootstrap_servers)
    await consumer.start()
    partitions = [TopicPartition(RAW_TOPIC, number) for number in range(system.partitions)]
    try:
        before = -1
        now = 0
        while not now or now != before:
            before = now
            await asyncio.sleep(2)
            now = sum((await consumer.end_offsets(partitions)).values())
        return now
    finally:
        await consumer.stop()


@dataclass(frozen=True)
class Measured:
    """One contender's work: lines (or rows) in so many seconds, and what it took."""

    name: str
    count: int
    seconds: float
    cpu_seconds: float
    peak_mb: float

    @property
    def per_second(self) -> float:
        """Lines or rows a second."""
        return self.count / self.seconds


def measure_program(
    name: str,
    command: list[str],
    environment: Mapping[str, str],
    *,
    total: int,
    progress: Callable[[], int] | None = None,
    longest_s: float = 600.0,
) -> Measured:
    """Run a Python program until it has done `total` or has worked for `longest_s`.

    How far it is comes from `progress`, or else from the last line it has written to standard
    output. Counted from the first progress seen: starting up and joining a group cost nothing.
    """
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            [sys.executable, *command], env=environment, cwd=ROOT, stdout=output
        )
        try:
            return _watch(name, child, progress or (lambda: _last_number(output)), total, longest_s)
        finally:
            child.terminate()
            child.wait(30)


def _watch(
    name: str,
    child: "subprocess.Popen[bytes]",
    progress: Callable[[], int],
    total: int,
    longest_s: float,
) -> Measured:
    process = psutil.Process(child.pid)
    begun = peak_mb = 0.0
    while not (first := progress()):
        if child.poll() is not None:
            raise RuntimeError(f"{name} ended by itself with {child.returncode}")
        time.sleep(0.01)
    begun, cpu_before = time.monotonic(), cpu_seconds(process)
    done = first
    while done < total and time.monotonic() < begun + longest_s:
        time.sleep(0.02)
        done = progress()
        peak_mb = max(peak_mb, process.memory_info().rss / 1e6)
        if child.poll() is not None:
            raise RuntimeError(f"{name} ended by itself with {child.returncode}")
    seconds = time.monotonic() - begun
    return Measured(name, done - first, seconds, cpu_seconds(process) - cpu_before, peak_mb)


def _last_number(output: IO[bytes]) -> int:
    size = os.fstat(output.fileno()).st_size
    lines = os.pread(output.fileno(), 4096, max(0, size - 4096)).split(b"\n")
    return int(lines[-2]) if len(lines) > 1 and lines[-2].isdigit() else 0


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process so far, and of its children but for our own."""
    family = [process]
    if process.pid != os.getpid():
        family += process.children(recursive=True)
    times = [each.cpu_times() for each in family]
    return float(sum(each.user + each.system for each in times))


def machine() -> str:
    """What was measured on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown processor",
    )
    memory_gb = psutil.virtual_memory().total / 2**30
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{psutil.cpu_count()} cores ({model}), {memory_gb:.0f} GB, Python {version}"
