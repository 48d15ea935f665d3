"""A rider's limits: by age and policy, by default, and their own."""

import pytest

from deloton.heart_rate import (
    AlertLevel,
    LimitPolicy,
    MaximumPolicy,
    OwnLimits,
    expected_maximum_bpm,
    limits_of,
)


@pytest.mark.parametrize("policy", MaximumPolicy)
@pytest.mark.parametrize("age", range(18, 91))
def test_limits_are_shares_of_the_expected_maximum(policy: MaximumPolicy, age: int) -> None:
    low, high, critical = limits_of(age, LimitPolicy(maximum=policy))
    maximum_bpm = expected_maximum_bpm(age, policy)
    assert (low.level, high.level, critical.level) == tuple(AlertLevel)
    assert low.bpm == 50
    assert high.bpm == pytest.approx(0.9 * maximum_bpm, abs=0.051)
    assert critical.bpm == pytest.approx(maximum_bpm, abs=0.051)
    assert low.bpm < high.bpm < critical.bpm
    assert f"age {age}" in high.rule
    assert policy in high.rule


@pytest.mark.parametrize("age", [None, -3, 0, 4, 111, 900])
def test_an_unknown_or_impossible_age_is_taken_as_the_default_and_says_so(age: int | None) -> None:
    _, high, critical = limits_of(age, LimitPolicy())
    assert (high.bpm, critical.bpm) == (166.9, 185.4)
    assert "unknown age, taken as 40" in high.rule


@pytest.mark.parametrize(
    ("level", "beyond"),
    [
        (AlertLevel.LOW, {49: True, 50: False, 51: False}),
        (AlertLevel.HIGH, {139: False, 140: True, 141: True}),
        (AlertLevel.CRITICAL, {159: False, 160: True, 161: True}),
    ],
)
def test_low_is_passed_below_its_limit_and_the_others_at_theirs(
    level: AlertLevel, beyond: dict[int, bool]
) -> None:
    limits = limits_of(60, LimitPolicy(), OwnLimits(50, 140, 160))
    [limit] = [each for each in limits if each.level is level]
    assert {bpm: limit.is_passed_by(bpm) for bpm in beyond} == beyond


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (OwnLimits(), (50, 149.4, 166)),
        (OwnLimits(low_bpm=42), (42, 149.4, 166)),
        (OwnLimits(high_bpm=130), (50, 130, 166)),
        (OwnLimits(high_bpm=175), (50, 175, 175)),
        (OwnLimits(critical_bpm=140), (50, 140, 140)),
        (OwnLimits(critical_bpm=180), (50, 149.4, 180)),
        (OwnLimits(45, 120, 135), (45, 120, 135)),
    ],
)
def test_own_limits_win_and_the_policys_give_way(
    own: OwnLimits, expected: tuple[float, float, float]
) -> None:
    assert tuple(limit.bpm for limit in limits_of(60, LimitPolicy(), own)) == expected
