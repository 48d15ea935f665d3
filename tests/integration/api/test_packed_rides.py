"""A ride is told the same once it is packed, and its rows are gone."""

import json
from typing import Any

from api.access.credentials import Scope
from deloton.store.database import connect_pool
from deloton.store.series import pack_rides
from tests.integration.api.served import Served

ASKED = (
    "/v1/rides/4711",
    "/v1/rides/4711/readings",
    "/v1/rides/4711/readings?limit=40",
    "/v1/rides/4711/readings?resolution_s=30",
    "/v1/rides/4711/series",
    "/v1/rides/4711/series?resolution=10s&columns=power_watts",
    "/v1/rides/4711.csv",
    "/v1/rides/4713",
    "/v1/rides/4716",
    "/v1/rides/4716/readings",
    "/v1/riders/7001/best-powers?from_at=2026-03-01T00:00:00Z&to_at=2026-03-05T00:00:00Z",
    "/v1/riders/7002/best-powers?from_at=2026-03-01T00:00:00Z&to_at=2026-03-05T00:00:00Z",
    "/v1/riders/7001/export",
)


async def told(served: Served) -> dict[str, Any]:
    """What is answered to all of that, page after page."""
    answers = {}
    async with await served.client(*Scope) as client:
        for asked in ASKED:
            address: str | None = asked
            while address:
                answer = await client.get(address)
                assert answer.status_code == 200, answer.text
                body: Any = answer.text
                if answer.headers["content-type"].startswith("application/json"):
                    body = json.loads(body)
                    body.pop("exported_at", None)
                    body.pop("audit", None)
                answers[address] = body
                address = body.get("next") if isinstance(body, dict) else None
    return answers


async def pack(served: Served) -> None:
    """Pack what has ended, and leave no row of it."""
    await served.execute("UPDATE rides SET ended_at = ended_at WHERE ended_at IS NOT NULL")
    async with await connect_pool(served.database_url, size=1, application="tests") as pool:
        assert await pack_rides(pool, ended_for_s=0) == 5
    await served.execute("DELETE FROM readings WHERE ride_id IN (SELECT ride_id FROM ride_series)")


async def test_packed_rides_are_told_as_before(fresh: Served) -> None:
    before = await told(fresh)
    assert any("cursor" in address for address in before)
    await pack(fresh)
    assert await told(fresh) == before


async def test_an_erasure_leaves_nothing_of_packed_rides(fresh: Served) -> None:
    await pack(fresh)
    async with await fresh.client(*Scope) as client:
        assert (await client.delete("/v1/riders/7001")).status_code == 204
        assert (await client.delete("/v1/rides/4713")).status_code == 204
    rows = await fresh.execute("SELECT DISTINCT ride_id FROM ride_readings ORDER BY ride_id")
    assert [row["ride_id"] for row in rows] == [4714, 4715, 4716]
