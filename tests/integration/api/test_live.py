"""Rides in progress: pages of them, and what changes, asked for once however many listen."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from api.access.credentials import Scope
from api.contract.schemas import LiveEvent
from tests.integration.api.served import Served

Event = dict[str, str]

MANY_RIDE = """
INSERT INTO rides (rider_id, bike_serial, started_at)
SELECT 7001, 'SN1', now() - n * interval '1 ms' FROM generate_series(1, 1200) n;
INSERT INTO readings
SELECT ride_id, started_at + interval '1 s', 1, 120, 60, 30, 100 FROM rides
WHERE ended_at IS NULL AND ride_id <> 4716
"""

SECOND_READINGS = """
INSERT INTO readings SELECT ride_id, started_at + interval '2 s', 2, NULL, 60, 30, 9.5
FROM rides WHERE ended_at IS NULL AND ride_id <> 4716
"""


@asynccontextmanager
async def listening(
    client: httpx.AsyncClient, query: str = "", **headers: str
) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a stream."""
    async with client.stream("GET", f"/v1/live/stream{query}", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events_of(answer)


async def events_of(answer: httpx.Response) -> AsyncIterator[Event]:
    """Events as they come; comments left out."""
    event: Event = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line and not line.startswith(":"):
            event[name] = value
        elif event and not line:
            yield event
            event = {}


class Known:
    """What a listener knows by the events so far, as the document says to read them."""

    def __init__(self) -> None:
        self.rides: dict[int, dict[str, Any]] = {}
        self.last_id: str | None = None
        self.pictures = 0

    def take(self, event: Event) -> None:
        """Read one more event."""
        data = json.loads(event["data"])
        LiveEvent.model_validate_json(event["data"], strict=True)
        if event["event"] == "picture":
            self.pictures += 1
            self.rides.clear()
        self.rides |= {ride["ride_id"]: ride for ride in data.get("rides", ())}
        columns = data.get("readings", {"ride_id": []})
        for place, ride_id in enumerate(columns["ride_id"]):
            self.rides[ride_id]["last_reading"] = {
                name: values[place] for name, values in columns.items() if name != "ride_id"
            }
        for ride_id in data.get("ended", ()):
            del self.rides[ride_id]
        self.last_id = event.get("id", self.last_id)

    async def until_like(self, client: httpx.AsyncClient, events: AsyncIterator[Event]) -> None:
        """Take events until all is known that the page of rides tells."""
        while True:
            told = (await client.get("/v1/live?limit=2000")).json()["rides"]
            self.take(await anext(events))
            if self.rides == {ride["ride_id"]: ride for ride in told}:
                return


async def test_a_ride_in_progress_is_told_with_its_last_reading(served: Served) -> None:
    async with await served.client(Scope.READ, Scope.PERSONAL) as client:
        told = (await client.get("/v1/live")).json()
        async with listening(client) as events:
            event = await anext(events)
    [ride] = told["rides"]
    assert (ride["ride_id"], ride["rider"]["name"]) == (4716, "Bob Secretname")
    assert ride["last_reading"]["elapsed_s"] == 100.0
    assert event["event"] == "picture"
    assert json.loads(event["data"])["rides"] == told["rides"]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"bike": "SN2"}, [4716]),
        ({"bike": "SN1"}, []),
        ({"rider_id": 7002, "bike": "SN2"}, [4716]),
        ({"rider_id": 7001}, []),
        ({"town": "otherton"}, [4716]),
        ({"town": "Exampleton"}, []),
        ({"alerted": "true"}, []),
        ({"alerted": "false"}, [4716]),
    ],
)
async def test_rides_in_progress_are_picked_by_what_is_asked(
    served: Served, parameters: dict[str, str | int], expected: list[int]
) -> None:
    async with await served.client(Scope.READ, Scope.PERSONAL) as client:
        told = (await client.get("/v1/live", params=parameters)).json()
        async with client.stream("GET", "/v1/live/stream", params=parameters) as answer:
            event = json.loads((await anext(events_of(answer)))["data"])
    for rides in (told["rides"], event.get("rides", [])):
        assert [ride["ride_id"] for ride in rides] == expected


async def test_the_town_of_a_live_ride_needs_the_scope_personal(served: Served) -> None:
    async with await served.client() as client:
        assert (await client.get("/v1/live?town=Otherton")).status_code == 403


async def test_pages_hold_each_ride_once(fresh: Served) -> None:
    await fresh.execute(MANY_RIDE)
    found: list[int] = []
    async with await fresh.client() as client:
        address = "/v1/live?limit=500"
        while address:
            page = (await client.get(address)).json()
            found += [ride["ride_id"] for ride in page["rides"]]
            address = page["next"]
        wrong = await client.get("/v1/live?cursor=WyJmNGU2Il0")
    assert len(found) == len(set(found)) == 1201
    assert found[0] == 4716
    assert wrong.status_code == 422


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_who_follows_the_changes_knows_what_a_page_tells(
    fresh: Served, encoding: str
) -> None:
    known = Known()
    headers = {"Accept-Encoding": encoding}
    async with await fresh.client() as client, listening(client, **headers) as events:
        await known.until_like(client, events)
        for change in (
            MANY_RIDE,
            SECOND_READINGS,
            "UPDATE rides SET rider_id = 7003 WHERE ride_id = 4716",
            "UPDATE rides SET ended_at = started_at, end_reason = 'silence' WHERE ride_id % 2 = 0",
            "DELETE FROM rides WHERE ride_id = 10001",
        ):
            await fresh.execute(change)
            await known.until_like(client, events)
    assert len(known.rides) == 600 - 1
    assert known.pictures == 1


async def test_changes_tell_only_what_has_changed(fresh: Served) -> None:
    async with await fresh.client() as client, listening(client) as events:
        # The first picture may be a second older than the rows of this test.
        await Known().until_like(client, events)
        nothing = json.loads((await anext(events))["data"])
        await fresh.execute(
            "INSERT INTO readings SELECT 4716, started_at + interval '101 s', 101, 130, 60, 30, 9"
            " FROM rides WHERE ride_id = 4716"
        )
        while len(changes := json.loads((await anext(events))["data"])) == 1:
            pass
    assert nothing.keys() == {"at"}
    assert changes.keys() == {"at", "readings"}
    assert changes["readings"]["heart_rate_bpm"] == [130]


async def test_who_comes_back_hears_what_has_changed_meanwhile(fresh: Served) -> None:
    known = Known()
    async with await fresh.client() as client:
        async with listening(client) as events:
            await known.until_like(client, events)
        # Nobody listens now.
        await fresh.execute(MANY_RIDE)
        async with listening(client, **{"Last-Event-ID": str(known.last_id)}) as events:
            await known.until_like(client, events)
        assert known.pictures == 1
        for unknown in ("ffffffffffff-1", str(known.last_id) + "0000", "17", "ü"):
            headers = {"Last-Event-ID": unknown.encode()}
            async with client.stream("GET", "/v1/live/stream", headers=headers) as answer:  # type: ignore[arg-type]
                assert (await anext(events_of(answer)))["event"] == "picture"


async def test_a_second_passes_between_changes(served: Served) -> None:
    async with await served.client() as client, listening(client) as events:
        await anext(events)
        changes = [await anext(events) for _ in range(3)]
    asked_at = [datetime.fromisoformat(json.loads(each["data"])["at"]) for each in changes]
    assert asked_at[-1] - asked_at[0] > timedelta(seconds=1)
    assert len({each["id"] for each in changes}) == 3


async def test_two_hundred_listeners_cost_one_query_a_second(fresh: Served) -> None:
    counted = "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'rides'"
    async with await fresh.client() as client, AsyncExitStack() as stack:
        client._transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))
        begun = time.monotonic()
        [before] = await fresh.execute(counted)
        streams = [await stack.enter_async_context(listening(client)) for _ in range(200)]
        for events in streams:
            await anext(events)
        metrics = (await client.get("/metrics")).text
        await asyncio.sleep(5)
        newest = [json.loads((await anext(events))["data"])["at"] for events in streams]
        [after] = await fresh.execute(counted)
        took_s = time.monotonic() - begun
    assert "api_live_listeners 200.0" in metrics
    assert len(newest) == 200
    # PostgreSQL tells its statistics up to ten seconds late, those of the setting-up too. Were
    # each listener to ask, the pictures alone would be 200 questions.
    assert 1 <= after[0] - before[0] <= took_s + 100


async def test_a_stream_ends_once_its_key_is_revoked(fresh: Served) -> None:
    async with await fresh.client() as client, listening(client) as events:
        await anext(events)
        await fresh.execute("UPDATE api_keys SET revoked_at = now()")
        async for _ in events:
            pass
