"""Each figure on a page is the one that its label names, in the unit that stands beside it.

All figures of these rides differ, so that none can stand for another.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import asyncpg
import pyarrow as pa
import pytest
import pytest_asyncio
from streamlit.testing.v1 import AppTest

from tests.integration.dashboard.stored_rides import AGED_50, store_live_ride, store_rider

SECONDS = 200


def reading(second: int) -> tuple[int, int, int, float]:
    """Heart rate, cadence, resistance and power of a second of the ride under way."""
    return 100 + second // 4, 60 + second // 10, 20 + second // 5, 100.0 + second


@pytest_asyncio.fixture
async def rides(database_url: str) -> dict[str, int]:
    """One rider's rides: `over` two hours ago, and `live`, under way for 199 s: their numbers."""
    connection = await asyncpg.connect(database_url)
    now = datetime.now(UTC)
    await store_rider(connection, 1, "Ada Example", AGED_50, "female")
    over = await connection.fetchval(
        "INSERT INTO rides (rider_id, bike_serial, started_at, ended_at, end_reason, "
        "reading_count, heart_rate_count, duration_s, mean_power_watts, max_power_watts, "
        "total_power_watts, energy_kj, mean_cadence_rpm, max_cadence_rpm, mean_heart_rate_bpm, "
        "max_heart_rate_bpm, mean_resistance, power_deviation_s) VALUES (1, 'SN1', $1, $2, "
        "'silence', 751, 602, 754, 111.4, 287.6, 83661.4, 83.6614, 66.6, 77, 133.3, 171, 36.9, 4) "
        "RETURNING ride_id",
        *(now - timedelta(hours=2), now - timedelta(hours=2) + timedelta(seconds=754)),
    )
    live = await connection.fetchval(
        "INSERT INTO rides (rider_id, bike_serial, started_at) VALUES (1, 'SN1', $1) "
        "RETURNING ride_id",
        now - timedelta(seconds=SECONDS),
    )
    for ride_id, began in ((over, now - timedelta(hours=2)), (live, now - timedelta(seconds=199))):
        await connection.executemany(
            "INSERT INTO readings (ride_id, at, elapsed_s, heart_rate_bpm, cadence_rpm, "
            "resistance, power_watts) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                (ride_id, began + timedelta(seconds=n), float(n), *reading(n))
                for n in range(SECONDS)
            ],
        )
    await connection.close()
    return {"over": over, "live": live}


def told(page: AppTest) -> list[tuple[str, str, str]]:
    """Each tile: its label, its figure, and what stands under it."""
    return [(tile.label, str(tile.value), str(tile.delta)) for tile in page.metric]


def drawn(page: AppTest) -> dict[str, list[Any]]:
    """What each chart with an upright axis plots on it, by the axis' title."""
    plotted = {}
    for chart in page.get("vega_lite_chart"):
        rows = {each.name: each.data.data for each in chart.proto.datasets}
        for data, y in upright(json.loads(chart.proto.spec)):
            if y.get("title"):
                table = pa.ipc.open_stream(BytesIO(rows[data])).read_all()
                plotted[y["title"]] = table.column(y["field"]).to_pylist()
    return plotted


def upright(layer: dict[str, Any], data: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The upright axis of each layer, however deep, with the name of the layer's data."""
    data = layer.get("data", {}).get("name", data)
    yield data, layer.get("encoding", {}).get("y", {})
    for inner in layer.get("layer", []):
        yield from upright(inner, data)


async def test_a_rider_closely_is_told_each_measure_under_its_name_and_how_it_moved_in_10_s(
    open_page: Callable[..., AppTest], rides: dict[str, int]
) -> None:
    now = told(open_page("live", rides["live"]))
    assert ("Heart rate", "149 bpm", "+2 bpm") in now
    assert ("Power", "299 W", "+10 W") in now
    assert ("Cadence", "79 rpm", "+1 rpm") in now
    assert ("Resistance", "59", "+2") in now


async def test_a_ride_under_way_beside_the_bests_has_each_figure_in_its_unit(
    open_page: Callable[..., AppTest], rides: dict[str, int]
) -> None:
    assert set(told(open_page("live", rides["live"]))) >= {
        ("Highest power", "299 W", ":material/trophy: New best"),
        ("Mean power", "200 W", ":material/trophy: New best"),
        ("Energy", "39.9 kJ", "best 83.7 kJ"),
        ("Highest cadence", "79 rpm", ":material/trophy: New best"),
        ("Longest ride", "3:19 min", "best 12:34 min"),
    }


async def test_a_ride_that_is_over_has_each_figure_in_its_unit(
    open_page: Callable[..., AppTest], rides: dict[str, int]
) -> None:
    found = {label: value for label, value, _ in told(open_page("live", rides["over"]))[6:12]}
    assert found == {
        "Duration (min:s)": "12:34",
        "Mean power": "111 W",
        "Highest power": "288 W",
        "Energy": "83.7 kJ",
        "Mean heart rate": "133 bpm",
        "Highest heart rate": "171 bpm",
    }


async def test_the_fleets_mean_power_is_of_the_newest_readings(
    open_page: Callable[..., AppTest], rides: dict[str, int], database_url: str
) -> None:
    await store_live_ride(database_url, 120, rider_id=2)  # at 150 W
    found = {label: value for label, value, _ in told(open_page("live"))}
    assert (found["Riding now"], found["Mean power"]) == ("2", "224 W")


@pytest.mark.parametrize("ride", ["live", "over"])
async def test_each_line_of_a_ride_is_of_the_measure_on_its_axis(
    open_page: Callable[..., AppTest], rides: dict[str, int], ride: str
) -> None:
    lines = drawn(open_page("live", rides[ride]))
    _, cadences, resistances, powers = zip(*map(reading, range(SECONDS)), strict=True)
    assert lines["Power (W)"] == list(powers)
    assert lines["Cadence (rpm)"] == list(cadences)
    assert lines["Resistance (level)"] == list(resistances)


async def test_what_recent_rides_add_up_to_is_told_in_its_unit(
    open_page: Callable[..., AppTest], rides: dict[str, int]
) -> None:
    found = {label: value for label, value, _ in told(open_page("recent"))}
    assert found == {
        "Rides": "1",  # the other is under way
        "Riders": "1",
        "Time ridden": "12 min 34 s",
        "Total power": "84 kW",
        "Mean power": "111 W",
    }


async def test_the_table_of_recent_rides_has_each_figure_in_the_unit_of_its_column(
    open_page: Callable[..., AppTest], rides: dict[str, int]
) -> None:
    table = open_page("recent").dataframe[0].value
    row = table[table["Ride"] == rides["over"]].iloc[0].to_dict()
    del row["Started"]
    assert row == {
        "Ride": rides["over"],
        "Rider": "Ada Example",
        "Gender": "female",
        "Age": 50,
        "Town": "Exampleton",
        "Bike": "SN1",
        "Duration (min)": 12.6,
        "Mean power (W)": 111.4,
        "Highest power (W)": 287.6,
        "Energy (kJ)": 83.7,
        "Mean heart rate (bpm)": 133,
        "Highest heart rate (bpm)": 171,
    }


@pytest.mark.parametrize(
    ("chosen", "title", "highest"),
    [
        ("Mean", "Mean power (W)", 111.4),
        ("Total", "Total power (kW)", 83.6614),
        ("Cumulative", "Total power so far (kW)", 83.6614),
    ],
)
async def test_power_over_time_is_drawn_in_the_unit_of_its_axis(
    open_page: Callable[..., AppTest],
    rides: dict[str, int],
    chosen: str,
    title: str,
    highest: float,
) -> None:
    page = open_page("recent")
    page.segmented_control(key="power-measure").set_value(chosen).run()
    values = [value for value in drawn(page)[title] if value is not None]
    assert max(values) == pytest.approx(highest)


async def test_all_time_is_told_in_its_units(
    open_page: Callable[..., AppTest], rides: dict[str, int]
) -> None:
    found = {label: value for label, value, _ in told(open_page("all_time"))}
    assert found == {
        "Rides": "2",
        "Riders": "1",
        "Time ridden": "12 min 34 s",
        "Energy": "84 kJ",
        "Highest power": "288 W",
    }


@pytest.mark.parametrize(
    ("chosen", "title", "of_weeks", "value"),
    [
        ("Rides", "Rides", sum, 2),
        ("Riders", "Riders", max, 1),
        ("Time ridden", "Time ridden (h)", sum, 754 / 3600),
        ("Energy", "Energy (MJ)", sum, 0.0836614),
    ],
)
async def test_growth_is_drawn_in_the_unit_of_its_axis(
    open_page: Callable[..., AppTest],
    rides: dict[str, int],
    chosen: str,
    title: str,
    of_weeks: Callable[[Iterable[float]], float],
    value: float,
) -> None:
    page = open_page("all_time")
    page.segmented_control(key="growth").set_value(chosen).run()
    # Two hours ago it may have been last week.
    assert of_weeks(drawn(page)[title]) == pytest.approx(value)


async def test_leaders_are_told_each_by_the_figure_of_its_title(
    open_page: Callable[..., AppTest], rides: dict[str, int]
) -> None:
    tables = [table.value for table in open_page("all_time").dataframe]
    assert {table.columns[-1]: table.iloc[0, -1] for table in tables} == {
        "Highest power (W)": 287.6,
        "Mean power (W)": 111.4,
        "Energy of a ride (kJ)": 83.6614,
    }
