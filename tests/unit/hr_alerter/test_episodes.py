"""Made-up rides: which readings make an alert, and what has to be read again after a crash."""

from collections.abc import Sequence

import pytest

from deloton.events import HeartRate
from deloton.rules.heart_rate import SUDDEN, AlertLevel, LimitPolicy, OwnLimits, Proof, limits_of
from deloton.testing import at
from hr_alerter.episodes import (
    FORGET_AFTER_S,
    HOLD_BACK_S,
    Alert,
    EpisodeRules,
    PartitionWatch,
)
from tests.unit.hr_alerter.made_up_rides import (
    USUAL_BPM,
    WARM_UP_S,
    a_ride_at,
    on_the_way,
    samples,
    warm_up,
)

LIMITS = limits_of(60, LimitPolicy(), OwnLimits(50, 140, 170))
LOW, HIGH, CRITICAL = AlertLevel
NOW = at(0).timestamp()
RULES = EpisodeRules()
Rates = Sequence[int | None]


def a_watch(*ride_ids: int) -> PartitionWatch:
    watch = PartitionWatch(RULES)
    for ride_id in ride_ids or (1,):
        watch.learn(ride_id, LIMITS)
    return watch


def alerts_of(
    rates: Rates, watch: PartitionWatch | None = None, cadence_rpm: int | None = 85
) -> list[Alert]:
    readings = samples(rates, cadence_rpm=cadence_rpm)
    return list((watch or a_watch()).decide_alerts(readings, NOW))


def told(
    rates: Rates, cadence_rpm: int | None = 85, fresh_from: float = 0.0
) -> list[tuple[float, AlertLevel]]:
    """Each new alert's second and level."""
    readings = samples(rates, cadence_rpm=cadence_rpm)
    return [
        ((alert.sample.measured_at - at(0)).total_seconds(), alert.limit.level)
        for alert in a_watch().decide_alerts(readings, NOW, fresh_from)
        if alert.is_new
    ]


@pytest.mark.parametrize(
    ("bpm", "level", "seconds"),
    [(49, LOW, 15), (50, None, 40), (139, None, 40), (140, HIGH, 10), (169, HIGH, 10),
     (170, CRITICAL, 10), (171, CRITICAL, 10)],
)  # fmt: skip
def test_each_level_takes_its_seconds_at_each_side_of_its_limit(
    bpm: int, level: AlertLevel | None, seconds: int
) -> None:
    # From 135 on: what lies between is passed too fast to count.
    usual_bpm = 60 if bpm < 60 else 135
    assert [one for _, one in told(a_ride_at(bpm, seconds, usual_bpm))][-1:] == (
        [level] if level else []
    )
    before = [one for _, one in told(a_ride_at(bpm, seconds - 4, usual_bpm))]
    assert level not in before


EASY = warm_up(135)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        pytest.param([*EASY, *[145] * 9], [], id="nine seconds"),
        pytest.param([*EASY, *[145] * 10], [(9, HIGH)], id="ten seconds"),
        pytest.param([*EASY, *[145] * 9, 136, *[145] * 9], [], id="a usual one in between"),
        pytest.param(
            [*EASY, *[145] * 9, 137, 145], [(10, HIGH)], id="one that is nearly beyond the limit"
        ),
        pytest.param([*EASY, *[145] * 9, None, 145], [(10, HIGH)], id="a second without a reading"),
        pytest.param(
            [*EASY, *[145] * 9, *[None] * 3, *[145, 146] * 3], [(17, HIGH)], id="hands off for 3 s"
        ),
        pytest.param([*EASY, *[145] * 9, *[None] * 6, *[145, 146] * 3], [], id="hands off for 6 s"),
        pytest.param([*EASY, *[145] * 5, 190, *[145] * 5], [(10, HIGH)], id="a spike in between"),
        pytest.param(
            [*EASY, *[145] * 10, *[136] * 4, *[145] * 10],
            [(9, HIGH), (23, HIGH)],
            id="another episode",
        ),
        pytest.param(
            [*EASY, *[145] * 12, *on_the_way(145, 175), *[175] * 10],
            [(9, HIGH), (23, CRITICAL)],
            id="critical after high",
        ),
        pytest.param(
            [*EASY, *on_the_way(135, 175), *[175] * 12, *on_the_way(175, 150), *[150] * 12],
            [(12, CRITICAL)],
            id="no high after critical",
        ),
        pytest.param(
            [*EASY, *[145] * 5, *on_the_way(145, 175), *[175] * 12],
            [(16, CRITICAL)],
            id="high waits while critical is being counted",
        ),
        pytest.param(
            [*EASY, *[145] * 5, *on_the_way(145, 175), *[175] * 6, *on_the_way(175, 150), 150],
            [(13, HIGH)],
            id="and is told once critical is none",
        ),
    ],
)
def test_an_episode_stays_beyond_its_limit(
    rates: Rates, expected: list[tuple[float, AlertLevel]]
) -> None:
    assert told(rates) == [(WARM_UP_S + second, level) for second, level in expected]


def test_a_repeated_reading_counts_once() -> None:
    ride = samples([*EASY, *[145] * 9])
    assert list(a_watch().decide_alerts([*ride, *ride[-3:], *ride], NOW)) == []


@pytest.mark.parametrize(
    ("cadence_rpm", "is_told"), [(60, True), (20, True), (19, False), (0, False), (None, True)]
)
def test_low_counts_under_load_alone(cadence_rpm: int | None, is_told: bool) -> None:
    assert bool(told(a_ride_at(44, 20, usual_bpm=60), cadence_rpm)) == is_told


def test_low_does_not_count_while_the_grip_is_new() -> None:
    rates = [*warm_up(60), *on_the_way(60, 44), *[None] * 9, *[44, 45] * 10]
    assert told(rates) == []
    assert told([*rates, *[44, 45] * 10]) != []


ARTEFACTS = {
    "steady 130 with three seconds at 48": [*warm_up(130), *[48] * 3, *warm_up(130)],
    "steady 95 with three seconds at 190": [*warm_up(95), *[190] * 3, *warm_up(95)],
    "45 to 47 on taking the bar": [45, 46, 47, 45, 46, *warm_up(100)],
    "wild rates on taking the bar": [*EASY, *[None] * 8, 190, 192, 195, 191, *warm_up(130)],
    "dips of ten seconds": [*EASY, *[45, 46] * 5, *EASY],
    "each beat counted twice": [*warm_up(90), *[181, 182] * 15, *warm_up(90)],
    "every other beat missed": [*warm_up(92), *[46, 47] * 15, *warm_up(92)],
    "frozen at 190": [*EASY, *[190] * 60, *EASY],
    "frozen at 40": [*EASY, *[40] * 60, *EASY],
    "255": [*EASY, *[255] * 20, *EASY],
    "300": [*EASY, *[300] * 20, *EASY],
}


@pytest.mark.parametrize("rates", ARTEFACTS.values(), ids=ARTEFACTS)
def test_an_artefact_alarms_nobody(rates: Rates) -> None:
    assert told(rates) == []


def test_the_pedals_rhythm_alarms_nobody() -> None:
    rates = [*warm_up(70), *[46, 47, 45] * 20]
    rpm = [90] * WARM_UP_S + [46, 46, 46] * 20
    ride = [
        (second, HeartRate(1, 7001, at(second), bpm, rpm[second]))
        for second, bpm in enumerate(rates)
    ]
    assert list(a_watch().decide_alerts(ride, NOW)) == []


def told_by_age(rates: Rates, age: int, proof: Proof | None = None) -> list[Alert]:
    watch = PartitionWatch(RULES)
    watch.learn(1, limits_of(age, LimitPolicy(), None, proof))
    return [alert for alert in alerts_of(rates, watch) if alert.is_new]


def test_a_heart_that_jumps_and_stays_is_told_of_before_it_reaches_the_limit() -> None:
    jumped = [*warm_up(100), *[150, 151] * 10]
    [alert] = told_by_age(jumped, 60)
    assert (alert.limit.level, alert.limit.bpm, alert.limit.rule) == (HIGH, 133, SUDDEN)
    assert (alert.began_at - at(WARM_UP_S)).total_seconds() == 14
    climbed = [*warm_up(100), *on_the_way(100, 150), *[150, 151] * 10]
    assert told_by_age(climbed, 60) == []


def test_a_jump_beyond_the_limit_is_critical() -> None:
    [alert] = told_by_age([*warm_up(110), *[175, 176] * 10], 60)
    assert (alert.limit.level, alert.limit.rule) == (CRITICAL, SUDDEN)


def test_a_jump_is_told_of_for_as_long_as_it_stays() -> None:
    watch = PartitionWatch(RULES)
    watch.learn(1, limits_of(60, LimitPolicy()))
    alerts = alerts_of([*warm_up(110), *[175, 176] * 60], watch)
    assert len(alerts) > 100 / 6
    assert {alert.began_at for alert in alerts} == {alerts[0].began_at}


def test_a_rider_whose_alerts_are_off_is_told_nothing() -> None:
    watch = PartitionWatch(RULES)
    watch.learn(1, ())
    assert alerts_of(a_ride_at(200, 20), watch) == []


def test_a_successor_reads_the_last_minute_of_every_ride_again() -> None:
    watch = a_watch()
    alerts_of(warm_up(seconds=61), watch)
    assert watch.safe_offset(61) == 0
    alerts_of(warm_up(seconds=71), watch)
    assert watch.safe_offset(71) == 10


CLIMB = [*EASY, *[145] * 12, *on_the_way(145, 175), *[175] * 12]
JUMP = [*EASY, *[200, 201] * 12]


@pytest.mark.parametrize("rates", [CLIMB, JUMP], ids=["climb", "jump"])
@pytest.mark.parametrize("crash_after", range(10, 74, 4))
def test_a_crash_after_any_reading_loses_no_alert(rates: Rates, crash_after: int) -> None:
    ride = samples(rates)
    uninterrupted = {(a.limit, a.began_at) for a in alerts_of(rates)}
    before, after = a_watch(), a_watch()
    made = {(a.limit, a.began_at) for a in before.decide_alerts(ride[:crash_after], NOW)}
    again = ride[before.safe_offset(crash_after) :]
    made |= {(a.limit, a.began_at) for a in after.decide_alerts(again, NOW)}
    assert made >= uninterrupted


def test_a_ride_of_which_nothing_comes_holds_nothing_back_for_long() -> None:
    watch = a_watch(1, 2)
    alerts_of([*EASY, 145, 145], watch)
    other = HeartRate(2, 7002, at(90), 100)
    list(watch.decide_alerts([(90, other)], NOW + HOLD_BACK_S - 1))
    assert watch.safe_offset(91) == 0
    list(watch.decide_alerts([], NOW + HOLD_BACK_S))
    assert watch.safe_offset(91) == 90


def test_rides_of_which_nothing_came_for_long_are_forgotten_and_what_they_held_is_kept() -> None:
    watch = a_watch(1, 2)
    alerts_of(a_ride_at(136, 15), watch)
    other = HeartRate(2, 7002, at(1), 100)
    list(watch.decide_alerts([(1, other)], NOW + FORGET_AFTER_S + 1))
    assert watch.forget_silent_rides() == {1: 136}
    assert set(watch.rides) == {2}
    assert watch.unknown_rides(samples(warm_up())) == {1}


@pytest.mark.parametrize(
    ("rates", "held_bpm"),
    [
        pytest.param(warm_up(seconds=30), 0, id="nothing for long enough"),
        pytest.param(a_ride_at(160, 14), 150, id="fourteen seconds"),
        pytest.param(a_ride_at(160, 15), 160, id="fifteen seconds"),
        pytest.param([*warm_up(), *[180, 181] * 20], USUAL_BPM, id="a jump proves nothing"),
        pytest.param([*warm_up(), *[190] * 4, *warm_up()], USUAL_BPM, id="nor does a spike"),
    ],
)
def test_a_heart_can_do_what_it_held_for_fifteen_seconds(rates: Rates, held_bpm: int) -> None:
    watch = a_watch()
    alerts_of(rates, watch)
    assert watch.held_rates() == ({1: held_bpm} if held_bpm else {})


def test_a_bike_whose_clock_is_years_ahead_disturbs_no_other_ride() -> None:
    watch = a_watch(1, 2)
    told_levels = []
    for second, bpm in enumerate([*EASY, *[145] * 12]):
        ahead = HeartRate(2, 7002, at(1e8 + second), 100)
        mine = HeartRate(1, 7001, at(second), bpm)
        both = [(2 * second, ahead), (2 * second + 1, mine)]
        told_levels += [a.limit.level for a in watch.decide_alerts(both, NOW + second)]
        watch.forget_silent_rides()
    assert told_levels == [HIGH]


def said(rates: Rates, fresh_from: float = 0.0) -> list[float]:
    """When each alert is said, in seconds after the warm-up."""
    readings = a_watch().decide_alerts(samples(rates), NOW, fresh_from)
    return [(alert.sample.measured_at - at(0)).total_seconds() - WARM_UP_S for alert in readings]


def test_an_alert_that_came_too_late_is_told_anew_while_the_episode_goes_on() -> None:
    fresh_from = at(WARM_UP_S + 13).timestamp()
    assert said([*EASY, *[145] * 17], fresh_from) == [9, 13]


def test_an_alert_that_came_too_late_is_told_anew_in_the_next_episode() -> None:
    rates = [*EASY, *[145] * 13, 135, *[145] * 13]
    assert said(rates, at(WARM_UP_S + 15).timestamp()) == [9, 23]
    assert said(rates, at(WARM_UP_S + 90).timestamp()) == [9, 23]


def test_an_episode_that_lasts_is_said_again_with_where_it_began() -> None:
    alerts = alerts_of([*EASY, *[145] * 22])
    assert [(alert.sample.measured_at, alert.is_new) for alert in alerts] == [
        (at(WARM_UP_S + 9), True), (at(WARM_UP_S + 14), False), (at(WARM_UP_S + 19), False),
    ]  # fmt: skip
    assert {alert.began_at for alert in alerts} == {at(WARM_UP_S + 9)}


def test_while_the_worse_level_lasts_the_lesser_one_is_not_said() -> None:
    worse = [*on_the_way(135, 175), *[175] * 16, *on_the_way(175, 150), *[150] * 6]
    levels = [alert.limit.level for alert in alerts_of([*EASY, *worse])]
    assert levels == [CRITICAL, CRITICAL, HIGH]
