"""EDGE: API keys in PostgreSQL: made, listed, revoked, and found for each request."""

from collections.abc import Iterable, Sequence

from cachetools import TTLCache
from sqlalchemy import RowMapping, func, insert, select, update

from api.credentials import Credential, Scope, StoredKey
from api.database import Database
from deloton.tables import api_keys

# So long a revoked key may still open something: what a request saves is a query.
REMEMBERED_S = 10.0
MOST_REMEMBERED = 10_000


class KeyStore:
    """Finds keys; remembers each for ten seconds, and those that do not exist too."""

    def __init__(self, database: Database) -> None:
        """Nothing is remembered yet."""
        self._database = database
        self._remembered: TTLCache[str, StoredKey | None] = TTLCache(MOST_REMEMBERED, REMEMBERED_S)

    async def find(self, key_id: str) -> StoredKey | None:
        """The key of that id, unless there is none or it was revoked."""
        if key_id in self._remembered:
            return self._remembered[key_id]
        row = await self._database.row(
            select(api_keys).where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
        )
        stored = _stored_key(row) if row else None
        self._remembered[key_id] = stored
        return stored


async def create_key(
    database: Database,
    credential: Credential,
    *,
    name: str,
    scopes: Iterable[Scope],
    requests_per_minute: int,
) -> None:
    """Store a new key."""
    async with database.transaction() as connection:
        await connection.execute(
            insert(api_keys).values(
                key_id=credential.key_id,
                name=name,
                secret_hash=credential.secret_hash,
                scopes=sorted(scopes),
                requests_per_minute=requests_per_minute,
            )
        )


async def list_keys(database: Database) -> Sequence[RowMapping]:
    """Every key ever made, oldest first."""
    return await database.rows(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id))


async def revoke_key(database: Database, key_id: str) -> bool:
    """Revoke a key from now on; False where there is none, or it was revoked before."""
    async with database.transaction() as connection:
        done = await connection.execute(
            update(api_keys)
            .where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=func.now())
        )
    return done.rowcount > 0


def _stored_key(row: RowMapping) -> StoredKey:
    return StoredKey(
        key_id=row["key_id"],
        secret_hash=row["secret_hash"],
        scopes=frozenset(map(Scope, row["scopes"])),
        requests_per_minute=row["requests_per_minute"],
    )
