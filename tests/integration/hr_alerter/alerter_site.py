"""Heart rates of made-up rides on a real topic, alerters that read them, a mail provider, rows."""

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiokafka import AIOKafkaProducer

from deloton.events import HeartRate
from deloton.wire.kafka import encode
from demo.embedded_broker import EmbeddedBroker
from demo.guardian import Guardian
from demo.ports import LOCALHOST, free_port
from demo.processes import Program, inherit_environment
from tests.integration.hr_alerter.forked_alerter import ForkedAlerter, Original
from tests.roles import as_role
from tests.ses_double import AcceptedMail, SesDouble

# At 67: high from 166, critical from 191.
BORN_ON = date(1959, 3, 1)
WELL, HIGH, CRITICAL, LOW = 120, 170, 195, 44
CADENCE_RPM = 85
# So long a sensor that nobody knows is not believed, and steady for long enough after that.
WARM_UP_S = 41

_RIDER = """
INSERT INTO riders (rider_id, first_name, gender, born_on, email, seen_at)
VALUES ($1, 'Ada', 'female', $2, $3, now())
"""
_RIDE = """
INSERT INTO rides (rider_id, bike_serial, started_at) VALUES ($1, $2, $3) RETURNING ride_id
"""

_PENDING_ALERTS = """
WITH new_riders AS (
    INSERT INTO riders (rider_id, first_name, gender, born_on, email, seen_at)
    SELECT number, 'Ada', 'female', $3, 'rider' || number || '@example.com', now()
    FROM generate_series($1::bigint, $2::bigint) AS number RETURNING rider_id
), new_bikes AS (
    INSERT INTO bikes (serial) SELECT 'SN' || rider_id FROM new_riders RETURNING serial
), new_rides AS (
    INSERT INTO rides (rider_id, bike_serial, started_at)
    SELECT substr(serial, 3)::bigint, serial, $4 FROM new_bikes RETURNING ride_id, rider_id
)
INSERT INTO heart_rate_alerts (ride_id, rider_id, level, measured_at, heart_rate_bpm, limit_bpm,
                               limit_rule, state)
SELECT ride_id, rider_id, 'high', now(), 170, 166, 'x', 'pending' FROM new_rides
"""


async def eventually(true: Callable[[], Awaitable[bool]], within_s: float = 300.0) -> None:
    """Ask again and again; TimeoutError if it does not come true. Who is not up yet says no."""
    async with asyncio.timeout(within_s):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                if await true():
                    return
            await asyncio.sleep(0.05)


def on_the_way(before_bpm: int, to_bpm: int) -> list[int]:
    """The rates between two, as fast as a heart can change."""
    step = 12 if to_bpm > before_bpm else -12
    return list(range(before_bpm + step, to_bpm, step))


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
    newest_bpm: dict[int, int] = field(default_factory=dict)

    def start_alerter(self, **changes: str) -> Program:
        """One more alerter; it ends with the test at the latest."""
        environment = self.environment(**changes)
        name = f"alerter-{len(self.alerters)}"
        command = [sys.executable, "-m", "hr_alerter"]
        log_file = self.folder / f"{name}.log"
        return self.add(Program(self.guardian, name, command, log_file, environment=environment))

    def start_copy(self, original: Original, **changes: str) -> Program:
        """One more alerter, that is up at once; it writes to the provider under its number."""
        number = len(self.alerters)
        url = f"{self.ses.url}/{number}"
        environment = self.environment(AWS_ENDPOINT_URL=url, **changes)
        log_file = self.folder / f"alerter-{number}.log"
        return self.add(ForkedAlerter(self.guardian, original, environment, log_file))

    def add(self, program: Program) -> Program:
        """Start it as one of the site's alerters."""
        program.start()
        self.alerters.append(program)
        return program

    def environment(self, **changes: str) -> dict[str, str]:
        """What an alerter is told, with a port of its own."""
        self.ports.append(free_port())
        return inherit_environment(
            **{
                "DATABASE_URL": as_role(self.database_url, "hr_alerter"),
                "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
                "HEART_RATES_TOPIC": self.topic,
                "ALERTER_GROUP": self.topic,
                "SESSION_TIMEOUT_S": "1.5",
                "METRICS_PORT": str(self.ports[-1]),
                "MAIL_URL": "ses://eu-west-2",
                "MAIL_FROM": "Deloton <alerts@deloton.example>",
                "MAIL_RATE_PER_S": "200",
                # What comes of an episode is tested here, not what one is.
                "ALERT_LOW_S": "3",
                "ALERT_HIGH_S": "3",
                "ALERT_CRITICAL_S": "3",
                # However late a busy machine is, no warning comes too late; `grow_old` makes them.
                "ALERT_MAX_AGE_S": "3600",
                "AWS_ENDPOINT_URL": self.ses.url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                **changes,
            }
        )

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
        """Heart rates of successive seconds; the first at a moment, or so long ago.

        Before a ride's first ones come usual ones, and between two that lie apart the way there: as
        hearts beat and sensors show them.
        """
        first_at = first_at or datetime.now(UTC) - timedelta(seconds=ago_s)
        await self.produce(
            self.readings(ride_id, *heart_rates_bpm, rider_id=rider_id, first_at=first_at),
            partition,
        )

    def readings(
        self, ride_id: int, *heart_rates_bpm: int, rider_id: int | None, first_at: datetime
    ) -> list[HeartRate]:
        """What `send` sends."""
        shown: list[int] = []
        before = self.newest_bpm.get(ride_id)
        if before is None:
            shown = [WELL + second % 2 for second in range(WARM_UP_S)]
            shown += on_the_way(WELL, heart_rates_bpm[0])
            first_at -= timedelta(seconds=len(shown))
            before = heart_rates_bpm[0]
        for bpm in heart_rates_bpm:
            shown += [*on_the_way(before, bpm), bpm]
            before = bpm
        self.newest_bpm[ride_id] = before
        return [
            HeartRate(ride_id, rider_id, first_at + timedelta(seconds=second), bpm, CADENCE_RPM)
            for second, bpm in enumerate(shown)
        ]

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

    async def pending_alerts(self, riders: int, first: int = 7000) -> None:
        """Alerts of so many riders, stored and not yet sent; all of them or none."""
        began = datetime.now(UTC) - timedelta(minutes=1)
        async with self.database.acquire() as connection, connection.transaction():
            await connection.execute(_PENDING_ALERTS, first, first + riders - 1, BORN_ON, began)

    async def grow_old(self) -> None:
        """Let hours pass for all alerts that there are."""
        await self.database.execute(
            "UPDATE heart_rate_alerts SET measured_at = measured_at - interval '3 h',"
            " seen_at = seen_at - interval '3 h'"
        )

    async def until_settled(self, count: int) -> None:
        """Return once there are so many alerts, and none of them on its way."""

        async def settled() -> bool:
            states = await self.states()
            return states.total() >= count and not states["pending"] + states["sending"]

        try:
            await eventually(settled)
        except TimeoutError:
            logs = [line for one in self.alerters for line in one.last_lines(30)]
            raise AssertionError(f"{await self.rows()}\n{logs}") from None

    async def answers(self, alerter: int) -> bool:
        """Whether an alerter is up."""
        try:
            return bool(await self.page("/health", alerter))
        except OSError:
            return False

    async def is_ready(self, alerter: int) -> bool:
        """Whether an alerter has partitions."""
        try:
            return '"assigned_partitions":[]' not in await self.page("/health", alerter)
        except OSError:
            return False

    def mails_that_came_again(self) -> Iterator[tuple[AcceptedMail, AcceptedMail]]:
        """Each mail to somebody who had one already, after that one."""
        newest: dict[str, AcceptedMail] = {}
        for mail in sorted(self.ses.accepted, key=lambda mail: mail.asked_at):
            if before := newest.get(mail.to[0]):
                yield before, mail
            newest[mail.to[0]] = mail

    def mails(self) -> Counter[str]:
        """How many mails each address was sent."""
        return Counter(mail.to[0] for mail in self.ses.accepted)
