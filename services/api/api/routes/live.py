"""SHELL: rides in progress: as they are now, and as a stream of server-sent events."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.access import Access, Gate, Reader
from api.context import Context, InContext
from api.documents import responses
from api.live import Picture
from api.negotiation import preferred
from api.parameters import Parameters
from api.problems import NOT_ACCEPTABLE
from api.schemas import LivePicture

HEARTBEAT_S = 10
# Who takes nothing for so long has gone.
SEND_WITHIN_S = 30
CHECK_KEY_EVERY_S = 10.0
EVENT_STREAM = "text/event-stream"

router = APIRouter(prefix="/v1/live", tags=["live"])

_STREAM_RESPONSES = responses(NOT_ACCEPTABLE, etag=False)
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
    response_model=LivePicture,
    responses=responses(etag=False),
)
async def get_live(
    access: Reader, context: InContext, _: Annotated[Parameters, Query()]
) -> Response:
    """Every ride in progress with its last reading, as of at most a second ago.

    A ride is in progress until it ends: by its bike's next ride, or by 30 s of silence. A bike that
    has just fallen silent is still listed; `last_reading.at` tells.
    """
    picture = await context.live.picture()
    body = picture.body(access.personal)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


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
    _: Annotated[Parameters, Query()],
    last_event_id: Annotated[
        str | None,
        Header(description="The last event's id, as browsers send it when they reconnect."),
    ] = None,
) -> Response:
    """Server-sent events: a whole `picture` each second, as `/v1/live` gives it.

    Each picture stands for itself: who was away has missed nothing that the next does not tell.
    `Last-Event-ID` keeps the picture that was seen last from coming again. While the database is
    away an event `problem` says so, and comments keep the connection alive. The stream ends
    when its key is revoked.
    """
    preferred(request.headers.get("accept"), (EVENT_STREAM,))
    return EventSourceResponse(
        _events(request.app.state.gate, context, access, _number(last_event_id)),
        ping=HEARTBEAT_S,
        send_timeout=SEND_WITHIN_S,
    )


async def _events(
    gate: Gate, context: Context, access: Access, last_event_id: int | None
) -> AsyncIterator[bytes]:
    checked_s = time.monotonic()
    async with aclosing(context.live.follow(last_event_id)) as following:
        async for told in following:
            if isinstance(told, Picture):
                if time.monotonic() - checked_s >= CHECK_KEY_EVERY_S:
                    checked_s = time.monotonic()
                    if await gate.keys.find(access.key_id) is None:
                        return
                yield told.event(access.personal)
            else:
                yield ServerSentEvent(told.body().decode(), event="problem").encode()


def _number(event_id: str | None) -> int | None:
    """An event's id; one that is not ours is as good as none."""
    is_number = event_id is not None and event_id.isascii() and event_id.isdecimal()
    return int(event_id[:20]) if is_number and event_id is not None else None
