"""Values that cannot be meant are refused with their reason; nothing is ever read as SQL."""

from typing import Any

import pytest

from api.access.credentials import Scope
from tests.integration.api.served import Served

RIDES = "/v1/rides"
READINGS = "/v1/rides/4711/readings"

WRONG = [
    (RIDES, "date", "2026-02-30"),
    (RIDES, "date", "02/03/2026"),
    (RIDES, "date", "1"),
    (RIDES, "date", "0001-01-01"),
    (RIDES, "date", "9999-12-31"),
    (RIDES, "from", "2026-03-02"),
    (RIDES, "from", "2026-03-02T09:00:00"),
    (RIDES, "to", "1772442900"),
    (RIDES, "to", "2026-03-02T09:00:00+99:00"),
    (RIDES, "to", "0001-01-01T00:00:00+23:59"),
    (RIDES, "rider_id", "-1"),
    (RIDES, "rider_id", "9223372036854775808"),
    (RIDES, "rider_id", "7001.0"),
    (RIDES, "rider_id", "7_001"),
    (RIDES, "rider_id", "٧"),
    (RIDES, "rider_id", ""),
    (RIDES, "bike", ""),
    (RIDES, "bike", "SN\x00"),
    (RIDES, "bike", "x" * 256),
    (RIDES, "gender", "woman"),
    (RIDES, "min_age", "4"),
    (RIDES, "max_age", "999"),
    (RIDES, "city", "\n"),
    (RIDES, "town", "x" * 256),
    (RIDES, "from_at", "2026-03-02"),
    (RIDES, "status", "over"),
    (RIDES, "sort", "rider_id"),
    (RIDES, "sort", "-started_at,ride_id"),
    (RIDES, "limit", "0"),
    (RIDES, "limit", "501"),
    (RIDES, "limit", "ten"),
    (RIDES, "cursor", "x"),
    (RIDES, "cursor", "WyJ4IiwxLDFd"),
    (RIDES, "colour", "red"),
    (READINGS, "resolution_s", "0"),
    (READINGS, "resolution_s", "3601"),
    (READINGS, "cursor", "!!"),
    (READINGS, "resolution", "5s"),
    (READINGS, "columns", ""),
    (READINGS, "columns", "power_watts,name"),
    (READINGS, "columns", "power_watts, cadence_rpm"),
    ("/v1/riders", "rider_id", "7001"),
    ("/v1/riders", "max_age", "4"),
    ("/v1/riders", "cursor", "WyJ4IiwxLDFd"),
    ("/v1/bikes", "bike", ""),
    ("/v1/bikes", "firmware", "\x00"),
    ("/v1/riders/7001/rides", "gender", "female"),
    ("/v1/riders/7001/best-powers", "from_at", "2016-01-01T00:00:00Z"),
    ("/v1/riders/7001/best-powers", "from_at", "2999-01-01T00:00:00Z"),
    ("/v1/riders/7001/export", "reason", "x" * 501),
    ("/v1/riders/7001", "limit", "1"),
    ("/v1/daily", "date", "yesterday"),
    ("/v1/leaderboard", "metric", "rider_id"),
    ("/v1/leaderboard", "period", "year"),
    ("/v1/leaderboard", "limit", "101"),
    ("/v1/alerts", "level", "medium"),
    ("/v1/alerts", "state", "lost"),
    ("/v1/live", "colour", "red"),
]


@pytest.mark.parametrize(("path", "name", "value"), WRONG)
async def test_a_wrong_value_is_refused_and_named(
    served: Served, path: str, name: str, value: str
) -> None:
    async with await served.client(Scope.READ, Scope.PERSONAL) as client:
        answer = await client.get(path, params={name: value})
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["parameter"] for error in problem["errors"]] == [name]
    assert problem["errors"][0]["message"]


@pytest.mark.parametrize(
    ("path", "query", "told"),
    [
        (RIDES, "date=2026-03-02&from=2026-03-02T00:00:00Z", "either a date"),
        (RIDES, "from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "before to"),
        (RIDES, "min_age=50&max_age=20", "must not be above max_age"),
        (RIDES, "from=2026-03-02T00:00:00+00:00", "%2B"),
        (RIDES, "limit=1&limit=2", "more than once"),
        (RIDES, "town=A&city=B", "town: is given more than once"),
        ("/v1/rides/abc", "", "ride_id"),
        ("/v1/rides/99999999999999999999", "", "ride_id"),
    ],
)
async def test_what_contradicts_itself_is_explained(
    served: Served, path: str, query: str, told: str
) -> None:
    async with await served.client() as client:
        answer = await client.get(f"{path}?{query}" if query else path)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


async def test_a_cursor_fits_only_the_parameters_that_it_was_given_with(served: Served) -> None:
    async with await served.client() as client:
        page = (await client.get("/v1/rides?limit=1")).json()
        answer = await client.get(f"{page['next']}&status=ended")
    assert answer.status_code == 422
    assert "other parameters" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/rides/999999", 404, "not-found"),
        ("GET", "/v1/rides/999999/readings", 404, "not-found"),
        ("GET", "/v1/riders/999999/rides", 404, "not-found"),
        ("GET", "/v1/nothing", 404, "no-such-path"),
        ("GET", "/v1/rides/", 404, "no-such-path"),
        ("POST", "/v1/rides/4711", 405, "method-not-allowed"),
        ("DELETE", "/v1/riders/999999", 404, "not-found"),
    ],
)
async def test_what_is_not_there_is_a_problem_of_its_kind(
    served: Served, method: str, path: str, status: int, kind: str
) -> None:
    async with await served.client(*Scope) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
    assert status != 405 or answer.headers["allow"] == "DELETE, GET, HEAD"


async def test_a_format_that_is_not_offered_is_refused(served: Served) -> None:
    async with await served.client() as client:
        answer = await client.get("/v1/rides", headers={"Accept": "application/xml"})
    assert answer.status_code == 406
    assert "text/csv" in answer.json()["detail"]


PROBES = [
    "' OR '1'='1",
    "'; DROP TABLE rides; --",
    "SN1' UNION SELECT secret_hash FROM api_keys --",
    '" OR ""="',
    "1); SELECT pg_sleep(5); --",
    "\\'; SELECT 1; --",
    "%' OR 1=1 --",
    "$1",
    ":rider_id",
    "%s%(x)s{0}",
]


@pytest.mark.parametrize("probe", PROBES)
async def test_sql_in_a_parameter_is_only_a_strange_word(served: Served, probe: str) -> None:
    async with await served.client(Scope.READ, Scope.PERSONAL) as client:
        for name in ("bike", "city"):
            answer = await client.get("/v1/rides", params={name: probe})
            assert (answer.status_code, answer.json()["rides"]) == (200, [])
        for name in ("rider_id", "sort", "gender", "date", "limit", "cursor", probe):
            answer = await client.get("/v1/rides", params={name: probe})
            assert answer.status_code == 422
        for name in ("metric", "period"):
            assert (await client.get("/v1/leaderboard", params={name: probe})).status_code == 422
        answer = await client.get("/v1/daily", headers={"Authorization": f"Bearer {probe}"})
        assert answer.status_code == 401
        everything: Any = (await client.get("/v1/rides")).json()
    assert len(everything["rides"]) == 6
