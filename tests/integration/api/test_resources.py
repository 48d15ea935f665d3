"""What each address of the API tells of a small company."""

import csv
import io
import json
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from api.access.credentials import Scope
from api.contract.paging import Cursor, digest_of, write_cursor
from api.contract.schemas import (
    Alert,
    AlertPage,
    Bike,
    BikePage,
    ListedRider,
    LivePicture,
    LiveRide,
    Reading,
    ReadingPage,
    Ride,
    RidePage,
    RiderBrief,
    RiderPage,
    SeriesPage,
)
from deloton.rules.canary import FIRST_CANARY_RIDER_ID
from tests.integration.api.served import Served, ids_of, written


async def get(served: Served, path: str, *scopes: Scope, **parameters: object) -> Any:  # noqa: ANN401  JSON
    """The JSON at an address."""
    async with await served.client(*scopes) as client:
        answer = await client.get(path, params=written(parameters))
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [4716, 4715, 4714, 4713, 4712, 4711]),
        ({"sort": "started_at", "limit": 2}, [4711, 4712]),
        ({"sort": "-max_power_watts"}, [4715, 4712, 4713, 4711, 4714]),
        ({"sort": "energy_kj"}, [4714, 4711, 4713, 4712, 4715]),
        ({"date": "2026-03-02"}, [4714, 4713, 4712, 4711]),
        ({"from": "2026-03-02T10:00:00Z", "to": "2026-03-02T11:00:00Z"}, [4712]),
        ({"from": "2026-03-02T11:00:00+01:00", "to": "2026-03-02T11:00:00Z"}, [4712]),
        ({"rider_id": 7001}, [4712, 4711]),
        ({"bike": "SN2"}, [4716, 4712]),
        ({"gender": "female"}, [4712, 4711]),
        ({"gender": "unknown"}, [4715]),
        ({"min_age": 50}, [4712, 4711]),
        ({"max_age": 50}, [4716, 4713]),
        ({"from_at": "2026-03-02T10:00:00Z", "to_at": "2026-03-02T11:00:00Z"}, [4712]),
        ({"city": "EXAMPLETON"}, [4712, 4711]),
        ({"town": "exampleton"}, [4712, 4711]),
        ({"town": "Nowhere"}, []),
        ({"gender": "unknown", "min_age": 5}, []),
        ({"status": "live"}, [4716]),
        ({"status": "ended", "gender": "male", "bike": "SN1"}, [4713]),
    ],
)
async def test_rides_are_filtered_and_sorted(
    served: Served, parameters: dict[str, Any], expected: list[int]
) -> None:
    async with await served.client(Scope.READ, Scope.PERSONAL) as client:
        assert await ids_of(client, "/v1/rides", **parameters) == expected


@pytest.mark.parametrize("born_on", ["1850-01-01", "yesterday"])
@pytest.mark.parametrize("limit", [{"min_age": 5}, {"max_age": 110}])
async def test_a_birthday_that_cannot_be_meant_is_of_no_age(
    fresh: Served, born_on: str, limit: dict[str, int]
) -> None:
    await fresh.execute(f"UPDATE riders SET born_on = '{born_on}' WHERE rider_id = 7002")
    async with await fresh.client() as client:
        assert await ids_of(client, "/v1/rides", **limit) == [4712, 4711]


async def test_a_riders_rides_are_those_of_the_rider_alone(served: Served) -> None:
    async with await served.client() as client:
        assert await ids_of(client, "/v1/riders/7002/rides") == [4716, 4713]
        assert await ids_of(client, "/v1/riders/7003/rides", status="live") == []


async def test_a_ride_tells_zones_best_powers_and_watts_a_kilogram(served: Served) -> None:
    ride = await get(served, "/v1/rides/4711")
    assert ride["expected_maximum_bpm"] == pytest.approx(208 - 0.7 * 66)
    assert [zone["duration_s"] for zone in ride["heart_rate_zones"]] == [0, 0, 90, 0, 0]
    assert {best["span_s"]: best["power_watts_per_kg"] for best in ride["best_powers"]} == {
        5: 4.0,
        20: 4.0,
        60: 4.0,
    }
    assert ride["mean_power_watts_per_kg"] == 4.0


async def test_a_rider_is_as_old_in_a_ride_as_on_the_companys_day_on_which_it_began(
    fresh: Served,
) -> None:
    # In London it is the birthday already.
    await fresh.execute(
        "UPDATE riders SET born_on = '1976-07-02' WHERE rider_id = 7001; "
        "UPDATE rides SET started_at = '2026-07-01 23:30Z' WHERE ride_id = 4711"
    )
    ride = await get(fresh, "/v1/rides/4711")
    assert ride["expected_maximum_bpm"] == pytest.approx(208 - 0.7 * 50)


async def test_a_ride_whose_rider_is_not_known_has_no_zones(served: Served) -> None:
    ride = await get(served, "/v1/rides/4715")
    assert ride["rider"] is None
    assert ride["heart_rate_zones"] is None
    assert ride["status"] == "ended"


async def test_a_riders_mean_heart_rate_weighs_seconds_with_a_heart_rate(served: Served) -> None:
    rider = await get(served, "/v1/riders/7001")
    assert rider["mean_heart_rate_bpm"] == pytest.approx((120 * 90 + 140 * 10) / 100)
    assert rider["ride_count"] == 2
    bests = {best["metric"]: best for best in rider["personal_bests"]}
    assert bests["max_power_watts"]["ride_id"] == 4712
    assert bests["max_power_watts"]["value_per_kg"] == 6.0
    assert bests["energy_kj"]["value_per_kg"] is None


async def test_a_power_curve_takes_the_rides_of_its_span(served: Served) -> None:
    span = {"from": "2026-03-02T00:00:00Z", "to": "2026-03-02T09:30:00Z"}
    curve = await get(served, "/v1/riders/7001/best-powers", **span)
    assert {best["power_watts"] for best in curve["best_powers"]} == {200.0}
    whole = await get(served, "/v1/riders/7001/best-powers", to="2026-04-01T00:00:00Z")
    assert {best["ride_id"] for best in whole["best_powers"]} == {4712}


async def test_readings_come_by_the_second_or_as_means_of_several(served: Served) -> None:
    first = await get(served, "/v1/rides/4711/readings", limit=1)
    assert first["readings"][0]["elapsed_s"] == 1.0
    assert first["readings"][0]["heart_rate_bpm"] is None
    coarse = await get(served, "/v1/rides/4711/readings", resolution_s=60)
    assert [row["elapsed_s"] for row in coarse["readings"]] == [59.0, 100.0]
    assert coarse["next"] is None


@pytest.mark.parametrize("resolution_s", [1, 7])
async def test_pages_of_readings_together_are_all_readings(
    served: Served, resolution_s: int
) -> None:
    whole = await get(served, "/v1/rides/4712/readings", resolution_s=resolution_s)
    told: list[Any] = []
    async with await served.client() as client:
        address = f"/v1/rides/4712/readings?limit=4&resolution_s={resolution_s}"
        while address:
            page = (await client.get(address)).json()
            told += page["readings"]
            address = page["next"]
    assert told == whole["readings"]


async def test_riders_are_listed_by_number_and_filtered(fresh: Served) -> None:
    await fresh.execute(
        "INSERT INTO riders (rider_id, gender, seen_at) "
        f"VALUES ({FIRST_CANARY_RIDER_ID}, 'female', now())"
    )
    for parameters, expected in (
        ({}, [7001, 7002, 7003]),
        ({"gender": "female"}, [7001]),
        ({"min_age": 20, "max_age": 40}, [7002]),
        ({"town": "exampleton"}, [7001]),
        ({"town": "Nowhere"}, []),
    ):
        page = await get(fresh, "/v1/riders", Scope.READ, Scope.PERSONAL, **parameters)
        assert [rider["rider_id"] for rider in page["riders"]] == expected
    [ada] = (await get(fresh, "/v1/riders", Scope.READ, Scope.PERSONAL, limit=1))["riders"]
    assert (ada["name"], ada["town"]) == ("Ms Ada Secretname", "Exampleton")
    assert ada["last_ride_at"] == "2026-03-02T10:00:00Z"


async def test_bikes_are_listed_with_their_newest_rides(fresh: Served) -> None:
    await fresh.execute("INSERT INTO bikes VALUES ('SN0', '1.4.2')")
    told = (await get(fresh, "/v1/bikes"))["bikes"]
    assert [list(bike.values()) for bike in told] == [
        ["SN0", "1.4.2", None, None, None],
        ["SN1", None, 4715, "2026-03-03T00:00:00Z", "ended"],
        ["SN2", None, 4716, "2026-03-04T09:00:00Z", "live"],
    ]
    for parameters in ({"firmware": "1.4.2"}, {"bike": "SN0"}):
        assert (await get(fresh, "/v1/bikes", **parameters))["bikes"] == told[:1]


@pytest.mark.parametrize("path", ["/v1/riders", "/v1/bikes"])
async def test_pages_of_riders_and_bikes_together_are_all(served: Served, path: str) -> None:
    name = path.removeprefix("/v1/")
    whole = (await get(served, path))[name]
    told: list[Any] = []
    address = f"{path}?limit=1"
    async with await served.client() as client:
        while address:
            page = (await client.get(address)).json()
            told += page[name]
            address = page["next"]
    assert told == whole
    assert len(told) > 1


@pytest.mark.parametrize("serial", ["", "SN\0"])
async def test_a_forged_place_among_bikes_is_refused(served: Served, serial: str) -> None:
    cursor = write_cursor(Cursor(digest_of({"path": "/v1/bikes"}), serial, 0))
    async with await served.client() as client:
        answer = await client.get("/v1/bikes", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "cursor"


@pytest.mark.parametrize(
    ("resolution", "resolution_s", "count"), [("1s", 1, 100), ("10s", 10, 11), ("1min", 60, 2)]
)
async def test_a_series_is_the_readings_as_arrays_of_one_length(
    served: Served, resolution: str, resolution_s: int, count: int
) -> None:
    page = await get(served, "/v1/rides/4711/series", resolution=resolution)
    rows = await get(served, "/v1/rides/4711/readings", resolution_s=resolution_s)
    assert page["resolution_s"] == resolution_s
    assert page["series"] == {
        name: [row[name] for row in rows["readings"]] for name in Reading.model_fields
    }
    assert {len(values) for values in page["series"].values()} == {count}
    SeriesPage.model_validate_json(json.dumps(page), strict=True)


@pytest.mark.parametrize("asked", ["power_watts,heart_rate_bpm", "heart_rate,power"])
@pytest.mark.parametrize("resolution", ["1s", "10s"])
async def test_columns_are_those_that_are_asked_for(
    served: Served, asked: str, resolution: str
) -> None:
    chosen = ["at", "heart_rate_bpm", "power_watts"]
    asking = {"columns": asked, "resolution": resolution}
    rows = (await get(served, "/v1/rides/4711/readings", **asking))["readings"]
    page = await get(served, "/v1/rides/4711/series", **asking)
    whole = (await get(served, "/v1/rides/4711/readings", resolution=resolution))["readings"]
    assert rows == [{name: row[name] for name in chosen} for row in whole]
    assert list(rows[0]) == list(page["series"]) == chosen
    SeriesPage.model_validate_json(json.dumps(page), strict=True)
    async with await served.client() as client:
        lines = await rows_of_csv(client, f"/v1/rides/4711/readings?columns={asked}")
    assert list(lines[0]) == chosen


async def test_pages_of_a_series_together_are_the_whole(served: Served) -> None:
    asked = "columns=power,cadence&resolution=10s"
    told: list[Any] = []
    async with await served.client() as client:
        address = f"/v1/rides/4712/series?limit=4&{asked}"
        while address:
            page = (await client.get(address)).json()
            told += zip(*page["series"].values(), strict=True)
            address = page["next"]
        whole = (await client.get(f"/v1/rides/4712/series?{asked}")).json()
    assert told == list(zip(*whole["series"].values(), strict=True))


async def test_a_resolution_is_given_once(served: Served) -> None:
    async with await served.client() as client:
        answer = await client.get("/v1/rides/4711/readings?resolution=10s&resolution_s=10")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "resolution"


async def test_a_day_is_one_of_the_companys_time_zone(served: Served) -> None:
    day = await get(served, "/v1/daily", date="2026-03-02")
    assert (day["ride_count"], day["rider_count"], day["max_power_watts"]) == (4, 3, 300.0)
    assert day["mean_heart_rate_bpm"] == pytest.approx((120 * 90 + 140 * 10 + 130 * 50) / 150)
    summer = await get(served, "/v1/daily", date="2026-07-01")
    assert (summer["from_at"], summer["ride_count"]) == ("2026-06-30T23:00:00Z", 0)
    assert summer["mean_power_watts"] is None


@pytest.mark.parametrize("period", ["all", "month", "week", "day"])
async def test_each_rider_leads_once_with_the_best_ride(served: Served, period: str) -> None:
    board = await get(served, "/v1/leaderboard", period=period, date="2026-03-02")
    assert [(row["rider"]["rider_id"], row["ride_id"]) for row in board["leaders"]] == [
        (7001, 4712),
        (7002, 4713),
        (7003, 4714),
    ]
    assert board["leaders"][0]["value_per_kg"] == 6.0


async def test_a_leaderboard_ends_where_it_was_asked_to(served: Served) -> None:
    board = await get(served, "/v1/leaderboard", period="all", metric="energy_kj", limit=1)
    assert [row["rank"] for row in board["leaders"]] == [1]


async def test_alerts_are_filtered(served: Served) -> None:
    for parameters, expected in (
        ({}, [3, 2, 1]),
        ({"rider_id": 7001}, [2, 1]),
        ({"ride_id": 4713}, [3]),
        ({"bike": "SN1", "level": "high"}, [1]),
        ({"level": "low"}, [3]),
        ({"state": "pending"}, [2]),
        ({"date": "2026-03-03"}, []),
    ):
        page = await get(served, "/v1/alerts", **parameters)
        assert [alert["alert_id"] for alert in page["alerts"]] == expected


async def test_an_alert_tells_when_it_was_over_and_what_became_of_that_mail(
    served: Served,
) -> None:
    page = await get(served, "/v1/alerts", ride_id=4711)
    assert [(alert["recovered_at"], alert["recovery_state"]) for alert in page["alerts"]] == [
        (None, None),
        ("2026-03-02T09:02:10Z", "sent"),
    ]


async def test_personal_fields_are_left_out_without_their_scope(served: Served) -> None:
    brief = {"rider_id", "gender", "age_years"}
    for scopes, names in (((Scope.READ,), brief), ((Scope.READ, Scope.PERSONAL), {*brief, "name"})):
        page = await get(served, "/v1/rides", *scopes, rider_id=7001)
        assert set(page["rides"][0]["rider"]) == names
    rider = await get(served, "/v1/riders/7001", Scope.READ, Scope.PERSONAL)
    assert rider["name"] == "Ms Ada Secretname"
    assert rider["address"]["town"] == "Exampleton"
    assert rider["date_of_birth"] == "1959-05-02"


async def rows_of_csv(client: httpx.AsyncClient, path: str) -> list[dict[str, str]]:
    """The rows of a list as CSV."""
    answer = await client.get(path, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_lists_come_as_csv_with_the_same_rows(served: Served) -> None:
    async with await served.client() as client:
        rides = await rows_of_csv(client, "/v1/rides")
        assert [int(row["ride_id"]) for row in rides] == await ids_of(client, "/v1/rides")
        assert rides[0]["ended_at"] == ""
        assert rides[1]["started_at"] == "2026-03-03T00:00:00Z"
        assert "rider_name" not in rides[0]
        assert len(await rows_of_csv(client, "/v1/rides?limit=2")) == 2
        assert len(await rows_of_csv(client, "/v1/rides/4711/readings")) == 100
        assert [row["rider_id"] for row in await rows_of_csv(client, "/v1/alerts")] == [
            "7002",
            "7001",
            "7001",
        ]


async def test_what_has_not_changed_is_a_304(served: Served) -> None:
    async with await served.client() as client:
        first = await client.get("/v1/rides")
        etag = {"If-None-Match": first.headers["etag"]}
        again = await client.get("/v1/rides", headers=etag)
        other = await client.get("/v1/rides?limit=1", headers=etag)
        curve = await client.get("/v1/riders/7001/best-powers")
        etag = {"If-None-Match": curve.headers["etag"]}
        assert (await client.get("/v1/riders/7001/best-powers", headers=etag)).status_code == 304
    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200
    assert first.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br"])
async def test_large_answers_come_compressed(served: Served, encoding: str) -> None:
    async with await served.client() as client:
        asked = client.build_request("GET", "/v1/rides", headers={"Accept-Encoding": encoding})
        answer = await client.send(asked, stream=True)
        assert answer.headers["content-encoding"] == encoding
        await answer.aclose()


@pytest.mark.parametrize(
    "path", ["/v1/rides", "/v1/rides/4711", "/v1/live/stream", "/v1/rides/999999", "/health/live"]
)
async def test_head_answers_as_get_does_without_a_body(served: Served, path: str) -> None:
    async with await served.client() as client:
        head = await client.head(path)
        async with client.stream("GET", path) as got:
            assert head.status_code == got.status_code
            for name in ("content-type", "content-length", "etag"):
                assert head.headers.get(name) == got.headers.get(name), name
    assert head.content == b""


async def test_the_pages_for_operations_need_no_key(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=300) as client:
        for path in ("/health", "/health/live", "/health/ready", "/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 200
        metrics = (await client.get("/metrics")).text
        assert 'route="/health/ready",status="200"' in metrics
        assert (await client.get("/")).headers["location"] == "/docs"


LISTS: list[tuple[str, type[BaseModel], type[BaseModel], str]] = [
    ("/v1/rides", RidePage, Ride, "rides"),
    ("/v1/riders/7002/rides", RidePage, Ride, "rides"),
    ("/v1/rides/4711/readings", ReadingPage, Reading, "readings"),
    ("/v1/rides/4711/readings?resolution_s=7", ReadingPage, Reading, "readings"),
    ("/v1/riders", RiderPage, ListedRider, "riders"),
    ("/v1/bikes", BikePage, Bike, "bikes"),
    ("/v1/alerts", AlertPage, Alert, "alerts"),
    ("/v1/live", LivePicture, LiveRide, "rides"),
]


@pytest.mark.parametrize("scopes", [(Scope.READ,), (Scope.READ, Scope.PERSONAL)])
@pytest.mark.parametrize(("path", "page", "row", "name"), LISTS)
async def test_what_the_database_writes_is_what_the_document_describes(
    served: Served,
    path: str,
    page: type[BaseModel],
    row: type[BaseModel],
    name: str,
    scopes: tuple[Scope, ...],
) -> None:
    async with await served.client(*scopes) as client:
        told = (await client.get(path)).json()
    model = page.model_validate_json(json.dumps(told), strict=True)
    assert model.model_dump(mode="json", exclude_unset=True) == told
    # Field by field in the document's order, every one there but what needs the other scope.
    assert told[name]
    who = set(RiderBrief.model_fields) - ({"name"} if Scope.PERSONAL not in scopes else set())
    fields = list(row.model_fields)
    if row is ListedRider and Scope.PERSONAL not in scopes:
        fields = [each for each in fields if each not in {"name", "town"}]
    for each in told[name]:
        assert list(each) == fields
        assert each.get("rider") is None or set(each["rider"]) == who


@pytest.mark.parametrize("scopes", [(Scope.READ,), (Scope.READ, Scope.PERSONAL)])
@pytest.mark.parametrize(("path", "name"), [(path, name) for path, _, _, name in LISTS[:-1]])
async def test_a_csv_has_a_column_for_each_field_and_the_same_values(
    served: Served, path: str, name: str, scopes: tuple[Scope, ...]
) -> None:
    async with await served.client(*scopes) as client:
        told = (await client.get(path)).json()[name]
        lines = await rows_of_csv(client, path)
    assert len(lines) == len(told)
    for line, each in zip(lines, told, strict=True):
        if "rider" in each:
            rider = each.pop("rider") or dict.fromkeys(told[-1]["rider"])
            each["rider_id"] = rider.pop("rider_id")
            each |= {f"rider_{field}": value for field, value in rider.items()}
        assert line == {field: "" if each[field] is None else str(each[field]) for field in each}
