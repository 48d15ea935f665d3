"""Trying again with growing waits: the one place where a lost connection is waited for."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter

from deloton.running.logs import get_logger

_log = get_logger(__name__)

T = TypeVar("T")


async def until_it_works(
    what: str,
    step: Callable[[], Awaitable[T]],
    *,
    passes_by_itself: Callable[[BaseException], bool],
    on_failure: Callable[[], None] = lambda: None,
    longest_wait_s: float = 15.0,
) -> T:
    """Do a step that needs `what`; retry for ever the errors that pass by themselves.

    Waits 0.1 s after the first failure and twice as long after each more, with some jitter.
    Any other exception passes through at once.
    """

    def note(state: RetryCallState) -> None:
        on_failure()
        error = state.outcome.exception() if state.outcome else None
        wait_s = round(state.next_action.sleep, 1) if state.next_action else 0
        _log.warning("trying again", what=what, error=type(error).__name__, wait_s=wait_s)

    attempts = AsyncRetrying(
        retry=retry_if_exception(passes_by_itself),
        wait=wait_exponential_jitter(multiplier=0.1, max=longest_wait_s, jitter=0.1),
        before_sleep=note,
        reraise=True,
    )
    async for attempt in attempts:
        with attempt:
            return await step()
    raise AssertionError("the attempts never end without a result")
