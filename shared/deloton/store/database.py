"""EDGE: connections to PostgreSQL, and which of its errors pass by themselves.

A server that is gone without a word, as in a failover, sends nothing and refuses nothing: packets
of the connections that there are get lost, new ones work. So every connection asks the other side
for signs of life, and one that gives no answer in time is cut.
"""

import asyncio
import socket
from asyncio import BaseTransport
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

# A connection, or a pool's loan of one: they do the same.
Connection: TypeAlias = asyncpg.Connection | PoolConnectionProxy

_TRANSIENT_ERRORS: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)

# What was sent is the reason, so that waiting does not mend it: SQLSTATE classes 21 (cardinality
# violation), 22 (data exception), 23 (integrity constraint violation), 54 (limit exceeded).
# Source: PostgreSQL documentation, appendix A.
REFUSALS: tuple[type[asyncpg.PostgresError], ...] = (
    asyncpg.CardinalityViolationError,
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)

# What asyncpg says of misuse and also of a connection that broke under its user, as in mid-COPY.
_GONE_UNDER_ITS_USER = (
    "connection is closed",
    "connection has been released back to the pool",
    "another operation is in progress",
    "cannot switch to state",
)


def is_transient(error: BaseException) -> bool:
    """Whether a restart, a failover or a busy server says this: trying again is the answer."""
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return any(words in str(error) for words in _GONE_UNDER_ITS_USER)
    return isinstance(error, _TRANSIENT_ERRORS)


CONNECT_WITHIN_S: Final = 3.0
# Longer than any statement of a service that stores or shows; who asks for more says so.
ANSWER_WITHIN_S: Final = 30.0
# A server that lives stops a statement in milliseconds.
STOP_WITHIN_S: Final = 0.5
# A connection on which nothing comes is asked for life after so long, so often, so many times; and
# what was sent and is not acknowledged within so long ends it. Together: lost within five seconds
# when something was sent, within nine when an answer is waited for.
IDLE_S: Final = 3
ASK_EACH_S: Final = 2
ASK_TIMES: Final = 3
ACKNOWLEDGED_WITHIN_MS: Final = 5_000

# What the operating system calls it; some have not all of them.
_SIGNS_OF_LIFE: Final = {
    "TCP_KEEPIDLE": IDLE_S,
    "TCP_KEEPALIVE": IDLE_S,
    "TCP_KEEPINTVL": ASK_EACH_S,
    "TCP_KEEPCNT": ASK_TIMES,
    "TCP_USER_TIMEOUT": ACKNOWLEDGED_WITHIN_MS,
}


class WatchedConnection(asyncpg.Connection):
    """A connection that soon notices that its server is gone."""

    def __init__(self, protocol: Any, transport: BaseTransport, *rest: Any) -> None:  # noqa: ANN401
        """Ask the operating system to watch it."""
        super().__init__(protocol, transport, *rest)
        watch(transport.get_extra_info("socket"))

    async def _cancel(self, *waiters: Any) -> None:  # noqa: ANN401
        """Ask the server to stop, as asyncpg does; and soon cut the connection where it is silent.

        asyncpg waits for the server's word as long as for any answer.
        """
        async with asyncio.timeout(STOP_WITHIN_S) as patience:
            await super()._cancel(*waiters)  # type: ignore[misc]
        if patience.expired():
            self.terminate()


def watch(link: socket.socket) -> None:
    """Ask the operating system to notice that the other side of a TCP connection is gone."""
    if link.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SIGNS_OF_LIFE.items():
        if (option := getattr(socket, name, None)) is not None:
            link.setsockopt(socket.IPPROTO_TCP, option, value)


async def connect(
    url: str,
    *,
    application: str,
    answer_within_s: float | None = ANSWER_WITHIN_S,
    server_settings: Mapping[str, str] | None = None,
) -> asyncpg.Connection:
    """One connection, with what `connect_pool` gives to each of its own."""
    options = _options(application, answer_within_s, server_settings)
    return await asyncpg.connect(url, **options)


async def connect_pool(
    url: str,
    *,
    size: int,
    application: str,
    answer_within_s: float | None = ANSWER_WITHIN_S,
    server_settings: Mapping[str, str] | None = None,
    tidied: bool = True,
) -> asyncpg.Pool:
    """A pool of up to `size` connections, in UTC, named `application` in pg_stat_activity.

    A statement that is not answered within `answer_within_s` (None: however long it takes) raises
    `TimeoutError`; the server is told of the limit, so that it does not go on either.
    `server_settings` are further ones of PostgreSQL's. Not `tidied`: a connection that is given
    back is handed on as it is, which saves a question each time; for who changes nothing on it.
    Connects when first used, so that it can be made while the server is away.
    """
    options = _options(application, answer_within_s, server_settings)
    reset = None if tidied else _leave_as_it_is
    return await asyncpg.create_pool(url, min_size=0, max_size=size, reset=reset, **options)


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    """What a connection that is given back is put through."""


def _options(
    application: str, answer_within_s: float | None, server_settings: Mapping[str, str] | None
) -> dict[str, Any]:
    limit = {"statement_timeout": f"{answer_within_s:.0f}s"} if answer_within_s else {}
    return {
        "timeout": CONNECT_WITHIN_S,
        "command_timeout": answer_within_s,
        "connection_class": WatchedConnection,
        "server_settings": {
            "application_name": application,
            "timezone": "UTC",
            **limit,
            **(server_settings or {}),
        },
    }
