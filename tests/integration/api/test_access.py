"""Who may ask what: every address with no key, a wrong one, and each scope."""

import asyncio
import json
import re
from itertools import combinations
from typing import Any

import httpx
import pytest

from api.access.credentials import Scope, new_credential
from api.document import openapi_document
from tests.integration.api.served import PERSONAL, Served

DOCUMENT: dict[str, Any] = json.loads(openapi_document())
# Numbers that nobody has, so that nothing is deleted; and those that somebody has, for reading.
NOBODY = {
    **dict.fromkeys(("ride_id", "rider_id", "webhook_id", "export_id"), "999999"),
    "slug": "not-found",
}
SOMEBODY = {**NOBODY, "ride_id": "4711", "rider_id": "7001"}

OPERATIONS = [
    (method.upper(), path, operation.get("security", []))
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
SCOPE_SETS = [frozenset(some) for size in range(5) for some in combinations(Scope, size)]


async def status_of(client: httpx.AsyncClient, method: str, path: str) -> int:
    """The status of an answer, without waiting for the end of a stream."""
    async with client.stream(method, path.format(**NOBODY)) as answer:
        return answer.status_code


@pytest.mark.parametrize(("method", "path", "security"), OPERATIONS)
async def test_each_address_opens_to_its_scopes_alone(
    served: Served, method: str, path: str, security: list[dict[str, list[str]]]
) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=300) as client:
        assert (await status_of(client, method, path) == 401) == bool(security)
    async with httpx.AsyncClient(
        base_url=served.url,
        headers={"Authorization": f"Bearer {new_credential().key}"},
        timeout=300,
    ) as client:
        assert (await status_of(client, method, path) == 401) == bool(security)
    needed = {Scope(scope) for each in security for scope in each["ApiKey"]}
    for scopes in SCOPE_SETS:
        async with await served.client(*scopes) if scopes else nobody(served) as client:
            status = await status_of(client, method, path)
        refused = 403 if scopes else 401
        assert (status == refused) == bool(security and not needed <= scopes), scopes


def nobody(served: Served) -> httpx.AsyncClient:
    """A client whose key is none of ours."""
    return httpx.AsyncClient(
        base_url=served.url, headers={"Authorization": "Bearer nobody"}, timeout=300
    )


def test_every_address_but_the_operations_needs_a_key() -> None:
    open_paths = {path for _, path, security in OPERATIONS if not security}
    assert open_paths == {"/health/live", "/health/ready", "/metrics", "/problems/{slug}"}
    deleting = {
        path: tuple(security[0]["ApiKey"]) for m, path, security in OPERATIONS if m == "DELETE"
    }
    assert deleting.pop("/v1/webhooks/{webhook_id}") == ("read", "webhooks")
    assert set(deleting.values()) == {("erase",)}


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
async def test_nothing_personal_leaves_without_its_scope(served: Served, accept: str) -> None:
    paths = [path for method, path, _ in OPERATIONS if method == "GET" and "stream" not in path]
    async with await served.client(
        Scope.READ, Scope.ERASE, Accept=f"{accept}, */*;q=0.1"
    ) as client:
        for path in paths:
            answer = await client.get(path.format(**SOMEBODY))
            found = PERSONAL.findall(answer.text)
            assert not found or path == "/v1/riders/{rider_id}/export", (path, found)
    assert len(paths) > 10


async def test_the_filter_by_town_needs_the_scope_personal(served: Served) -> None:
    async with await served.client() as client:
        for path in ("/v1/rides", "/v1/riders", "/v1/live"):
            answer = await client.get(path, params={"city": "Exampleton"})
            assert answer.status_code == 403
            assert answer.json()["type"] == "/problems/scope-missing"
            assert "personal" in answer.json()["detail"]


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Basic YTpi", "Bearer deloton_000000000000_x", "Bearer ü"]
)
async def test_what_is_no_key_is_told_plainly(served: Served, header: str) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=300) as client:
        answer = await client.get("/v1/rides", headers=[(b"Authorization", header.encode())])
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_key_with_another_secret_opens_nothing(served: Served) -> None:
    key = await served.make_key(Scope.READ)
    forged = key[:-1] + ("A" if key[-1] != "A" else "B")
    async with httpx.AsyncClient(base_url=served.url, timeout=300) as client:
        for given, status in ((forged, 401), (key, 200), (forged, 401)):
            headers = {"Authorization": f"Bearer {given}"}
            assert (await client.get("/v1/daily", headers=headers)).status_code == status


async def test_a_key_that_asks_too_often_is_told_when_to_go_on(served: Served) -> None:
    key = await served.make_key(Scope.READ, requests_per_minute=3)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=300) as client:
        answers = [await client.get("/v1/daily") for _ in range(4)]
        others = await client.get("/health/live")
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json()["type"] == "/problems/too-many-requests"
    assert others.status_code == 200


async def test_a_whole_list_counts_as_the_pages_that_it_holds(fresh: Served) -> None:
    await fresh.execute(
        "INSERT INTO rides (rider_id, bike_serial, started_at)"
        " SELECT 7002, 'SN1', '2026-01-01Z'::timestamptz + n * interval '1 min'"
        " FROM generate_series(1, 2500) n"
    )
    key = await fresh.make_key(Scope.READ, requests_per_minute=100)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=fresh.url, headers=headers, timeout=300) as client:
        whole = await client.get("/v1/rides", headers={"Accept": "text/csv"})
        # What has been sent is weighed a moment later.
        while int((await client.get("/v1/daily")).headers["ratelimit-remaining"]) > 100 - 5 - 2:
            pass
    assert whole.headers["ratelimit-remaining"] == "99"
    assert len(whole.text.splitlines()) > 2_500


async def test_an_export_counts_as_the_pages_of_readings_that_it_holds(fresh: Served) -> None:
    await fresh.execute(
        "INSERT INTO readings (ride_id, at, elapsed_s)"
        " SELECT 4711, '2026-03-02 12:00Z'::timestamptz + n * interval '1 s', n"
        " FROM generate_series(1, 20000) n"
    )
    key = await fresh.make_key(Scope.READ, Scope.PERSONAL, requests_per_minute=1_000)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=fresh.url, headers=headers, timeout=300) as client:
        exported = await client.get("/v1/riders/7001/export")
        asked, left = 1, 999
        # What has been sent is weighed a moment later. Half of it: a minute may begin meanwhile.
        while left > 1_000 - asked - 20_000 / 500 / 2:
            answer = await client.get("/v1/daily")
            assert answer.status_code == 200
            asked, left = asked + 1, int(answer.headers["ratelimit-remaining"])
    assert sum(len(ride["readings"]) for ride in exported.json()["rides"]) == 20_200


async def test_a_key_tells_when_it_was_used_and_opens_nothing_once_it_has_expired(
    served: Served,
) -> None:
    key, expired = [await served.make_key(Scope.READ) for _ in range(2)]
    of_key = "WHERE key_id = $1"
    await served.execute(
        f"UPDATE api_keys SET expires_at = now() - interval '1 s' {of_key}", expired.split("_")[1]
    )
    async with httpx.AsyncClient(base_url=served.url, timeout=300) as client:
        for given, status in ((key, 200), (expired, 401)):
            answer = await client.get("/v1/daily", headers={"Authorization": f"Bearer {given}"})
            assert answer.status_code == status
    used = f"SELECT now() - last_used_at < interval '1 min' FROM api_keys {of_key}"
    assert [await served.execute(used, each.split("_")[1]) for each in (key, expired)] == [
        [(True,)],
        [(None,)],
    ]


# May hold the digits of a year.
BY_CHANCE = {"ms", "request_id", "key_id", "timestamp"}


async def test_the_log_tells_who_read_whose_data_and_nothing_of_them(served: Served) -> None:
    asked = [
        ("/v1/rides?town=Exampleton", "/v1/rides", 200, 2, [7001]),
        ("/v1/rides/4713", "/v1/rides/{ride_id}", 200, 0, [7002]),
        ("/v1/rides/4713.csv", "/v1/rides/{ride_id}.csv", 200, 100, [7002]),
        ("/v1/riders?limit=2", "/v1/riders", 200, 2, [7001, 7002]),
        ("/v1/alerts?limit=2", "/v1/alerts", 200, 2, [7001, 7002]),
        ("/v1/leaderboard?period=all&limit=1", "/v1/leaderboard", 200, 1, [7001]),
        ("/v1/riders/Ada", "/v1/riders/{rider_id}", 422, 0, []),
    ]
    async with await served.client(Scope.READ, Scope.PERSONAL) as client:
        key_id = client.headers["authorization"].split("_")[1]
        for number, (address, *_) in enumerate(asked):
            own = {"X-Request-Id": f"{key_id}.{number}"}
            answer = await client.get(address, headers=own)
            assert answer.headers["x-request-id"] == own["X-Request-Id"]
        made = await client.get("/v1/daily", headers={"X-Request-Id": "not ours\\"})
        assert re.fullmatch("[0-9a-f]{16}", made.headers["x-request-id"])
    log = [json.loads(line) for line in served.program.log_file.read_text().splitlines()]
    lines = {line.get("request_id"): line for line in log}
    for number, (_, route, status, rows, rider_ids) in enumerate(asked):
        line = lines[f"{key_id}.{number}"]
        assert (line["key_id"], line["route"], line["status"]) == (key_id, route, status)
        assert (line["rows"], line["rider_ids"]) == (rows, rider_ids)
        assert line["ms"] > 0
    told = [{name: line[name] for name in line.keys() - BY_CHANCE} for line in log]
    assert PERSONAL.findall(json.dumps(told)) == []


async def test_a_revoked_key_soon_opens_nothing(served: Served) -> None:
    key = await served.make_key(Scope.READ)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=300) as client:
        assert (await client.get("/v1/daily")).status_code == 200
        await served.execute(
            "UPDATE api_keys SET revoked_at = now() WHERE key_id = $1", key.split("_")[1]
        )
        for _ in range(15):
            if (await client.get("/v1/daily")).status_code == 401:
                return
            await asyncio.sleep(1)
    raise AssertionError("the key still opens something")
