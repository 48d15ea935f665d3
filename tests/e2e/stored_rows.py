"""What stands in the database and on the topics, in the shape in which the oracle tells it."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from tests.e2e.ingestor_site import PARTITIONS, Feed, Site, fetch
from tests.oracle.straightforward import Expected, Reading, RideKey, Row

# partition, ride, rider, time, bpm
HeartRate = tuple[int, int, int | None, datetime, int | None]
# topic, key, value
DeadLetter = tuple[str, bytes | None, bytes | None]

# partition, quarter of an hour, reason
Refusal = tuple[int, datetime, str]

# Of a ride whose day was dropped the series alone is left: there is nothing to compare it with.
_PACKED_OTHERWISE = """
WITH stored AS (
    SELECT readings.* FROM readings JOIN ride_series USING (ride_id)
), unpacked AS (
    SELECT * FROM packed_readings
    WHERE (ride_id, (at AT TIME ZONE 'UTC')::date) IN (
        SELECT ride_id, (at AT TIME ZONE 'UTC')::date FROM stored
    )
)
(SELECT 'lost', * FROM (SELECT * FROM stored EXCEPT ALL SELECT * FROM unpacked) lost LIMIT 10)
UNION ALL
(SELECT 'made up', * FROM (SELECT * FROM unpacked EXCEPT ALL SELECT * FROM stored) more LIMIT 10)
"""

# Sums of floats depend on the order of adding; everything else is stored as it was read.
SUMMED = {
    "mean_heart_rate_bpm",
    "mean_cadence_rpm",
    "mean_power_watts",
    "total_power_watts",
    "energy_kj",
    "mean_resistance",
}


@dataclass(frozen=True)
class Stored:
    """All rows; rides and readings by bike and start."""

    riders: dict[int, Row]
    bikes: dict[str, str | None]
    rides: dict[RideKey, Row]
    readings: dict[RideKey, list[Reading]]
    ride_ids: dict[RideKey, int]
    refused_lines: Counter[Refusal]


@dataclass(frozen=True)
class Digested:
    """What has come of a feed: rows and messages."""

    site: Site
    rows: Stored
    heart_rates: list[ConsumerRecord]
    ride_events: list[ConsumerRecord]
    dead_letters: list[ConsumerRecord]


async def read_digested(site: Site) -> Digested:
    """Everything that the ingestor has stored and sent by now; no ride ends meanwhile."""
    servers = site.broker.bootstrap_servers
    while True:
        digested = Digested(
            site,
            await read_rows(site.database_url),
            await read_topic(servers, site.heart_rates_topic),
            await read_topic(servers, site.ride_events_topic),
            await read_topic(servers, site.dead_letters_topic),
        )
        ended = sum(ride["ended_at"] is not None for ride in digested.rows.rides.values())
        [now] = await fetch(site, "SELECT count(*) FROM rides WHERE ended_at IS NOT NULL")
        if now["count"] == ended:
            return digested


async def read_rows(database_url: str) -> Stored:
    """Everything that the ingestor has stored, at one moment; readings of packed rides unpacked."""
    database = await asyncpg.connect(database_url)
    try:
        async with database.transaction(isolation="repeatable_read"):
            riders = await database.fetch("SELECT * FROM riders")
            bikes = await database.fetch("SELECT serial, firmware FROM bikes")
            rides = await database.fetch("SELECT * FROM rides")
            readings = await database.fetch("SELECT * FROM ride_readings ORDER BY at")
            refused_lines = await database.fetch("SELECT * FROM refused_lines")
    finally:
        await database.close()
    keys = {ride["ride_id"]: (ride["bike_serial"], ride["started_at"]) for ride in rides}
    by_ride: dict[RideKey, list[Reading]] = {key: [] for key in keys.values()}
    for ride_id, *values in readings:
        by_ride[keys[ride_id]].append(Reading(*values))
    return Stored(
        riders={rider["rider_id"]: dict(rider) for rider in riders},
        bikes={bike["serial"]: bike["firmware"] for bike in bikes},
        rides={keys[ride["ride_id"]]: _without_keys(ride) for ride in rides},
        readings=by_ride,
        ride_ids={key: ride_id for ride_id, key in keys.items()},
        refused_lines=Counter(
            {
                (row["partition"], row["refused_in"], row["reason"]): row["line_count"]
                for row in refused_lines
            }
        ),
    )


async def packed_otherwise(database_url: str) -> list[asyncpg.Record]:
    """The first readings that only the rows or only the series of packed rides tell.

    Of the rides whose rows are there still.
    """
    database = await asyncpg.connect(database_url)
    try:
        return list(await database.fetch(_PACKED_OTHERWISE))
    finally:
        await database.close()


async def read_topic(bootstrap_servers: str, topic: str) -> list[ConsumerRecord]:
    """All records of a topic; those of a partition in their order.

    The embedded broker gives the last batch's first offset for the end of a partition: there may
    be some more records, so reading goes on until nothing comes.
    """
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        at_least = sum((await consumer.end_offsets(partitions)).values())
        records: list[ConsumerRecord] = []
        while (batches := await consumer.getmany(timeout_ms=500)) or len(records) < at_least:
            records += chain(*batches.values())
        return records
    finally:
        await consumer.stop()


def heart_rates_sent(records: Sequence[ConsumerRecord]) -> set[HeartRate]:
    """What the messages of heart rates tell, repeats dropped."""
    told = [(record.partition, json.loads(record.value)) for record in records]
    return {
        (
            partition,
            sample["ride_id"],
            sample["rider_id"],
            datetime.fromisoformat(sample["measured_at"]),
            sample["heart_rate_bpm"],
        )
        for partition, sample in told
    }


def heart_rates_read(expected: Expected, ride_ids: Mapping[RideKey, int]) -> set[HeartRate]:
    """What they must tell: each reading with a heart rate, where its raw lines came from."""
    return {
        (
            expected.partitions[key],
            ride_ids[key],
            expected.rides[key]["rider_id"],
            reading.at,
            reading.heart_rate_bpm,
        )
        for key, readings in expected.readings.items()
        for reading in readings
        if reading.heart_rate_bpm is not None
    }


def dead_letters_sent(records: Sequence[ConsumerRecord]) -> dict[tuple[int, int], DeadLetter]:
    """Where each refused message lay, and what is kept of it; repeats dropped."""
    letters = {}
    for record in records:
        headers = {name: value.decode() for name, value in record.headers}
        assert headers["reason"]
        assert headers["partition"] == str(record.partition)
        place = (int(headers["partition"]), int(headers["offset"]))
        letters[place] = (headers["topic"], record.key, record.value)
    return letters


def dead_letters_due(
    feed: Feed, expected: Expected, topic: str
) -> dict[tuple[int, int], DeadLetter]:
    """The same of each message that must be refused."""
    return {
        (message.partition, message.offset): (topic, message.key, message.value)
        for message in feed.messages
        if (message.partition, message.offset) in expected.refused
    }


def refusals_due(
    records: Sequence[ConsumerRecord], dead_letters: Sequence[ConsumerRecord]
) -> Counter[Refusal]:
    """How many raw records of each quarter of an hour became dead letters, and why."""
    reasons = {}
    for letter in dead_letters:
        headers = {name: value.decode() for name, value in letter.headers}
        reasons[letter.partition, int(headers["offset"])] = headers["reason"]
    return Counter(
        (record.partition, _quarter_of(record), reasons[record.partition, record.offset])
        for record in records
        if (record.partition, record.offset) in reasons
    )


def _quarter_of(record: ConsumerRecord) -> datetime:
    sent_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return sent_at.replace(minute=sent_at.minute // 15 * 15, second=0, microsecond=0)


def differences(expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> list[str]:
    """The first entries that are not the same, in words; none where all are equal."""
    keys = [
        key
        for key in expected.keys() | found.keys()
        if key not in expected or key not in found or not _same(expected[key], found[key])
    ]
    return [
        f"{key}: expected {expected.get(key)}, found {found.get(key)}"
        for key in sorted(keys, key=str)[:10]
    ]


def _same(expected: object, found: object) -> bool:
    """Equal, but for the last bits of what was summed."""
    if not isinstance(expected, dict) or not isinstance(found, dict):
        return expected == found
    return expected.keys() == found.keys() and all(
        _nearly(value, found[name]) if name in SUMMED else value == found[name]
        for name, value in expected.items()
    )


def _nearly(expected: float | None, found: float | None) -> bool:
    if expected is None or found is None:
        return expected is found
    return math.isclose(expected, found, rel_tol=1e-12)


def _without_keys(ride: asyncpg.Record) -> Row:
    return {
        name: value
        for name, value in ride.items()
        if name not in ("ride_id", "bike_serial", "started_at")
    }
