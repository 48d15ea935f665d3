"""A database with rides to report on, for the reporter's tests."""

from datetime import UTC, date, datetime, timedelta

import asyncpg

ON = date(2026, 3, 10)
MORNING = datetime(2026, 3, 10, 9, tzinfo=UTC)

_RIDE = """
INSERT INTO rides (
    rider_id, bike_serial, started_at, ended_at, end_reason, reading_count, duration_s,
    mean_heart_rate_bpm, heart_rate_count, mean_power_watts, max_power_watts,
    total_power_watts, energy_kj
) VALUES (
    $1, 'SN1', $2::timestamptz, $2::timestamptz + interval '400 s', 'silence', 400, 400,
    120, 330, 60, 500, 24000, 24
)
"""


async def store_rides(url: str, count: int = 3, days: int = 2, name: str = "Ada") -> None:
    """So many rides of one rider on the day, and on each of the days before."""
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO bikes VALUES ('SN1')")
    await connection.execute(
        "INSERT INTO riders (rider_id, first_name, last_name, gender, seen_at) "
        "VALUES (7001, $1, 'Example', 'female', now())",
        name,
    )
    for back in range(days):
        for number in range(count):
            at = MORNING - timedelta(days=back) + timedelta(minutes=10 * number)
            await connection.execute(_RIDE, 7001, at)
    await connection.close()


async def row_of(url: str, on: date = ON) -> asyncpg.Record | None:
    """The report's row."""
    connection = await asyncpg.connect(url)
    row = await connection.fetchrow("SELECT * FROM reports WHERE report_on = $1", on)
    await connection.close()
    return row
