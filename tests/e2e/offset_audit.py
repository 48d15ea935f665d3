"""A record of every move of `ingest_offsets` in a test's database, and what must hold of it.

A trigger notes the move, the worker (named in its database address) and the transaction, another
each transaction that writes readings. From that follows who wrote when: readings are only ever
written in a transaction that moves an offset. But for those of a packed ride that is told again:
they become rows again where it begins, and what they are then the rows themselves must tell.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from demo.embedded_postgres import EmbeddedPostgres

_CREATE = """
CREATE TABLE offset_moves (
    number bigserial PRIMARY KEY,
    partition integer NOT NULL,
    worker text NOT NULL,
    claim bigint NOT NULL,
    from_offset bigint NOT NULL,
    to_offset bigint NOT NULL,
    transaction bigint NOT NULL
);
CREATE FUNCTION note_offset_move() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO offset_moves (partition, worker, claim, from_offset, to_offset, transaction)
    VALUES (
        NEW.partition, current_setting('test.worker'), NEW.claim,
        coalesce(OLD.next_offset, 0), NEW.next_offset, pg_current_xact_id()::text::bigint
    );
    RETURN NULL;
END $$;
CREATE TRIGGER note_offset_move AFTER INSERT OR UPDATE ON ingest_offsets
FOR EACH ROW EXECUTE FUNCTION note_offset_move();
CREATE TABLE reading_writes (transaction bigint NOT NULL);
CREATE FUNCTION note_reading_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    callers text;
BEGIN
    GET DIAGNOSTICS callers = PG_CONTEXT;
    IF callers NOT LIKE '%function unpack_rides(%' THEN
        INSERT INTO reading_writes VALUES (pg_current_xact_id()::text::bigint);
    END IF;
    RETURN NULL;
END $$;
-- By statement: rows that move from one partition to another are not written anew.
CREATE TRIGGER note_reading_write AFTER INSERT OR UPDATE ON readings
FOR EACH STATEMENT EXECUTE FUNCTION note_reading_write();
"""

_MOVES = """
SELECT partition, worker, claim, from_offset, to_offset FROM offset_moves
ORDER BY partition, number
"""

_OWNERS = """
SELECT DISTINCT ON (partition) partition, worker FROM offset_moves ORDER BY partition, number DESC
"""

_WRITES_WITHOUT_MOVE = """
SELECT count(*) FROM reading_writes WHERE transaction NOT IN (SELECT transaction FROM offset_moves)
"""


class Move(NamedTuple):
    """One row of the record: a claim (the offset stays) or a batch (the claim stays)."""

    partition: int
    worker: str
    claim: int
    from_offset: int
    to_offset: int


def begin_audit(postgres: EmbeddedPostgres, database: str) -> None:
    """Note every move from now on."""
    postgres.run_sql(_CREATE, database=database)


def url_of_worker(database_url: str, worker: str) -> str:
    """The database's address for one worker: the server knows its connections by the name."""
    return f"{database_url}?test.worker={worker}"


def owners(postgres: EmbeddedPostgres, database: str) -> dict[int, str]:
    """Which worker claimed each partition last."""
    rows = postgres.run_sql(_OWNERS, database=database).splitlines()
    return {int(partition): worker for partition, worker in (row.split("\t") for row in rows)}


def unlawful_writes(postgres: EmbeddedPostgres, database: str) -> list[str]:
    """What a worker wrote without the right to; none where every write was lawful."""
    complaints = [
        f"{move} after {before}"
        for before, move in _neighbours(_moves(postgres, database))
        if not _may_follow(move, before)
    ]
    stray = postgres.run_sql(_WRITES_WITHOUT_MOVE, database=database)
    return complaints if stray == "0" else [*complaints, f"{stray} writes without a move"]


def _moves(postgres: EmbeddedPostgres, database: str) -> list[Move]:
    rows = (row.split("\t") for row in postgres.run_sql(_MOVES, database=database).splitlines())
    return [Move(int(row[0]), row[1], int(row[2]), int(row[3]), int(row[4])) for row in rows]


def _neighbours(moves: list[Move]) -> Iterator[tuple[Move | None, Move]]:
    """Each move with the one before it in its partition."""
    for _, group in groupby(moves, key=lambda move: move.partition):
        of_partition = list(group)
        yield from zip([None, *of_partition], of_partition, strict=False)


def _may_follow(move: Move, before: Move | None) -> bool:
    """A claim takes the next number; a batch goes on where the last ended, by who claimed."""
    if before is None:
        return (move.claim, move.to_offset) == (1, 0)
    if move.from_offset != before.to_offset:
        return False
    if move.claim == before.claim + 1:
        return move.to_offset == move.from_offset
    same_owner = (move.claim, move.worker) == (before.claim, before.worker)
    return same_owner and move.to_offset >= move.from_offset
