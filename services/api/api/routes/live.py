"""SHELL: rides in progress: as they are now, and as a stream of server-sent events."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.access.credentials import Scope
from api.access.gate import Access, Gate, Reader
from api.contract.negotiation import preferred
from api.contract.openapi import responses
from api.contract.parameters import LiveParameters
from api.contract.problems import NOT_ACCEPTABLE, TOO_MANY_OPEN
from api.contract.schemas import LivePicture
from api.routes.context import Context, InContext
from api.web.access_log import reading_of
from api.web.asked import query
from api.web.live import LiveFeed, Picture
from deloton.rules.silence import SILENCE_WORDS

HEARTBEAT_S = 10
# Who takes nothing for so long has gone.
SEND_WITHIN_S = 30
CHECK_KEY_EVERY_S = 10.0
EVENT_STREAM = "text/event-stream"
_NOT_KEPT = {"Cache-Control": "no-store"}

_LIVE_MEANS = f"""Every ride in progress with its last reading, as of at most a second ago;
or those of a bike, a rider, a town.

A ride is in progress until it ends: by its bike's next ride, or by {SILENCE_WORDS} of silence. \
A bike that
has just fallen silent is still listed; `last_reading.at` tells."""

router = APIRouter(prefix="/v1/live", tags=["live"])

_STREAM_RESPONSES = responses(NOT_ACCEPTABLE, TOO_MANY_OPEN, etag=False)
_STREAM_RESPONSES[200]["content"] = {
    EVENT_STREAM: {
        "schema": {"type": "string"},
        "example": "id: 1772442900922427\nevent: picture\n"
        'data: {"at":"2026-03-02T09:15:00.922427Z","rides":[]}\nretry: 2000\n\n',
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
    asked: Annotated[LiveParameters, query(LiveParameters)],
) -> Response:
    """Every ride in progress; `_LIVE_MEANS` says it to who asks."""
    picture = await _feed(context, access, asked).picture()
    reading_of(request).note((), picture.ride_count)
    return Response(picture.body, media_type="application/json", headers=_NOT_KEPT)


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
    """Server-sent events: a whole `picture` each second, as `/v1/live` gives it.

    The parameters pick the rides.

    Each picture stands for itself: who was away has missed nothing that the next does not tell.
    `Last-Event-ID` keeps the picture that was seen last from coming again. While the database is
    away an event `problem` says so, and comments keep the connection alive. The stream ends
    when its key is revoked.
    """
    preferred(request.headers.get("accept"), (EVENT_STREAM,))
    return context.lanes.streams.events(
        access.key_id,
        _events(
            request.app.state.gate,
            _feed(context, access, asked),
            access,
            _number(last_event_id),
        ),
        ping_s=HEARTBEAT_S,
        send_within_s=SEND_WITHIN_S,
    )


def _feed(context: Context, access: Access, asked: LiveParameters) -> LiveFeed:
    if asked.town is not None:
        access.require(Scope.PERSONAL, "The parameter town")
    return context.live.of((asked, access.personal))


async def _events(
    gate: Gate, feed: LiveFeed, access: Access, last_event_id: int | None
) -> AsyncIterator[bytes]:
    checked_s = time.monotonic()
    async with aclosing(feed.follow(last_event_id)) as following:
        async for told in following:
            if isinstance(told, Picture):
                if time.monotonic() - checked_s >= CHECK_KEY_EVERY_S:
                    checked_s = time.monotonic()
                    if await gate.keys.find(access.key_id) is None:
                        return
                yield told.event
            else:
                yield ServerSentEvent(told.body().decode(), event="problem").encode()


def _number(event_id: str | None) -> int | None:
    """An event's id; one that is not ours is as good as none."""
    is_number = event_id is not None and event_id.isascii() and event_id.isdecimal()
    return int(event_id[:20]) if is_number and event_id is not None else None
