"""Riders, rides and alerts put straight into a database, for the pages to show."""

from datetime import UTC, date, datetime, timedelta

import asyncpg

AGED_50 = date(1976, 1, 1)


async def store_rider(
    connection: asyncpg.Connection, rider_id: int, name: str, born_on: date | None, gender: str
) -> None:
    first, _, last = name.partition(" ")
    await connection.execute(
        "INSERT INTO riders (rider_id, first_name, last_name, gender, born_on, town, seen_at) "
        "VALUES ($1, $2, $3, $4, $5, 'Exampleton', now())",
        *(rider_id, first, last, gender, born_on),
    )
    serial = f"SN{rider_id}"
    await connection.execute("INSERT INTO bikes (serial) VALUES ($1)", serial)


async def store_live_ride(
    url: str,
    heart_rate_bpm: int | None,
    *,
    rider_id: int = 1,
    name: str = "Ada Example",
    born_on: date | None = AGED_50,
    seconds: int = 30,
) -> int:
    """A ride under way, a reading a second until now."""
    connection = await asyncpg.connect(url)
    now = datetime.now(UTC)
    try:
        await store_rider(connection, rider_id, name, born_on, "female")
        ride_id: int = await connection.fetchval(
            "INSERT INTO rides (rider_id, bike_serial, started_at) VALUES ($1, $2, $3) "
            "RETURNING ride_id",
            *(rider_id, f"SN{rider_id}", now - timedelta(seconds=seconds)),
        )
        await connection.executemany(
            "INSERT INTO readings VALUES ($1, $2, $3, $4, 80, 30, 150.0)",
            [
                (ride_id, now - timedelta(seconds=seconds - n), float(n), heart_rate_bpm)
                for n in range(seconds)
            ],
        )
    finally:
        await connection.close()
    return ride_id


async def store_ended_rides(
    url: str, genders: list[str], *, hours_ago: float = 1.0, first_rider: int = 100
) -> None:
    """A ride a rider, of 400 s, half an hour apart, the first so many hours ago."""
    connection = await asyncpg.connect(url)
    try:
        for n, gender in enumerate(genders):
            rider_id = first_rider + n
            await store_rider(connection, rider_id, f"Rider {n}", AGED_50, gender)
            at = datetime.now(UTC) - timedelta(hours=hours_ago, minutes=n % 20)
            await connection.execute(
                "INSERT INTO rides (rider_id, bike_serial, started_at, ended_at, end_reason, "
                "reading_count, duration_s, mean_heart_rate_bpm, max_heart_rate_bpm, "
                "mean_power_watts, max_power_watts, total_power_watts, energy_kj, max_cadence_rpm) "
                "VALUES ($1, $2, $3::timestamptz, $3 + interval '400 s', 'silence', 400, 400, "
                "120, 150, 60, 500, 24000, 24, 90)",
                *(rider_id, f"SN{rider_id}", at),
            )
    finally:
        await connection.close()


async def store_recovery(url: str, ride_id: int) -> None:
    """The rider of a ride was mailed that all is well again, as of the first alert."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "INSERT INTO heart_rate_recoveries (alert_id, level, measured_at, seen_at, "
            "heart_rate_bpm, state, settled_at) SELECT alert_id, level, now(), now(), 120, "
            "'sent', now() FROM heart_rate_alerts WHERE ride_id = $1 ORDER BY alert_id LIMIT 1",
            ride_id,
        )
    finally:
        await connection.close()


async def store_alert(url: str, ride_id: int, level: str, state: str = "sent") -> None:
    """An alert about a ride, half a minute ago."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "INSERT INTO heart_rate_alerts (ride_id, rider_id, level, measured_at, "
            "heart_rate_bpm, limit_bpm, limit_rule, state, settled_at, latency_ms) "
            "SELECT ride_id, rider_id, $2, now() - interval '30 s', 181, 173, 'rule', $3, "
            "now(), 640 FROM rides WHERE ride_id = $1",
            *(ride_id, level, state),
        )
    finally:
        await connection.close()
