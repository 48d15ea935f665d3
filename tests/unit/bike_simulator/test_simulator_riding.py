"""Resistance, cadence, power, hands and hearts."""

from itertools import groupby

import numpy as np
import pytest
from numpy.typing import NDArray

from bike_simulator.hearts import (
    effort_of,
    hardness_of,
    heart_rates_bpm,
    maxima_bpm,
    own_maximum_bpm,
    with_episodes,
)
from bike_simulator.riders import Population
from bike_simulator.riding import (
    Seconds,
    cadences_rpm,
    hands_on_bar,
    misread,
    power_watts,
    resistance_levels,
    ride_seconds,
)


def shown_bpm(seed: int, seconds: int = 520, age: int = 45) -> Seconds:
    rng = np.random.default_rng(seed)
    return heart_rates_bpm(rng, seconds, age, 0.5, hands_on_bar(rng, seconds))


def longest_run_s(hits: NDArray[np.bool_]) -> int:
    return max((len(list(run)) for hit, run in groupby(hits.tolist()) if hit), default=0)


def test_programme_has_the_levels_of_the_feed() -> None:
    for seed in range(50):
        levels = resistance_levels(np.random.default_rng(seed), 520).tolist()
        assert set(levels[:3]) <= {0, 30}
        assert set(levels[3:120]) == set(levels[142:320]) == set(levels[342:]) == {30}
        assert all(154 <= level <= 170 for level in levels[120:140] + levels[320:340])
        assert all(90 <= level <= 101 for level in levels[140:142] + levels[340:342])


def test_rides_last_179_to_520_seconds_and_mostly_520() -> None:
    rng = np.random.default_rng(1)
    seconds = [ride_seconds(rng) for _ in range(3000)]
    assert min(seconds) >= 179
    assert max(seconds) == 520
    assert 0.5 < seconds.count(520) / 3000 < 0.7


@pytest.mark.parametrize(
    ("resistance", "cadence_rpm", "watts"),
    [(0, 0, 0.0), (170, 0, 0.0), (0, 219, 0.0), (30, 38, 8.89), (170, 100, 496.1)],
)
def test_power_is_the_polynomial_never_below_zero(
    resistance: int, cadence_rpm: int, watts: float
) -> None:
    found = power_watts(np.array([resistance]), np.array([cadence_rpm]))
    assert found[0] == pytest.approx(watts, abs=0.05)


def test_a_broken_sensor_reads_too_much_by_more_than_5_w_at_any_usual_cadence() -> None:
    resistance = np.array([30, 30, 30, 160])
    cadence_rpm = np.array([45, 70, 110, 100])
    surplus = power_watts(misread(resistance), cadence_rpm) - power_watts(resistance, cadence_rpm)
    assert (surplus > 5).all()
    assert misread(np.array([0, 169, 170])).tolist() == [20, 170, 170]


def test_cadence_stays_in_range_and_sprints_are_faster() -> None:
    rides = np.array([cadences_rpm(np.random.default_rng(seed), 520, 0.5) for seed in range(100)])
    assert rides.min() >= 0
    assert rides.max() <= 219
    assert np.median(rides[:, 120:140]) > np.median(rides[:, 60:110]) + 10


def test_about_17_percent_of_all_seconds_show_no_heart_rate() -> None:
    rng = np.random.default_rng(3)
    rides = [hands_on_bar(rng, ride_seconds(rng)) for _ in range(4000)]
    shares = [1 - held.mean() for held in rides]
    assert 1 - np.concatenate(rides).mean() == pytest.approx(0.17, abs=0.01)
    assert max(shares) <= 0.77


def test_every_ride_starts_without_hands_for_up_to_86_seconds() -> None:
    starts_s = [int((shown_bpm(seed) > 0).argmax()) for seed in range(500)]
    assert min(starts_s) >= 1
    assert 60 < max(starts_s) <= 86


def test_healthy_hearts_stay_within_what_they_can_do_at_every_age() -> None:
    for age in range(24, 79):
        beats = shown_bpm(age, age=age)
        assert beats[beats > 0].min() >= 55
        assert beats.max() <= own_maximum_bpm(age, 0.0)


def test_few_rides_are_hard_and_fewer_all_out() -> None:
    rng = np.random.default_rng(2)
    drawn = [hardness_of(rng) for _ in range(20_000)]
    assert drawn.count("hard") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert drawn.count("all-out") / 20_000 == pytest.approx(0.015, abs=0.004)


@pytest.mark.parametrize("seconds", [300, 520])
def test_all_out_is_at_least_97_percent_of_the_own_maximum_for_a_while(seconds: int) -> None:
    rng = np.random.default_rng(4)
    for peak in (0.97, 1.0):
        shares = effort_of(rng, seconds, 0.5, "all-out", peak)
        assert (shares >= peak - 0.01).sum() >= 5


def test_peoples_hearts_differ_as_much_as_published() -> None:
    assert own_maximum_bpm(40, 0.0) == pytest.approx(185.4)
    assert own_maximum_bpm(41, 1.0) - own_maximum_bpm(41, -1.0) == pytest.approx(21.6)
    people = Population(7, 600, 2026)
    errors = [people.rider(number).heart_errors for number in range(600)]
    assert np.std(errors) == pytest.approx(1.0, abs=0.12)
    assert np.mean(errors) == pytest.approx(0.0, abs=0.12)


def test_heart_jumps_by_at_most_18_bpm_in_a_second() -> None:
    jumps = []
    for seed in range(200):
        beats = shown_bpm(seed)
        both = (beats[1:] > 0) & (beats[:-1] > 0)
        jumps.append(int(np.abs(np.diff(beats))[both].max()))
    assert 10 < max(jumps) <= 18


def test_heart_answers_a_sprint() -> None:
    rises = []
    for seed in range(60):
        beats = shown_bpm(seed).astype(float)
        beats[beats == 0] = np.nan
        if np.isfinite(beats[100:119]).any() and np.isfinite(beats[130:145]).any():
            rises.append(np.nanmean(beats[130:145]) - np.nanmean(beats[100:119]))
    assert np.median(rises) > 8


@pytest.mark.parametrize("age", [24, 45, 78])
def test_racing_heart_exceeds_every_expected_maximum_by_far_for_20_to_60_seconds(age: int) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        beats = with_episodes(rng, shown_bpm(seed, 300, age), age, "racing")
        assert 20 <= longest_run_s(beats > maxima_bpm(age)[1] + 8) <= 80


def test_faint_heart_stays_below_50_bpm_for_at_least_20_seconds() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        beats = with_episodes(rng, shown_bpm(seed, 300), 45, "faint")
        assert longest_run_s((beats > 0) & (beats < 50)) >= 20


def test_hands_are_on_the_bar_for_a_while_before_and_during_an_episode() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        beats = with_episodes(rng, shown_bpm(seed, 300), 45, "racing", only_at_s=100)
        assert (beats[60:150] > 0).all()
        assert beats.max() == beats[100:190].max()
        assert longest_run_s(beats > maxima_bpm(45)[1] + 33) >= 20
