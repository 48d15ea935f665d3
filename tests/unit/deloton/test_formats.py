"""Figures as people read them on pages, in mails and in reports."""

from collections.abc import Callable

import pytest

from deloton.showing.formats import duration, energy, in_unit, number, per_cent, power


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(1485.4, "W", "1,485 W"), (None, "bpm", "–"), (float("nan"), "W", "–"), (0, "", "0")],
)
def test_a_number_has_separators_and_its_unit(value: float | None, unit: str, shown: str) -> None:
    assert number(value, unit) == shown


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "–"), (0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (400, "6 min 40 s"),
        (3600, "1 h 0 min"), (36_000, "10 h"), (4_000_000, "1,111 h"),
    ],
)  # fmt: skip
def test_times_are_told_in_the_unit_that_fits(seconds: float | None, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("watts", "told"),
    [
        (None, "–"), (0, "0 W"), (118.4, "118 W"), (9_999, "9,999 W"), (47_000, "47 kW"),
        (1_600_000, "1.6 MW"), (162_000_000, "162 MW"), (4_950_000_000, "4,950 MW"),
    ],
)  # fmt: skip
def test_power_is_told_in_the_unit_that_fits(watts: float | None, told: str) -> None:
    assert power(watts) == told


@pytest.mark.parametrize(
    ("kilojoules", "told"),
    [(None, "–"), (94.4, "94 kJ"), (9_999, "9,999 kJ"), (16_320, "16.3 MJ"), (2.4e6, "2,400 MJ")],
)
def test_energy_is_told_in_the_unit_that_fits(kilojoules: float | None, told: str) -> None:
    assert energy(kilojoules) == told


@pytest.mark.parametrize("told_by", [number, power, energy, duration])
def test_what_was_not_measured_is_a_dash(told_by: Callable[[float | None], str]) -> None:
    assert told_by(None) == told_by(float("nan")) == "–"


@pytest.mark.parametrize(("share", "told"), [(0.53, "53 %"), (1.064, "106 %"), (None, "–")])
def test_shares_are_told_in_per_cent(share: float | None, told: str) -> None:
    assert per_cent(share) == told


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (600_000.0, "s", "167 h"),
        (34_600_000.0, "W", "34.6 MW"),
        (16_300.0, "kJ", "16.3 MJ"),
        (129.4, "bpm", "129 bpm"),
        (56_660, "", "56,660"),
        (None, "W", "–"),
    ],
)
def test_what_many_rides_come_to_is_in_the_unit_that_fits(
    value: float | None, unit: str, shown: str
) -> None:
    assert in_unit(value, unit) == shown
