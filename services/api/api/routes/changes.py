"""SHELL: the feed of changes: what became of rides and riders, in order, from a place on."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Struct

from api.access.gate import Reader
from api.contract.openapi import responses
from api.contract.parameters import DEFAULT_PAGE, ChangesParameters
from api.contract.problems import CHANGES_FORGOTTEN, Problem
from api.contract.schemas import ChangePage
from api.routes.context import InContext
from api.store.changes import FeedPage, number_changes, read_changes
from api.web.access_log import reading_of
from api.web.asked import query

router = APIRouter(prefix="/v1", tags=["changes"])


class _Place(Struct, frozen=True):
    """What of a change is looked at here."""

    change_id: int
    rider_id: int | None


@router.get(
    "/changes",
    summary="List what became of rides and riders",
    response_model=ChangePage,
    responses=responses(CHANGES_FORGOTTEN),
)
async def list_changes(
    request: Request,
    _: Reader,
    context: InContext,
    asked: Annotated[ChangesParameters, query(ChangesParameters)],
) -> Response:
    """Rides that ended, were amended, went on after all or were deleted; riders changed or erased.

    In one order, without a gap: whoever has seen a number has seen, or passed, every smaller one,
    and what comes later has a greater one. A change says which ride or rider it was, not what it
    is like: ask for that. Several changes may tell of one state, and what is gone by the time you
    ask answers 404; its deletion follows in the feed.

    To keep a copy: ask without `after`, and keep `last_change_id`; load the rides; from then on
    ask with `after`, as often as you like, and keep the newest `last_change_id`. Changes are kept
    for 90 days, unless agreed otherwise: where yours are gone the answer is 410, and the copy has
    to be loaded anew.
    """
    limit = asked.limit or DEFAULT_PAGE
    await number_changes(context.database, context.changes_kept_for)
    if asked.after is None:
        feed = await read_changes(context.database, 0, 0)
        return _answer(request, FeedPage(feed.last_change_id, 0, []), feed.last_change_id, limit)
    feed = await read_changes(context.database, asked.after, limit)
    _refuse_gaps(asked.after, feed)
    return _answer(request, feed, asked.after, limit)


def _refuse_gaps(after: int, feed: FeedPage) -> None:
    """0 is the beginning of what is kept: who has seen nothing misses nothing."""
    if 0 < after < feed.forgotten_until:
        reason = f"Changes up to {feed.forgotten_until} are no longer kept."
    elif after > feed.last_change_id:
        reason = f"The feed stands at {feed.last_change_id}, before what you have seen of it."
    else:
        return
    raise Problem(CHANGES_FORGOTTEN, f"{reason} Load your copy anew.")


def _answer(request: Request, feed: FeedPage, after: int, limit: int) -> Response:
    places = [msgspec.json.decode(change, type=_Place) for change in feed.changes]
    riders = (place.rider_id for place in places if place.rider_id is not None)
    reading_of(request).note(riders, len(places))
    last = places[-1].change_id if places else after
    following = f"/v1/changes?after={last}&limit={limit}" if last < feed.last_change_id else None
    told = {"changes": feed.changes, "last_change_id": last, "next": following}
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    return Response(msgspec.json.encode(told), media_type="application/json", headers=headers)
