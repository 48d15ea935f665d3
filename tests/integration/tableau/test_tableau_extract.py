"""The extract holds what the star holds."""

from pathlib import Path

from tableauhyperapi import Connection, HyperProcess, TableName, Telemetry

from deloton.store.database import connect_pool
from deloton.store.star import refresh
from deloton_tableau.extract import write_extract
from deloton_tableau.star import VIEWS

_RIDES = """
INSERT INTO rides (rider_id, bike_serial, started_at, ended_at, end_reason, duration_s,
                   reading_count, heart_rate_count, mean_power_watts, energy_kj)
SELECT 7001, 'SN1', at, at + interval '400 s', 'silence', 400, 400, 300, 100.125, n
FROM generate_series(1, 500) n
CROSS JOIN LATERAL (SELECT timestamptz '2026-06-30 22:00Z' + n * interval '1 hour' AS at) began
"""


def read_back(path: Path, query: str) -> list[list[object]]:
    """The rows of a query to the file."""
    with (
        HyperProcess(
            Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters={"log_config": ""}
        ) as hyper,
        Connection(hyper.endpoint, path) as connection,
    ):
        rows: list[list[object]] = connection.execute_list_query(query)
        return rows


async def test_every_row_and_value_of_the_star_is_in_the_extract(
    database_url: str, tmp_path: Path
) -> None:
    pool = await connect_pool(database_url, size=1, application="test")
    await pool.execute("INSERT INTO bikes VALUES ('SN1')")
    await pool.execute(
        "INSERT INTO riders (rider_id, gender, town, seen_at) "
        "VALUES (7001, 'female', 'St \"Ives\", Ély', now())"
    )
    await pool.execute(_RIDES)
    await refresh(pool, "Europe/London")
    came: dict[str, int] = {}
    path = tmp_path / "deloton.hyper"
    rows = await write_extract(database_url, path, lambda view, count: came.update({view: count}))
    assert set(rows) == set(VIEWS)
    assert (rows["fact_rides"], rows["dim_riders"], rows["refreshes"]) == (500, 1, 1)
    expected = await pool.fetch(
        "SELECT ride_id, rider_key, started_on, started_hour, mean_power_watts, contact_share, "
        "mean_heart_rate_bpm FROM analytics.fact_rides ORDER BY 1"
    )
    columns = ", ".join(f'"{name}"' for name in dict(expected[0]))
    query = f"SELECT {columns} FROM {TableName('analytics', 'fact_rides')} ORDER BY 1"
    found = read_back(path, query)
    assert [[str(value) for value in row] for row in found] == [
        [str(value) for value in row] for row in expected
    ]
    dates = f"SELECT min(started_on), max(started_hour) FROM {TableName('analytics', 'fact_rides')}"
    assert [[str(value) for value in row] for row in read_back(path, dates)] == [
        ["2026-07-01", "23"]
    ]
    await pool.close()


async def test_an_empty_star_makes_an_empty_extract_over_what_was_there(
    database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "deloton.hyper"
    path.write_bytes(b"old")
    rows = await write_extract(database_url, path, lambda *_: None)
    assert rows["fact_rides"] == 0
    assert [each.name for each in tmp_path.iterdir()] == ["deloton.hyper"]


async def test_the_readers_role_can_write_an_extract_too(database_url: str, tmp_path: Path) -> None:
    mark = "&" if "?" in database_url else "?"
    url = f"{database_url}{mark}role=tableau_reader"
    rows = await write_extract(url, tmp_path / "deloton.hyper", lambda *_: None)
    assert rows["refreshes"] == 1
