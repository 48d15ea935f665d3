"""Programs that end are started again, and given up only when that does not help."""

import asyncio
from dataclasses import dataclass, field

import pytest

from demo.errors import ProgramFailed
from demo.supervision import Rhythm, Watched, keep_running


@dataclass
class Stub:
    """A program that ends as soon as it is looked at, `ends` times."""

    ends: int
    starts: int = 1
    said: list[str] = field(default_factory=list)

    @property
    def running(self) -> bool:
        return self.starts > self.ends

    def start(self) -> None:
        self.starts += 1

    def explain_end(self) -> str:
        return "stub ended with exit code 1."


QUICK = Rhythm(first_pause_s=0.001, check_every_s=0.001)


async def test_a_program_that_ends_twice_runs_again_and_it_is_said() -> None:
    stub = Stub(ends=2)
    watched = Watched("stub", stub)
    watching = asyncio.create_task(keep_running(watched, stub.said.append, QUICK))
    while watched.state != "running":
        await asyncio.sleep(0.001)
    watching.cancel()
    assert watched.restarts == 2
    assert [line.splitlines()[0] for line in stub.said] == ["stub ended with exit code 1."] * 2


async def test_a_program_that_never_settles_is_given_up() -> None:
    stub = Stub(ends=100)
    with pytest.raises(ProgramFailed, match=r"Giving up after 5 starts: stub ended"):
        await keep_running(Watched("stub", stub), stub.said.append, QUICK)
    assert stub.starts == 5


async def test_a_program_whose_data_are_gone_is_not_started_again() -> None:
    stub = Stub(ends=100)
    with pytest.raises(ProgramFailed, match=r"^stub ended"):
        await keep_running(Watched("stub", stub, keeps_data=False), stub.said.append, QUICK)
    assert stub.starts == 1


async def test_pauses_grow_with_each_end() -> None:
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    stub = Stub(ends=100)
    with pytest.raises(ProgramFailed):
        await keep_running(Watched("stub", stub), stub.said.append, Rhythm(sleep=note))
    assert pauses == [1, 2, 4, 8]
