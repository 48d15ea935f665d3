"""Every row the ingestor stores is the one that a straightforward computation arrives at.

At the end there is half a minute without a line, and the last ride of each bike is over. On a busy
machine that may be so of some bikes at once: `Feed.as_of`.
"""

import json
from collections import Counter
from datetime import datetime
from itertools import pairwise

import pytest

from tests.e2e.ingestor_site import PARTITIONS, Feed, fetch, wait_until, wait_until_packed
from tests.e2e.stored_rows import (
    Digested,
    dead_letters_due,
    dead_letters_sent,
    differences,
    heart_rates_read,
    heart_rates_sent,
    packed_otherwise,
    read_rows,
    read_topic,
    refusals_due,
)
from tests.oracle.straightforward import Expected

# On a real Kafka `test_restarts` and `test_crashes` compare the same rows and topics.
pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def due(feed: Feed, digested: Digested) -> Expected:
    """What must have come of the feed by then."""
    return feed.as_of(digested.rows.rides)


def test_the_feed_has_every_kind_of_fault(feed: Feed) -> None:
    texts = [(message.value or b"").decode(errors="replace") for message in feed.messages]
    readings = [reading for ride in feed.in_progress.readings.values() for reading in ride]
    rides = feed.after_silence.rides
    found = {
        "cut message": sum(text.startswith('{"log": "') and text[-1] != "}" for text in texts),
        "cut line": sum(text.startswith('{"log": "') and text[-4:] != '\\n"}' for text in texts),
        "no envelope": sum(text[0] in "2-" for text in texts),
        "no UTF-8": sum("�" in text for text in texts),
        "no log": texts.count("{}") and texts.count("7"),
        "unknown kind": sum("Battery" in text for text in texts),
        "repeat": sum(one == other for one, other in pairwise(texts)),
        "lost Ride line": sum(reading.elapsed_s is None for reading in readings),
        "lost Telemetry line": sum(reading.power_watts is None for reading in readings),
        "lost [SYSTEM] line": sum(ride["rider_id"] is None for ride in rides.values()),
        "unknown bike": sum(serial.startswith("unknown:") for serial, _ in rides),
        "rider without a name": sum(
            rider["first_name"] is None for rider in feed.in_progress.riders.values()
        ),
        "silence": sum(ride["end_reason"] == "silence" for ride in rides.values()),
        "next ride": sum(ride["end_reason"] == "next_ride" for ride in rides.values()),
        "broken power sensor": sum(ride["power_deviation_s"] >= 30 for ride in rides.values()),
        "no key": sum(message.key is None for message in feed.messages),
    }
    assert [kind for kind, count in found.items() if not count] == []
    assert {message.partition for message in feed.messages} == set(range(PARTITIONS))


def test_riders_and_bikes_are_as_last_told(due: Expected, digested: Digested) -> None:
    assert differences(due.riders, digested.rows.riders) == []
    assert differences(due.bikes, digested.rows.bikes) == []


def test_every_ride_and_its_totals_are_exact(due: Expected, digested: Digested) -> None:
    assert differences(due.rides, digested.rows.rides) == []


def test_every_reading_is_exact(due: Expected, digested: Digested) -> None:
    assert differences(due.readings, digested.rows.readings) == []


def test_every_heart_rate_is_sent_once_to_the_partition_of_its_lines(
    due: Expected, digested: Digested
) -> None:
    sent = heart_rates_sent(digested.heart_rates)
    assert len(digested.heart_rates) == len(sent)
    assert sent == heart_rates_read(due, digested.rows.ride_ids)


def test_every_refused_message_is_a_dead_letter_as_it_was(
    feed: Feed, due: Expected, digested: Digested
) -> None:
    letters = dead_letters_sent(digested.dead_letters)
    assert len(digested.dead_letters) == len(letters)
    letters_due = dead_letters_due(feed, due, digested.site.raw_topic)
    assert differences(letters_due, letters) == []


async def test_every_refused_message_is_counted_once(due: Expected, digested: Digested) -> None:
    site = digested.site
    raw = await read_topic(site.broker.bootstrap_servers, site.raw_topic)
    counted = digested.rows.refused_lines
    assert counted.total() == len(due.refused)
    assert counted == refusals_due(raw, digested.dead_letters)


def test_ride_events_tell_the_start_and_the_end_of_each_ride(
    due: Expected, digested: Digested
) -> None:
    events = [json.loads(record.value) for record in digested.ride_events]
    started = Counter(event["ride_id"] for event in events if event["event"] == "ride_started")
    assert started == Counter(digested.rows.ride_ids.values())
    ended_at = {
        event["ride_id"]: datetime.fromisoformat(event["ended_at"])
        for event in events
        if event["event"] == "ride_ended"
    }
    ends = {
        digested.rows.ride_ids[key]: ride["ended_at"]
        for key, ride in due.rides.items()
        if ride["ended_at"] is not None
    }
    assert differences(ends, ended_at) == []


async def test_rides_end_after_30_s_without_a_line(feed: Feed, digested: Digested) -> None:
    async def nobody_rides() -> bool:
        return not await fetch(digested.site, "SELECT FROM rides WHERE ended_at IS NULL")

    await wait_until(nobody_rides)
    await wait_until_packed(digested.site)
    packed = await fetch(digested.site, "SELECT FROM ride_series")
    assert len(packed) == sum(map(bool, feed.after_silence.readings.values()))
    assert await packed_otherwise(digested.site.database_url) == []
    rows = await read_rows(digested.site.database_url)
    assert differences(feed.after_silence.rides, rows.rides) == []
    assert differences(feed.after_silence.readings, rows.readings) == []
