"""The feed of changes over HTTP: whoever follows it keeps a copy that is right."""

from collections.abc import AsyncIterator
from typing import Any

import httpx

from api.access.credentials import Scope
from tests.integration.api.served import Served

END = (
    "UPDATE rides SET ended_at = started_at + interval '100 s', end_reason = 'silence' "
    "WHERE ended_at IS NULL"
)


async def pages(client: httpx.AsyncClient, after: int, limit: int) -> AsyncIterator[dict[str, Any]]:
    """The pages of the feed from a place on, by their own addresses."""
    address: str | None = f"/v1/changes?after={after}&limit={limit}"
    while address:
        answer = await client.get(address)
        assert answer.status_code == 200, answer.text
        yield answer.json()
        address = answer.json()["next"]
        assert (address is None) == ("link" not in answer.headers)


async def changes_after(client: httpx.AsyncClient, after: int, limit: int = 2) -> list[Any]:
    """All changes after a place."""
    return [each async for page in pages(client, after, limit) for each in page["changes"]]


async def test_who_begins_now_is_told_what_is_done_from_now_on(fresh: Served) -> None:
    async with await fresh.client() as client:
        began = (await client.get("/v1/changes")).json()
        assert began == {"changes": [], "last_change_id": 3, "next": None}
        await fresh.execute(END)
        async with await fresh.client(Scope.ERASE) as eraser:
            await eraser.delete("/v1/rides/4714")
            await eraser.delete("/v1/riders/7001")
        told = await changes_after(client, began["last_change_id"])
    assert [(each["change_id"], each["kind"]) for each in told] == [
        (4, "ride.ended"),
        (5, "ride.deleted"),
        (6, "ride.deleted"),
        (7, "ride.deleted"),
        (8, "rider.erased"),
    ]
    assert [each["ride_id"] for each in told[:2]] == [4716, 4714]
    assert {each["ride_id"] for each in told[2:4]} == {4711, 4712}
    assert (told[4]["ride_id"], told[4]["rider_id"]) == (None, 7001)


async def test_a_page_ends_where_the_next_begins_however_small(fresh: Served) -> None:
    async with await fresh.client() as client:
        whole = (await client.get("/v1/changes?after=0")).json()
        assert [each["rider_id"] for each in whole["changes"]] == [7001, 7002, 7003]
        assert (whole["last_change_id"], whole["next"]) == (3, None)
        for limit in (1, 2, 3):
            assert await changes_after(client, 0, limit) == whole["changes"]
        nothing = (await client.get("/v1/changes?after=3")).json()
    assert nothing == {"changes": [], "last_change_id": 3, "next": None}


async def test_who_was_away_for_too_long_or_is_ahead_is_told_to_load_anew(fresh: Served) -> None:
    async with await fresh.client() as client:
        await client.get("/v1/changes")
        await fresh.execute("UPDATE changes SET noted_at = now() - interval '91 d' WHERE noted < 3")
        await fresh.execute(END)
        answers = [await client.get(f"/v1/changes?after={after}") for after in (0, 1, 2, 4, 5)]
    assert [answer.status_code for answer in answers] == [200, 410, 200, 200, 410]
    assert [each["change_id"] for each in answers[0].json()["changes"]] == [3, 4]
    assert answers[1].json()["type"] == "/problems/changes-forgotten"
    assert "up to 2" in answers[1].json()["detail"]
    assert "stands at 4" in answers[4].json()["detail"]


async def test_after_a_restore_everybody_loads_anew_and_the_feed_goes_on(fresh: Served) -> None:
    async with await fresh.client() as client:
        await client.get("/v1/changes")
        # As docs/operations.md says.
        await fresh.execute(
            "UPDATE change_feed SET last_change_id = last_change_id + 1000000, "
            "forgotten_until = last_change_id + 1000000"
        )
        assert (await client.get("/v1/changes?after=3")).status_code == 410
        begins = (await client.get("/v1/changes")).json()["last_change_id"]
        await fresh.execute(END)
        assert [each["change_id"] for each in await changes_after(client, begins)] == [1000004]


async def test_the_log_names_riders_that_were_told_of(fresh: Served) -> None:
    async with await fresh.client() as client:
        own = {"X-Request-Id": "told.of.riders"}
        await client.get("/v1/changes?after=1", headers=own)
    [line] = [
        line for line in fresh.program.log_file.read_text().splitlines() if "told.of.riders" in line
    ]
    assert '"rows":2' in line
    assert '"rider_ids":[7002,7003]' in line
