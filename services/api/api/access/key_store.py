"""EDGE: API keys in PostgreSQL: made, listed, revoked, and found for each request."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from cachetools import TTLCache
from sqlalchemy import bindparam, func, insert, or_, select, update

from api.access.credentials import Credential, HashedCredential, Scope, StoredKey
from api.store.database import Database, Row
from api.store.statements import Question, question, statement
from deloton.running.logs import get_logger
from deloton.store.tables import api_keys

# So long a revoked key may still open something: what a request saves is a query.
REMEMBERED_S = 10.0
MOST_REMEMBERED = 10_000
NOTED_EVERY_S = 60.0

_log = get_logger(__name__)

_VALID_KEY = statement(
    select(api_keys).where(
        api_keys.c.key_id == bindparam("key_id"),
        api_keys.c.revoked_at.is_(None),
        or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.now()),
    )
)
_NOTE_USE = statement(
    update(api_keys).where(api_keys.c.key_id == bindparam("of_key")).values(last_used_at=func.now())
)


class KeyStore:
    """Finds keys; remembers each for ten seconds, and those that do not exist too."""

    def __init__(self, database: Database) -> None:
        """Nothing is remembered yet."""
        self._database = database
        self._remembered: TTLCache[str, StoredKey | None] = TTLCache(MOST_REMEMBERED, REMEMBERED_S)
        self._noted: TTLCache[str, bool] = TTLCache(MOST_REMEMBERED, NOTED_EVERY_S)

    async def find(self, key_id: str) -> StoredKey | None:
        """The key of that id, unless there is none, it was revoked or has expired."""
        if key_id in self._remembered:
            return self._remembered[key_id]
        row = await self._database.row(Question(_VALID_KEY, {"key_id": key_id}))
        stored = _stored_key(row) if row else None
        self._remembered[key_id] = stored
        return stored

    async def note_use(self, key_id: str) -> None:
        """Note in the database that a key is used, once a minute; a failure holds up nobody."""
        if key_id in self._noted:
            return
        self._noted[key_id] = True
        try:
            await self._database.rows(Question(_NOTE_USE, {"of_key": key_id}))
        except Exception as error:  # noqa: BLE001  whatever it is, the request can be answered
            _log.warning("use of a key not noted", key_id=key_id, error=type(error).__name__)


async def create_key(
    database: Database,
    credential: Credential | HashedCredential,
    *,
    name: str,
    scopes: Iterable[Scope],
    requests_per_minute: int,
    expires_at: datetime | None = None,
    sandbox: bool = False,
) -> None:
    """Store a new key; after `expires_at` it opens nothing. A `sandbox` key sees no real rider."""
    async with database.transaction() as transaction:
        await transaction.rows(
            insert(api_keys).values(
                key_id=credential.key_id,
                name=name,
                secret_hash=credential.secret_hash,
                scopes=sorted(scopes),
                requests_per_minute=requests_per_minute,
                expires_at=expires_at,
                sandbox=sandbox,
            )
        )


async def list_keys(database: Database) -> Sequence[Row]:
    """Every key ever made, oldest first."""
    every = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)
    return await database.rows(question(every))


async def revoke_key(database: Database, key_id: str) -> bool:
    """Revoke a key from now on; False where there is none, or it was revoked before."""
    async with database.transaction() as transaction:
        revoked = await transaction.rows(
            update(api_keys)
            .where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=func.now())
            .returning(api_keys.c.key_id)
        )
    return bool(revoked)


def _stored_key(row: Row) -> StoredKey:
    return StoredKey(
        key_id=row["key_id"],
        secret_hash=row["secret_hash"],
        scopes=frozenset(map(Scope, row["scopes"])),
        requests_per_minute=row["requests_per_minute"],
        sandbox=row["sandbox"],
    )
