"""What a stream told before is a repeat, however long ago."""

import os
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from deloton.feed.assembly.memory import LOOK_AROUND
from deloton.feed.log_lines import LogLine, Marker, RefusalReason, RiderRequested
from deloton.testing import (
    FakeRecord,
    a_message_of,
    a_record,
    a_ride_line,
    a_rider,
    a_second,
    a_telemetry_line,
    a_whole_ride,
    an_announcement,
    at,
    records_of,
    seconds_of_a_ride,
)
from tests.unit.ingestor.rows_in_memory import RowsInMemory

# Longest window: 4,000 lines, which four to eight of these rides lie in.
WINDOWS = {
    "300 to 1,500 lines twice": ((300, 1_500), (0, 0)),
    "1,500 to 4,000 lines twice": ((1_500, 4_000), (0, 0)),
    "2 to 100 lines again 600 to 2,000 lines later": ((2, 100), (600, 2_000)),
    "1 to 4,000 lines again up to 4,000 lines later": ((1, 4_000), (0, 4_000)),
}
# Each takes half a second. The table of docs/performance.md is of 300 of each kind.
WINDOWS_A_KIND = int(os.environ.get("REPEATED_WINDOWS", "2"))


def a_long_feed(rng: Random) -> list[LogLine]:
    """About 10,000 lines of rides back to back, some lines of which were lost."""
    lines: list[LogLine] = []
    began_s = 0.0
    for number in range(16):
        seconds = rng.randint(179, 520)
        ride = a_whole_ride(seconds, began_s=began_s, rider=a_rider(7000 + number))
        lines += [line for line in ride if rng.random() > 0.005]
        began_s += seconds + 2.5
    return lines


def stored(records: Sequence[FakeRecord], rng: Random) -> RowsInMemory:
    """The rows after batches of any size, some of which another worker takes."""
    rows = RowsInMemory()
    state = rows.next_worker()
    while records:
        size = rng.choice((7, 300, 1_500, 5_000))
        rows.take(state, records[:size])
        records = records[size:]
        if rng.random() < 0.3:
            state = rows.next_worker()
    return rows


def rows_of(lines: Sequence[LogLine]) -> RowsInMemory:
    rows = RowsInMemory()
    rows.take(rows.next_worker(), records_of(lines))
    return rows


def readings_of(rows: RowsInMemory) -> Sequence[object]:
    """Readings by their ride's identity, which ids are not part of."""
    identities = {row["ride_id"]: identity for identity, row in rows.rides.items()}
    return sorted(
        (identities[ride_id], at, values) for (ride_id, at), values in rows.readings.items()
    )


def rides_of(rows: RowsInMemory) -> dict[object, object]:
    return {
        identity: {name: value for name, value in row.items() if name != "ride_id"}
        for identity, row in rows.rides.items()
    }


def wrong_windows(kind: str, count: int, seed: int) -> list[tuple[int, int, int]]:
    """Of so many windows of a kind those after which the rows are others."""
    (shortest, longest), (least, most) = WINDOWS[kind]
    rng = Random(seed)
    wrong = []
    for _ in range(count):
        lines = a_long_feed(rng)
        length, later = rng.randint(shortest, longest), rng.randint(least, most)
        first = rng.randint(0, len(lines) - length - later - 10)
        end = first + length + later
        again = [*lines[:end], *lines[first : first + length], *lines[end:]]
        expected, found = rows_of(lines), stored(records_of(again), rng)
        if (readings_of(expected), rides_of(expected)) != (readings_of(found), rides_of(found)):
            wrong.append((first, length, later))
    return wrong


@pytest.mark.parametrize("kind", WINDOWS)
def test_a_window_that_is_sent_again_changes_no_row(kind: str) -> None:
    assert wrong_windows(kind, WINDOWS_A_KIND, seed=17) == []


def test_the_announcement_of_a_ride_long_over_changes_nothing() -> None:
    """Rides A, B, C; in the middle of C the `[SYSTEM]` line of A once more."""
    rides = [a_whole_ride(180, began_s=number * 185, rider=a_rider(number)) for number in range(3)]
    lines = [*rides[0], *rides[1], *rides[2]]
    again = [*rides[0], *rides[1], *rides[2][:100], rides[0][3], *rides[2][100:]]
    rows = RowsInMemory()
    for records in (records_of(again[:400]), records_of(again[400:800]), records_of(again[800:])):
        rows.take(rows.next_worker(), records)
    assert rides_of(rows) == rides_of(rows_of(lines))
    assert readings_of(rows) == readings_of(rows_of(lines))


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_reordered_lines_that_were_not_stored_are_stored_where_they_belong(cut: int) -> None:
    """R2 T2 R1 T1."""
    swapped: list[LogLine] = [an_announcement(), *a_second(2), *a_second(1), *a_second(3)]
    rows = RowsInMemory()
    for part in filter(None, (swapped[: 3 + cut], swapped[3 + cut :])):
        rows.take(rows.next_worker(), records_of(part))
    in_order = rows_of([an_announcement(), *seconds_of_a_ride(1, 3)])
    assert readings_of(rows) == readings_of(in_order)


def test_a_stamp_that_falls_back_within_a_pair_loses_nothing() -> None:
    lines = [an_announcement(), *a_second(1), a_ride_line(2), a_telemetry_line(1.9), *a_second(3)]
    assert len(rows_of(lines).readings) == 4


def assert_same_rows(lines: Sequence[LogLine], *parts: Sequence[LogLine]) -> None:
    """Whatever workers took one after another is what the lines come to at once."""
    rows = RowsInMemory()
    for part in parts:
        rows.take(rows.next_worker(), records_of(part))
    assert readings_of(rows) == readings_of(rows_of(lines))
    assert rides_of(rows) == rides_of(rows_of(lines))


def test_the_ride_line_that_waits_is_a_repeat_at_the_next_worker_too() -> None:
    lines = [*a_whole_ride(3), a_ride_line(4)]
    telemetry = a_telemetry_line(4.5)
    assert_same_rows([*lines, telemetry], lines, lines[-3:], [telemetry])


def test_a_telemetry_line_after_a_late_ride_line_is_of_that_one() -> None:
    """Also where the Ride line that waits bears nearly the same stamp, as after a clock's set."""
    lines = [*a_whole_ride(9), *seconds_of_a_ride(10, 12, began_s=-4.25)]
    first_half, second_half = lines[-2:]
    assert_same_rows(lines, lines[:-1], lines[16:18], [second_half])
    assert first_half.elapsed_s == 12  # type: ignore[union-attr]


@pytest.mark.parametrize("by_s", [-3_600.0, -3.0, 3.0, 20.0, 86_400.0])
@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_clock_that_is_set_between_the_halves_of_a_second_splits_none(
    by_s: float, cut: int
) -> None:
    before = [*a_whole_ride(5), a_ride_line(6)]
    after = [a_telemetry_line(6.5 + by_s), *seconds_of_a_ride(7, 9, began_s=by_s)]
    lines = [*before, *after]
    at = len(before) - 1 + cut
    rows = RowsInMemory()
    for part in (lines[:at], lines[at:], lines[4:]):
        rows.take(rows.next_worker(), records_of(part))
    right = rows_of([*a_whole_ride(9)])
    assert sorted(rows.readings.values()) == sorted(right.readings.values())
    [times, right_times] = [sorted(at for _, at in each.readings) for each in (rows, right)]
    assert times == right_times


# A second [SYSTEM] in mid-ride


def test_a_second_announcement_of_the_same_rider_leaves_one_ride() -> None:
    lines = [
        *a_whole_ride(50, rider=a_rider(1)),
        an_announcement(51, rider=a_rider(1, weight_kg=70)),
        *seconds_of_a_ride(52, 100),
    ]
    rows = rows_of(lines)
    assert len(rows.rides) == 1
    assert len(rows.readings) == 99


def test_a_second_announcement_of_the_same_rider_is_a_repeat_however_late() -> None:
    first = a_whole_ride(50, rider=a_rider(1))
    again = [an_announcement(50.75, rider=a_rider(1)), *seconds_of_a_ride(51, 60)]
    following = a_whole_ride(20, began_s=70, rider=a_rider(2))
    lines = [*first, *again, *following]
    for length in (1, 2, 3, 7):
        assert_same_rows([*lines, Marker()], lines, again[:length], [Marker()])


def test_an_announcement_without_markers_in_mid_ride_begins_one_ride_with_its_rider() -> None:
    """As bikes space them: the first second is told half a second after the announcement."""
    told = [an_announcement(60, rider=a_rider(2)), *seconds_of_a_ride(1, 9, began_s=59.5)]
    rows = rows_of([*a_whole_ride(50, rider=a_rider(1)), *told])
    assert [row["rider_id"] for row in rows.rides.values()] == [1, 2]
    assert len(rows.readings) == 59


def test_seconds_that_a_rider_took_over_are_the_later_rides_when_they_come_again() -> None:
    first = a_whole_ride(50, rider=a_rider(1))
    other = [an_announcement(50.75, rider=a_rider(2)), *seconds_of_a_ride(51, 60)]
    rides = [a_whole_ride(5, began_s=70 + 10 * number) for number in range(6)]
    lines = [*first, *other, *(line for ride in rides for line in ride)]
    assert_same_rows(lines, lines, other[1:])


@pytest.mark.parametrize("taken_over_at_s", [1, 2, 3])
def test_seconds_before_another_rider_took_over_are_the_former_rides_when_they_come_again(
    taken_over_at_s: int,
) -> None:
    """Of a clock that was set right after the ride began, and when the former ride is forgotten."""
    hour_s = 3600.0
    first = seconds_of_a_ride(1, taken_over_at_s, began_s=hour_s)
    told = an_announcement(hour_s + taken_over_at_s + 0.75, rider=a_rider(2))
    other = seconds_of_a_ride(taken_over_at_s + 1, 9, began_s=hour_s)
    lines = [an_announcement(rider=a_rider(1)), *first, told, *other]
    for number in range(3):
        lines += a_whole_ride(5, began_s=hour_s + 20 + 10 * number)
    assert_same_rows(lines, lines, first)


def test_seconds_that_a_rider_took_over_are_no_tail_of_the_former_ride_looked_up_alone() -> None:
    began_s = LOOK_AROUND.total_seconds() - 20
    first = a_whole_ride(30, began_s=began_s, rider=a_rider(1))
    told = an_announcement(began_s + 30.75, rider=a_rider(2))
    other = seconds_of_a_ride(31, 60, began_s=began_s)
    lines = [*a_whole_ride(5), *first, told, *other]
    for number in range(6):
        lines += a_whole_ride(5, began_s=began_s + 70 + 10 * number)
    # What comes first is asked for, with all rides that began within twelve hours.
    again = [*a_whole_ride(5)[4:6], *other]
    assert_same_rows(lines, lines, again)


def test_what_comes_again_decides_no_rider_told_in_mid_ride() -> None:
    """Nor does another `[SYSTEM]` line that was told in the midst of a ride before."""
    first = [*a_whole_ride(9, rider=a_rider(1)), an_announcement(9.75, rider=a_rider(1))]
    first += seconds_of_a_ride(10, 20)
    second = [*a_whole_ride(9, began_s=100, rider=a_rider(1))]
    told = an_announcement(109.75, rider=a_rider(2))
    following = seconds_of_a_ride(10, 20, began_s=100)
    before = [*first, *second, told]
    for window in (first[20:24], first[22:23], [*first[18:], *second, told]):
        assert_same_rows([*before, *following], before, window, following)


@pytest.mark.parametrize("cut", [100, 103, 104, 105, 106, 120])
def test_a_second_announcement_of_another_rider_ends_the_one_ride_and_begins_the_other(
    cut: int,
) -> None:
    lines = [
        *a_whole_ride(50, rider=a_rider(1)),
        an_announcement(50.75, rider=a_rider(2)),
        *seconds_of_a_ride(51, 100),
    ]
    rows = RowsInMemory()
    for part in (lines[:cut], lines[cut:]):
        rows.take(rows.next_worker(), records_of(part))
    first, second = sorted(rows.rides.values(), key=lambda row: row["started_at"])
    assert (first["rider_id"], second["rider_id"]) == (1, 2)
    of_each = [
        sum(number == row["ride_id"] for number, _ in rows.readings) for row in (first, second)
    ]
    assert of_each == [50, 50]
    # Both again: nothing new.
    rows.take(rows.next_worker(), records_of(lines[30:180]))
    assert len(rows.readings) == 100
    assert len(rows.rides) == 2


@pytest.mark.parametrize("cut", [103, 105, 106, 107, 108, 109, 130])
@pytest.mark.parametrize("markers", [0, 2])
def test_a_rider_who_is_asked_for_in_mid_ride_takes_over_too(markers: int, cut: int) -> None:
    """As every ride begins: the bike asks who rides, and half a second later it is told."""
    asked = [Marker()] * markers + [RiderRequested(at(50.6))]
    told = [*asked, an_announcement(50.75, rider=a_rider(2)), *seconds_of_a_ride(51, 100)]
    lines = [*a_whole_ride(50, rider=a_rider(1)), *told]
    rows = RowsInMemory()
    for part in (lines[:cut], lines[cut:], lines[90:150]):
        rows.take(rows.next_worker(), records_of(part))
    of_riders = Counter(
        row["rider_id"]
        for number, _ in rows.readings
        for row in rows.rides.values()
        if row["ride_id"] == number
    )
    assert of_riders == {1: 50, 2: 50}


def test_seconds_of_the_ride_before_that_come_after_an_announcement_are_that_rides() -> None:
    """They were told before it, by their stamps."""
    first, following = a_whole_ride(50, rider=a_rider(1)), a_whole_ride(9, began_s=52)
    rows = rows_of([*first[:-4], *following[:4], *first[-4:], *following[4:]])
    assert sorted(Counter(number for number, _ in rows.readings).values()) == [9, 50]


# Telemetry first


def test_telemetry_first_waits_for_the_ride_line_within_a_second() -> None:
    rows = rows_of([a_telemetry_line(99.5), *seconds_of_a_ride(100, 102)])
    assert len(rows.rides) == 1
    assert len(rows.readings) == 4


@pytest.mark.parametrize("cut", [0, 1])
def test_telemetry_after_a_hole_belongs_to_the_ride_that_the_ride_line_tells_of(cut: int) -> None:
    lines = [*a_whole_ride(20), a_telemetry_line(60.5), *seconds_of_a_ride(61, 63)]
    rows = RowsInMemory()
    place = lines.index(a_telemetry_line(60.5)) + cut
    refused = []
    for part in (lines[:place], lines[place:]):
        refused += rows.take(rows.next_worker(), records_of(part)).refused
    assert refused == []
    assert len(rows.rides) == 1
    assert len(rows.readings) == 24


def test_telemetry_without_a_ride_line_within_a_second_is_a_letter() -> None:
    rows = RowsInMemory()
    lines = [a_telemetry_line(99.5), *seconds_of_a_ride(101, 102)]
    batch = rows.take(rows.next_worker(), records_of(lines))
    assert [letter.record.offset for letter in batch.refused] == [0]


# Two bikes in one stream


def two_bikes(seconds: int, *, announced: bool, behind_s: float = 7.25) -> list[LogLine]:
    """The lines of two bikes, as they come: each with its own rider."""
    began = (0.0, behind_s)
    lines: list[tuple[float, LogLine]] = []
    for number, began_s in enumerate(began):
        serial = f"SN000{number}"
        heart_rate = 100 + 50 * number
        if announced:
            rider = a_rider(number + 1)
            lines.append((began_s, an_announcement(began_s, bike_serial=serial, rider=rider)))
        for second in range(1, seconds + 1):
            at_s = began_s + second
            lines.append((at_s, a_ride_line(second, at_s=at_s)))
            lines.append((at_s + 0.5, a_telemetry_line(at_s + 0.5, heart_rate_bpm=heart_rate)))
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]


@pytest.mark.parametrize("key", [b"gym", None])
def test_two_bikes_with_one_key_or_none_are_refused_and_never_mixed(key: bytes | None) -> None:
    lines = two_bikes(60, announced=True)
    rows = RowsInMemory()
    refused = rows.take(rows.next_worker(), records_of(lines, key=key)).refused
    assert {letter.refusal.reason for letter in refused} == {RefusalReason.TWO_BIKES}
    assert len(refused) > 100
    heart_rates: dict[int, set[int]] = {}
    for (ride_id, _), values in rows.readings.items():
        heart_rates.setdefault(ride_id, set()).add(values[1])
    assert all(len(rates) == 1 for rates in heart_rates.values())


def test_two_bikes_met_in_the_middle_are_refused_within_seconds() -> None:
    rows = RowsInMemory()
    lines = two_bikes(60, announced=False)[61:]
    batch = rows.take(rows.next_worker(), records_of(lines, key=b"gym"))
    assert {letter.refusal.reason for letter in batch.refused} == {RefusalReason.TWO_BIKES}
    assert len(rows.readings) <= 6


@pytest.mark.parametrize("behind_s", [0.3, 0.6, 0.9, 1.2, 1.7, 1.95])
@pytest.mark.parametrize("announced", [True, False])
def test_two_bikes_that_begin_within_two_seconds_are_told_apart(
    behind_s: float, *, announced: bool
) -> None:
    """As where a class begins: each second's count comes twice, and the later one is no repeat."""
    lines = two_bikes(60, announced=announced, behind_s=behind_s)
    rows = RowsInMemory()
    batch = rows.take(rows.next_worker(), records_of(lines, key=b"gym"))
    assert {letter.refusal.reason for letter in batch.refused} == {RefusalReason.TWO_BIKES}
    assert len(rows.readings) <= 3


@pytest.mark.parametrize("first", range(5))
def test_seconds_that_come_again_at_once_are_no_second_bike(first: int) -> None:
    """With or without their other halves, and at the worker that goes on."""
    lines = seconds_of_a_ride(1, 9)
    before, window, after = lines[: first + 8], lines[first : first + 8], lines[first + 8 :]
    assert_same_rows([*a_whole_ride(0), *lines], [*a_whole_ride(0), *before], window, after)


def test_a_bike_that_rides_alone_again_for_two_minutes_is_taken_again() -> None:
    alone = seconds_of_a_ride(1, 200, began_s=100)
    lines = [*two_bikes(30, announced=True), an_announcement(100, rider=a_rider(3)), *alone]
    rows = RowsInMemory()
    rows.take(rows.next_worker(), records_of(lines, key=b"gym"))
    after = [at for _, at in rows.readings if at > alone[300].at]  # type: ignore[union-attr]
    assert len(after) == 49 or len(after) == 50


def test_a_garbled_duration_costs_its_own_second_alone() -> None:
    lines = [*a_whole_ride(50, rider=a_rider()), a_ride_line(5.0, at_s=51), *a_second(52)]
    rows = rows_of([*lines, *seconds_of_a_ride(53, 80), Marker()])
    ride = max(rows.rides.values(), key=lambda row: row["rider_id"] or 0)
    mine = [number for number, _ in rows.readings if number == ride["ride_id"]]
    assert len(mine) == 79


def test_a_bike_that_changes_its_partition_in_mid_ride_is_no_crowd() -> None:
    rows = rows_of([*a_whole_ride(20), *seconds_of_a_ride(21, 40)])
    assert len(rows.rides) == 1


def test_what_is_held_over_a_batch_becomes_a_letter_as_it_came() -> None:
    rows = RowsInMemory()
    message = a_message_of(a_telemetry_line(5))
    rows.take(rows.next_worker(), [a_record(message, offset=3)])
    records = records_of([Marker()], first_offset=4)
    [letter] = rows.take(rows.next_worker(), records).refused
    assert (letter.record.offset, letter.record.value) == (3, message)
