"""Each rule by which a stream's lines become rides and readings."""

from datetime import timedelta

import pytest

from deloton.events import EndReason
from deloton.feed.assembly import (
    Assembled,
    Ended,
    Reading,
    Resumed,
    Ride,
    Started,
    Stream,
    end_silent_rides,
)
from deloton.feed.log_lines import LogLine, Marker, RefusalReason, RideLine, RiderRequested
from deloton.rules.canary import CANARY_BIKE, FIRST_CANARY_RIDER_ID
from deloton.rules.sandbox import FIRST_SANDBOX_RIDER_ID
from deloton.testing import (
    BIKE,
    a_ride_line,
    a_rider,
    a_second,
    a_telemetry_line,
    a_whole_ride,
    an_announcement,
    assembled,
    at,
    seconds_of_a_ride,
    told,
)

HALF_HOUR_S = 1800
DAY_S = 86_400
YEAR_S = 365 * DAY_S


def seconds_of(readings: list[Reading]) -> list[tuple[float, float | None]]:
    """Each reading's stamp and duration in seconds."""
    return [((reading.at - at(0)).total_seconds(), reading.elapsed_s) for reading in readings]


def kinds(out: Assembled) -> list[str]:
    return [type(change).__name__ for change in out.changes]


def rides(out: Assembled) -> list[Ride]:
    return [start.ride for start in out.started]


def refused(lines: list[LogLine]) -> list[LogLine]:
    """The lines that are of no use, once nothing more comes."""
    stream = Stream(BIKE.encode())
    out = told(lines, stream)
    stream.end_by_silence(out)
    return [lines[letter.record.offset] for letter in out.refused]


# Pairing


def test_ride_line_and_telemetry_after_it_are_one_reading_at_the_second_stamp() -> None:
    [reading] = assembled(
        [a_ride_line(7, at_s=7, resistance=90), a_telemetry_line(7.5, heart_rate_bpm=None)]
    ).readings
    assert seconds_of([reading]) == [(7.5, 7)]
    assert (reading.resistance, reading.heart_rate_bpm) == (90, None)
    assert (reading.cadence_rpm, reading.power_watts) == (60, 100.0)


@pytest.mark.parametrize(
    ("delay_s", "expected"),
    [
        (0.0, [(7.0, 7)]),
        (0.999999, [(7.999999, 7)]),
        (1.0, [(7.0, 7), (8.0, None)]),
        (1.5, [(7.0, 7), (8.5, None)]),
    ],
)
def test_halves_belong_together_within_a_second(
    delay_s: float, expected: list[tuple[float, float | None]]
) -> None:
    out = assembled([a_ride_line(7), a_telemetry_line(7 + delay_s), Marker()])
    assert seconds_of(out.readings) == expected


def test_missing_telemetry_costs_only_its_own_fields() -> None:
    lines = [a_ride_line(1, resistance=90), *a_second(2)]
    first, second = assembled(lines).readings
    assert seconds_of([first, second]) == [(1, 1), (2.5, 2)]
    assert first.resistance == 90
    assert (first.heart_rate_bpm, first.cadence_rpm, first.power_watts) == (None, None, None)


def test_missing_ride_line_costs_only_its_own_fields() -> None:
    lines = [*a_second(1), a_telemetry_line(2.5, heart_rate_bpm=99), *a_second(3)]
    out = assembled(lines)
    assert seconds_of(out.readings) == [(1.5, 1), (2.5, None), (3.5, 3)]
    assert (out.readings[1].resistance, out.readings[1].heart_rate_bpm) == (None, 99)


def test_a_whole_second_lost_leaves_a_gap_in_the_same_ride() -> None:
    out = assembled([an_announcement(), *a_second(1), *a_second(3)])
    assert kinds(out) == ["Started"]
    assert seconds_of(out.readings) == [(1.5, 1), (3.5, 3)]


def test_a_waiting_half_is_a_reading_of_the_ride_before() -> None:
    out = assembled([an_announcement(), a_ride_line(1), Marker(), an_announcement(2)])
    assert seconds_of(out.readings) == [(1, 1)]
    assert out.readings[0].ride is rides(out)[0]


def test_a_half_goes_on_waiting_until_the_next_line() -> None:
    stream = Stream(BIKE.encode())
    assert not assembled([a_ride_line(1)], stream).readings
    assert seconds_of(assembled([a_telemetry_line(1.5)], stream).readings) == [(1.5, 1)]


# Repeats


def test_a_line_that_comes_twice_in_a_row_tells_nothing_new() -> None:
    lines = [line for line in a_whole_ride(3) for _ in range(2)]
    out = assembled(lines)
    assert kinds(out) == ["Started"]
    assert seconds_of(out.readings) == [(1.5, 1), (2.5, 2), (3.5, 3)]
    assert out.repeats == 7  # seven lines with a stamp of their own in a ride


def test_seconds_that_come_again_tell_nothing_new() -> None:
    lines = seconds_of_a_ride(1, 20)
    out = assembled([*lines, *lines[10:], *seconds_of_a_ride(21, 22)])
    assert kinds(out) == ["Started"]
    assert [elapsed_s for _, elapsed_s in seconds_of(out.readings)] == list(range(1, 23))
    assert out.repeats == 30


@pytest.mark.parametrize(
    "repeat",
    [
        [a_telemetry_line(1.5)],
        [a_ride_line(1)],
        [*a_second(1)],
        [a_telemetry_line(1.5), a_ride_line(2)],
    ],
)
def test_repeats_between_two_halves_do_not_part_them(repeat: list[LogLine]) -> None:
    """A producer that tries again sends its last lines again, wherever they end."""
    out = assembled([*a_second(1), a_ride_line(2), *repeat, a_telemetry_line(2.5)])
    assert seconds_of(out.readings) == [(1.5, 1), (2.5, 2)]


def test_an_announcement_that_comes_again_begins_no_second_ride() -> None:
    lines = [an_announcement(), *a_second(1), an_announcement(), *a_second(2)]
    out = assembled(lines)
    assert kinds(out) == ["Started"]
    assert out.repeats == 1


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 13, 30])
@pytest.mark.parametrize("parted", [False, True])
def test_a_batch_sent_again_across_a_change_of_rides_tells_nothing_new(
    length: int, parted: bool
) -> None:
    lines = [*a_whole_ride(20), *a_whole_ride(40, began_s=25), *a_whole_ride(5, began_s=70)]
    lines = [line for number, line in enumerate(lines) if not parted or number % 7]
    undisturbed = assembled(lines)
    for first in range(30, 55):
        out = assembled([*lines[: first + length], *lines[first:]])
        assert kinds(out) == kinds(undisturbed)
        assert seconds_of(out.readings) == seconds_of(undisturbed.readings)
        ends = [(ride.started_at, ride.ended_at, ride.end_reason) for ride in rides(out)]
        assert ends == [
            (ride.started_at, ride.ended_at, ride.end_reason) for ride in rides(undisturbed)
        ]


def test_telemetry_from_before_a_waiting_ride_line_does_not_part_its_pair() -> None:
    early = a_telemetry_line(4.5)
    lines: list[LogLine] = [early, a_ride_line(5), early, a_telemetry_line(5.5)]
    out = assembled(lines)
    assert seconds_of(out.readings) == [(4.5, None), (5.5, 5)]
    assert out.repeats == 1


def test_a_whole_series_from_the_same_state_gives_the_same_again() -> None:
    lines = [*a_whole_ride(3), *a_whole_ride(3, began_s=10)]
    first, second = assembled(lines), assembled(lines)
    assert kinds(first) == kinds(second)
    assert seconds_of(first.readings) == seconds_of(second.readings)


# Which ride a Ride line belongs to


def test_an_announced_ride_starts_at_its_announcement() -> None:
    out = assembled(a_whole_ride(2, rider=a_rider(7001), bike_serial="SN0042"))
    [start] = out.started
    assert (start.ride.started_at, start.ride.rider_id) == (at(0), 7001)
    assert (start.ride.bike_serial, start.firmware) == ("SN0042", "mendoza v9")
    assert all(reading.ride is start.ride for reading in out.readings)


def test_a_ride_met_in_the_middle_has_no_rider_and_began_before() -> None:
    out = assembled(seconds_of_a_ride(100, 102, began_s=50))
    [start] = out.started
    assert (start.ride.started_at, start.ride.rider_id, start.rider) == (at(50), None, None)
    assert start.ride.bike_serial == f"unknown:{BIKE}"
    assert len(out.readings) == 3


@pytest.mark.parametrize(
    ("key", "serial"),
    [(b"SN0001", "unknown:SN0001"), (b"\xff", "unknown:\\xff"), (b"a\0b", "unknown:ab")],
)
def test_an_unknown_bike_is_called_after_its_stream(key: bytes, serial: str) -> None:
    assert Stream(key).bike_serial == serial


def test_a_very_long_key_gives_a_serial_that_an_index_can_hold() -> None:
    key = "".join(map(chr, range(500, 4500))).encode()
    assert len(Stream(key).bike_serial.encode()) < 2_600


def test_a_ride_whose_announcement_was_lost_is_on_the_bike_named_last() -> None:
    lines = [*a_whole_ride(3, bike_serial="SN0042"), *seconds_of_a_ride(1, 3, began_s=100)]
    first, second = rides(assembled(lines))
    assert second.bike_serial == "SN0042"
    assert (second.started_at, second.rider_id) == (at(100), None)
    assert first.end_reason is EndReason.SILENCE


def test_an_announcement_without_a_serial_is_on_the_bike_named_last() -> None:
    lines = [an_announcement(), an_announcement(600, bike_serial=None)]
    assert [ride.bike_serial for ride in rides(assembled(lines))] == [BIKE, BIKE]


@pytest.mark.parametrize("gap_s", [1, 5, 60, 500])
def test_a_ride_goes_on_after_a_gap_in_which_nothing_came(gap_s: int) -> None:
    out = assembled([an_announcement(), *a_second(10), *a_second(10 + gap_s)])
    assert kinds(out) == ["Started"]


@pytest.mark.parametrize(
    ("off_by_s", "count"), [(0, 1), (2, 1), (-2, 1), (2.000001, 2), (-2.000001, 2), (60, 2)]
)
def test_after_a_gap_the_same_beginning_within_two_seconds_is_the_same_ride(
    off_by_s: float, count: int
) -> None:
    out = assembled([*a_second(10), a_ride_line(20, at_s=20.5 + off_by_s)])
    assert len(out.started) == count


@pytest.mark.parametrize("fallen_to", [1, 50, 99])
def test_a_duration_that_falls_back_is_another_ride(fallen_to: int) -> None:
    out = assembled([*a_second(100), *a_second(fallen_to, began_s=120)])
    first, second = rides(out)
    assert kinds(out) == ["Started", "Ended", "Started"]
    assert second.started_at == at(120)
    assert (first.ended_at, first.end_reason) == (
        at(100.5),
        EndReason.SILENCE if 120 - 100.5 > 30 else EndReason.NEXT_RIDE,
    )


# Clocks


@pytest.mark.parametrize(
    "jump_s", [-30 * YEAR_S, -DAY_S, -HALF_HOUR_S, -60, -2, 60, HALF_HOUR_S, DAY_S, 30 * YEAR_S]
)
@pytest.mark.parametrize("step_s", [1, 5])
def test_a_clock_that_jumps_leaves_the_ride_whole(jump_s: float, step_s: int) -> None:
    out = assembled(
        [an_announcement(), *a_second(1), *seconds_of_a_ride(1 + step_s, 9, began_s=jump_s)]
    )
    assert kinds(out) == ["Started"]
    expected = [1, *range(1 + step_s, 10)]
    assert seconds_of(out.readings) == [(second + 0.5, second) for second in expected]
    [ride] = rides(out)
    assert (ride.started_at, ride.ahead) == (at(0), timedelta(seconds=-jump_s))
    assert ride.clock_beginnings == [at(0), at(jump_s)]


def test_a_clock_that_jumps_and_comes_back_leaves_the_ride_whole() -> None:
    out = assembled(
        [
            *(an_announcement(), *a_second(1), *a_second(2, began_s=YEAR_S), *a_second(3)),
            *(Marker(), an_announcement(5)),
        ]
    )
    assert kinds(out) == ["Started", "Ended", "Started"]
    assert rides(out)[0].ended_at == at(3.5)
    assert seconds_of(out.readings) == [(1.5, 1), (2.5, 2), (3.5, 3)]
    assert rides(out)[0].clock_beginnings == [at(0), at(YEAR_S), at(0)]


def test_a_ride_that_comes_again_decides_nothing_about_the_rider_who_was_just_told() -> None:
    former = a_whole_ride(5, rider=a_rider(7001))
    told = an_announcement(5.75, rider=a_rider(7002))
    out = assembled([*former, told, *former, *seconds_of_a_ride(6, 9)])
    assert [(ride.rider_id, ride.started_at) for ride in rides(out)] == [
        (7001, at(0)),
        (7002, at(5.75)),
    ]
    assert [reading.ride.rider_id for reading in out.readings] == [7001] * 5 + [7002] * 4


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_telemetry_alone_goes_on_with_its_ride_though_a_clock_set_back_showed_its_stamp_before(
    lost: int,
) -> None:
    set_back = seconds_of_a_ride(11, 20, began_s=-5.25)
    out = assembled(
        [an_announcement(), *seconds_of_a_ride(1, 10), *set_back[:2], *set_back[2 * lost + 1 :]]
    )
    told = [(second + 0.5, second) for second in (*range(1, 12), *range(12 + lost, 21))]
    assert seconds_of(out.readings) == told
    assert seconds_of(out.amended) == [(11.5 + lost, None)]


def test_a_jump_of_more_than_five_counted_seconds_is_another_ride() -> None:
    out = assembled([*a_second(10), *a_second(16, began_s=DAY_S)])
    assert len(out.started) == 2


@pytest.mark.parametrize("year", [1900, 2199])
def test_a_clock_at_the_end_of_time_stops_nobody(year: int) -> None:
    lines: list[LogLine] = [
        *a_second(1),
        RideLine(at(0).replace(year=year), 50.0, 30),
        *a_second(2),
    ]
    out = assembled(lines)
    assert seconds_of([*out.readings, *out.amended])[:1] == [(1.5, 1)]
    assert len(out.readings) + len(out.amended) >= 2


# Telemetry alone


def test_telemetry_of_no_ride_is_refused() -> None:
    assert refused([a_telemetry_line(1.5)]) == [a_telemetry_line(1.5)]


@pytest.mark.parametrize("announced_by", [Marker(), RiderRequested(at(4))])
def test_telemetry_after_the_next_ride_was_announced_is_refused(announced_by: LogLine) -> None:
    late = a_telemetry_line(4.5)
    assert refused([*a_whole_ride(3), announced_by, late]) == [late]


@pytest.mark.parametrize(("silence_s", "taken"), [(1, True), (30, True), (30.000001, False)])
def test_telemetry_alone_is_of_the_ride_within_thirty_seconds(
    silence_s: float, taken: bool
) -> None:
    line = a_telemetry_line(3.5 + silence_s)
    assert (refused([*a_whole_ride(3), line]) == []) is taken


@pytest.mark.parametrize("at_s", [3.5, 2.5, 1.5])
def test_telemetry_that_was_told_is_a_repeat(at_s: float) -> None:
    out = assembled([*a_whole_ride(3), a_telemetry_line(at_s)])
    assert (len(out.readings), out.repeats, out.amended) == (3, 1, [])


@pytest.mark.parametrize("at_s", [3.4, 1.0])
def test_late_telemetry_that_was_not_told_is_stored_where_it_belongs(at_s: float) -> None:
    out = assembled([*a_whole_ride(3), a_telemetry_line(at_s)])
    assert seconds_of(out.amended) == [(at_s, None)]
    assert out.amended[0].ride is rides(out)[0]


def test_late_telemetry_from_before_every_ride_is_a_letter() -> None:
    late = a_telemetry_line(-100)
    assert refused([*a_whole_ride(3), late]) == [late]


# Ends


def test_two_rides_in_a_row_end_and_begin() -> None:
    out = assembled([*a_whole_ride(3, rider=a_rider(1)), *a_whole_ride(2, began_s=6)])
    first, second = rides(out)
    assert kinds(out) == ["Started", "Ended", "Started"]
    assert (first.ended_at, first.end_reason) == (at(3.5), EndReason.NEXT_RIDE)
    assert (second.rider_id, second.ended_at) == (None, None)
    assert [reading.ride for reading in out.readings] == [first] * 3 + [second] * 2


@pytest.mark.parametrize(
    ("began_s", "reason"), [(33.5, EndReason.NEXT_RIDE), (33.6, EndReason.SILENCE)]
)
@pytest.mark.parametrize("with_markers", [True, False])
def test_more_than_thirty_seconds_before_the_next_ride_are_silence(
    began_s: float, reason: EndReason, with_markers: bool
) -> None:
    following = a_whole_ride(2, began_s=began_s)
    out = assembled([*a_whole_ride(3), *(following if with_markers else following[3:])])
    first = rides(out)[0]
    assert (first.ended_at, first.end_reason) == (at(3.5), reason)
    assert first in out.settled.values()


def test_an_end_by_silence_is_told_once() -> None:
    stream = Stream(BIKE.encode())
    assembled(a_whole_ride(3), stream)
    ended = end_silent_rides([stream], heard_before=1.0)
    following = assembled(a_whole_ride(2, began_s=600), stream)
    assert (kinds(ended), kinds(following)) == (["Ended"], ["Started"])


def test_an_end_whose_reason_turns_out_to_be_another_is_told_again_rightly() -> None:
    stream = Stream(BIKE.encode())
    assembled([*a_whole_ride(3), Marker()], stream)
    told = [
        change.reason
        for out in (
            end_silent_rides([stream], heard_before=1.0),
            assembled(a_whole_ride(2, began_s=600), stream),
        )
        for change in out.changes
        if isinstance(change, Ended)
    ]
    assert told == [EndReason.NEXT_RIDE, EndReason.SILENCE]


def test_a_ride_without_a_reading_ends_where_it_started() -> None:
    first, _ = rides(assembled([an_announcement(), an_announcement(100)]))
    assert first.ended_at == at(0)


def test_markers_before_the_first_ride_tell_nothing() -> None:
    out = assembled([Marker(), Marker(), RiderRequested(at(0))])
    assert not out.changes
    assert not out.settled


def test_an_announcement_alone_ends_no_ride() -> None:
    out = assembled([*a_whole_ride(3), Marker(), *a_second(4)])
    assert kinds(out) == ["Started"]
    assert not out.settled


def test_after_an_announcement_only_the_same_beginning_resumes_the_ride_before() -> None:
    out = assembled([*a_whole_ride(3), Marker(), *a_second(4, began_s=60)])
    assert kinds(out) == ["Started", "Ended", "Started"]


# Silence


def test_silence_ends_a_ride_at_its_last_reading() -> None:
    stream = Stream(BIKE.encode())
    ride = rides(assembled([an_announcement(), *a_second(1), a_ride_line(2)], stream))[0]
    out = end_silent_rides([stream], heard_before=1.0)
    assert (ride.ended_at, ride.end_reason) == (at(2), EndReason.SILENCE)
    assert seconds_of(out.readings) == [(2, 2)]
    assert kinds(out) == ["Ended"]
    assert not end_silent_rides([stream], heard_before=1.0).changes


def test_silence_after_an_announcement_is_the_next_rides_beginning() -> None:
    stream = Stream(BIKE.encode())
    ride = rides(assembled([*a_whole_ride(3), Marker()], stream))[0]
    end_silent_rides([stream], heard_before=1.0)
    assert (ride.ended_at, ride.end_reason) == (at(3.5), EndReason.NEXT_RIDE)


def test_who_was_heard_since_is_not_silent() -> None:
    stream = Stream(BIKE.encode())
    assembled([*a_whole_ride(3)], stream)
    stream.heard_at = 5.0
    assert not end_silent_rides([stream, Stream(b"SN0001")], heard_before=5.0).changes


@pytest.mark.parametrize("gap_s", [1, 5, 6, 300])
def test_a_ride_that_goes_on_after_silence_is_resumed_not_doubled(gap_s: int) -> None:
    stream = Stream(BIKE.encode())
    [ride] = rides(assembled(a_whole_ride(3), stream))
    stream.end_by_silence(Assembled())
    out = assembled(seconds_of_a_ride(3 + gap_s, 10 + gap_s), stream)
    assert [type(change) for change in out.changes] == [Resumed]
    assert (ride.ended_at, ride.end_reason) == (None, None)
    assert {reading.ride for reading in out.readings} == {ride}


def test_telemetry_alone_resumes_a_ride_that_ended_by_silence() -> None:
    stream = Stream(BIKE.encode())
    assembled(a_whole_ride(3), stream)
    stream.end_by_silence(Assembled())
    assert kinds(assembled([a_telemetry_line(4.5)], stream)) == ["Resumed"]


@pytest.mark.parametrize("known", [True, False])
def test_a_new_ride_after_silence_is_told_as_a_start_alone(known: bool) -> None:
    stream = Stream(BIKE.encode())
    assembled(a_whole_ride(300), stream)
    stream.end_by_silence(Assembled())
    lines = a_whole_ride(2, began_s=400) if known else seconds_of_a_ride(1, 2, began_s=400)
    assert [type(change) for change in assembled(lines, stream).changes] == [Started]


def test_a_clock_that_is_right_is_no_figure_of_the_ride() -> None:
    [ride] = rides(assembled(a_whole_ride(3)))
    assert (ride.started_at, ride.last_at) == (at(0), at(3.5))
    assert ride.clock_beginnings is None


# Real riders, simulated ones and the canary

OF_EACH_WORLD = (
    (BIKE, 7001, FIRST_SANDBOX_RIDER_ID - 1),
    ("SANDBOX0777", FIRST_SANDBOX_RIDER_ID, FIRST_CANARY_RIDER_ID - 1),
    (CANARY_BIKE, FIRST_CANARY_RIDER_ID, FIRST_CANARY_RIDER_ID + 1),
)
BIKES_AND_RIDERS = [
    (bike, rider_id, bike == own)
    for bike, *_ in OF_EACH_WORLD
    for own, *rider_ids in OF_EACH_WORLD
    for rider_id in rider_ids
]


@pytest.mark.parametrize(("bike", "rider_id", "is_known"), BIKES_AND_RIDERS)
@pytest.mark.parametrize("names_bike", [True, False])
def test_a_rider_of_another_world_than_the_bikes_is_unknown(
    bike: str, rider_id: int, is_known: bool, names_bike: bool
) -> None:
    stream = Stream(bike.encode(), bike)
    serial = bike if names_bike else None
    line = an_announcement(bike_serial=serial, rider=a_rider(rider_id))
    out = told([line, *a_second(1), *a_second(2), line], stream)
    [begun] = out.started
    assert begun.ride.bike_serial == bike
    assert begun.ride.rider_id == (rider_id if is_known else None)
    assert (begun.rider is None) is not is_known
    assert len(out.readings) == 2
    reasons = [letter.refusal.reason for letter in out.refused]
    assert reasons == ([] if is_known else [RefusalReason.OTHER_WORLD])


def test_a_rider_of_another_world_who_is_told_in_mid_ride_is_unknown() -> None:
    line = an_announcement(1.9, rider=a_rider(FIRST_SANDBOX_RIDER_ID))
    out = told([*seconds_of_a_ride(1, 1), line, *a_second(2)], Stream(BIKE.encode(), BIKE))
    assert [ride.rider_id for ride in rides(out)] == [None]
    assert [anew.rider for anew in out.told_anew] == [None]
    assert [letter.refusal.reason for letter in out.refused] == [RefusalReason.OTHER_WORLD]
