"""Rides in progress, asked once a second however many listen."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

import httpx
import pytest

from api.access.credentials import Scope
from tests.integration.api.served import Served

Event = dict[str, str]


@asynccontextmanager
async def listening(
    client: httpx.AsyncClient, **headers: str
) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a stream."""
    async with client.stream("GET", "/v1/live/stream", headers=headers) as answer:
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
    ],
)
async def test_rides_in_progress_are_picked_by_bike_rider_and_town(
    served: Served, parameters: dict[str, str | int], expected: list[int]
) -> None:
    async with await served.client(Scope.READ, Scope.PERSONAL) as client:
        told = (await client.get("/v1/live", params=parameters)).json()
        async with client.stream("GET", "/v1/live/stream", params=parameters) as answer:
            event = await anext(events_of(answer))
    for rides in (told["rides"], json.loads(event["data"])["rides"]):
        assert [ride["ride_id"] for ride in rides] == expected


async def test_the_town_of_a_live_ride_needs_the_scope_personal(served: Served) -> None:
    async with await served.client() as client:
        assert (await client.get("/v1/live?town=Otherton")).status_code == 403


async def test_pictures_follow_each_second_and_the_last_one_seen_does_not_come_again(
    served: Served,
) -> None:
    async with await served.client() as client, AsyncExitStack() as stack:
        # Somebody listens all the while, so that pictures go on being taken.
        await stack.enter_async_context(listening(client))
        async with listening(client) as events:
            pictures = [await anext(events) for _ in range(3)]
        ids = [int(picture["id"]) for picture in pictures]
        taken_at = [datetime.fromisoformat(json.loads(each["data"])["at"]) for each in pictures]
        assert ids == sorted(set(ids))
        assert taken_at[-1] - taken_at[0] > timedelta(seconds=1)
        async with listening(client, **{"Last-Event-ID": str(ids[-1])}) as events:
            assert int((await anext(events))["id"]) > ids[-1]


async def test_two_hundred_listeners_cost_one_query_a_second(fresh: Served) -> None:
    counted = "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'rides'"
    async with await fresh.client() as client, AsyncExitStack() as stack:
        client._transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))
        streams = [await stack.enter_async_context(listening(client)) for _ in range(200)]
        for events in streams:
            await anext(events)
        metrics = (await client.get("/metrics")).text
        begun = time.monotonic()
        [before] = await fresh.execute(counted)
        await asyncio.sleep(5)
        newest = [json.loads((await anext(events))["data"])["at"] for events in streams]
        [after] = await fresh.execute(counted)
        took_s = time.monotonic() - begun
    assert "api_live_listeners 200.0" in metrics
    assert len(newest) == 200
    # PostgreSQL tells its statistics a little late.
    assert 1 <= after[0] - before[0] <= took_s + 4


async def test_a_stream_ends_once_its_key_is_revoked(fresh: Served) -> None:
    async with await fresh.client() as client, listening(client) as events:
        await anext(events)
        await fresh.execute("UPDATE api_keys SET revoked_at = now()")
        async for _ in events:
            pass
