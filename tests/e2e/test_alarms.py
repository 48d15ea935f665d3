"""Outages of real programs, and what the templates' alarms make of what they tell meanwhile.

Time goes twenty times faster than the templates say: a figure is told each second and not each
minute, periods and thresholds of seconds are as much shorter.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deloton.migrate import migrate
from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from demo.ports import free_port
from demo.processes import Program, inherit_environment
from tests.deploy.alarm_evaluator import ALARM, Alarm, Point
from tests.deploy.templates_read import alarms
from tests.roles import as_role, give_passwords

FASTER = 20
TOPIC = "deloton"
# Of AWS' own figures, as ECS' tasks, no program tells: tests/deploy/test_alarms.py.
OUR_NAMESPACE = {"Fn::Sub": "Deloton/${Environment}"}
OURS = {
    name: alarm
    for name, alarm in alarms().items()
    if name.startswith(("ingestor-", "hr-alerter-")) and alarm.metric["Namespace"] == OUR_NAMESPACE
}
FAILING = {"ingestor-failing", "hr-alerter-failing"}
NOBODY_TELLS = FAILING | {"ingestor-behind", "ingestor-stores-nothing", "hr-alerter-lag"}

pytestmark = pytest.mark.system


@dataclass
class Watched:
    """A database, a broker, bikes that ride, and two programs whose figures alarms watch."""

    database: EmbeddedPostgres
    broker: EmbeddedBroker
    programs: Mapping[str, Program]
    folder: Path
    stood: set[str] = field(default_factory=set)

    def standing(self) -> set[str]:
        """The alarms that stand now; all that ever did are in `stood`."""
        points = {name: self._points(alarm) for name, alarm in OURS.items()}
        now_s = time.time()
        standing = {
            name
            for name, alarm in OURS.items()
            if alarm.state(points[name], now_s, FASTER) == ALARM
        }
        self.stood |= standing
        return standing

    def wait(self, until: Callable[[set[str]], bool]) -> None:
        """Look again and again; the test's time limit bounds it."""
        while not until(self.standing()):
            time.sleep(0.5)

    def _points(self, alarm: Alarm) -> list[Point]:
        [dimension] = alarm.metric["Dimensions"]
        metric = alarm.metric["MetricName"]
        told = self.folder / f"{dimension['Value']}.log"
        lines = [line for line in told.read_text().splitlines() if line.startswith('{"_aws"')]
        figures = map(json.loads, lines)
        return [
            Point(line["_aws"]["Timestamp"] / 1000, line[metric])
            for line in figures
            if metric in line
        ]


@pytest.fixture
def watched(guardian: Guardian, tmp_path: Path) -> Iterator[Watched]:
    with EmbeddedPostgres(guardian) as database, EmbeddedBroker(guardian) as broker:
        url = database.create_database("watched")
        migrate(url)
        give_passwords(url)
        asyncio.run(broker.create_topic(TOPIC, 4))
        common = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "RAW_TOPIC": TOPIC,
            "SESSION_TIMEOUT_S": "3",
            "CLOUDWATCH_NAMESPACE": "Deloton/test",
            "CLOUDWATCH_EVERY_S": str(60 / FASTER / 3),
            "MAIL_URL": f"file://{tmp_path}/mails",
            "MAIL_FROM": "alerts@deloton.example",
        }

        def program(name: str, module: str, *arguments: str, **own: str) -> Program:
            made = Program(
                guardian,
                name,
                [sys.executable, "-m", module, *arguments],
                tmp_path / f"{name}.log",
                environment=inherit_environment(**common, **own),
            )
            made.start()
            return made

        programs = {
            name: program(
                name,
                module,
                DATABASE_URL=as_role(url, module),
                METRICS_PORT=str(free_port()),
            )
            for name, module in (("ingestor", "ingestor"), ("hr-alerter", "hr_alerter"))
        }
        fleet = ("--bikes=10", "--round-the-clock=10", "--live")
        bikes = program("bikes", "bike_simulator", *fleet)
        yield Watched(database, broker, programs, tmp_path)
        for each in (*programs.values(), bikes):
            each.kill()


async def send_rubbish(broker: EmbeddedBroker) -> None:
    """More lines that nobody understands than an alarm bears."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        for _ in range(150):
            await producer.send_and_wait(TOPIC, b"rubbish", key=b"SN9999")


def test_each_outage_raises_its_alarms_while_it_lasts_and_no_other_does(watched: Watched) -> None:
    watched.wait(lambda standing: not standing)
    watched.stood.clear()

    watched.database.stop()
    # That lines wait is known; heart rates come no more, and none waits.
    watched.wait(lambda standing: standing >= FAILING | {"ingestor-behind"})
    assert "hr-alerter-lag" not in watched.stood
    watched.database.start()
    watched.wait(lambda standing: not standing)

    # What waits is not known while the broker says nothing: it is not told, and that is an alarm.
    os.kill(watched.broker.pid, signal.SIGSTOP)
    watched.wait(lambda standing: standing >= NOBODY_TELLS)
    os.kill(watched.broker.pid, signal.SIGCONT)
    watched.wait(lambda standing: not standing)

    asyncio.run(send_rubbish(watched.broker))
    watched.wait(lambda standing: "ingestor-dead-letters" in standing)

    for program in watched.programs.values():
        program.kill()
    watched.wait(lambda standing: standing >= NOBODY_TELLS)
    assert watched.stood == NOBODY_TELLS | {"ingestor-dead-letters"}
