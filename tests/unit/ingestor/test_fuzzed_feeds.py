"""Any feed: what comes again, and workers that take turns, change no row.

`FUZZED_FEEDS=2000` looks at more of them. A feed is named by its number, and always the same.
"""

import os
from collections.abc import Sequence
from random import Random

import pytest

from deloton.testing import FakeRecord, records_of
from tests.odd_feed import OddFeed
from tests.oracle.straightforward import RawMessage, expected_rows, read_streams
from tests.unit.ingestor.rows_in_memory import RowsInMemory
from tests.unit.ingestor.test_repeats import readings_of, rides_of

FEEDS = int(os.environ.get("FUZZED_FEEDS", "25"))


def feed_of(number: int, faults: str) -> OddFeed:
    feed = OddFeed(number, faults)
    return feed.ride(feed.rng.randint(2, 6))


def stored(records: Sequence[FakeRecord], sizes: Sequence[int], rng: Random) -> RowsInMemory:
    rows = RowsInMemory()
    state = rows.next_worker()
    while records:
        size = rng.choice(sizes)
        rows.take(state, records[:size])
        records = records[size:]
        if rng.random() < 0.3:
            state = rows.next_worker()
    return rows


@pytest.mark.parametrize(
    "faults",
    [
        "none",
        "lost lines",
        "a second rider",
        "lost lines, a second rider",
        "a clock that is set",
    ],
)
def test_repeats_and_workers_that_take_turns_change_no_row(faults: str) -> None:
    different = []
    for number in range(FEEDS):
        feed = feed_of(number, faults)
        plain = RowsInMemory()
        plain.take(plain.next_worker(), records_of(feed.lines))
        again = stored(
            records_of(feed.with_repeats(feed.rng.randint(1, 3))), (1, 3, 7, 50, 300), feed.rng
        )
        if (readings_of(plain), rides_of(plain)) != (readings_of(again), rides_of(again)):
            different.append(number)
    assert different == []


def told_by_rows(rows: RowsInMemory) -> dict[str, object]:
    told: dict[str, object] = {}
    for (serial, _), row in rows.rides.items():
        readings = sorted(
            (at, *values)
            for (ride_id, at), values in rows.readings.items()
            if ride_id == row["ride_id"]
        )
        told[f"{serial} {row['started_at']}"] = {
            "rider": row["rider_id"],
            "end": (row["ended_at"], row["end_reason"]),
            "beginnings": row["beginnings"],
            "readings": readings,
        }
    return told


def told_by_oracle(records: Sequence[FakeRecord]) -> dict[str, object]:
    raw = [RawMessage(0, record.offset, record.key, record.value) for record in records]
    expected = expected_rows(read_streams(raw), waited=False)
    return {
        f"{serial} {started_at}": {
            "rider": row["rider_id"],
            "end": (row["ended_at"], row["end_reason"]),
            "beginnings": row["clock_beginnings"] or [started_at],
            "readings": [tuple(reading) for reading in expected.readings[serial, started_at]],
        }
        for (serial, started_at), row in expected.rides.items()
    }


@pytest.mark.parametrize(
    "faults",
    [
        "none",
        "lost lines",
        "a second rider",
        "a clock that is set",
        "lost lines, a clock that is set",
        "a second rider, a clock that is set",
        "a second rider, a clock that is set, windows sent again",
    ],
)
def test_rows_are_those_of_the_oracle(faults: str) -> None:
    different = []
    for number in range(FEEDS):
        feed = feed_of(number, faults)
        again = "windows sent again" in faults
        records = records_of(feed.with_repeats(3, 4_000) if again else feed.lines)
        rows = stored(records, (1, 3, 7, 50, 300), Random(number))
        if told_by_rows(rows) != told_by_oracle(records):
            different.append(number)
    assert different == []
