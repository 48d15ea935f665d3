"""The database as a service reaches it: by its own role, with what that may do."""

import asyncio

from deloton.store.roles import SERVICE_ROLES, url_as

# Of every service's role in the servers of the tests.
PASSWORD = "of a service"


def give_passwords(database_url: str) -> None:
    """Let each service's role log in to the server; needs a migrated database."""
    from deloton.migrate import set_passwords  # noqa: PLC0415  Alembic takes half a second

    asyncio.run(set_passwords(database_url, dict.fromkeys(SERVICE_ROLES, PASSWORD)))


def as_role(database_url: str, role: str) -> str:
    """The address of the same database for a service's role."""
    return url_as(database_url, role, PASSWORD)
