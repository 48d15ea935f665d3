"""Made-up rides: which readings make an alert, and what has to be read again after a crash."""

from collections.abc import Sequence

import pytest

from deloton.events import HeartRate
from deloton.heart_rate import AlertLevel, LimitPolicy, OwnLimits, limits_of
from deloton.testing import at
from hr_alerter.episodes import FORGET_AFTER_S, HOLD_BACK_S, EpisodeRules, PartitionWatch

LIMITS = limits_of(60, LimitPolicy(), OwnLimits(50, 140, 160))
LOW, HIGH, CRITICAL = AlertLevel
NOW = at(0).timestamp()

Second = tuple[float, int]


def a_watch(*ride_ids: int) -> PartitionWatch:
    watch = PartitionWatch(EpisodeRules())
    for ride_id in ride_ids or (1,):
        watch.learn(ride_id, LIMITS)
    return watch


def samples(seconds: Sequence[Second], ride_id: int = 1) -> list[tuple[int, HeartRate]]:
    """Readings at these seconds, at the offsets 0, 1, 2 …"""
    return [(n, HeartRate(ride_id, 7001, at(s), bpm)) for n, (s, bpm) in enumerate(seconds)]


def told(
    watch: PartitionWatch, seconds: Sequence[Second], fresh_from: float = 0.0
) -> list[tuple[float, AlertLevel]]:
    """Each alert's second and level."""
    return [
        ((alert.sample.measured_at - at(0)).total_seconds(), alert.limit.level)
        for alert in watch.decide_alerts(samples(seconds), NOW, fresh_from)
    ]


def steadily(*heart_rates_bpm: int) -> list[Second]:
    return list(enumerate(heart_rates_bpm))


@pytest.mark.parametrize(
    ("bpm", "level"),
    [(49, LOW), (50, None), (51, None), (139, None), (140, HIGH), (141, HIGH), (159, HIGH),
     (160, CRITICAL), (161, CRITICAL)],
)  # fmt: skip
def test_three_readings_at_each_side_of_each_limit(bpm: int, level: AlertLevel | None) -> None:
    assert told(a_watch(), steadily(bpm, bpm, bpm)) == ([(2, level)] if level else [])


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(steadily(150, 150), [], id="two readings"),
        pytest.param(steadily(150, 150, 150), [(2, HIGH)], id="three readings"),
        pytest.param(steadily(150, 150, 139, 150, 150), [], id="a normal one in between"),
        pytest.param([(0, 150), (1, 150), (3, 150)], [(3, HIGH)], id="a second without reading"),
        pytest.param([(0, 150), (1, 150), (10.9, 150)], [(10.9, HIGH)], id="a gap below 10 s"),
        pytest.param([(0, 150), (1, 150), (11, 150)], [], id="a gap of 10 s"),
        pytest.param([(0, 150), (1, 150), (1, 150)], [], id="a reading told twice"),
        pytest.param([(0, 150), (1, 150), (0, 150), (1, 150)], [], id="all told twice"),
        pytest.param(
            steadily(150, 150, 150, 100, 150, 150, 150), [(2, HIGH)], id="recovery, same ride"
        ),
        pytest.param(
            steadily(150, 150, 150, 165, 165, 165),
            [(2, HIGH), (5, CRITICAL)],
            id="critical after high",
        ),
        pytest.param(
            steadily(165, 165, 165, 150, 150, 150), [(2, CRITICAL)], id="no high after critical"
        ),
        pytest.param(
            steadily(150, 165, 165, 165), [(2, HIGH), (3, CRITICAL)], id="rising through both"
        ),
        pytest.param(
            steadily(45, 45, 45, 150, 150, 150), [(2, LOW), (5, HIGH)], id="low, then high"
        ),
    ],
)
def test_an_episode_is_three_readings_in_a_row(
    seconds: list[Second], expected: list[tuple[float, AlertLevel]]
) -> None:
    assert told(a_watch(), seconds) == expected


def test_a_rider_whose_alerts_are_off_is_told_nothing() -> None:
    watch = PartitionWatch(EpisodeRules())
    watch.learn(1, ())
    assert told(watch, steadily(200, 200, 200, 200)) == []


@pytest.mark.parametrize(
    ("seconds", "offset"),
    [
        pytest.param(steadily(100, 100), 2, id="nothing has begun"),
        pytest.param(steadily(100, 150, 150), 1, id="an episode has begun"),
        pytest.param(steadily(100, 150, 150, 150), 4, id="it is decided"),
        pytest.param(steadily(100, 150, 100), 3, id="it was none"),
        pytest.param(steadily(150, 150, 150, 165), 3, id="the next level has begun"),
    ],
)
def test_what_is_undecided_is_read_again_after_a_crash(seconds: list[Second], offset: int) -> None:
    watch = a_watch()
    list(watch.decide_alerts(samples(seconds), NOW))
    assert watch.safe_offset(len(seconds)) == offset


@pytest.mark.parametrize("crash_after", range(7))
def test_a_crash_after_any_reading_loses_no_alert(crash_after: int) -> None:
    ride = samples(steadily(100, 150, 150, 150, 165, 165, 165))
    before, after = a_watch(), a_watch()
    made = [alert.limit.level for alert in before.decide_alerts(ride[:crash_after], NOW)]
    again = ride[before.safe_offset(crash_after) :]
    made += [alert.limit.level for alert in after.decide_alerts(again, NOW)]
    assert set(made) == {HIGH, CRITICAL}


def test_a_ride_that_ended_in_the_middle_of_an_episode_holds_nothing_back_for_long() -> None:
    watch = a_watch(1, 2)
    list(watch.decide_alerts(samples(steadily(150, 150)), NOW))
    other = HeartRate(2, 7002, at(30), 100)
    list(watch.decide_alerts([(5, other)], NOW + HOLD_BACK_S - 1))
    assert watch.safe_offset(6) == 0
    list(watch.decide_alerts([], NOW + HOLD_BACK_S))
    assert watch.safe_offset(6) == 6


def test_rides_of_which_nothing_came_for_long_are_forgotten() -> None:
    watch = a_watch(1, 2)
    list(watch.decide_alerts(samples(steadily(100)), NOW))
    other = HeartRate(2, 7002, at(1), 100)
    list(watch.decide_alerts([(1, other)], NOW + FORGET_AFTER_S + 1))
    watch.forget_silent_rides()
    assert set(watch.rides) == {2}
    assert watch.unknown_rides(samples(steadily(100))) == {1}


def test_a_bike_whose_clock_is_years_ahead_disturbs_no_other_ride() -> None:
    watch = a_watch(1, 2)
    told_levels = []
    for second in range(3):
        ahead = HeartRate(2, 7002, at(1e8 + second), 100)
        mine = HeartRate(1, 7001, at(second), 150)
        both = [(2 * second, ahead), (2 * second + 1, mine)]
        told_levels += [a.limit.level for a in watch.decide_alerts(both, NOW + second)]
        watch.forget_silent_rides()
    assert told_levels == [HIGH]


def test_an_alert_that_came_too_late_is_told_anew_while_the_episode_goes_on() -> None:
    fresh_from = at(4).timestamp()
    assert told(a_watch(), steadily(*[150] * 9), fresh_from) == [(2, HIGH), (4, HIGH)]


def test_an_alert_that_came_too_late_is_told_anew_in_the_next_episode() -> None:
    seconds = steadily(*[150] * 5, 100, *[150] * 5)
    assert told(a_watch(), seconds, at(5).timestamp()) == [(2, HIGH), (8, HIGH)]
    assert told(a_watch(), seconds, at(20).timestamp()) == [(2, HIGH)]
