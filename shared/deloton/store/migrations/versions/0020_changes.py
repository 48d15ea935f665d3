"""What becomes of rides and riders is noted where it is done, and numbered once all can see it.

Triggers note it, so that whoever does it, also a service of the version before, notes it in its own
transaction; they write with their owner's rights. What is not told of costs a comparison a row.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# As `deloton.rules` has them: tests compare.
KINDS = (
    "ride.ended",
    "ride.amended",
    "ride.resumed",
    "ride.deleted",
    "rider.changed",
    "rider.erased",
)
CANARY_BIKE = "CANARY"
FIRST_CANARY_RIDER_ID = 9_000_000_000_000_000_000

NOTE_RIDE = """
CREATE FUNCTION note_ride_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO changes (kind, ride_id) VALUES (TG_ARGV[0], coalesce(NEW.ride_id, OLD.ride_id));
    RETURN NULL;
END $$
"""

# Most riders are told of with the facts that are known. To compare all of them as the trigger's
# condition would cost more: conditions are read anew for each statement.
NOTE_RIDER = """
CREATE FUNCTION note_rider_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        NEW.seen_at := OLD.seen_at;
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO changes (kind, rider_id) VALUES (TG_ARGV[0], coalesce(NEW.rider_id, OLD.rider_id));
    RETURN NULL;
END $$
"""

AMENDED = "OLD.ended_at IS NOT NULL AND NEW.ended_at IS NOT NULL AND OLD.* IS DISTINCT FROM NEW.*"

# name: (event, condition, kind)
OF_RIDES = {
    "note_ride_ended": ("UPDATE", "OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL", KINDS[0]),
    "note_ride_amended": ("UPDATE", AMENDED, KINDS[1]),
    "note_ride_resumed": ("UPDATE", "OLD.ended_at IS NOT NULL AND NEW.ended_at IS NULL", KINDS[2]),
    "note_ride_deleted": ("DELETE", "true", KINDS[3]),
}
OF_RIDERS = {
    "note_rider_told": ("INSERT", KINDS[4]),
    "note_rider_changed": ("UPDATE", KINDS[4]),
    "note_rider_erased": ("DELETE", KINDS[5]),
}


def triggers() -> Iterator[str]:
    for name, (event, condition, kind) in OF_RIDES.items():
        row = "OLD" if event == "DELETE" else "NEW"
        yield (
            f"CREATE TRIGGER {name} AFTER {event} ON rides FOR EACH ROW "
            f"WHEN (({condition}) AND {row}.bike_serial <> '{CANARY_BIKE}') "
            f"EXECUTE FUNCTION note_ride_change('{kind}')"
        )
    for name, (event, kind) in OF_RIDERS.items():
        row = "OLD" if event == "DELETE" else "NEW"
        yield (
            f"CREATE TRIGGER {name} AFTER {event} ON riders FOR EACH ROW "
            f"WHEN ({row}.rider_id < {FIRST_CANARY_RIDER_ID}) "
            f"EXECUTE FUNCTION note_rider_change('{kind}')"
        )


# Whoever numbers holds the feed's only row until its numbers are there for all: so each number
# that anybody sees has all smaller ones before it. What was noted by a transaction that is still
# under way gets its number later.
NUMBER = """
CREATE FUNCTION number_changes(kept_for interval) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    last bigint;
    old bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM changes WHERE change_id IS NULL) THEN
        RETURN;
    END IF;
    SELECT last_change_id INTO last FROM change_feed FOR UPDATE;
    WITH waiting AS (
        SELECT noted FROM changes WHERE change_id IS NULL ORDER BY noted LIMIT 10000
    ), placed AS (
        SELECT noted, row_number() OVER (ORDER BY noted) AS place FROM waiting
    ), numbered AS (
        UPDATE changes SET change_id = last + place FROM placed
        WHERE changes.noted = placed.noted RETURNING 1
    )
    SELECT last + count(*) INTO last FROM numbered;
    UPDATE change_feed SET last_change_id = last;
    SELECT max(change_id) INTO old FROM (
        SELECT change_id, noted_at FROM changes
        WHERE change_id IS NOT NULL ORDER BY change_id LIMIT 1000
    ) oldest WHERE noted_at < now() - kept_for;
    IF old IS NOT NULL THEN
        DELETE FROM changes WHERE change_id <= old;
        UPDATE change_feed SET forgotten_until = old;
    END IF;
END $$
"""
NUMBER_MEANS = (
    "Give numbers to the changes that have none, in order; forget those that are older than that."
)


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column(
            "noted",
            sa.BigInteger(),
            sa.Identity(),
            nullable=False,
            comment="in the order of noting; of changes that overlap, the later may be seen first",
        ),
        sa.Column(
            "change_id",
            sa.BigInteger(),
            nullable=True,
            comment="its place in the feed, where none is left out; NULL: not numbered yet",
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ride_id", sa.BigInteger(), nullable=True, comment="the ride, perhaps deleted"),
        sa.Column("rider_id", sa.BigInteger(), nullable=True, comment="or the rider, or erased"),
        sa.Column(
            "noted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint(
            f"kind IN ({', '.join(repr(kind) for kind in KINDS)})", name=op.f("ck_changes_kind")
        ),
        sa.CheckConstraint(
            "(ride_id IS NULL) <> (rider_id IS NULL)", name=op.f("ck_changes_of_one")
        ),
        sa.PrimaryKeyConstraint("noted", name=op.f("pk_changes")),
        sa.UniqueConstraint("change_id", name=op.f("uq_changes_change_id")),
        comment="What became of rides and riders: the feed that partners keep their copies by.",
    )
    op.create_index(
        "ix_changes_not_numbered",
        "changes",
        ["noted"],
        postgresql_where=sa.text("change_id IS NULL"),
    )
    op.create_table(
        "change_feed",
        sa.Column("only_row", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("last_change_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "forgotten_until",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="the last one that grew too old and is gone",
        ),
        sa.CheckConstraint("only_row", name=op.f("ck_change_feed_only_row")),
        sa.PrimaryKeyConstraint("only_row", name=op.f("pk_change_feed")),
        comment="One row: where the feed of changes stands. Who numbers changes locks it.",
    )
    op.execute("INSERT INTO change_feed DEFAULT VALUES")
    for function in (NOTE_RIDE, NOTE_RIDER):
        op.execute(function)
    op.execute("REVOKE EXECUTE ON FUNCTION note_ride_change(), note_rider_change() FROM PUBLIC")
    for trigger in triggers():
        op.execute(trigger)
    op.execute(NUMBER)
    op.execute(f"COMMENT ON FUNCTION number_changes(interval) IS '{NUMBER_MEANS}'")
    op.execute("REVOKE EXECUTE ON FUNCTION number_changes(interval) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION number_changes(interval) TO api")
    op.execute("GRANT SELECT ON changes, change_feed TO api")


def downgrade() -> None:
    for name in OF_RIDES:
        op.execute(f"DROP TRIGGER {name} ON rides")
    for name in OF_RIDERS:
        op.execute(f"DROP TRIGGER {name} ON riders")
    for function in ("note_ride_change()", "note_rider_change()", "number_changes(interval)"):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("change_feed")
    op.drop_table("changes")
