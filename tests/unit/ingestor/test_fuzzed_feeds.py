"""Any feed: what comes again, and workers that take turns, change no row.

`FUZZED_FEEDS=2000` looks at more of them. A feed is named by its number, and always the same.
"""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

import pytest

from deloton.testing import FakeRecord, a_message_of, a_record, records_of
from ingestor.partition_state import PartitionState
from tests.odd_feed import OddFeed
from tests.oracle.straightforward import RawMessage, expected_rows, read_streams
from tests.unit.ingestor.rows_in_memory import RowsInMemory
from tests.unit.ingestor.test_repeats import readings_of, rides_of

FEEDS = int(os.environ.get("FUZZED_FEEDS", "25"))


def feed_of(number: int, faults: str) -> OddFeed:
    feed = OddFeed(number, faults)
    return feed.ride(feed.rng.randint(2, 6))


def stored(
    records: Sequence[FakeRecord], sizes: Sequence[int], rng: Random, silences: float = 0.0
) -> RowsInMemory:
    """The rows; `silences` is how often the feed pauses, and the silent are forgotten."""
    rows = RowsInMemory()
    state = rows.next_worker()
    while records:
        size = rng.choice(sizes)
        rows.take(state, records[:size])
        records = records[size:]
        if rng.random() < silences:
            fall_silent(rows, state)
        if rng.random() < 0.3:
            state = rows.next_worker()
        elif rng.random() < silences:
            state.forget_spare(kept=0)
    return rows


def fall_silent(rows: RowsInMemory, state: PartitionState) -> None:
    """Nothing comes for so long that rides are held to be over.

    Not where a rider was told in mid-ride right before: silence says that his ride begins there.
    """
    if not any(stream.held for stream in state.streams.values()):
        rows.store(state, state.end_silent_rides(heard_before=1.0))


@pytest.mark.parametrize(
    "faults",
    [
        "none",
        "lost lines",
        "a second rider",
        "a second rider who is asked for",
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


def told_by_oracle(records: Sequence[FakeRecord], *, waited: bool = False) -> dict[str, object]:
    raw = [RawMessage(0, r.offset, r.key, r.value, r.timestamp) for r in records]
    expected = expected_rows(read_streams(raw), waited=waited)
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
        "a second rider who is asked for",
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


@pytest.mark.parametrize(
    "faults",
    [
        "none",
        "lost lines",
        "a clock that is set",
        "lost lines, a clock that is set",
        "a second rider, a clock that is set",
    ],
)
def test_pauses_in_which_rides_end_and_streams_are_forgotten_change_no_row(faults: str) -> None:
    different = []
    for number in range(FEEDS):
        feed = feed_of(number, faults)
        records = records_of(feed.lines)
        rows = stored(records, (1, 3, 7, 50, 300), Random(number), silences=0.3)
        fall_silent(rows, rows.next_worker())
        if told_by_rows(rows) != told_by_oracle(records, waited=True):
            different.append(number)
    assert different == []


def records_that_came(feed: OddFeed, behind_s: float, backlog_s: float) -> list[FakeRecord]:
    """The feed of a bike whose clock is so much behind; what it told till `backlog_s` came then."""
    return [
        a_record(a_message_of(line), offset=offset, came_s=max(told_s, backlog_s) + behind_s)
        for offset, (line, told_s) in enumerate(zip(feed.lines, feed.told_s, strict=True))
    ]


def nearly_equal(one: object, other: object) -> bool:
    """Equal; times but for the milliseconds by which what came later tells a clock otherwise."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return abs(one - other) < timedelta(milliseconds=3)
    if isinstance(one, dict) and isinstance(other, dict):
        one, other = (
            [value for _, value in sorted(one.items())],
            [value for _, value in sorted(other.items())],
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(nearly_equal, one, other))
    return one == other


@pytest.mark.parametrize("behind_s", [0.3, 20.0, 45.0, 7200.0, 40_000_000.0, -6.0, -86_400.0])
@pytest.mark.parametrize("faults", ["none", "a second rider", "a clock that is set"])
@pytest.mark.parametrize("is_live", [True, False])
def test_clocks_that_are_wrong_are_those_of_the_oracle(
    faults: str, behind_s: float, is_live: bool
) -> None:
    different = []
    for number in range(1 + FEEDS // 10):
        feed = OddFeed(number, faults).ride(4, longest_s=90, shortest_s=60)
        # All of it, or the first ride.
        backlog_s = feed.rng.choice((0.0, 100.0)) if is_live else feed.told_s[-1]
        records = records_that_came(feed, behind_s, backlog_s)
        rows = RowsInMemory()
        state = rows.next_worker()
        for first in range(0, len(records), 50):
            rows.take(state, records[first : first + 50])
        fall_silent(rows, state)
        if not nearly_equal(told_by_rows(rows), told_by_oracle(records, waited=True)):
            different.append(number)
    assert different == []
