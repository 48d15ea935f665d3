"""The plain computation of alerts and the alerter's own agree on rides of every kind."""

from datetime import timedelta

import numpy as np
import pytest

from benchmarks.alert_quality import COMES_DOWN, RACES_ON, spoil_after_danger
from bike_simulator.population import (
    ARTEFACTS,
    DANGERS,
    Rides,
    dangerous_rides,
    healthy_rides,
    rides_with_artefacts,
)
from deloton.events import HeartRate
from deloton.rules.heart_rate import LimitPolicy, limits_of
from deloton.testing import at
from hr_alerter.episodes import EpisodeRules, PartitionWatch
from hr_alerter.recovery import Recovery
from tests.oracle.alerts import alerts_of_ride, limits, recoveries_of_ride
from tests.oracle.straightforward import Reading

Told = list[tuple[str, float]]


def by_the_alerter(rides: Rides, row: int) -> Told:
    watch = PartitionWatch(EpisodeRules())
    watch.learn(1, limits_of(int(rides.age[row]), LimitPolicy()))
    samples = [
        (second, HeartRate(1, 7001, at(second), bpm, rpm))
        for second, (bpm, rpm) in enumerate(rates(rides, row))
        if bpm is not None
    ]
    told: dict[str, float] = {}
    for alert in watch.decide_alerts(samples, 0.0):
        second = (alert.sample.measured_at - at(0)) / timedelta(seconds=1)
        if alert.is_new and not (alert.limit.level == "high" and "critical" in told):
            told.setdefault(alert.limit.level.value, second)
    return list(told.items())


def by_the_oracle(rides: Rides, row: int) -> Told:
    readings = [
        Reading(at(second), float(second), bpm, rpm, None, None)
        for second, (bpm, rpm) in enumerate(rates(rides, row))
    ]
    told = alerts_of_ride(readings, limits(int(rides.age[row])))
    return [(level, (moment - at(0)) / timedelta(seconds=1)) for level, moment in told]


def over_by_the_alerter(rides: Rides, row: int) -> Told:
    """As the rows have it: that it is over is told once an alert, and of the newest alone."""
    watch = PartitionWatch(EpisodeRules())
    watch.learn(1, limits_of(int(rides.age[row]), LimitPolicy()))
    samples = [
        (second, HeartRate(1, 7001, at(second), bpm, rpm))
        for second, (bpm, rpm) in enumerate(rates(rides, row))
        if bpm is not None
    ]
    mailed: list[str] = []
    told: dict[str, float] = {}
    for said in watch.decide(samples, 0.0):
        if isinstance(said, Recovery):
            second = (said.sample.measured_at - at(0)) / timedelta(seconds=1)
            told.setdefault(mailed[-1], second)
        elif said.limit.level not in mailed and not (
            said.limit.level == "high" and "critical" in mailed
        ):
            mailed.append(said.limit.level.value)
    return list(told.items())


def over_by_the_oracle(rides: Rides, row: int) -> Told:
    readings = [
        Reading(at(second), float(second), bpm, rpm, None, None)
        for second, (bpm, rpm) in enumerate(rates(rides, row))
    ]
    told = recoveries_of_ride(readings, limits(int(rides.age[row])))
    return [(level, (moment - at(0)) / timedelta(seconds=1)) for level, moment in told]


def rates(rides: Rides, row: int) -> list[tuple[int | None, int]]:
    beats, cadence = rides.heart_rate_bpm[row].tolist(), rides.cadence_rpm[row].tolist()
    return [(bpm or None, rpm) for bpm, rpm in zip(beats, cadence, strict=True)]


@pytest.mark.parametrize("kind", ["all-out", *ARTEFACTS, *DANGERS])
def test_both_tell_the_same_of_a_ride(kind: str) -> None:
    make = rides_with_artefacts if kind in ARTEFACTS else healthy_rides
    rides = (dangerous_rides if kind in DANGERS else make)(np.random.default_rng(5), 12, kind)
    told = {row: by_the_oracle(rides, row) for row in range(len(rides))}
    assert {row: by_the_alerter(rides, row) for row in range(len(rides))} == told
    assert any(told.values()) or kind not in DANGERS


@pytest.mark.parametrize("shown", [*COMES_DOWN, *RACES_ON])
def test_both_tell_at_the_same_second_that_a_climb_is_over(shown: str) -> None:
    rng = np.random.default_rng(6)
    rides = dangerous_rides(rng, 40, "climb")
    for row in range(len(rides)):
        bounds = limits(int(rides.age[row]))
        spoil_after_danger(rng, shown, rides, row, int(rides.began_s[row]) + 40, bounds["jumped"])
    told = {row: over_by_the_oracle(rides, row) for row in range(len(rides))}
    assert {row: over_by_the_alerter(rides, row) for row in range(len(rides))} == told
    assert any(told.values()) == (shown in COMES_DOWN)


@pytest.mark.parametrize("kind", DANGERS)
def test_both_tell_at_the_same_second_that_a_danger_is_over(kind: str) -> None:
    rides = dangerous_rides(np.random.default_rng(6), 40, kind)
    told = {row: over_by_the_oracle(rides, row) for row in range(len(rides))}
    assert {row: over_by_the_alerter(rides, row) for row in range(len(rides))} == told
