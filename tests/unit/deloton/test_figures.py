"""What is declared of each figure of a ride holds together."""

import pytest

from deloton.rules.figures import BESTS, FIGURE, FIGURES, LEADERS, Adds, Figure
from deloton.store.figure_sql import of_rides


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_figure_is_declared_once_and_its_mean_has_seconds_to_weigh_by(figure: Figure) -> None:
    assert [other.name for other in FIGURES].count(figure.name) == 1
    assert figure.meaning.endswith(".")
    assert (figure.weight is not None) == (figure.adds is Adds.MEAN)
    assert figure.weight is None or FIGURE[figure.weight].adds is Adds.SUM


def test_whoever_ranks_or_keeps_bests_does_so_by_figures() -> None:
    assert {*BESTS, *LEADERS} <= FIGURE.keys()


@pytest.mark.parametrize(
    ("name", "titled"),
    [
        ("mean_power_watts", "Mean power (W)"),
        ("energy_kj", "Energy (kJ)"),
        ("max_cadence_rpm", "Highest cadence (rpm)"),
        ("mean_heart_rate_bpm", "Mean heart rate (bpm)"),
        ("duration_s", "Duration (s)"),
        ("reading_count", "Readings"),
        ("mean_resistance", "Mean resistance"),
    ],
)
def test_a_title_tells_the_unit_that_ends_the_name(name: str, titled: str) -> None:
    assert FIGURE[name].titled == titled


def test_rides_together_are_a_sum_the_highest_or_a_mean_of_seconds() -> None:
    assert of_rides("energy_kj") == "coalesce(sum(rides.energy_kj), 0)"
    assert of_rides("max_power_watts") == "max(rides.max_power_watts)"
    assert "rides.mean_power_watts * " in of_rides("mean_power_watts")


def test_a_figure_that_nobody_declared_is_refused() -> None:
    with pytest.raises(KeyError):
        of_rides("seconds_above_90_rpm")
