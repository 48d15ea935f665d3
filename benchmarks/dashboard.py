"""How long a rerun of the pages' scripts takes with 1,000,000 rides, and what viewers cost.

The rides are spread over 90 days and 50,000 bikes, `--live` of them are under way with 300 readings
each. A viewer is a run of the whole script, as Streamlit runs it; the database's work is counted in
questions.
"""

import argparse
import asyncio
import logging
import os
import statistics
import time
from pathlib import Path

import asyncpg
import streamlit as st
from streamlit.testing.v1 import AppTest

import dashboard
from benchmarks.system import machine
from dashboard.database import QUESTION_SECONDS
from dashboard.sources import queries
from deloton.migrate import migrate
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian

SCRIPT = Path(dashboard.__file__).with_name("app.py")
RIDERS = 60_000
BIKES = 50_000
RUNS = 10
VIEWERS = 50

_RIDERS = """
INSERT INTO riders (rider_id, first_name, last_name, gender, born_on, town, seen_at)
SELECT n, 'Ada', 'Example', (ARRAY['female', 'male'])[n % 2 + 1], date '1950-01-01' + n % 18000,
       'Town ' || n % 300, now()
FROM generate_series(0, $1::int - 1) n
"""

_RIDES = """
INSERT INTO rides (
    rider_id, bike_serial, started_at, ended_at, end_reason, reading_count, duration_s,
    mean_heart_rate_bpm, max_heart_rate_bpm, heart_rate_count, mean_power_watts, max_power_watts,
    total_power_watts, energy_kj, power_deviation_s
)
SELECT n * 7919 % $2, 'SN' || n % $3, at, at + interval '400 s', 'silence', 400, 400, 120, 150,
       330, 60 + n % 50, 500 + n % 700, 24000, 24 + n % 20, CASE n % 97 WHEN 0 THEN 45 ELSE 0 END
FROM generate_series(0, $1::bigint - 1) n
CROSS JOIN LATERAL (SELECT now() - interval '600 s' - n * interval '90 days' / $1 AS at) began
"""

_LIVE_RIDES = """
INSERT INTO rides (rider_id, bike_serial, started_at)
SELECT n, 'LIVE' || n, now() - interval '300 s' FROM generate_series(0, $1::int - 1) n
"""

_READINGS = """
INSERT INTO readings
SELECT ride_id, now() - (300 - second) * interval '1 s',
       second, 120, 80, 30, 100
FROM rides CROSS JOIN generate_series(0, 299) second WHERE ended_at IS NULL
"""

# Keeps the live rides live for as long as the benchmark lasts.
_NEWEST = """
INSERT INTO readings
SELECT ride_id, now(), extract(epoch FROM now() - started_at), 125, 80, 30, 100
FROM rides WHERE ended_at IS NULL
"""


async def fill(url: str, rides: int, live: int) -> None:
    """Store the rides."""
    connection = await asyncpg.connect(url, command_timeout=600)
    await connection.execute(
        "INSERT INTO bikes SELECT 'SN' || n FROM generate_series(0, $1::int - 1) n", BIKES
    )
    await connection.execute(
        "INSERT INTO bikes SELECT 'LIVE' || n FROM generate_series(0, $1::int - 1) n", live
    )
    await connection.execute(_RIDERS, RIDERS)
    await connection.execute(_RIDES, rides, RIDERS, BIKES)
    await connection.execute(_LIVE_RIDES, live)
    await connection.execute(_READINGS)
    await connection.execute("ANALYZE")
    await connection.close()


async def ride_on(url: str) -> None:
    """A new reading for every live ride."""
    connection = await asyncpg.connect(url)
    await connection.execute(_NEWEST)
    await connection.close()


def a_viewer(name: str, window: str | None = None) -> AppTest:
    """A page that has been opened."""
    page = AppTest.from_file(str(SCRIPT), default_timeout=120)
    page.switch_page(f"views/{name}.py").run()
    if window is not None:
        page.segmented_control(key="window").set_value(window).run()
    if page.exception:
        raise RuntimeError(page.exception[0].value)
    return page


def reruns(page: AppTest, pause_s: float) -> list[float]:
    """The seconds of each rerun; `pause_s` lets answers grow old between them."""
    seconds = []
    for _ in range(RUNS):
        time.sleep(pause_s)
        begun = time.perf_counter()
        page.run()
        seconds.append(time.perf_counter() - begun)
    return seconds


def questions() -> float:
    """How many questions the database has been asked."""
    samples = next(iter(QUESTION_SECONDS.collect())).samples
    return next(sample.value for sample in samples if sample.name.endswith("_count"))


def questions_of(viewers: list[AppTest], seconds: float) -> float:
    """Questions a second while these viewers look on as quickly as they can, for some seconds."""
    before, begun = questions(), time.monotonic()
    while time.monotonic() < begun + seconds:
        for viewer in viewers:
            viewer.run()
    return (questions() - before) / (time.monotonic() - begun)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rides", type=int, default=1_000_000)
    parser.add_argument("--live", type=int, default=200)
    options = parser.parse_args()
    # Streamlit says at each rerun that no server runs it.
    logging.disable(logging.WARNING)
    with Guardian() as guardian, EmbeddedPostgres(guardian) as postgres:
        url = postgres.create_database("dashboard")
        migrate(url)
        asyncio.run(fill(url, options.rides, options.live))
        os.environ["DATABASE_URL"] = url
        st.cache_resource.clear()
        print(
            f"{machine()}, {options.rides:,} rides, {options.live:,} under way, {BIKES:,} bikes\n"
        )
        print("| page | first run s | rerun median ms | slowest ms |\n|---|--:|--:|--:|")
        for title, name, window, pause_s in (
            ("Live", "live", None, 1.1),
            ("Recent, 12 h", "recent", None, 0.0),
            ("Recent, 7 days", "recent", "7 days", 0.0),
            ("Bikes", "bikes", None, 0.0),
            ("All time", "all_time", None, 0.0),
        ):
            asyncio.run(ride_on(url))
            begun = time.perf_counter()
            page = a_viewer(name, window)
            first_s = time.perf_counter() - begun
            times = [1000 * each for each in reruns(page, pause_s)]
            print(
                f"| {title} | {first_s:.2f} | {statistics.median(times):.0f} | {max(times):.0f} |"
            )
        asyncio.run(ride_on(url))
        viewers = [a_viewer("live") for _ in range(VIEWERS)]
        asyncio.run(ride_on(url))
        one, many = (questions_of(viewers[:count], 10) for count in (1, VIEWERS))
        print(f"\nQuestions a second: 1 viewer of Live {one:.1f}, {VIEWERS} viewers {many:.1f}")
        queries().database.close()


if __name__ == "__main__":
    main()
