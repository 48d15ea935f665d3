"""A ride as a file: what others' programs read in it is what the rows hold."""

import csv
import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import fitdecode
import pytest
from lxml import etree

from tests.integration.api.served import Served

TCX = "{http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2}"
EXTENSION = "{http://www.garmin.com/xmlschemas/ActivityExtension/v2}"
SCHEMA = Path(__file__).with_name("training_center.xsd")
FIELDS = ("heart_rate", "cadence", "power", "resistance")

# Two pieces of readings and a little more; the last lines hold what the formats cannot.
LONG = """
INSERT INTO rides (
    ride_id, rider_id, bike_serial, started_at, ended_at, end_reason, reading_count, duration_s,
    mean_heart_rate_bpm, max_heart_rate_bpm, mean_cadence_rpm, max_cadence_rpm, mean_power_watts,
    max_power_watts, total_power_watts, energy_kj
) VALUES (
    4800, 7001, 'SN1', '2026-03-05 09:00:00.25Z', '2026-03-05 09:33:29.25Z', 'silence', 2009, 2009,
    131.4, 180, 71.6, 300, 151.5, 3000, 304364, 304.364
);
INSERT INTO readings
SELECT 4800, timestamptz '2026-03-05 09:00:00.25Z' + s * interval '1 s', s,
       CASE WHEN s % 7 > 0 THEN 90 + s % 91 END, CASE WHEN s % 5 > 0 THEN s % 120 END,
       CASE WHEN s % 3 > 0 THEN s % 100 END, CASE WHEN s % 4 > 0 THEN s * 0.37 END
FROM generate_series(1, 2007) s;
INSERT INTO readings VALUES
    (4800, '2026-03-05 09:33:28.25Z', 2008, 0, 300, 250, 70000),
    (4800, '2026-03-05 09:33:29.25Z', 2009, 300, 254, 0, 3000);
"""


async def get_file(served: Served, ending: str, ride_id: int = 4800) -> bytes:
    """A ride's file."""
    async with await served.client() as client:
        answer = await client.get(f"/v1/rides/{ride_id}.{ending}")
    assert answer.status_code == 200, answer.text
    named = f'attachment; filename="ride-{ride_id}.{ending}"'
    assert answer.headers["content-disposition"] == named
    return answer.content


async def rows(served: Served, ride_id: int = 4800) -> list[dict[str, Any]]:
    """The ride's readings as they are stored, by FIT's names."""
    told = await served.execute(
        "SELECT at, heart_rate_bpm AS heart_rate, cadence_rpm AS cadence, power_watts AS power, "
        f"resistance FROM readings WHERE ride_id = {ride_id} AND at IS NOT NULL ORDER BY at"
    )
    return [dict(row) for row in told]


def as_held(row: dict[str, Any], largest: dict[str, int]) -> dict[str, Any]:
    """A row in whole numbers; what a format cannot hold is a gap."""
    held = {name: None if row[name] is None else round(row[name]) for name in largest}
    return {
        name: value if value is not None and value <= largest[name] else None
        for name, value in held.items()
    }


def frames(data: bytes) -> list[Any]:
    """Every message of a FIT file, checksums checked and nothing forgiven."""
    with fitdecode.FitReader(
        io.BytesIO(data),
        check_crc=fitdecode.CrcCheck.RAISE,
        error_handling=fitdecode.ErrorHandling.RAISE,
    ) as reader:
        return [frame for frame in reader if isinstance(frame, fitdecode.FitDataMessage)]


async def test_a_fit_file_holds_the_rows(fresh: Served) -> None:
    await fresh.execute(LONG)
    messages = frames(await get_file(fresh, "fit"))
    largest = dict.fromkeys(FIELDS, 254) | {"power": 65_534}
    stored = await rows(fresh)
    records = [each for each in messages if each.name == "record"]
    assert len(records) == len(stored) == 2009
    for record, row in zip(records, stored, strict=True):
        assert record.get_value("timestamp") == row["at"].replace(microsecond=0)
        told = {name: record.get_value(name, fallback=None) for name in FIELDS}
        assert told == as_held(row, largest)
        assert not record.has_field("position_lat")


async def test_a_fit_file_is_one_indoor_activity_with_the_rides_totals(fresh: Served) -> None:
    await fresh.execute(LONG)
    messages = [m for m in frames(await get_file(fresh, "fit")) if m.name != "record"]
    assert [each.name for each in messages] == [
        *("file_id", "event", "event", "lap", "session", "activity"),
    ]
    assert messages[0].get_value("type") == "activity"
    for summary in messages[3:5]:
        assert summary.get_value("sport") == "cycling"
        assert summary.get_value("sub_sport") == "indoor_cycling"
        assert summary.get_value("total_elapsed_time") == 2009.0
        assert summary.get_value("avg_heart_rate") == 131
        assert summary.get_value("max_heart_rate") == 180
        assert summary.get_value("avg_power") == 152
        assert summary.get_value("max_power") == 3000
        assert summary.get_value("total_work") == 304_364
        # 300 does not fit.
        assert summary.get_value("max_cadence", fallback=None) is None


async def test_a_tcx_file_fits_the_schema_and_holds_the_rows(fresh: Served) -> None:
    await fresh.execute(LONG)
    document = etree.fromstring(await get_file(fresh, "tcx"))
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(document)
    points = list(document.iter(f"{TCX}Trackpoint"))
    stored = await rows(fresh)
    assert len(points) == len(stored)
    for point, row in zip(points, stored, strict=True):
        held = as_held(row, {"heart_rate": 255, "cadence": 254, "power": 65_535})
        assert datetime.fromisoformat(point.findtext(f"{TCX}Time")) == row["at"]
        told = {
            "heart_rate": point.findtext(f"{TCX}HeartRateBpm/{TCX}Value"),
            "cadence": point.findtext(f"{TCX}Cadence"),
            "power": point.findtext(f"{TCX}Extensions/{EXTENSION}TPX/{EXTENSION}Watts"),
        }
        # In TCX there is no heart rate of 0.
        held["heart_rate"] = held["heart_rate"] or None
        assert told == {n: None if v is None else str(v) for n, v in held.items()}
    assert document.findtext(f".//{TCX}TotalTimeSeconds") == "2009.0"
    assert document.findtext(f".//{EXTENSION}AvgWatts") == "152"


@pytest.mark.parametrize("ending", ["fit", "tcx"])
async def test_a_ride_without_any_reading_is_a_valid_file(fresh: Served, ending: str) -> None:
    await fresh.execute("DELETE FROM readings WHERE ride_id = 4711")
    data = await get_file(fresh, ending, 4711)
    if ending == "fit":
        assert {each.name for each in frames(data)} >= {"session", "activity"}
    else:
        etree.XMLSchema(etree.parse(SCHEMA)).assertValid(etree.fromstring(data))


async def test_a_csv_file_is_the_list_of_readings(served: Served) -> None:
    told = list(csv.DictReader(io.StringIO((await get_file(served, "csv", 4711)).decode())))
    async with await served.client() as client:
        answer = await client.get("/v1/rides/4711/readings", headers={"Accept": "text/csv"})
    assert told == list(csv.DictReader(io.StringIO(answer.text)))
    assert len(told) == 100


@pytest.mark.parametrize(
    ("media_type", "ending"),
    [
        ("application/vnd.ant.fit", "fit"),
        ("application/vnd.garmin.tcx+xml", "tcx"),
        ("text/csv", "csv"),
    ],
)
async def test_a_ride_comes_as_the_file_that_is_asked_for(
    served: Served, media_type: str, ending: str
) -> None:
    async with await served.client(Accept=f"{media_type}, application/json;q=0.5") as client:
        answer = await client.get("/v1/rides/4711")
        head = await client.head(f"/v1/rides/4711.{ending}")
    assert answer.content == await get_file(served, ending, 4711)
    for each in (answer, head):
        assert each.headers["content-type"].startswith(media_type)
    async with await served.client(Accept="image/png") as client:
        assert (await client.get("/v1/rides/4711")).status_code == 406


async def test_a_ride_that_goes_on_is_no_file_yet(served: Served) -> None:
    async with await served.client() as client:
        for ending, status in (("fit", 409), ("tcx", 409), ("csv", 200)):
            assert (await client.get(f"/v1/rides/4716.{ending}")).status_code == status
        assert (await client.get("/v1/rides/999999.fit")).status_code == 404
        assert (await client.get("/v1/rides/nobody.fit")).status_code == 422


async def test_what_fit_cannot_tell_is_refused_and_tcx_tells_it(fresh: Served) -> None:
    began = "timestamptz '1995-01-01Z'"
    await fresh.execute(
        f"UPDATE rides SET started_at = {began}, ended_at = {began} + interval '100 s' "
        "WHERE ride_id = 4711"
    )
    async with await fresh.client() as client:
        answer = await client.get("/v1/rides/4711.fit")
    assert answer.status_code == 406
    document = etree.fromstring(await get_file(fresh, "tcx", 4711))
    told = datetime.fromisoformat(document.findtext(f".//{TCX}Id"))
    assert told - datetime.fromisoformat("1995-01-01T00:00:00Z") == timedelta(0)
