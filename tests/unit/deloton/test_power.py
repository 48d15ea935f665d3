"""The formula of a bike's power, beside the sum as it was published."""

import math

import numpy as np
import pytest

from deloton.rules.power import FASTEST_CADENCE_RPM, HIGHEST_RESISTANCE, fitted_power_watts

LEVELS = range(0, HIGHEST_RESISTANCE + 1, 10)
CADENCES = range(0, FASTEST_CADENCE_RPM + 1, 3)


def as_published(resistance: int, cadence_rpm: int) -> float:
    u, v = resistance / 100, cadence_rpm / 100
    return math.fsum((
        4.2159538 * v, 10.054831 * v**2, 54.667494 * v**3, -30.30654 * v**4,
        u * 12.123681 * v, u * 123.47741 * v**2, -u * 363.07596 * v**3, u * 171.52276 * v**4,
        -(u**2) * 34.516007 * v, u**2 * 116.70946 * v**2, u**2 * 269.42293 * v**3,
        -(u**2) * 155.4625 * v**4, u**3 * 22.886962 * v, u**3 * 49.140188 * v**2,
        -(u**3) * 129.27113 * v**3, u**3 * 54.342042 * v**4,
    ))  # fmt: skip


def test_the_power_is_that_of_the_published_sum() -> None:
    for resistance in LEVELS:
        for cadence_rpm in CADENCES:
            expected = pytest.approx(as_published(resistance, cadence_rpm), abs=1e-9)
            assert fitted_power_watts(resistance, cadence_rpm) == expected


# Resistance, cadence and power of the seconds that describe the feed.
@pytest.mark.parametrize(("resistance", "cadence_rpm", "seen"), [(0, 0, 0.0), (30, 38, 8.962)])
def test_the_power_is_within_the_fit_of_what_was_seen(
    resistance: int, cadence_rpm: int, seen: float
) -> None:
    assert fitted_power_watts(resistance, cadence_rpm) == pytest.approx(seen, abs=1.9)


def test_an_array_gives_what_its_numbers_give_one_by_one() -> None:
    resistance, cadence_rpm = np.meshgrid(LEVELS, CADENCES)
    found = fitted_power_watts(resistance, cadence_rpm)
    pairs = zip(resistance.flat, cadence_rpm.flat, strict=True)
    assert found.flatten().tolist() == [fitted_power_watts(int(r), int(c)) for r, c in pairs]
