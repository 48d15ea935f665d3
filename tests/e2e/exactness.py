"""What must hold after crashes: rows and messages are what the raw lines on the topic say."""

import logging
from collections.abc import Sequence

from aiokafka import ConsumerRecord

from tests.e2e.crash_scene import Scene
from tests.e2e.ingestor_site import Feed
from tests.e2e.offset_audit import unlawful_writes
from tests.e2e.stored_rows import (
    dead_letters_due,
    dead_letters_sent,
    differences,
    heart_rates_read,
    heart_rates_sent,
    packed_otherwise,
    read_digested,
    read_topic,
    refusals_due,
)
from tests.oracle.straightforward import RawMessage

_log = logging.getLogger(__name__)


def assert_all_was_lawful_and_complete(scene: Scene) -> None:
    """All is stored, by who had the right to; then no worker runs, and Kafka knows as much."""
    scene.stop_fleet()
    end_offsets = scene.end_offsets()
    scene.wait_until(lambda: scene.offsets() == end_offsets, f"all is stored up to {end_offsets}")
    scene.wait_until(
        lambda: scene.query("SELECT count(*) FROM rides_to_pack") == [["0"]],
        "every ride that has ended is packed",
    )
    while not (scene.stop_workers() and scene.committed_offsets() == end_offsets):
        scene.add_worker_for_all()
    assert unlawful_writes(scene.postgres, scene.database) == []


async def assert_rows_are_exact(scene: Scene) -> None:
    """Nothing lost, nothing doubled; messages have come at least once."""
    site = scene.site
    records = await read_topic(site.broker.bootstrap_servers, site.raw_topic)
    sent_again = repeats(records)
    feed = Feed([raw_message(record) for record in records if place(record) not in sent_again])
    digested = await read_digested(site)
    found = digested.rows
    expected = feed.as_of(found.rides)
    _log.warning(
        "%d lines, %d sent again, %d rides", len(records), len(sent_again), len(found.rides)
    )
    assert differences(expected.rides, found.rides) == []
    assert differences(expected.readings, found.readings) == []
    assert differences(expected.riders, found.riders) == []
    assert differences(expected.bikes, found.bikes) == []
    assert await packed_otherwise(site.database_url) == []
    heart_rates = heart_rates_read(expected, found.ride_ids)
    assert heart_rates_sent(digested.heart_rates) ^ heart_rates == set()
    letters = dead_letters_sent(digested.dead_letters)
    first_letters = {where: letters[where] for where in letters.keys() - sent_again}
    due = dead_letters_due(feed, expected, site.raw_topic)
    assert differences(due, first_letters) == []
    assert found.refused_lines == refusals_due(records, digested.dead_letters)


def repeats(records: Sequence[ConsumerRecord]) -> set[tuple[int, int]]:
    """Where records lie that were sent again because the answer to the first time got lost.

    They bear the first one's time, to the millisecond: they tell nothing new.
    """
    known = set()
    sent_again = set()
    for record in records:
        identity = (record.partition, record.key, record.value, record.timestamp)
        if identity in known:
            sent_again.add(place(record))
        known.add(identity)
    return sent_again


def place(record: ConsumerRecord) -> tuple[int, int]:
    """The record's partition and offset."""
    return record.partition, record.offset


def raw_message(record: ConsumerRecord) -> RawMessage:
    """What the oracle reads of a record."""
    return RawMessage(record.partition, record.offset, record.key, record.value, record.timestamp)
