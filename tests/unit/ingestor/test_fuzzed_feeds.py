"""Any feed: what comes again, and workers that take turns, change no row.

`FUZZED_FEEDS=2000` looks at more of them. A feed is named by its number, and always the same.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from random import Random

import msgspec
import pytest

from deloton.feed.log_lines import LogLine, Marker
from deloton.testing import FakeRecord, a_rider, a_whole_ride, an_announcement, records_of
from tests.oracle.straightforward import RawMessage, expected_rows, read_streams
from tests.unit.ingestor.rows_in_memory import RowsInMemory
from tests.unit.ingestor.test_repeats import readings_of, rides_of

FEEDS = int(os.environ.get("FUZZED_FEEDS", "25"))
# A second of the bike is so much longer than two half seconds of ours.
LATER_BY_LINE_S = 0.00068
JUMPS_S = (3_600.0, 86_400.0, 31_536_000.0)


class Feed:
    """Some rides of one bike. Of a clock that is set here and there no second is shown twice."""

    def __init__(self, number: int, faults: str) -> None:
        self.rng = Random(number)
        self.faults = faults
        self.lines: list[LogLine] = []
        self.clock_s = self.began_s = 0.0
        for _ in range(self.rng.randint(2, 6)):
            self._ride()

    def _ride(self) -> None:
        rng = self.rng
        seconds = rng.randint(5, 60)
        rider = a_rider(7000 + rng.randint(0, 3))
        ride = a_whole_ride(seconds, began_s=self.began_s, rider=rider)
        set_at = rng.randrange(4, len(ride), 2) if self._happens("a clock that is set") else None
        told_at = rng.randrange(6, len(ride), 2) if self._happens("a second rider") else None
        for place, line in enumerate(ride):
            is_first = place < 4 or place == told_at
            if place == set_at:
                self.clock_s += rng.choice(JUMPS_S) + rng.random()
            if place == told_at:
                told_s = self.began_s + (place - 4) // 2 + 0.75
                other = rider if rng.random() < 0.5 else a_rider(8000 + place)
                self._tell(an_announcement(told_s, rider=other))
            if is_first or rng.random() > 0.03 or "lost lines" not in self.faults:
                self._tell(line)
        self.began_s += seconds + rng.choice((2.5, 2.5, 2.5, 100.0))

    def _happens(self, fault: str) -> bool:
        return fault in self.faults and self.rng.random() < 0.5

    def _tell(self, line: LogLine) -> None:
        self.clock_s += LATER_BY_LINE_S
        later = timedelta(seconds=round(self.clock_s, 6))
        if not isinstance(line, Marker):
            line = msgspec.structs.replace(line, at=line.at + later)
        self.lines.append(line)

    def with_repeats(self) -> list[LogLine]:
        """The same, windows of which are sent again, at once or later."""
        rng, lines = self.rng, self.lines
        for _ in range(rng.randint(1, 3)):
            length = min(rng.choice((1, 2, 5, 40, 200)), len(lines) - 1)
            first = rng.randint(0, len(lines) - length)
            at = rng.choice((first + length, rng.randint(first + length, len(lines))))
            lines = [*lines[:at], *lines[first : first + length], *lines[at:]]
        return lines


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
        feed = Feed(number, faults)
        plain = RowsInMemory()
        plain.take(plain.next_worker(), records_of(feed.lines))
        again = stored(records_of(feed.with_repeats()), (1, 3, 7, 50, 300), feed.rng)
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
    "faults", ["none", "lost lines", "a clock that is set", "lost lines, a clock that is set"]
)
def test_rows_are_those_of_the_oracle(faults: str) -> None:
    different = []
    for number in range(FEEDS):
        records = records_of(Feed(number, faults).lines)
        rows = stored(records, (1, 3, 7, 50, 300), Random(number))
        if told_by_rows(rows) != told_by_oracle(records):
            different.append(number)
    assert different == []
