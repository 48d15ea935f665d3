"""Each figure's SQL, on five readings in a real PostgreSQL, beside what a person reckons."""

from collections.abc import Mapping

import asyncpg
import pytest

from deloton.rules.figures import FIGURE, FIGURES
from deloton.store.figure_sql import of_readings, of_rides, readings_for_figures

# Elapsed seconds, heart rate, cadence, resistance, power. Two whole readings with some watts too
# many, two halves, and one whose power cannot be.
READINGS = (
    (1.0, 120, 60, 30, 100.0),
    (2.0, None, 100, 30, 200.0),
    (3.0, None, None, 60, None),
    (None, 150, 95, None, 50.0),
    (5.0, None, 85, 40, 1450.0),
)
RECKONED = {
    "reading_count": 5,
    "duration_s": 5.0,
    "mean_heart_rate_bpm": 135.0,
    "max_heart_rate_bpm": 150,
    "heart_rate_count": 2,
    "mean_cadence_rpm": 85.0,
    "max_cadence_rpm": 100,
    "mean_power_watts": 450.0,
    "max_power_watts": 200.0,
    "total_power_watts": 1800.0,
    "energy_kj": 1.8,
    "mean_resistance": 40.0,
    "power_deviation_s": 2,
    "power_denied_s": 1,
}
OF_NONE = {
    "reading_count": 0,
    "duration_s": 0.0,
    "heart_rate_count": 0,
    "total_power_watts": 0.0,
    "energy_kj": 0.0,
    "power_deviation_s": 0,
    "power_denied_s": 0,
}


GIVEN = """
unnest($1::float8[], $2::int[], $3::int[], $4::int[], $5::float8[])
AS readings (elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts)
"""


async def asked(url: str, query: str, *values: object) -> Mapping[str, object]:
    connection = await asyncpg.connect(url)
    [row] = await connection.fetch(query, *values)
    await connection.close()
    return {name: None if value is None else float(value) for name, value in row.items()}


@pytest.mark.parametrize(
    ("readings", "reckoned"), [(READINGS, RECKONED), ((), dict.fromkeys(FIGURE) | OF_NONE)]
)
async def test_a_rides_figures_are_what_a_person_reckons(
    database_url: str, readings: tuple[tuple[object, ...], ...], reckoned: dict[str, object]
) -> None:
    columns = zip(*readings, strict=True) if readings else [[]] * 5
    found = await asked(
        database_url,
        f"SELECT {of_readings()} FROM {readings_for_figures(GIVEN)}",
        *map(list, columns),
    )
    assert found == reckoned


async def test_rides_together_are_sums_the_highest_and_means_of_seconds(database_url: str) -> None:
    numbers = ", ".join(f"(10 + n)::float8 AS {figure.name}" for figure in FIGURES)
    told = ", ".join(f"{of_rides(figure.name)} AS {figure.name}" for figure in FIGURES)
    found = await asked(
        database_url,
        f"SELECT {told} FROM (SELECT {numbers} FROM unnest($1::int[]) n) rides",
        [0, 2],
    )
    by_rule = {"sum": 22.0, "max": 12.0, "mean": (10 * 10 + 12 * 12) / 22}
    assert found == {figure.name: by_rule[figure.adds] for figure in FIGURES}
