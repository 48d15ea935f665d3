"""A ride that was deleted is remembered by its bike and its start, so that it stays deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Whoever deletes rides, by whatever statement: the trigger writes with its owner's rights.
TRIGGERS = (
    """
    CREATE FUNCTION note_deleted_rides() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    BEGIN
        INSERT INTO deleted_rides (ride_id, bike_serial, started_at)
        SELECT ride_id, bike_serial, started_at FROM deleted
        ON CONFLICT (ride_id) DO NOTHING;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER note_deleted_rides AFTER DELETE ON rides REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION note_deleted_rides()
    """,
)


def upgrade() -> None:
    op.create_table(
        "deleted_rides",
        sa.Column("ride_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bike_serial", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "deleted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("ride_id", name=op.f("pk_deleted_rides")),
        comment="Rides that were deleted: lines of them that still come are stored nowhere.",
    )
    op.create_index(
        "ix_deleted_rides_bike_serial_started_at", "deleted_rides", ["bike_serial", "started_at"]
    )
    for statement in TRIGGERS:
        op.execute(statement)
    op.execute("REVOKE EXECUTE ON FUNCTION note_deleted_rides() FROM PUBLIC")
    op.execute("GRANT SELECT ON deleted_rides TO ingestor")


def downgrade() -> None:
    op.execute("DROP TRIGGER note_deleted_rides ON rides")
    op.execute("DROP FUNCTION note_deleted_rides()")
    op.drop_table("deleted_rides")
