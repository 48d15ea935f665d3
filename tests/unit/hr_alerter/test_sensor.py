"""Each way in which a handlebar's sensor errs, by its name: what of it is believed."""

from collections.abc import Sequence

import pytest

from hr_alerter.sensor import Sensor
from tests.unit.hr_alerter.made_up_rides import WARM_UP_S, warm_up


def believed(
    rates: Sequence[int | None],
    cadence_rpm: int | list[int] | None = None,
    sensor: Sensor | None = None,
) -> list[int]:
    """The seconds whose rate is believed; None is a second without hands on the bar."""
    sensor = sensor or Sensor()
    found = []
    for second, bpm in enumerate(rates):
        rpm = cadence_rpm[second] if isinstance(cadence_rpm, list) else cadence_rpm
        if bpm is not None and sensor.believes(1_000.0 + second, bpm, rpm):
            found.append(second)
    return found


def after_a_while(*rates: int | None, cadence_rpm: int | None = None) -> list[int]:
    """Which of these seconds are believed after a while at 120 bpm."""
    seconds = believed([*warm_up(), *rates], cadence_rpm)
    return [second - WARM_UP_S for second in seconds if second >= WARM_UP_S]


def wavering(bpm: int, seconds: int) -> list[int]:
    return [bpm + second % 2 for second in range(seconds)]


def test_a_first_grip_is_believed_once_it_has_settled() -> None:
    assert believed(warm_up(seconds=40))[0] == 25


def test_after_hands_return_the_first_seconds_are_not_believed() -> None:
    found = after_a_while(*[None] * 10, *wavering(125, 10))
    assert found == list(range(15, 20))


def test_a_lost_reading_is_no_return_of_hands() -> None:
    assert after_a_while(120, None, 121, 122) == [0, 2, 3]


def test_after_long_away_a_grip_is_a_first_one() -> None:
    found = after_a_while(*[None] * 31, *wavering(125, 40))
    assert found[0] == 31 + 25


@pytest.mark.parametrize("shown", [48, 190], ids=["dip", "spike"])
@pytest.mark.parametrize("seconds", [1, 3, 4])
def test_a_dip_or_spike_is_not_believed_and_what_follows_at_once_is(
    shown: int, seconds: int
) -> None:
    found = after_a_while(*wavering(shown, seconds), *wavering(121, 3))
    assert found == list(range(seconds, seconds + 3))


def test_a_jump_that_stays_is_believed_once_it_has_settled() -> None:
    assert after_a_while(*wavering(180, 8)) == [5, 6, 7]


def test_a_jump_down_has_to_settle_for_longer() -> None:
    assert after_a_while(*wavering(80, 17)) == [15, 16]


def test_each_beat_counted_twice_is_not_believed() -> None:
    assert after_a_while(*wavering(236, 38)) == []
    assert after_a_while(*wavering(236, 39)) == [38]


def test_every_other_beat_missed_is_not_believed() -> None:
    assert after_a_while(*wavering(60, 38)) == []


def test_a_rate_that_never_moves_after_a_jump_is_frozen() -> None:
    assert after_a_while(*[190] * 60) == []


def test_a_steady_rate_that_never_moves_is_believed() -> None:
    assert after_a_while(*[121] * 20) == list(range(20))


def test_255_is_as_no_reading() -> None:
    assert after_a_while(255, 121) == [1]


def test_the_pedals_rhythm_is_not_believed() -> None:
    rates = [*warm_up(), *range(119, 59, -10), *[61, 62, 60] * 10]
    found = believed(rates, [90] * (WARM_UP_S + 6) + [61] * 30)
    assert found[-1] < WARM_UP_S + 6 + 8


def test_who_comes_back_from_the_pedals_rhythm_has_not_jumped() -> None:
    sensor = Sensor()
    rates: list[int | None] = [*warm_up(), *wavering(66, 30), *wavering(126, 20)]
    assert believed(rates, [80] * WARM_UP_S + [66] * 50, sensor)[-1] == len(rates) - 1
    assert sensor.risen_bpm(126) < 10


def test_how_far_a_heart_has_jumped_is_told_from_the_steady_rate() -> None:
    sensor = Sensor()
    believed([*warm_up(), *wavering(180, 10)], None, sensor)
    assert sensor.risen_bpm(180) == 60


def test_a_heart_that_climbs_by_itself_has_not_jumped() -> None:
    sensor = Sensor()
    believed([*warm_up(), *range(125, 190, 5)], None, sensor)
    assert sensor.risen_bpm(185) == 0
