"""The servers a benchmark runs on, a backlog for it to work off, and how programs are watched."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
# Nothing for so long: the topic is read to its end.
QUIET_MS = 2_000
LOOK_AT_MEMORY_S = 0.2


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
    return asyncio.run(length_of(RAW_TOPIC, system.broker.bootstrap_servers))


async def length_of(topic: str, bootstrap_servers: str) -> int:
    """How many records lie in a topic: read from the ends that the broker tells until no more come.

    The embedded broker tells of ends that lie up to a producer's batch before the last record.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
    await consumer.start()
    try:
        await consumer.topics()
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise LookupError(f"the broker does not know the topic {topic}")
        partitions = [TopicPartition(topic, number) for number in numbers]
        told = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        for partition, end in told.items():
            consumer.seek(partition, end)
        while await consumer.getmany(timeout_ms=QUIET_MS):
            pass
        return sum([await consumer.position(partition) for partition in partitions])
    finally:
        await consumer.stop()


@dataclass(frozen=True)
class Measured:
    """One contender's work: lines (or rows) in so many seconds, and what it took.

    `peak_mb` is of the program and what it started; `servers_cpu_seconds` of the servers watched.
    """

    name: str
    count: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    servers_cpu_seconds: float = 0.0

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
    program: str = sys.executable,
    servers: Sequence[int] = (),
) -> Measured:
    """Run a program, by itself a Python, until it has done `total` or has worked for `longest_s`.

    How far it is comes from `progress`, or else from the last line it has written to standard
    output. Counted from the first progress seen: starting up and joining a group cost nothing.
    What the processes of these numbers, the `servers`, work meanwhile is counted beside it.
    """
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen([program, *command], env=environment, cwd=ROOT, stdout=output)
        work = Work(name, total, longest_s, progress or (lambda: _last_number(output)))
        try:
            return _watch(child, work, [psutil.Process(number) for number in servers])
        finally:
            child.terminate()
            child.wait(30)


@dataclass(frozen=True)
class Work:
    """What a program has to do, and how its progress is seen."""

    name: str
    total: int
    longest_s: float
    progress: Callable[[], int]


def _watch(
    child: "subprocess.Popen[bytes]", work: Work, servers: Sequence[psutil.Process]
) -> Measured:
    process = psutil.Process(child.pid)
    while not (first := work.progress()):
        _still_runs(child, work.name)
        time.sleep(0.01)
    begun, cpu_before = time.monotonic(), cpu_seconds(process)
    servers_before = sum(map(cpu_seconds_with_ended, servers))
    done, peak_mb, look_at = first, 0.0, begun
    while done < work.total and time.monotonic() < begun + work.longest_s:
        time.sleep(0.02)
        done = work.progress()
        if time.monotonic() >= look_at:
            peak_mb = max(peak_mb, memory_mb(process))
            look_at = time.monotonic() + LOOK_AT_MEMORY_S
        _still_runs(child, work.name)
    return Measured(
        work.name,
        done - first,
        time.monotonic() - begun,
        cpu_seconds(process) - cpu_before,
        peak_mb,
        sum(map(cpu_seconds_with_ended, servers)) - servers_before,
    )


def _still_runs(child: "subprocess.Popen[bytes]", name: str) -> None:
    if child.poll() is not None:
        raise RuntimeError(f"{name} ended by itself with {child.returncode}")


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


def cpu_seconds_with_ended(server: psutil.Process) -> float:
    """The same of a server, its processes that have ended included: PostgreSQL's old sessions."""
    ended = server.cpu_times()
    return cpu_seconds(server) + float(ended.children_user + ended.children_system)


def memory_mb(process: psutil.Process) -> float:
    """What a process and those that it started hold of memory now."""
    held = 0
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            held += each.memory_info().rss
    return held / 1e6


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
