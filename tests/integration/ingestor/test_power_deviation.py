"""How long a ride's power was not what resistance and cadence give, in SQL."""

from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy import Double, cast, func, select
from sqlalchemy.dialects.postgresql import asyncpg as postgresql

from deloton.log_lines import LogLine, Marker
from deloton.power import (
    DEVIATION_WATTS,
    FASTEST_CADENCE_RPM,
    HIGHEST_RESISTANCE,
    fitted_power_watts,
)
from deloton.testing import a_ride_line, a_telemetry_line, an_announcement
from tests.integration.ingestor.claimed import ClaimedPartition

RESISTANCE = 30
CADENCE_RPM = 60
EXPECTED_WATTS = fitted_power_watts(RESISTANCE, CADENCE_RPM)
BROKEN_WATTS = EXPECTED_WATTS + 20


def seconds_of(signs: str, first: int = 1) -> Iterator[LogLine]:
    """A second a sign: `x` deviates, `.` does not; `r`, `t`: only its Ride or Telemetry line.

    A blank is a second of which nothing came.
    """
    for second, sign in enumerate(signs, first):
        if sign in "x.r":
            yield a_ride_line(second, resistance=RESISTANCE)
        if sign in "x.t":
            yield a_telemetry_line(
                second + 0.5,
                cadence_rpm=CADENCE_RPM,
                power_watts=EXPECTED_WATTS if sign == "." else BROKEN_WATTS,
            )


async def deviation_s(pool: asyncpg.Pool) -> int | None:
    [row] = await pool.fetch("SELECT power_deviation_s FROM rides")
    value: int | None = row["power_deviation_s"]
    return value


async def after(pool: asyncpg.Pool, lines: list[LogLine]) -> int | None:
    """What is stored of one ride that is over."""
    partition = await ClaimedPartition.of(pool)
    await partition.take_to_the_end([an_announcement(), *lines, Marker()])
    return await deviation_s(pool)


@pytest.mark.parametrize(
    ("signs", "longest_s"),
    [
        ("", 0),
        ("......", 0),
        ("xxx...", 3),
        ("...xxx", 3),
        ("xx.xxx.x", 3),
        ("x.x.x.x", 1),
        ("xxxxxx", 6),
        # What was not measured says nothing, and breaks the run.
        ("xxrxxx", 3),
        ("xxtxxx", 3),
        ("xx xxx", 3),
        ("rrrr", 0),
        ("tttt", 0),
    ],
)
async def test_the_longest_run_of_deviating_seconds_is_kept(
    pool: asyncpg.Pool, signs: str, longest_s: int
) -> None:
    assert await after(pool, list(seconds_of(signs))) == longest_s


@pytest.mark.parametrize(
    ("beside_watts", "deviates"),
    [(0.0, 0), (1.9, 0), (-1.9, 0), (4.999, 0), (-4.999, 0), (5.001, 1), (-5.001, 1), (1e100, 1)],
)
async def test_more_than_5_w_above_or_below_deviate(
    pool: asyncpg.Pool, beside_watts: float, deviates: int
) -> None:
    watts = EXPECTED_WATTS + beside_watts
    second = a_telemetry_line(cadence_rpm=CADENCE_RPM, power_watts=watts)
    assert await after(pool, [a_ride_line(resistance=RESISTANCE), second]) == deviates


@pytest.mark.parametrize(
    ("resistance", "cadence_rpm", "deviates"),
    [(170, 219, 1), (171, 219, 0), (170, 220, 0), (32_767, 32_767, 0)],
)
async def test_beyond_what_the_formula_was_fitted_to_nothing_deviates(
    pool: asyncpg.Pool, resistance: int, cadence_rpm: int, deviates: int
) -> None:
    second = a_telemetry_line(cadence_rpm=cadence_rpm, power_watts=0.0)
    assert await after(pool, [a_ride_line(resistance=resistance), second]) == deviates


async def test_where_the_formula_falls_below_0_no_power_is_expected(pool: asyncpg.Pool) -> None:
    assert fitted_power_watts(0, FASTEST_CADENCE_RPM) < -DEVIATION_WATTS
    second = a_telemetry_line(cadence_rpm=FASTEST_CADENCE_RPM, power_watts=0.0)
    assert await after(pool, [a_ride_line(resistance=0), second]) == 0


async def test_a_run_goes_on_over_workers_and_ends_of_the_ride(pool: asyncpg.Pool) -> None:
    await after(pool, list(seconds_of("xxxx")))
    await (await ClaimedPartition.of(pool)).take(list(seconds_of("xx", first=5)))
    assert await deviation_s(pool) is None
    await (await ClaimedPartition.of(pool)).take_to_the_end([Marker()])
    assert await deviation_s(pool) == 6


async def test_sql_and_python_expect_the_same_power_at_every_level(pool: asyncpg.Pool) -> None:
    levels = func.generate_series(0, HIGHEST_RESISTANCE).alias("resistance").column
    cadences = func.generate_series(0, FASTEST_CADENCE_RPM).alias("cadence_rpm").column
    fitted = fitted_power_watts(cast(levels, Double), cast(cadences, Double))
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    query = select(levels, cadences, fitted).compile(
        dialect=dialect, compile_kwargs={"literal_binds": True}
    )
    rows = await pool.fetch(str(query))
    assert len(rows) == (HIGHEST_RESISTANCE + 1) * (FASTEST_CADENCE_RPM + 1)
    differing = [row for row in rows if abs(fitted_power_watts(row[0], row[1]) - row[2]) > 1e-9]
    assert differing == []
