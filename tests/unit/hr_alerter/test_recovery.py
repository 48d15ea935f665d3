"""Made-up rides: when a danger is over, and stays so."""

from collections.abc import Sequence

import pytest

from deloton.rules.heart_rate import LimitPolicy, OwnLimits, limits_of
from deloton.testing import at
from hr_alerter.episodes import Alert, EpisodeRules, PartitionWatch
from hr_alerter.recovery import SAY_AGAIN_AFTER_S, STAYS_S, NormalRange, Recovery
from tests.unit.hr_alerter.made_up_rides import on_the_way, samples, warm_up

# At 60: low below 50, high from 171, critical from 196, a jump from 133 on.
LIMITS = limits_of(60, LimitPolicy())
DANGER = [*warm_up(), *on_the_way(120, 175), *[175, 176] * 6, *on_the_way(175, 125)]
Rates = Sequence[int | None]


def a_watch(*, awaits_recovery: bool = False) -> PartitionWatch:
    watch = PartitionWatch(EpisodeRules())
    watch.learn(1, LIMITS, awaits_recovery=awaits_recovery)
    return watch


def over_after(rates: Rates, watch: PartitionWatch | None = None) -> list[float]:
    """At which readings it is said to be over: how many seconds after the danger."""
    said = (watch or a_watch()).decide(samples(rates), 0.0)
    return [
        (each.sample.measured_at - at(0)).total_seconds() - len(DANGER)
        for each in said
        if isinstance(each, Recovery)
    ]


def well(seconds: int) -> list[int]:
    return warm_up(124, seconds)


@pytest.mark.parametrize(
    ("rates", "first_after"),
    [
        pytest.param([*DANGER, *well(59)], None, id="fifty-nine seconds"),
        pytest.param([*DANGER, *well(60)], 59, id="a minute"),
        pytest.param([*warm_up(seconds=200)], None, id="no danger before"),
        pytest.param([*DANGER, *well(30), None, *well(30)], 60, id="a second unseen"),
        pytest.param([*DANGER, *well(30), *[None] * 12, *well(65)], 106, id="hands off for long"),
        pytest.param(
            [*DANGER, *[127, 126] * 30], 59, id="5 bpm below 80 % of the expected maximum"
        ),
        pytest.param([*DANGER, *[127, 128] * 90], None, id="not quite"),
        pytest.param(
            [*DANGER, *well(40), *on_the_way(124, 140), 140, *on_the_way(140, 124), *well(60)],
            102,
            id="a harder moment in between",
        ),
        pytest.param(
            [*DANGER, *well(40), *[190] * 3, *well(30)], 62, id="a spike that no heart makes"
        ),
    ],
)
def test_it_is_over_once_the_heart_was_normal_for_a_minute(
    rates: Rates, first_after: float | None
) -> None:
    assert over_after(rates)[:1] == ([] if first_after is None else [first_after])


def test_it_is_said_again_until_somebody_has_looked_into_it() -> None:
    watch = a_watch()
    after = over_after([*DANGER, *well(60 + 2 * SAY_AGAIN_AFTER_S)], watch)
    assert after == [STAYS_S - 1, STAYS_S - 1 + SAY_AGAIN_AFTER_S, STAYS_S - 1 + 30]
    watch.end_waiting([1, 2])
    later = samples(well(120), from_s=len(DANGER) + 100)
    assert list(watch.decide(later, 0.0)) == []


def test_a_successor_that_did_not_see_the_way_down_calls_nobody_well() -> None:
    assert over_after(well(200), a_watch(awaits_recovery=True)) == []


def test_a_successor_that_sees_the_danger_again_counts_anew() -> None:
    assert over_after([*DANGER, *well(60)], a_watch(awaits_recovery=True)) == [59]


RACES = [*warm_up(), *on_the_way(120, 190), *[190, 191] * 15]
AT_200 = [*RACES, *on_the_way(190, 205), *[205, 204] * 15]


def moving(bpm: int, seconds: int) -> list[int]:
    """A heart's rate that changes now and then, as that of most sensors."""
    return [bpm + second // 2 % 2 for second in range(seconds)]


@pytest.mark.parametrize(
    ("rates", "cadence_rpm"),
    [
        pytest.param([*AT_200, *moving(102, 240)], 85, id="halved"),
        pytest.param([*RACES, *moving(95, 99), *moving(190, 30)], 85, id="halved for long"),
        pytest.param([*RACES, *moving(88, 240)], None, id="cadence lock, the cadence unknown"),
        pytest.param(
            [*RACES, *[85 + 3 * (second % 3 == 0) for second in range(240)]],
            85,
            id="cadence lock, every third reading 3 off",
        ),
        pytest.param([*RACES, *moving(70, 120), *moving(190, 60)], 85, id="loose grip"),
        pytest.param(
            [*RACES, *[None] * 20, *moving(110, 240)], 85, id="hands away on the way down"
        ),
        pytest.param([*RACES, *moving(45, 60), *moving(70, 240)], 85, id="low, and then not"),
        pytest.param([*RACES, *on_the_way(190, 122), *[122] * 240], 85, id="frozen after a fall"),
        pytest.param(
            [*RACES, *on_the_way(190, 122), *moving(122, 40), *[122] * 240],
            85,
            id="frozen at the end of the minute",
        ),
        pytest.param(
            [*RACES, *on_the_way(190, 122), *moving(122, 30), *[None] * 40, *moving(110, 240)],
            85,
            id="hands away for long before the minute is over",
        ),
    ],
)
def test_a_sensor_that_errs_calls_no_racing_heart_well(
    rates: Rates, cadence_rpm: int | None
) -> None:
    watch = a_watch()
    said = list(watch.decide(samples(rates, cadence_rpm=cadence_rpm), 0.0))
    assert isinstance(said[0], Alert)
    assert not [each for each in said if isinstance(each, Recovery)]


def test_a_heart_that_was_lost_is_well_again_once_danger_and_way_down_are_seen() -> None:
    lost = [*AT_200, *moving(102, 90), *moving(205, 60)]
    rates = [*lost, *on_the_way(205, 120), *moving(120, 58)]
    assert over_after(rates) == []
    assert over_after([*rates, 121]) == [len(rates) - len(DANGER)]


LOW_AND_UP = [
    *[*warm_up(), *on_the_way(120, 45), *moving(44, 30)],
    *[*on_the_way(44, 80), *moving(80, 58)],
]


def test_a_low_heart_that_rises_in_steps_is_over() -> None:
    assert over_after(LOW_AND_UP) == [len(LOW_AND_UP) - 1 - len(DANGER)]


def test_a_low_rate_finds_no_heart_of_which_a_successor_knows_only_that_it_was_in_danger() -> None:
    assert over_after(LOW_AND_UP, a_watch(awaits_recovery=True)) == []


def test_a_danger_that_comes_back_is_not_over() -> None:
    again = [*DANGER, *well(40), *DANGER[45:]]
    assert over_after([*again, *well(50)]) == []
    assert over_after([*again, *well(60)]) == [len(again) - len(DANGER) + 59]


@pytest.mark.parametrize(
    ("own", "lowest", "highest"),
    [
        (None, 55, 127),
        (OwnLimits(high_bpm=120), 55, 114),
        (OwnLimits(low_bpm=60, high_bpm=110), 65, 104),
        (OwnLimits(critical_bpm=125), 55, 119),
    ],
)
def test_normal_lies_well_within_the_limits(
    own: OwnLimits | None, lowest: int, highest: int
) -> None:
    normal = NormalRange.of(limits_of(60, LimitPolicy(), own))
    held = [bpm for bpm in range(20, 250) if normal.holds(bpm)]
    assert (held[0], held[-1]) == (lowest, highest)


@pytest.mark.parametrize("limits", [(), limits_of(60, LimitPolicy(), OwnLimits(100, 110, 120))])
def test_without_room_between_the_limits_nothing_is_normal(limits: Sequence[object]) -> None:
    normal = NormalRange.of(limits)  # type: ignore[arg-type]
    assert not any(normal.holds(bpm) for bpm in range(250))
