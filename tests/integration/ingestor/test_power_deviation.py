"""How long a ride's power was not what resistance and cadence give, in SQL."""

from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy import Double, cast, func, select
from sqlalchemy.dialects.postgresql import asyncpg as postgresql
from sqlalchemy.ext.asyncio import create_async_engine

from deloton.feed.log_lines import LogLine, Marker, RefusalReason
from deloton.rules.power import (
    DEVIATION_WATTS,
    FASTEST_CADENCE_RPM,
    HIGHEST_RESISTANCE,
    fitted_power_watts,
)
from deloton.store.ride_figures import best_mean_powers, personal_bests
from deloton.store.tables import rides
from deloton.testing import (
    a_message_of,
    a_record,
    a_ride_line,
    a_rider,
    a_stamped_message,
    a_telemetry_line,
    an_announcement,
)
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
    [(0.0, 0), (1.9, 0), (-1.9, 0), (4.999, 0), (-4.999, 0), (5.001, 1), (-5.001, 1), (2_900, 1)],
)
async def test_more_than_5_w_above_or_below_deviate(
    pool: asyncpg.Pool, beside_watts: float, deviates: int
) -> None:
    watts = EXPECTED_WATTS + beside_watts
    second = a_telemetry_line(cadence_rpm=CADENCE_RPM, power_watts=watts)
    assert await after(pool, [a_ride_line(resistance=RESISTANCE), second]) == deviates


@pytest.mark.parametrize(
    ("resistance", "cadence_rpm", "deviates"),
    [(170, 219, 1), (171, 219, 0), (170, 220, 0), (250, 300, 0)],
)
async def test_beyond_what_the_formula_was_fitted_to_nothing_deviates(
    pool: asyncpg.Pool, resistance: int, cadence_rpm: int, deviates: int
) -> None:
    second = a_telemetry_line(cadence_rpm=cadence_rpm, power_watts=0.0)
    assert await after(pool, [a_ride_line(resistance=resistance), second]) == deviates


# Issue 17, 4: a value that the bike's own physics denies is stored, and nobody's best


async def ridden(pool: asyncpg.Pool, watts: list[float], rider_id: int = 1, **changes: int) -> None:
    """A whole ride of another bike for each rider, with these watts, second by second."""
    cadence_rpm = changes.get("cadence_rpm", CADENCE_RPM)
    key = f"SN{rider_id}"
    lines: list[LogLine] = [an_announcement(bike_serial=key, rider=a_rider(rider_id))]
    for second, power_watts in enumerate(watts, 1):
        lines += [
            a_ride_line(second, resistance=RESISTANCE),
            a_telemetry_line(second + 0.5, cadence_rpm=cadence_rpm, power_watts=power_watts),
        ]
    partition = await ClaimedPartition.of(pool)
    await partition.take([*lines, Marker()], key=key.encode())
    await partition.commit(partition.state.end_silent_rides(1.0), partition.next_offset)


@pytest.mark.parametrize(
    ("beside_watts", "denied"), [(0, 0), (-18, 0), (299.9, 0), (300.1, 1), (2_900, 1)]
)
async def test_power_far_off_what_the_bike_gives_is_stored_but_in_no_maximum(
    pool: asyncpg.Pool, beside_watts: float, denied: int
) -> None:
    odd_watts = EXPECTED_WATTS + beside_watts
    await ridden(pool, [EXPECTED_WATTS, odd_watts])
    [ride] = await pool.fetch("SELECT power_denied_s, max_power_watts FROM rides")
    stored = [row["power_watts"] for row in await pool.fetch("SELECT * FROM readings ORDER BY at")]
    assert stored == [EXPECTED_WATTS, odd_watts]
    credible = EXPECTED_WATTS if denied else max(stored)
    assert (ride["power_denied_s"], ride["max_power_watts"]) == (denied, credible)


async def test_power_far_off_leads_nobody_to_a_best(
    pool: asyncpg.Pool, shared_database_url: str
) -> None:
    await ridden(pool, [*[EXPECTED_WATTS] * 20, 2_500.0])
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(shared_database_url)
    )
    async with engine.connect() as connection:
        bests = {row.metric: row.value for row in await connection.execute(personal_bests(1))}
        query = best_mean_powers(rides.c.rider_id == 1, [20])
        [curve] = (await connection.execute(query)).all()
    await engine.dispose()
    assert bests["max_power_watts"] == EXPECTED_WATTS
    assert not bests.keys() & {"mean_power_watts", "energy_kj"}
    assert curve.power_watts == pytest.approx(EXPECTED_WATTS)


async def test_a_line_that_tells_what_cannot_be_is_counted_for_its_ride_and_is_a_letter(
    pool: asyncpg.Pool,
) -> None:
    def told(hrt: int, watts: float, second: int) -> list[bytes]:
        return [
            a_message_of(a_ride_line(second, resistance=RESISTANCE)),
            a_stamped_message(
                f"[INFO]: Telemetry - hrt = {hrt}; rpm = {CADENCE_RPM}; power = {watts}",
                at_s=second + 0.5,
            ),
        ]

    values = [
        a_message_of(an_announcement(rider=a_rider())),
        *told(120, EXPECTED_WATTS, 1),
        *told(255, EXPECTED_WATTS, 2),
        *told(255, EXPECTED_WATTS, 2)[1:],
        *told(32767, 30_000.0, 3),
    ]
    partition = await ClaimedPartition.of(pool)
    batch = await partition.assemble_records(
        [a_record(value, offset=offset) for offset, value in enumerate(values)]
    )
    await partition.store(batch)
    await partition.take_to_the_end([Marker()])
    assert [(letter.record.offset, letter.refusal.reason) for letter in batch.refused] == [
        (4, RefusalReason.IMPLAUSIBLE),
        (7, RefusalReason.IMPLAUSIBLE),
    ]
    [ride] = await pool.fetch("SELECT * FROM rides")
    assert (ride["implausible_count"], ride["reading_count"]) == (2, 3)
    assert (ride["max_heart_rate_bpm"], ride["max_power_watts"]) == (120, EXPECTED_WATTS)


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
