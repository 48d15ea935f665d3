"""A ride is one timeline, and the bike's clock is only a witness."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from deloton.feed.assembly import Assembled, Reading, Ride, Stream
from deloton.feed.assembly.clock import Clock
from deloton.feed.log_lines import LogLine, Marker
from deloton.testing import (
    BIKE,
    a_record,
    a_rider,
    a_second,
    a_whole_ride,
    an_announcement,
    at,
    seconds_of_a_ride,
)

HOUR_S = 3600.0
DAY_S = 86_400.0
YEAR_S = 365 * DAY_S


def taken(timed: Sequence[tuple[LogLine, float | None]], stream: Stream | None = None) -> Assembled:
    """What becomes of lines that came so many seconds after the start; None: in bulk, years on."""
    stream, out = stream or Stream(BIKE.encode()), Assembled()
    for number, (line, came_s) in enumerate(timed):
        stream.accept(line, a_record(offset=number, came_s=came_s), out)
    return out


def live(
    lines: Sequence[LogLine], *, slow_s: float = 0.0, on_its_way_s: float = 0.2, from_s: float = 0.0
) -> list[tuple[LogLine, float | None]]:
    """The lines as they come from a bike whose clock is so slow: half a second apart."""
    timed: list[tuple[LogLine, float | None]] = []
    now = from_s
    for line in lines:
        stamp = getattr(line, "at", None)
        now = (stamp - at(0)).total_seconds() + slow_s if stamp else now
        timed.append((line, now + on_its_way_s))
    return timed


def in_bulk(lines: Sequence[LogLine]) -> list[tuple[LogLine, float | None]]:
    return [(line, None) for line in lines]


def rides(out: Assembled) -> list[Ride]:
    return [start.ride for start in out.started]


def seconds_of(readings: Sequence[Reading]) -> list[float]:
    return [(reading.at - at(0)).total_seconds() for reading in readings]


def assert_one_unbroken_timeline(readings: Sequence[Reading]) -> None:
    for before, after in pairwise(readings):
        passed = (after.at - before.at).total_seconds()
        counted = (after.elapsed_s or 0) - (before.elapsed_s or 0)
        assert passed > 0
        assert passed == pytest.approx(counted, abs=0.6)


@pytest.mark.parametrize("on_its_way_s", [-4.0, 0.0, 0.2, 5.0, 29.0])
def test_a_clock_that_is_right_changes_nothing_to_the_microsecond(on_its_way_s: float) -> None:
    lines = [*a_whole_ride(100), *a_whole_ride(100, began_s=105.123456)]
    out = taken(live(lines, on_its_way_s=on_its_way_s))
    plain = taken(in_bulk(lines))
    assert [reading.at for reading in out.readings] == [reading.at for reading in plain.readings]
    assert [ride.clock_beginnings for ride in rides(out)] == [None, None]


def test_lines_of_years_ago_sent_in_bulk_keep_their_stamps() -> None:
    out = taken(in_bulk(a_whole_ride(100)))
    assert seconds_of(out.readings) == [second + 0.5 for second in range(1, 101)]
    assert rides(out)[0].started_at == at(0)


@pytest.mark.parametrize("slow_s", [45.0, 120.0, HOUR_S, 7 * YEAR_S, 1234.567891])
def test_a_slow_clock_of_a_live_stream_is_found_and_the_whole_ride_is_in_our_time(
    slow_s: float,
) -> None:
    out = taken(live(a_whole_ride(100), slow_s=slow_s))
    [ride] = rides(out)
    assert (ride.started_at - at(slow_s)).total_seconds() == pytest.approx(0, abs=1)
    assert_one_unbroken_timeline(out.readings)
    assert ride.beginnings == [at(0)]
    assert out.readings[0].at == at(1.5) + ride.ahead


def test_the_next_ride_of_a_slow_clock_begins_in_our_time_at_once() -> None:
    lines = [*a_whole_ride(100), *a_whole_ride(3, began_s=105)]
    out = taken(live(lines, slow_s=120))
    _, second = rides(out)
    assert abs((second.started_at - at(225)).total_seconds()) < 1
    assert second not in out.shifted


@pytest.mark.parametrize("fast_s", [6.0, 60.0, HOUR_S, 30 * YEAR_S])
def test_a_stamp_later_than_its_arrival_is_of_a_fast_clock(fast_s: float) -> None:
    out = taken(live(a_whole_ride(100), slow_s=-fast_s))
    [ride] = rides(out)
    assert ride.started_at == at(-fast_s + 0.2)
    assert ride not in out.shifted
    assert_one_unbroken_timeline(out.readings)


@pytest.mark.parametrize("jump_s", [-HOUR_S, -YEAR_S, -3.0, -1.0, 90.0, 7 * YEAR_S])
@pytest.mark.parametrize("came_live", [True, False])
def test_a_clock_set_in_mid_ride_loses_no_second_and_no_time(
    jump_s: float, came_live: bool
) -> None:
    before = a_whole_ride(60)
    after = seconds_of_a_ride(61, 120, began_s=jump_s)
    if came_live:
        timed = [*live(before), *live(after, slow_s=-jump_s)]
    else:
        timed = in_bulk([*before, *after])
    out = taken(timed)
    assert len(rides(out)) == 1
    assert len(out.readings) == 120
    assert_one_unbroken_timeline(out.readings)
    assert (out.readings[-1].at - at(120.5)).total_seconds() == pytest.approx(0, abs=0.6)


def test_a_clock_set_from_years_ago_to_now_leaves_the_ride_in_our_time_whole() -> None:
    before = a_whole_ride(60)
    after = seconds_of_a_ride(61, 120, began_s=7 * YEAR_S)
    out = taken([*live(before, slow_s=7 * YEAR_S), *live(after)])
    [ride] = rides(out)
    assert_one_unbroken_timeline(out.readings)
    assert abs((ride.started_at - at(7 * YEAR_S)).total_seconds()) < 1
    assert [round((each - at(0)).total_seconds()) for each in ride.beginnings] == [
        0,
        round(7 * YEAR_S),
    ]


def test_a_clock_that_was_set_right_between_two_rides_is_believed_again() -> None:
    slow, right = a_whole_ride(60), a_whole_ride(60, began_s=HOUR_S + 65)
    out = taken([*live(slow, slow_s=HOUR_S), *live(right)])
    second = rides(out)[1]
    assert second.started_at == at(HOUR_S + 65)
    assert second.clock_beginnings is None


def test_a_clock_set_back_between_two_rides_is_found_again() -> None:
    first, second = a_whole_ride(60), a_whole_ride(60, began_s=65 - HOUR_S)
    out = taken([*live(first), *live(second, slow_s=HOUR_S)])
    ride = rides(out)[1]
    assert abs((ride.started_at - at(65)).total_seconds()) < 1


def test_a_backlog_is_no_live_stream_and_shifts_nothing() -> None:
    """Ten times as fast as life, from a day ago."""
    lines = a_whole_ride(200)
    timed = [(line, DAY_S + number * 0.05) for number, line in enumerate(lines)]
    out = taken(timed)
    assert rides(out)[0].started_at == at(0)
    assert not out.shifted


@pytest.mark.parametrize("timestamp", [-1, 0, 2**62])
def test_a_record_without_a_time_that_can_be_tells_nothing_of_the_clock(timestamp: int) -> None:
    stream, out = Stream(BIKE.encode()), Assembled()
    record = msgspec.structs.replace(a_record(), timestamp=timestamp)
    for line in a_whole_ride(50):
        stream.accept(line, record, out)
    assert rides(out)[0].started_at == at(0)


def wrong_at_looks(*looks: tuple[float, float | None]) -> list[float]:
    """What a clock says at looks at these stamps, each with when its record came, in seconds."""
    clock = Clock()
    came_ms = [0 if came_s is None else round(at(came_s).timestamp() * 1000) for _, came_s in looks]
    return [
        clock.look(at(stamp_s), ms, timedelta(0)).total_seconds()
        for (stamp_s, _), ms in zip(looks, came_ms, strict=True)
    ]


@pytest.mark.parametrize(
    ("late_ms", "is_live"), [(-1001, False), (-1000, True), (1000, True), (1001, False)]
)
def test_looks_are_in_step_whose_arrivals_lie_a_second_more_or_less_apart_than_their_stamps(
    late_ms: int, is_live: bool
) -> None:
    looks = [(3.0 * number, HOUR_S + (3 + late_ms / 1000) * number) for number in range(5)]
    told = wrong_at_looks(*looks)
    assert told == [0, 0, 0, 0, HOUR_S + 4 * late_ms / 1000 if is_live else 0]


def test_looking_begins_anew_after_a_record_without_a_time() -> None:
    """Before it the stream was behind by another time: looks in step must be five in a row."""
    before = [(3.0 * number, HOUR_S + 3 * number) for number in range(4)]
    after = [(3.0 * number, 2 * HOUR_S + 3 * number) for number in range(5, 10)]
    told = wrong_at_looks(*before, (12.0, None), *after)
    assert told == [0] * 9 + [2 * HOUR_S]


def test_the_facts_of_a_rider_are_as_old_as_the_ride_in_our_time() -> None:
    """One ride stamped 2099 must not freeze what is known of the rider."""
    lines: list[LogLine] = [an_announcement(73 * YEAR_S, rider=a_rider()), Marker()]
    out = taken([(line, 10.0) for line in lines])
    assert rides(out)[0].started_at == at(10)


def test_what_was_told_before_a_clock_was_set_is_still_a_repeat() -> None:
    first, second = a_whole_ride(60), seconds_of_a_ride(61, 90, began_s=-HOUR_S)
    following = a_second(91, began_s=-HOUR_S)
    out = taken(in_bulk([*first, *second, *first[20:60], *second[:20], *following]))
    assert len(rides(out)) == 1
    assert len(out.readings) == 91
    assert len(out.late) == 60


def test_when_the_clock_of_a_stored_ride_is_found_out_its_readings_are_to_move() -> None:
    stream = Stream(BIKE.encode())
    timed = live(a_whole_ride(60), slow_s=120)
    taken(timed[:20], stream)
    ride = stream.ride
    assert ride is not None
    out = taken(timed[20:], stream)
    assert out.shifted == {ride: ride.ahead}
    assert abs(ride.ahead - timedelta(seconds=120)) < timedelta(seconds=1)
    assert isinstance(ride.started_at, datetime)
