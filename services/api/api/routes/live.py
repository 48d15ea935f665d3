"""SHELL: rides in progress: pages of them, and what changes as a stream of server-sent events."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from sse_starlette import EventSourceResponse

from api.access.credentials import Scope
from api.access.gate import Access, Gate, Reader
from api.contract.negotiation import preferred
from api.contract.openapi import responses
from api.contract.parameters import LivePageParameters, LiveParameters
from api.contract.problems import NOT_ACCEPTABLE, TOO_MANY_OPEN
from api.contract.schemas import LivePicture
from api.routes.context import InContext
from api.web.access_log import reading_of
from api.web.asked import query
from api.web.live import LiveFeed, Part
from deloton.rules.silence import SILENCE_WORDS

# Who takes nothing for so long has gone.
SEND_WITHIN_S = 30
CHECK_KEY_EVERY_S = 10.0
EVENT_STREAM = "text/event-stream"
_NOT_KEPT = {"Cache-Control": "no-store"}
_PACKED = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}

_LIVE_MEANS = f"""Rides in progress with their last readings, as of at most a second ago, page by \
page: all, or those of a bike, a rider, a town, or in which a heart rate left its limits.

A ride is in progress until it ends: by its bike's next ride, or by {SILENCE_WORDS} of silence. \
A bike that
has just fallen silent is still listed; `last_reading.at` tells."""

router = APIRouter(prefix="/v1/live", tags=["live"])

_STREAM_RESPONSES = responses(NOT_ACCEPTABLE, TOO_MANY_OPEN, etag=False)
_STREAM_RESPONSES[200]["content"] = {
    EVENT_STREAM: {
        "schema": {"type": "string"},
        "example": "event: changes\n"
        'data: {"at":"2026-03-02T09:15:01.922427Z","readings":{"ride_id":[4711],'
        '"at":["2026-03-02T09:15:00.922427Z"],"elapsed_s":[1.0],"heart_rate_bpm":[126],'
        '"cadence_rpm":[38],"resistance":[30],"power_watts":[8.96]}}\n'
        "id: 5f0c9a1b2c3d-17\nretry: 2000\n\n",
    }
}


@router.get(
    "",
    summary="Get the rides in progress",
    description=_LIVE_MEANS,
    response_model=LivePicture,
    responses=responses(etag=False),
)
async def get_live(
    request: Request,
    access: Reader,
    context: InContext,
    asked: Annotated[LivePageParameters, query(LivePageParameters)],
) -> Response:
    """Rides in progress; `_LIVE_MEANS` says it to who asks."""
    _require(access, asked)
    page = await context.live_pages.of((asked, access.personal))
    reading_of(request).note((), page.ride_count)
    return Response(page.body, media_type="application/json", headers=_NOT_KEPT)


@router.get(
    "/stream",
    summary="Follow the rides in progress",
    response_class=EventSourceResponse,
    responses=_STREAM_RESPONSES,
)
async def stream_live(
    request: Request,
    access: Reader,
    context: InContext,
    asked: Annotated[LiveParameters, query(LiveParameters)],
    last_event_id: Annotated[
        str | None,
        Header(description="The last event's id, as browsers send it when they reconnect."),
    ] = None,
) -> Response:
    """Server-sent events: a `picture` of all rides first, then `changes` each second.

    The parameters pick the rides. The data are JSON: `at`, when the database was asked, and what
    there is to tell of:

    - `rides`: rides as `/v1/live` tells them. In a `picture`: forget all that you know, these are
      under way. In `changes`: these are under way, too; they began, or their riders came to be
      known, or the picture goes on.
    - `readings`: the newest readings of rides that were told of before, as lists of the same length
      by name: `ride_id[0]` rides with `heart_rate_bpm[0]`.
    - `ended`: ids of rides that are no longer under way.

    Send the last id as `Last-Event-ID`, and what has changed since then comes, if that is less
    than a minute ago; else a `picture`. It comes again, too, to a listener that falls behind.
    While the database is away an event `problem` says so, and comments keep the connection alive.
    The stream ends when its key is revoked. With `Accept-Encoding: gzip` it comes compressed.
    """
    preferred(request.headers.get("accept"), (EVENT_STREAM,))
    _require(access, asked)
    is_packed = "gzip" in request.headers.get("accept-encoding", "")
    feed = context.live_feeds.of((asked, access.personal))
    parts = _parts(request.app.state.gate, feed, access, last_event_id)
    return context.lanes.streams.events(
        access.key_id,
        _packed(parts) if is_packed else _plain(parts),
        _PACKED if is_packed else {},
        send_within_s=SEND_WITHIN_S,
    )


def _require(access: Access, asked: LiveParameters) -> None:
    if asked.town is not None:
        access.require(Scope.PERSONAL, "The parameter town")


async def _parts(
    gate: Gate, feed: LiveFeed, access: Access, last_event_id: str | None
) -> AsyncIterator[Part]:
    """What the feed tells, for as long as the key is valid."""
    checked_s = time.monotonic()
    async with aclosing(feed.follow(last_event_id)) as following:
        async for part in following:
            if time.monotonic() - checked_s >= CHECK_KEY_EVERY_S:
                checked_s = time.monotonic()
                if await gate.keys.find(access.key_id) is None:
                    return
            yield part


async def _plain(parts: AsyncIterator[Part]) -> AsyncIterator[bytes]:
    async for part in parts:
        yield part.plain


async def _packed(parts: AsyncIterator[Part]) -> AsyncIterator[bytes]:
    yield Part.HEAD
    async for part in parts:
        yield part.packed
