"""Everything that the crash tests disturb: a broker, a database, workers and a riding fleet."""

import asyncio
import signal
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

from aiokafka import AIOKafkaConsumer, TopicPartition

from deloton.migrate import migrate
from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.errors import ProgramFailed
from demo.guardian import Guardian
from demo.ports import free_port
from demo.processes import Program, inherit_environment
from tests.e2e.ingestor_site import PARTITIONS, Site
from tests.e2e.offset_audit import begin_audit, owners, url_of_worker
from tests.kafka.apache_kafka import ApacheKafka
from tests.roles import as_role, give_passwords

# 2,000 lines/s, some bikes changing their riders each second. The fleet is two minutes old when the
# test meets it: by then all its bikes ride. Not faster than life: a bike that stamps a time to come
# has a clock that is fast.
FLEET = ("--bikes=1000", "--since=2m", "--back-to-back", "--live", "--faults=light")
ROOT = Path(__file__).parents[2]
SESSION_TIMEOUT_S = 3.0
STOPPED_WITHIN_S = 300.0
# What a worker says whose last commit Kafka refused for too long, as in a rebalance.
COMMITS_LATER = "Kafka's offsets of the group stay behind"
LOOK_EVERY_S = 0.2
# A worker that ends by itself is started again, as an orchestrator would; not for ever.
MOST_RESTARTS = 20


@dataclass
class Scene:
    """A site whose parts come and go; every worker process has a name of its own."""

    kafka: ApacheKafka
    postgres: EmbeddedPostgres
    guardian: Guardian
    site: Site
    database: str
    workers: dict[str, Program] = field(default_factory=dict)
    ended_by_themselves: list[str] = field(default_factory=list)
    _started: int = 0
    _fleets: list[Program] = field(default_factory=list)

    @classmethod
    def prepare(
        cls, kafka: ApacheKafka, postgres: EmbeddedPostgres, guardian: Guardian, folder: Path
    ) -> Self:
        """A scene with a database and topics of its own; nothing runs in it yet."""
        name = f"crash-{uuid.uuid4().hex[:8]}"
        database_url = postgres.create_database(name)
        migrate(database_url)
        give_passwords(database_url)
        begin_audit(postgres, name)
        # A site knows of its broker only what both kinds have in common.
        broker = cast(EmbeddedBroker, kafka)
        site = Site(broker, guardian, postgres.url_of(name), folder, name)
        asyncio.run(site.create_raw_topic())
        return cls(kafka, postgres, guardian, site, name)

    def start_fleet(self, seed: int) -> None:
        """Let the bikes ride, from the first line."""
        self._start_fleet("fleet", "-m", "bike_simulator", *FLEET, f"--seed={seed}")

    def start_odd_fleet(self, seed: int) -> None:
        """Let a history be played beside it: windows that come again, clocks that are set.

        Returns once it is stored as it comes: a producer needs a broker to begin with.
        """
        self._start_fleet("odd fleet", "-m", "tests.e2e.odd_fleet", str(seed))
        odd_rides = "SELECT count(*) > 0 FROM rides WHERE bike_serial LIKE 'ODD%'"
        self.wait_until(lambda: self.query(odd_rides) == [["t"]], "a ride of the odd fleet")

    def stop_fleet(self) -> None:
        """Let all bikes stop; what they have sent is on the topic."""
        for fleet in self._fleets:
            fleet.stop(STOPPED_WITHIN_S)
        self._fleets.clear()

    def _start_fleet(self, name: str, *arguments: str) -> None:
        fleet = self._program(name, [sys.executable, *arguments], {"PYTHONPATH": str(ROOT)})
        fleet.start()
        self._fleets.append(fleet)

    def add_worker(self) -> str:
        """Start one more worker and return its name."""
        self._started += 1
        name = f"worker-{self._started}"
        environment = {
            "DATABASE_URL": url_of_worker(as_role(self.site.database_url, "ingestor"), name),
            "HEART_RATES_TOPIC": self.site.heart_rates_topic,
            "RIDE_EVENTS_TOPIC": self.site.ride_events_topic,
            "DEAD_LETTERS_TOPIC": self.site.dead_letters_topic,
            "CONSUMER_GROUP": self.group,
            "METRICS_PORT": str(free_port()),
            "SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
            "PACK_AFTER_S": "0",
        }
        self.workers[name] = self._program(name, [sys.executable, "-m", "ingestor"], environment)
        self.workers[name].start()
        return name

    def take_worker(self, name: str) -> Program:
        """Hand a worker over to who is going to end it: it is not started again."""
        return self.workers.pop(name)

    def stop_workers(self) -> bool:
        """SIGTERM to all workers at once; returns when all are gone, and whether Kafka knows all.

        On a busy machine the group may be rebalanced for longer than a worker tries.
        """
        programs = [self.take_worker(name) for name in list(self.workers)]
        for program in programs:
            program.signal(signal.SIGTERM)
        for program in programs:
            program.stop(grace_s=STOPPED_WITHIN_S)
        return not any(COMMITS_LATER in program.log_file.read_text() for program in programs)

    def add_worker_for_all(self) -> None:
        """Start one more worker; return once every partition is its own."""
        name = self.add_worker()
        self.wait_until(lambda: set(self.owners().values()) == {name}, f"{name} owns all")

    @property
    def group(self) -> str:
        """The workers' consumer group."""
        return f"ingestor-{self.site.name}"

    def tend(self) -> None:
        """Replace the workers that ended by themselves."""
        for name, program in list(self.workers.items()):
            if not program.running:
                self.ended_by_themselves.append(f"{name}: {program.explain_end()}")
                assert len(self.ended_by_themselves) < MOST_RESTARTS, self.ended_by_themselves
                self.take_worker(name).kill()
                self.add_worker()

    def wait_until(self, done: Callable[[], bool], what: str, within_s: float = 300.0) -> None:
        """Tend the workers until something is so; fails where it takes too long."""
        deadline = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
            for fleet in self._fleets:
                assert fleet.running, fleet.explain_end()
            self.tend()
            time.sleep(LOOK_EVERY_S)

    def wait_until_it_goes_on(self) -> None:
        """Return once every partition has gone on from where it is now."""
        before = self.offsets()
        self.wait_until(
            lambda: all(now > before.get(number, 0) for number, now in self.offsets().items()),
            f"every partition goes on from {before}",
        )

    def wait_until_caught_up(self) -> None:
        """Return once all that was on the topic when this began is stored."""
        ends = self.end_offsets()
        self.wait_until(
            lambda: all(self.offsets()[number] >= end for number, end in ends.items()),
            f"all is stored up to {ends}",
        )

    def pause(self, seconds: float) -> None:
        """Let everything run for a while."""
        until = time.monotonic() + seconds
        self.wait_until(lambda: time.monotonic() >= until, "the pause ends")

    def offsets(self) -> dict[int, int]:
        """The first offset not yet stored, by partition; 0 where there is no row yet."""
        rows = self.query("SELECT partition, next_offset FROM ingest_offsets")
        return dict.fromkeys(range(PARTITIONS), 0) | {int(row[0]): int(row[1]) for row in rows}

    def owners(self) -> dict[int, str]:
        """Which worker claimed each partition last."""
        return owners(self.postgres, self.database)

    def ride_ids(self) -> dict[tuple[str, str], str]:
        """The number of each ride, by bike and start."""
        rows = self.query("SELECT bike_serial, started_at, ride_id FROM rides")
        return {(row[0], row[1]): row[2] for row in rows}

    def query(self, statement: str) -> list[list[str]]:
        """The rows of a statement, as text; none while the database is away."""
        try:
            output = self.postgres.run_sql(statement, database=self.database)
        except ProgramFailed:
            return []
        return [row.split("\t") for row in output.splitlines()]

    def end_offsets(self) -> dict[int, int]:
        """Where each partition of the raw topic ends."""
        return asyncio.run(self._ask_kafka("end_offsets"))

    def committed_offsets(self) -> dict[int, int]:
        """What Kafka remembers of the group, by partition."""
        return asyncio.run(self._ask_kafka("committed"))

    async def _ask_kafka(self, question: str) -> dict[int, int]:
        partitions = [TopicPartition(self.site.raw_topic, number) for number in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(
            **self.kafka.client_options, group_id=self.group, enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign(partitions)
            answers: dict[TopicPartition, Any]
            if question == "end_offsets":
                answers = await consumer.end_offsets(partitions)
            else:
                answers = {each: await consumer.committed(each) for each in partitions}
        finally:
            await consumer.stop()
        return {each.partition: answer or 0 for each, answer in answers.items()}

    def leave(self) -> None:
        """End every program."""
        for program in [*self._fleets, *self.workers.values()]:
            program.kill()

    def _program(self, name: str, command: list[str], environment: dict[str, str]) -> Program:
        everywhere = {**self.kafka.environment, "RAW_TOPIC": self.site.raw_topic}
        return Program(
            self.guardian,
            name,
            command,
            self.site.folder / f"{name}.log",
            environment=inherit_environment(**everywhere, **environment),
        )
