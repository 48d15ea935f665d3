"""SHELL: a list as a page of JSON with the next page's address, or as CSV, streamed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from api import csv_rows
from api.answers import Row
from api.negotiation import preferred
from api.paging import Cursor, digest_of, next_address, read_cursor, write_cursor

JSON = "application/json"
CSV_CHUNK = 500


@dataclass(frozen=True)
class Listing:
    """How a list is read: its rows after a place, each row's answer, and each row's place.

    `place_kind` is the type of a place's sort key; `others` are fields beside the rows.
    """

    name: str
    page: type[BaseModel]
    model: type[BaseModel]
    personal: bool
    place_kind: Any
    fetch: Callable[[Cursor[Any] | None, int], Awaitable[Sequence[Row]]]
    answer: Callable[[Row], BaseModel]
    place: Callable[[Row], tuple[Any, int]]
    others: Mapping[str, object]


async def respond(
    request: Request,
    listing: Listing,
    given: Mapping[str, str],
    *,
    limit: int | None,
    default_limit: int,
) -> Response:
    """Answer in the format that is asked for, from the place that `given["cursor"]` names."""
    parameters = {name: value for name, value in given.items() if name != "cursor"}
    digest = digest_of({"path": request.url.path, **parameters})
    text = given.get("cursor")
    after = None if text is None else read_cursor(text, listing.place_kind, digest)
    media_type = preferred(request.headers.get("accept"), (JSON, csv_rows.MEDIA_TYPE))
    if media_type == csv_rows.MEDIA_TYPE and limit is None:
        return await _stream(listing, after, digest)
    size = limit or default_limit
    rows = await listing.fetch(after, size + 1)
    shown, address = rows[:size], None
    if len(rows) > size:
        cursor = write_cursor(Cursor(digest, *listing.place(shown[-1])))
        address = next_address(request.url.path, parameters, cursor)
    headers = {"Link": f'<{address}>; rel="next"'} if address else {}
    answers = [listing.answer(row) for row in shown]
    if media_type == csv_rows.MEDIA_TYPE:
        columns = csv_rows.columns_of(listing.model, personal=listing.personal)
        text = csv_rows.header(columns) + csv_rows.lines(answers, columns)
        return Response(text, media_type=csv_rows.MEDIA_TYPE, headers=headers)
    page = listing.page(**listing.others, **{listing.name: answers}, next=address)
    body = page.model_dump_json(exclude_unset=True)
    return Response(body, media_type=JSON, headers=headers)


async def _stream(listing: Listing, after: Cursor[Any] | None, digest: str) -> Response:
    """Every row from a place on. The first are read before: what fails there can still be told."""
    columns = csv_rows.columns_of(listing.model, personal=listing.personal)
    first = await listing.fetch(after, CSV_CHUNK)

    async def chunks() -> AsyncIterator[str]:
        yield csv_rows.header(columns)
        rows = first
        while rows:
            yield csv_rows.lines(map(listing.answer, rows), columns)
            if len(rows) < CSV_CHUNK:
                return
            rows = await listing.fetch(Cursor(digest, *listing.place(rows[-1])), CSV_CHUNK)

    return StreamingResponse(chunks(), media_type=csv_rows.MEDIA_TYPE)
