"""A deleted ride keeps what its bike's clock said: after a restart its lines are known as its."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

NOTE = """
CREATE OR REPLACE FUNCTION note_deleted_rides() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO deleted_rides (ride_id, bike_serial, started_at{column})
    SELECT ride_id, bike_serial, started_at{column} FROM deleted
    ON CONFLICT (ride_id) DO NOTHING;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.add_column(
        "deleted_rides",
        sa.Column(
            "clock_beginnings",
            postgresql.ARRAY(sa.DateTime(timezone=True)),
            comment="as in rides",
        ),
    )
    op.execute(NOTE.format(column=", clock_beginnings"))


def downgrade() -> None:
    op.execute(NOTE.format(column=""))
    op.drop_column("deleted_rides", "clock_beginnings")
