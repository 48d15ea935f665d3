"""Expected maxima by their published formulas, and training zones."""

import pytest

from deloton.rules.heart_rate import (
    ZONES,
    MaximumPolicy,
    expected_maximum_bpm,
    time_in_zones,
    zone_of,
)


@pytest.mark.parametrize(
    ("policy", "age", "bpm"),
    [
        (MaximumPolicy.NES, 20, 198.2),
        (MaximumPolicy.NES, 60, 172.6),
        (MaximumPolicy.TANAKA, 20, 194.0),
        (MaximumPolicy.TANAKA, 60, 166.0),
        (MaximumPolicy.GULATI, 50, 162.0),
        (MaximumPolicy.FOX, 50, 170.0),
        (MaximumPolicy.DELOTON, 24, 195.64),
        (MaximumPolicy.DELOTON, 40, 185.4),
        (MaximumPolicy.DELOTON, 41, 179.3),
        (MaximumPolicy.DELOTON, 78, 153.4),
    ],
)
def test_maximum_is_what_its_formula_says(policy: MaximumPolicy, age: int, bpm: float) -> None:
    assert expected_maximum_bpm(age, policy) == pytest.approx(bpm)


def test_ours_is_the_default_policy() -> None:
    assert expected_maximum_bpm(30) == expected_maximum_bpm(30, MaximumPolicy.DELOTON)


@pytest.mark.parametrize("policy", MaximumPolicy)
def test_every_policy_falls_with_age(policy: MaximumPolicy) -> None:
    maxima = [expected_maximum_bpm(age, policy) for age in range(18, 100)]
    assert maxima == sorted(maxima, reverse=True)


@pytest.mark.parametrize(
    ("heart_rate_bpm", "number"),
    [
        (1, 1), (119, 1), (120, 2), (139, 2), (140, 3), (159, 3), (160, 4), (179, 4), (180, 5),
        (200, 5), (300, 5),
    ],
)  # fmt: skip
def test_zone_begins_at_its_lower_bound(heart_rate_bpm: int, number: int) -> None:
    assert zone_of(heart_rate_bpm, 200).number == number


def test_zones_follow_one_another_without_a_gap() -> None:
    assert ZONES[0].lower == 0
    assert [zone.upper for zone in ZONES[:-1]] == [zone.lower for zone in ZONES[1:]]
    assert [zone.number for zone in ZONES] == [1, 2, 3, 4, 5]


def test_every_second_with_a_heart_rate_is_in_one_zone() -> None:
    counts = {None: 50, 90: 3, 100: 4, 120: 5, 140: 6, 160: 7, 180: 8, 230: 9}
    assert time_in_zones(counts, 200) == {1: 7, 2: 5, 3: 6, 4: 7, 5: 17}
