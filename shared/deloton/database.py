"""Connections to PostgreSQL, and which of its errors pass by themselves."""

from collections.abc import Mapping
from typing import TypeAlias

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


async def connect_pool(
    url: str, *, size: int, application: str, server_settings: Mapping[str, str] | None = None
) -> asyncpg.Pool:
    """A pool of up to `size` connections, in UTC, named `application` in pg_stat_activity.

    `server_settings` are further ones of PostgreSQL's, such as its timeouts. Connects when first
    used, so that it can be made while the server is away.
    """
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=10,
        command_timeout=120,
        server_settings={
            "application_name": application,
            "timezone": "UTC",
            **(server_settings or {}),
        },
    )
