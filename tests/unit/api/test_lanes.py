"""Long answers are read in turns, and give way to what else is asked."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from api.web.lanes import LONGEST_REST_S, READ_AT_ONCE, REST, Turns, rest_s
from api.web.lists import WRITTEN_AT_ONCE, Listing, written
from api.web.metrics import Traffic

NAMES = "abcdefgh"


class Readings:
    """What is read of several downloads, and how many are read at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.read: list[str] = []

    async def pieces(self, name: str) -> AsyncIterator[bytes]:
        """Three pieces of a download, which others could begin to read meanwhile."""
        for _ in range(3):
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            self.now -= 1
            self.read.append(name)
            yield name.encode()


async def take(pieces: AsyncIterator[bytes]) -> bytes:
    """All of a download."""
    return b"".join([piece async for piece in pieces])


async def test_few_downloads_are_read_at_once_and_each_in_its_turn() -> None:
    turns, readings = Turns(Traffic()), Readings()
    taken = await asyncio.gather(*(take(turns.taken_for(readings.pieces(each))) for each in NAMES))
    assert taken == [3 * each.encode() for each in NAMES]
    assert readings.most == READ_AT_ONCE
    # Nobody gets a second piece before everybody has had one.
    rounds = [readings.read[first : first + len(NAMES)] for first in (0, 8, 16)]
    assert [sorted(each) for each in rounds] == 3 * [list(NAMES)]


@pytest.mark.parametrize(("requests", "rested"), [(0, 0), (1, 3)])
async def test_a_turn_rests_while_others_ask_and_goes_on_where_nobody_does(
    requests: int, rested: int
) -> None:
    traffic, rests = Traffic(), list[float]()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            traffic.requests += requests
            yield b"x"

    async def rest(wait_s: float) -> None:
        rests.append(wait_s)

    assert await take(Turns(traffic, rest).taken_for(pieces())) == b"xxx"
    assert len(rests) == rested


@pytest.mark.parametrize(("took_s", "expected_s"), [(0.0, 0.0), (0.01, 0.01 * REST), (10.0, 0.25)])
def test_a_rest_leaves_others_half_of_the_time_and_is_bounded(
    took_s: float, expected_s: float
) -> None:
    assert rest_s(took_s) == pytest.approx(expected_s)
    assert rest_s(took_s) <= LONGEST_REST_S
    # So many turns, each busy for this share of it.
    assert READ_AT_ONCE / (1 + REST) == 0.5


async def nothing_is_fetched(*_: object) -> list[str]:
    """No list of rows."""
    return []


async def test_others_get_their_turn_while_many_rows_are_written_out() -> None:
    listing = Listing("rows", ["n"], ("n", None), float, nothing_is_fetched)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    text = await written(listing, [f'{{"n":{n}}}' for n in range(10 * WRITTEN_AT_ONCE)])
    beside.cancel()
    assert text == "".join(f"{n}\r\n" for n in range(10 * WRITTEN_AT_ONCE)).encode()
    assert turns >= 9
