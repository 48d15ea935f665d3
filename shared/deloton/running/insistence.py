"""A step that is tried until it works, while the health page tells what it waits for."""

from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from deloton.running.health import Health
from deloton.running.retries import until_it_works

T = TypeVar("T")


class Insistence:
    """What a program's steps have in common: the health that they tell, and how long they wait."""

    def __init__(
        self,
        health: Health,
        *,
        longest_wait_s: float = 15.0,
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_failure` is called at each failure with what the step needed, as to count it."""
        self._health = health
        self._longest_wait_s = longest_wait_s
        self._on_failure = on_failure

    async def on(
        self,
        what: str,
        passes_by_itself: Callable[[BaseException], bool],
        step: Callable[[], Awaitable[T]],
        *,
        who: Hashable = None,
    ) -> T:
        """Do a step that needs `what`, and again while its errors pass by themselves.

        `what` is failing from the first failure on, and working once the step is done; `who` tells
        those apart that do the same at once. Any other exception passes through.
        """

        def note_failure() -> None:
            self._health.failing(what, who)
            self._on_failure(what)

        result = await until_it_works(
            what,
            step,
            passes_by_itself=passes_by_itself,
            on_failure=note_failure,
            longest_wait_s=self._longest_wait_s,
        )
        self._health.working(what, who)
        return result
