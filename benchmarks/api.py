"""How quickly one process of the API answers, with a million rides and five million readings.

The load comes from wrk (Debian and Homebrew call it so) over loopback: one connection for the
time of an answer, eight for that of a busy service, 32 for requests a second. In the same run,
on the same rows: the API of other checkouts (`--beside`; each has a database of its own, which it
migrates itself), the plainest API for the page of 100 rides (`plain_api.py`), and PostgreSQL alone
by pgbench with the same question; and the page of 100 rides again while eight whole lists are read
as CSV. With `--packed` what is asked of one ride again once its readings are packed and their rows
gone. Who gave no answer has a row without figures.
"""

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import asyncpg
import httpx
import psutil

from api.contract.answers import View
from api.contract.parameters import RidesParameters
from api.store import queries
from api.store.statements import Question
from benchmarks.system import ROOT, machine
from deloton.store.database import connect_pool
from deloton.store.series import pack_rides
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from demo.ports import LOCALHOST, free_port
from demo.processes import Program, inherit_environment

DAYS = 100
RIDERS = 50_000
BIKES = 5_000
RIDE_SECONDS = 500
TODAY = date(2026, 4, 12)

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

_OF_ONE_RIDE = tuple(load for load in LOADS if "/v1/rides/%d" in load.address)

# Its address, and its process.
Api = tuple[str, psutil.Process]

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


async def pack(url: str, every: int) -> None:
    """Pack the rides that have readings, and leave no row of them."""
    async with await connect_pool(url, size=1, application="bench", answer_within_s=None) as pool:
        await pool.execute(
            "INSERT INTO rides_to_pack (ride_id) SELECT ride_id FROM rides "
            "WHERE ride_id % $1 = 0 AND ended_at IS NOT NULL",
            every,
        )
        while await pack_rides(pool, ended_for_s=0):
            pass
        await pool.execute(
            "DELETE FROM readings USING ride_series AS packed "
            "WHERE packed.ride_id = readings.ride_id"
        )
        await pool.execute("VACUUM ANALYZE")


@contextmanager
def running(
    guardian: Guardian, url: str, folder: Path, module: str, python: str = sys.executable
) -> Iterator[Api]:
    """One process of an API."""
    port = free_port()
    environment = inherit_environment(DATABASE_URL=url, PORT=str(port), LOG_LEVEL="WARNING")
    command = [python, "-m", module]
    program = Program(guardian, module, command, folder / "api.log", environment=environment)
    program.start()
    address = f"http://{LOCALHOST}:{port}"
    try:
        wait_until_ready(address, program)
        yield address, psutil.Process(program.pid)
    finally:
        program.stop()


def make_key(url: str, python: str = sys.executable) -> str:
    """A key that may read as often as it likes, of the checkout whose Python it is."""
    made = subprocess.run(
        [
            *(python, "-m", "api.keys", "create", "--name", "bench"),
            *("--requests-per-minute", "1000000"),
        ],
        env=inherit_environment(DATABASE_URL=url),
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


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


def percentile_ms(printed: str, percent: int) -> float | None:
    """A percentile of the times that wrk printed; None where it got no answer."""
    if not answers_in(printed):
        return None
    found = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", printed, re.MULTILINE)
    if found is None:
        raise ValueError(printed)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}[found[2]]


def answers_in(printed: str) -> int:
    """How many answers wrk got."""
    found = re.search(r"(\d+) requests in", printed)
    if found is None:
        raise ValueError(printed)
    return int(found[1])


@dataclass(frozen=True)
class Figures:
    """What one kind of request takes.

    The time of an answer at one and at eight connections, how many there are a second at 32, and
    the processor time of the API's process for each: other programs do not change the last much.
    None is what nobody can tell, as of answers that did not come.
    """

    p50_ms: float | None
    p99_of_eight_ms: float | None
    a_second: float
    cpu_ms: float | None

    def row(self, *names: str) -> str:
        """A row of the table."""
        told = (
            _told(self.p50_ms, 2),
            _told(self.p99_of_eight_ms, 1),
            f"{self.a_second:,.0f}",
            _told(self.cpu_ms, 2),
        )
        return f"| {' | '.join((*names, *told))} |"


def _told(figure: float | None, places: int) -> str:
    return "–" if figure is None else f"{figure:.{places}f}"


def measure(load: Load, api: Api, key: str, numbers: tuple[int, int], seconds: int) -> Figures:
    """The figures of one kind of request."""
    count, every = numbers
    address, process = api
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT.format(key=key, address=load.address, count=count, every=every))
        script.flush()
        path = Path(script.name)
        wrk(path, address, connections=1, seconds=1)
        alone, eight = (
            wrk(path, address, connections=number, seconds=seconds) for number in (1, 8)
        )
        before = process.cpu_times()
        many = wrk(path, address, connections=32, seconds=seconds)
        after = process.cpu_times()
    rate = re.search(r"Requests/sec:\s+([\d.]+)", many)
    assert rate is not None  # noqa: S101  looked for before
    cpu_s = after.user + after.system - before.user - before.system
    answers = answers_in(many)
    return Figures(
        percentile_ms(alone, 50),
        percentile_ms(eight, 99),
        float(rate[1]),
        1e3 * cpu_s / answers if answers else None,
    )


@contextmanager
def lists_being_read(address: str, keys: list[str], many: int = 8) -> Iterator[None]:
    """Whole lists as CSV, so many at a time, one after another, until left."""
    ended = threading.Event()

    def read(key: str) -> None:
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/csv"}
        with httpx.Client(headers=headers, timeout=60) as client:
            while not ended.is_set():
                with client.stream("GET", f"{address}/v1/rides") as answer:
                    answer.raise_for_status()
                    for _ in answer.iter_raw():
                        if ended.is_set():
                            break

    with ThreadPoolExecutor(many) as readers:
        reading = [readers.submit(read, keys[number % len(keys)]) for number in range(many)]
        try:
            yield
        finally:
            ended.set()
    for each in reading:
        each.result()


def ask_postgres(url: str, seconds: int) -> Figures:
    """What PostgreSQL alone takes for the page of 100 rides that the API asks for."""
    asked = RidesParameters.model_validate({})
    view = View(personal=False, today=TODAY)
    question = queries.rides_page(asked, (None, None), view, of={}, limit=101)
    asyncio.run(_keep_as_view(url, _written_out(question)))

    def pgbench(clients: int, folder: str) -> str:
        log = ["--log", f"--log-prefix={folder}/{clients}"]
        return _pgbench(url, "SELECT told FROM page_of_rides", clients, seconds, log)

    with tempfile.TemporaryDirectory() as folder:
        for clients in (1, 8):
            pgbench(clients, folder)
        alone, eight = (_milliseconds(Path(folder), clients) for clients in (1, 8))
        many = re.search(r"tps = ([\d.]+)", pgbench(32, folder))
    assert many is not None  # noqa: S101  pgbench ends with it
    return Figures(alone[len(alone) // 2], eight[len(eight) * 99 // 100], float(many[1]), None)


async def _keep_as_view(url: str, sql: str) -> None:
    """Under a name: pgbench takes a colon in a statement for a variable of its own."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE VIEW page_of_rides AS {sql}")
    await connection.close()


def _written_out(asked: Question) -> str:
    """A question with its values in it: the highest number first, for $1 begins $10."""
    sql = asked.statement.sql
    for number, value in reversed(list(enumerate(asked.values, 1))):
        sql = sql.replace(f"${number}", f"'{value}'")
    return sql


def _pgbench(url: str, sql: str, clients: int, seconds: int, more: list[str]) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(sql)
        script.flush()
        done = subprocess.run(
            [
                *("pgbench", "--no-vacuum", "--protocol=prepared", f"--client={clients}"),
                *(f"--time={seconds}", f"--file={script.name}", *more, url),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    return done.stdout


def _milliseconds(folder: Path, clients: int) -> list[float]:
    """How long each question took, the shortest first: the third column of pgbench's log."""
    logs = folder.glob(f"{clients}.*")
    return sorted(int(line.split()[2]) / 1e3 for log in logs for line in log.open())


@dataclass(frozen=True)
class Contender:
    """An API under load: its database, a key, and which rides have readings (`fill`)."""

    name: str
    api: Api
    url: str
    key: str
    python: str
    numbers: tuple[int, int]

    def row(self, load: Load, seconds: int, beside: str = "") -> str:
        """Measure one kind of request: a row of the table."""
        figures = measure(load, self.api, self.key, self.numbers, seconds)
        return figures.row(f"{load.name}{beside}", self.name)


@contextmanager
def contender(
    guardian: Guardian,
    postgres: EmbeddedPostgres,
    folder: Path,
    python: str,
    options: argparse.Namespace,
) -> Iterator[Contender]:
    """The API of a checkout, whose Python it is, on a database that the checkout has migrated."""
    name = "ours" if python == sys.executable else python
    url = postgres.create_database(f"api_{zlib.crc32(name.encode())}")
    migrated = subprocess.run(
        [python, "-m", "deloton.migrate"],
        env=inherit_environment(DATABASE_URL=url),
        capture_output=True,
        text=True,
        check=False,
    )
    if migrated.returncode:
        sys.exit(f"{python} did not migrate its database:\n{migrated.stderr}")
    every = asyncio.run(fill(url, options.rides, options.readings))
    numbers = (options.rides // every, every)
    with running(guardian, url, folder, "api", python) as api:
        yield Contender(name, api, url, make_key(url, python), python, numbers)


def compare(contenders: Sequence[Contender], options: argparse.Namespace) -> None:
    """Print the table of what all of them are asked, each kind of request one after another."""
    print("| request | of | p50 ms | p99 of 8 ms | requests/s | CPU ms |")
    print("|---|---|--:|--:|--:|--:|")
    for load in _OF_ONE_RIDE if options.of_one_ride else LOADS[: options.loads]:
        for each in contenders:
            print(each.row(load, options.seconds), flush=True)
    for each in () if options.of_one_ride else contenders:
        keys = [make_key(each.url, each.python) for _ in range(2)]
        with lists_being_read(each.api[0], keys):
            row = each.row(LOADS[0], options.seconds, ", beside 8 whole lists")
        print(row, flush=True)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rides", type=int, default=1_000_000)
    parser.add_argument("--readings", type=int, default=5_000_000)
    parser.add_argument("--seconds", type=int, default=3, help="for each figure")
    parser.add_argument("--loads", type=int, default=len(LOADS), help="so many of the table's")
    parser.add_argument("--of-one-ride", action="store_true", help="only what is asked of one ride")
    parser.add_argument(
        "--packed", action="store_true", help="measure what is asked of one ride packed, too"
    )
    parser.add_argument(
        "--beside", nargs="*", default=[], help="the Python of other checkouts with their API"
    )
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk, or brew install wrk.")
    with (
        tempfile.TemporaryDirectory() as folder,
        Guardian() as guardian,
        EmbeddedPostgres(guardian) as postgres,
    ):
        print(machine())
        with ExitStack() as stack:
            contenders = [
                stack.enter_context(contender(guardian, postgres, Path(folder), python, options))
                for python in (sys.executable, *options.beside)
            ]
            compare(contenders, options)
            ours = contenders[0]
            plain = running(guardian, ours.url, Path(folder), "benchmarks.plain_api")
            tutorial = replace(ours, name="plain", api=stack.enter_context(plain))
            print(tutorial.row(LOADS[0], options.seconds), flush=True)
            if shutil.which("pgbench"):
                alone = ask_postgres(ours.url, options.seconds)
                print(alone.row(LOADS[0].name, "pgbench"), flush=True)
            if options.packed:
                asyncio.run(pack(ours.url, ours.numbers[1]))
                for load in _OF_ONE_RIDE:
                    print(ours.row(load, options.seconds, ", packed"), flush=True)
        print(f"\nload of the machine: {' '.join(f'{each:.1f}' for each in os.getloadavg())}")


if __name__ == "__main__":
    main()
