"""A ride that cannot be packed says why, is not tried again, and waits anew once it changes."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021b"
branch_labels = None
depends_on = None

NOTE_CHANGES = """
CREATE OR REPLACE FUNCTION note_ride_to_pack() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL THEN
        DELETE FROM ride_series WHERE ride_id = NEW.ride_id;
    END IF;
    IF NEW.ended_at IS NOT NULL THEN
        INSERT INTO rides_to_pack (ride_id) VALUES (NEW.ride_id)
        ON CONFLICT (ride_id) DO UPDATE SET since = excluded.since{also};
    ELSE
        DELETE FROM rides_to_pack WHERE ride_id = NEW.ride_id;
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.add_column(
        "rides_to_pack",
        sa.Column("refused", sa.Text(), comment="why it cannot be packed; NULL: it waits"),
    )
    op.execute(NOTE_CHANGES.format(also=", refused = NULL"))


def downgrade() -> None:
    op.execute(NOTE_CHANGES.format(also=""))
    op.drop_column("rides_to_pack", "refused")
