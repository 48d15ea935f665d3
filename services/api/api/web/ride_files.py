"""SHELL: a ride as a file, written while its readings are read, some at a time.

No connection is kept while a piece is sent. A FIT file says its size at its beginning, so it is
kept until it is whole: ten bytes a reading, of three days at most.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec
from fastapi import Request
from starlette.responses import Response

from api.contract import fit_file, tcx_file
from api.contract.problems import NOT_ACCEPTABLE, RIDE_GOES_ON, Problem
from api.contract.ride_file import FIT, TCX, Measured, RideFacts
from api.web.access_log import note_rows
from api.web.lists import Listing, Reader

READINGS_AT_ONCE: Final = 1_000

Readings = AsyncIterator[list[Measured]]


def attached(ride_id: int, ending: str) -> dict[str, str]:
    """The headers that give a ride's file its name."""
    return {"Content-Disposition": f'attachment; filename="ride-{ride_id}.{ending}"'}


def ride_file(
    request: Request, row: Mapping[str, Any], listing: Listing, reader: Reader, media_type: str
) -> Response:
    """A ride as `FIT` or `TCX`, of its row and the list of its readings.

    Raises a `Problem` for a ride that goes on, or whose times FIT cannot tell.
    """
    if row["ended_at"] is None:
        raise Problem(RIDE_GOES_ON, f"Ride {row['ride_id']} goes on.")
    ride = msgspec.convert(row, RideFacts)
    _refuse_what_fit_cannot_tell(ride, media_type)
    readings = _readings(request, listing)
    pieces = as_fit(ride, readings) if media_type == FIT else as_tcx(ride, readings)
    headers = attached(ride.ride_id, "fit" if media_type == FIT else "tcx")
    return reader.downloads.download(reader.key_id, pieces, media_type, headers)


def _refuse_what_fit_cannot_tell(ride: RideFacts, media_type: str) -> None:
    years = {ride.started_at.year, ride.ended_at.year}
    if media_type == FIT and not years <= set(fit_file.YEARS):
        raise Problem(
            NOT_ACCEPTABLE,
            f"FIT knows no times but those of {fit_file.YEARS.start} to {fit_file.YEARS.stop - 1}; "
            f"ask for {TCX} or text/csv.",
        )


async def as_fit(ride: RideFacts, readings: Readings) -> AsyncIterator[bytes]:
    """The ride as FIT, in one piece."""
    pieces = [fit_file.records(some) async for some in readings]
    # Its checksum takes a long ride a second.
    yield await asyncio.to_thread(fit_file.fit_file, ride, pieces)


async def as_tcx(ride: RideFacts, readings: Readings) -> AsyncIterator[bytes]:
    """The ride as TCX, piece by piece."""
    first: list[Measured] = await anext(readings, [])
    yield (tcx_file.beginning(ride) + tcx_file.track(first)).encode()
    async for some in readings:
        yield tcx_file.track(some).encode()
    yield tcx_file.end(ride).encode()


async def _readings(request: Request, listing: Listing) -> Readings:
    """A ride's readings, oldest first, some at a time; never an empty list."""
    after = None
    while rows := await listing.fetch(after, READINGS_AT_ONCE):
        note_rows(request, rows)
        yield msgspec.json.decode(f"[{','.join(rows)}]", type=list[Measured])
        if len(rows) < READINGS_AT_ONCE:
            return
        after = listing.cursor_at(rows[-1], "")
