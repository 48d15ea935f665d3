"""EDGE: the figures the demo shows, read from the database and the broker."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deloton.rules.canary import CANARY_BIKE
from deloton.rules.sandbox import SANDBOX_BIKES
from deloton.rules.silence import SILENCE_SQL
from deloton.store.rider_sql import NAME

# Asked as the database's owner, who sees all.
OF_PEOPLE = f"""
    bike_serial <> '{CANARY_BIKE}' AND NOT starts_with(bike_serial, '{SANDBOX_BIKES}')
"""

# Closed rides carry their count; only the few open ones' readings are counted, ride by ride
# through the key. Counting all of them each second would soon be what the demo is busy with.
# A ride without an end may be silent, or history that is still being stored: somebody rides
# now whose silence does not yet end a ride.
READINGS = f"""
    WITH open_rides AS (
        SELECT count(*) FILTER (WHERE own.newest_at > now() - {SILENCE_SQL}) AS riding_now,
               sum(own.readings) AS readings,
               max(own.newest_at) AS newest_at
        FROM rides CROSS JOIN LATERAL (
            SELECT count(*) AS readings, max(at) AS newest_at
            FROM readings WHERE readings.ride_id = rides.ride_id
        ) AS own
        WHERE ended_at IS NULL AND {OF_PEOPLE}
    ), closed_rides AS (
        SELECT count(*) AS rides, sum(reading_count) AS readings, max(ended_at) AS newest_at
        FROM rides WHERE ended_at IS NOT NULL AND {OF_PEOPLE}
    )
    SELECT open_rides.riding_now,
           closed_rides.rides AS rides_ended,
           coalesce(open_rides.readings, 0)::bigint
               + coalesce(closed_rides.readings, 0)::bigint AS readings,
           greatest(open_rides.newest_at, closed_rides.newest_at) AS newest_at
    FROM open_rides, closed_rides
"""  # noqa: S608

LAST_RIDES = f"""
    SELECT rides.bike_serial, {NAME} AS rider,
           rides.ended_at, rides.duration_s, rides.mean_heart_rate_bpm,
           rides.max_power_watts, rides.energy_kj
    FROM rides LEFT JOIN riders USING (rider_id)
    WHERE ended_at IS NOT NULL AND {OF_PEOPLE}
    ORDER BY ended_at DESC
    LIMIT 5
"""  # noqa: S608

NEXT_OFFSETS = 'SELECT "partition", next_offset FROM ingest_offsets WHERE topic = $1'


# A topic that a service has just created is seen this soon.
METADATA_MAX_AGE_MS = 2_000


@dataclass(frozen=True)
class LastRide:
    """A ride that ended a short while ago."""

    bike_serial: str
    rider: str
    ended_at: datetime
    duration_s: float | None
    mean_heart_rate_bpm: float | None
    max_power_watts: float | None
    energy_kj: float | None


@dataclass(frozen=True)
class Figures:
    """How things stand at one moment."""

    at: datetime
    riding_now: int
    rides_ended: int
    readings: int
    newest_reading_at: datetime | None
    lines: int
    lag_lines: int
    dead_letters: int
    last_rides: tuple[LastRide, ...]

    @property
    def newest_reading_age_s(self) -> float | None:
        """How old the newest stored reading is; None while there is none."""
        if self.newest_reading_at is None:
            return None
        return max(0.0, (self.at - self.newest_reading_at).total_seconds())


class FigureReader:
    """One connection to the database, one to the broker."""

    def __init__(
        self, database_url: str, bootstrap_servers: str, raw_topic: str, dead_letters_topic: str
    ) -> None:
        """Describe where to read; nothing is opened yet."""
        self._database_url = database_url
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers, metadata_max_age_ms=METADATA_MAX_AGE_MS
        )
        self._raw_topic = raw_topic
        self._dead_letters_topic = dead_letters_topic
        self._connection: asyncpg.Connection | None = None

    async def __aenter__(self) -> Self:
        """Connect to the broker; the database is connected to when it is asked."""
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close both connections."""
        await self._consumer.stop()
        if self._connection is not None:
            await self._connection.close(timeout=2)

    async def read(self) -> Figures:
        """Read all figures. A database or broker that is away raises `OSError` or its error."""
        database = await self._connected()
        [row] = await database.fetch(READINGS)
        ends = await self._end_offsets(self._raw_topic)
        next_offsets = {
            record["partition"]: record["next_offset"]
            for record in await database.fetch(NEXT_OFFSETS, self._raw_topic)
        }
        return Figures(
            at=datetime.now(UTC),
            riding_now=row["riding_now"],
            rides_ended=row["rides_ended"],
            readings=row["readings"],
            newest_reading_at=row["newest_at"],
            lines=sum(ends.values()),
            lag_lines=lag(ends, next_offsets),
            dead_letters=sum((await self._end_offsets(self._dead_letters_topic)).values()),
            last_rides=tuple(LastRide(**ride) for ride in await database.fetch(LAST_RIDES)),
        )

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._database_url, command_timeout=10)
        return self._connection

    async def _end_offsets(self, topic: str) -> dict[int, int]:
        """Return each partition's end; empty while the topic does not exist."""
        # Only what is known anyway: asking this broker about a topic would create it.
        partitions = self._consumer.partitions_for_topic(topic) or set()
        ends = await self._consumer.end_offsets(
            [TopicPartition(topic, partition) for partition in partitions]
        )
        return {partition.partition: end for partition, end in ends.items()}


async def read_or_none(reader: FigureReader) -> Figures | None:
    """Return the figures, or None while the database or the broker is away."""
    try:
        return await reader.read()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError):
        return None


def lag(ends: Mapping[int, int], next_offsets: Mapping[int, int]) -> int:
    """Return how many records are not stored yet, over all partitions."""
    return sum(max(0, end - next_offsets.get(partition, 0)) for partition, end in ends.items())
