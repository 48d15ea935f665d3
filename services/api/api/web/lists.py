"""SHELL: a list as a page of JSON with the next page's address, or as CSV, streamed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from fastapi import Request
from starlette.responses import Response

from api.contract import csv_rows
from api.contract.negotiation import preferred
from api.contract.paging import Cursor, digest_of, next_address, read_cursor, write_cursor
from api.web.access_log import note_rows
from api.web.lanes import Lane

JSON = "application/json"
CSV_CHUNK = 250
# Of these, so many are written out before others get their turn: half a millisecond's work.
WRITTEN_AT_ONCE: Final = 50

# Rows as the database wrote them, each a JSON object.
Rows = Sequence[str]


@dataclass(frozen=True)
class Reader:
    """Who reads a list: a key, and the lane in which whole lists are read."""

    key_id: str
    downloads: Lane


@dataclass(frozen=True)
class Listing:
    """How a list is read: its rows after a place, and which of their fields say a place.

    `place` names the sort key and the id that tells equal ones apart, None where none are equal;
    `place_kind` is the sort key's type, `columns` are those of CSV, `others` are fields beside
    the rows.
    """

    name: str
    columns: Sequence[str]
    place: tuple[str, str | None]
    place_kind: Any
    fetch: Callable[[Cursor[Any] | None, int], Awaitable[Rows]]
    others: Mapping[str, object] = field(default_factory=dict)

    def cursor_at(self, row: str, digest: str) -> Cursor[Any]:
        """The place of a row."""
        key, row_id = self.place
        told = msgspec.json.decode(row)
        value = msgspec.convert(told[key], self.place_kind)
        return Cursor(digest, value, told[row_id] if row_id else 0)

    def page(self, rows: Rows, following: str | None) -> bytes:
        """A page of JSON."""
        listed = msgspec.Raw(f"[{','.join(rows)}]")
        return msgspec.json.encode({**self.others, self.name: listed, "next": following})

    def csv(self, rows: Rows) -> str:
        """Rows of CSV."""
        return csv_rows.lines(msgspec.json.decode(f"[{','.join(rows)}]"), self.columns)


class Series(Listing):
    """A list whose page tells an array a field, instead of rows."""

    def page(self, rows: Rows, following: str | None) -> bytes:
        """A page of JSON."""
        told = msgspec.json.decode(f"[{','.join(rows)}]")
        series = {name: [row[name] for row in told] for name in self.columns}
        return msgspec.json.encode({**self.others, self.name: series, "next": following})


async def respond(
    request: Request,
    listing: Listing,
    reader: Reader,
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
        return whole_as_csv(request, listing, reader, after=after)
    size = limit or default_limit
    rows = await listing.fetch(after, size + 1)
    shown, address = rows[:size], None
    note_rows(request, shown)
    if len(rows) > size:
        cursor = write_cursor(listing.cursor_at(shown[-1], digest))
        address = next_address(request.url.path, parameters, cursor)
    headers = {"Link": f'<{address}>; rel="next"'} if address else {}
    if media_type == csv_rows.MEDIA_TYPE:
        text = csv_rows.header(listing.columns) + listing.csv(shown)
        return Response(text, media_type=csv_rows.MEDIA_TYPE, headers=headers)
    return Response(listing.page(shown, address), media_type=JSON, headers=headers)


def whole_as_csv(
    request: Request,
    listing: Listing,
    reader: Reader,
    *,
    after: Cursor[Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """All rows of a list from a place on, streamed."""
    pieces = _pieces(request, listing, after)
    return reader.downloads.download(reader.key_id, pieces, csv_rows.MEDIA_TYPE, headers)


async def _pieces(
    request: Request, listing: Listing, after: Cursor[Any] | None
) -> AsyncIterator[bytes]:
    """Every row from a place on, as CSV; no connection is kept between two pieces."""
    rows = await listing.fetch(after, CSV_CHUNK)
    yield csv_rows.header(listing.columns).encode()
    while rows:
        note_rows(request, rows)
        yield await written(listing, rows)
        if len(rows) < CSV_CHUNK:
            return
        rows = await listing.fetch(listing.cursor_at(rows[-1], ""), CSV_CHUNK)


async def written(listing: Listing, rows: Rows) -> bytes:
    """Rows of CSV; the event loop is given back again and again."""
    lines = []
    for first in range(0, len(rows), WRITTEN_AT_ONCE):
        lines.append(listing.csv(rows[first : first + WRITTEN_AT_ONCE]))
        await asyncio.sleep(0)
    return "".join(lines).encode()
