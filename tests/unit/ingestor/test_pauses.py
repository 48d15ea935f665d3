"""Pauses in what comes are none by the stamps: halves and riders find their ride after them."""

from collections.abc import Sequence

import pytest

from deloton.feed.log_lines import LogLine
from deloton.testing import (
    a_ride_line,
    a_rider,
    a_telemetry_line,
    a_whole_ride,
    an_announcement,
    records_of,
    seconds_of_a_ride,
)
from tests.unit.ingestor.rows_in_memory import RowsInMemory
from tests.unit.ingestor.test_repeats import readings_of, rides_of, rows_of

RIDE_LINE = a_ride_line(4.0)
BEFORE: list[LogLine] = [*a_whole_ride(3), RIDE_LINE]
AFTER: list[LogLine] = [a_telemetry_line(4.5), *seconds_of_a_ride(5, 6)]


def rows_with_silence(before: Sequence[LogLine], after: Sequence[LogLine]) -> RowsInMemory:
    rows = RowsInMemory()
    state = rows.next_worker()
    rows.take(state, records_of(before))
    rows.store(state, state.end_silent_rides(heard_before=1.0))
    rows.take(rows.next_worker(), records_of(after))
    return rows


def test_silence_between_the_halves_of_a_second_does_not_part_them() -> None:
    rows, plain = rows_with_silence(BEFORE, AFTER), rows_of([*BEFORE, *AFTER])
    assert (readings_of(rows), rides_of(rows)) == (readings_of(plain), rides_of(plain))


@pytest.mark.parametrize("again", [BEFORE[3:6], BEFORE, [RIDE_LINE]])
def test_lines_that_come_again_after_the_silence_do_not_part_them_either(
    again: list[LogLine],
) -> None:
    rows, plain = rows_with_silence(BEFORE, [*again, *AFTER]), rows_of([*BEFORE, *AFTER])
    assert (readings_of(rows), rides_of(rows)) == (readings_of(plain), rides_of(plain))


def test_a_stream_that_moves_between_the_halves_of_a_second_does_not_part_them() -> None:
    rows, plain = RowsInMemory(), rows_of([*BEFORE, *AFTER])
    state = rows.next_worker()
    rows.take(state, records_of(BEFORE))
    rows.store(state, state.let_go(list(state.streams)))
    rows.take(rows.next_worker(), records_of(AFTER))
    assert (readings_of(rows), rides_of(rows)) == (readings_of(plain), rides_of(plain))


def test_telemetry_without_its_ride_line_is_a_reading_of_its_own_after_silence() -> None:
    rows = rows_with_silence(a_whole_ride(3), [a_telemetry_line(4.5)])
    assert len(rows.readings) == 4


def test_a_rider_told_in_mid_ride_after_silence_takes_the_ride_over() -> None:
    other = an_announcement(3.75, rider=a_rider(7002))
    before, after = a_whole_ride(3, rider=a_rider(7001)), [other, *seconds_of_a_ride(4, 6)]
    rows, plain = rows_with_silence(before, after), rows_of([*before, *after])
    assert readings_of(rows) == readings_of(plain)
    assert [row["rider_id"] for row in rows.rides.values()] == [7001, 7002]
