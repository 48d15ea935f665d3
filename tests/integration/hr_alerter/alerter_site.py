"""Heart rates of made-up rides on a real topic, alerters that read them, a mail provider, rows."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiokafka import AIOKafkaProducer

from deloton.events import HeartRate
from deloton.kafka import encode
from demo.embedded_broker import EmbeddedBroker
from demo.guardian import Guardian
from demo.ports import LOCALHOST, free_port
from demo.processes import Program, inherit_environment
from tests.roles import as_role
from tests.ses_double import SesDouble

# At 67: high from 145, critical from 161.1.
BORN_ON = date(1959, 3, 1)
WELL, HIGH, CRITICAL, LOW = 120, 150, 170, 44

_RIDER = """
INSERT INTO riders (rider_id, first_name, gender, born_on, email, seen_at)
VALUES ($1, 'Ada', 'female', $2, $3, now())
"""
_RIDE = """
INSERT INTO rides (rider_id, bike_serial, started_at) VALUES ($1, $2, $3) RETURNING ride_id
"""


@dataclass
class AlerterSite:
    """What one test's alerters share."""

    broker: EmbeddedBroker
    guardian: Guardian
    database: asyncpg.Pool
    database_url: str
    topic: str
    ses: SesDouble
    folder: Path
    alerters: list[Program] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def start_alerter(self, **changes: str) -> Program:
        """One more alerter; it ends with the test at the latest."""
        port = free_port()
        environment = inherit_environment(
            **{
                "DATABASE_URL": as_role(self.database_url, "hr_alerter"),
                "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
                "HEART_RATES_TOPIC": self.topic,
                "ALERTER_GROUP": self.topic,
                "SESSION_TIMEOUT_S": "1.5",
                "METRICS_PORT": str(port),
                "MAIL_URL": "ses://eu-west-2",
                "MAIL_FROM": "Deloton <alerts@deloton.example>",
                "MAIL_RATE_PER_S": "200",
                "AWS_ENDPOINT_URL": self.ses.url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                **changes,
            }
        )
        name = f"alerter-{len(self.alerters)}"
        command = [sys.executable, "-m", "hr_alerter"]
        log_file = self.folder / f"{name}.log"
        program = Program(self.guardian, name, command, log_file, environment=environment)
        program.start()
        self.alerters.append(program)
        self.ports.append(port)
        return program

    def start_beside(self, module: str, *arguments: str) -> Program:
        """Another program; it ends with the test run at the latest."""
        command = [sys.executable, "-m", module, *arguments]
        program = Program(self.guardian, module, command, self.folder / f"{module}.log")
        program.start()
        return program

    async def page(self, path: str, alerter: int = -1) -> str:
        """A page of an alerter."""
        url = f"http://{LOCALHOST}:{self.ports[alerter]}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()

    async def a_ride(
        self, rider_id: int | None = 7001, email: str | None = "", bike_serial: str | None = None
    ) -> int:
        """A ride that began a minute ago, of a rider of 67 with an address of their own."""
        bike_serial = bike_serial or f"SN{rider_id}"
        if rider_id is not None:
            address = f"rider{rider_id}@example.com" if email == "" else email
            insert = f"{_RIDER} ON CONFLICT DO NOTHING"
            await self.database.execute(insert, rider_id, BORN_ON, address)
        await self.database.execute(
            "INSERT INTO bikes VALUES ($1) ON CONFLICT DO NOTHING", bike_serial
        )
        began = datetime.now(UTC) - timedelta(minutes=1)
        ride_id: int = await self.database.fetchval(_RIDE, rider_id, bike_serial, began)
        return ride_id

    async def send(
        self,
        ride_id: int,
        *heart_rates_bpm: int,
        rider_id: int | None = 7001,
        ago_s: float = 10.0,
        first_at: datetime | None = None,
        partition: int = 0,
    ) -> None:
        """Heart rates of successive seconds; the first at a moment, or so long ago."""
        first_at = first_at or datetime.now(UTC) - timedelta(seconds=ago_s)
        samples = [
            HeartRate(ride_id, rider_id, first_at + timedelta(seconds=second), bpm)
            for second, bpm in enumerate(heart_rates_bpm)
        ]
        await self.produce(samples, partition)

    async def produce(self, samples: Sequence[HeartRate], partition: int = 0) -> None:
        """Heart rates onto the topic, in their order."""
        await self.produce_raw([encode(sample) for sample in samples], partition)

    async def produce_raw(self, values: Sequence[bytes], partition: int = 0) -> None:
        """Messages as they are."""
        async with AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap_servers) as producer:
            for value in values:
                await producer.send(self.topic, value, partition=partition)
            await producer.flush()

    async def rows(self, columns: str = "level, state") -> list[tuple[Any, ...]]:
        """Some columns of the alerts, in the order of their readings."""
        query = f"SELECT {columns} FROM heart_rate_alerts ORDER BY measured_at, alert_id"
        return [tuple(row) for row in await self.database.fetch(query)]

    async def states(self) -> Counter[str]:
        """How many alerts are in each state."""
        return Counter(state for (state,) in await self.rows("state"))

    def mails(self) -> Counter[str]:
        """How many mails each address was sent."""
        return Counter(mail.to[0] for mail in self.ses.accepted)
