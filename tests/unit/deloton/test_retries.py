"""What passes by itself is waited for; everything else passes through at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from aiokafka import errors as kafka_errors

from deloton.running.retries import until_it_works
from deloton.store import database
from deloton.wire import kafka


def failing(*errors: BaseException) -> Callable[[], Awaitable[str]]:
    """A step that raises these errors one after another and then works."""
    left = list(errors)

    async def step() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return step


async def insist(step: Callable[[], Awaitable[str]], noted: list[str] | None = None) -> str:
    return await until_it_works(
        "database",
        step,
        passes_by_itself=lambda error: isinstance(error, OSError),
        on_failure=lambda: noted.append("failed") if noted is not None else None,
        longest_wait_s=0.01,
    )


async def test_a_step_that_works_is_done_once() -> None:
    noted: list[str] = []
    assert await insist(failing(), noted) == "done"
    assert not noted


async def test_errors_that_pass_by_themselves_are_retried_and_each_is_noted() -> None:
    noted: list[str] = []
    assert await insist(failing(*[OSError()] * 20), noted) == "done"
    assert len(noted) == 20


async def test_another_error_passes_through_at_once() -> None:
    noted: list[str] = []
    with pytest.raises(ValueError, match="unforeseen"):
        await insist(failing(OSError(), ValueError("unforeseen"), OSError()), noted)
    assert noted == ["failed"]


async def test_waits_grow_from_a_tenth_of_a_second() -> None:
    begun = time.monotonic()
    step = failing(OSError(), OSError())
    await until_it_works("database", step, passes_by_itself=lambda _: True)
    assert time.monotonic() - begun >= 0.3


async def test_waiting_can_be_cancelled() -> None:
    async def never() -> str:
        raise OSError

    waiting = asyncio.create_task(insist(never))
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (asyncpg.CannotConnectNowError("starting up"), True),
        (asyncpg.AdminShutdownError("shutdown"), True),
        (asyncpg.ConnectionDoesNotExistError("gone"), True),
        (asyncpg.TooManyConnectionsError("full"), True),
        (asyncpg.ReadOnlySQLTransactionError("failover"), True),
        (asyncpg.DeadlockDetectedError("deadlock"), True),
        (asyncpg.DiskFullError("full"), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InterfaceError("cannot perform operation: another is in progress"), False),
        (asyncpg.UniqueViolationError("twice"), False),
        (asyncpg.UndefinedTableError("no table"), False),
        (asyncpg.InvalidPasswordError("wrong"), False),
        (ValueError(), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_errors_of_a_database_that_is_away_pass_by_themselves(
    error: BaseException, passes: bool
) -> None:
    assert database.is_transient(error) is passes


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (kafka_errors.KafkaConnectionError(), True),
        (kafka_errors.KafkaTimeoutError(), True),
        (kafka_errors.NotLeaderForPartitionError(), True),
        (kafka_errors.RequestTimedOutError(), True),
        (ConnectionResetError(), True),
        (kafka_errors.MessageSizeTooLargeError(), False),
        (kafka_errors.TopicAuthorizationFailedError(), False),
        (ValueError(), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_errors_of_a_broker_that_is_away_pass_by_themselves(
    error: BaseException, passes: bool
) -> None:
    assert kafka.is_transient(error) is passes
