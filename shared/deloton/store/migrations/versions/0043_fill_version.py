"""A refresh of the star that does not know all its columns settles no ride.

Each ride that changed waits in `star_changes` until a refresh deletes its note. A session that
deletes one says which columns it fills, by their version; the note stays where that is older than
the star's, also when nothing is said, as by versions before this.
"""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

KEEP = (
    """
    CREATE FUNCTION keep_for_who_fills_all() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DECLARE
        fills integer := nullif(current_setting('deloton.star_fill', true), '');
    BEGIN
        IF coalesce(fills, 0) < (SELECT fill_version FROM star_refreshes) THEN
            RETURN NULL;
        END IF;
        RETURN OLD;
    END $$
    """,
    "REVOKE EXECUTE ON FUNCTION keep_for_who_fills_all() FROM PUBLIC",
    """
    CREATE TRIGGER keep_for_who_fills_all BEFORE DELETE ON star_changes
    FOR EACH ROW EXECUTE FUNCTION keep_for_who_fills_all()
    """,
)


def upgrade() -> None:
    op.add_column(
        "star_refreshes",
        sa.Column(
            "fill_version",
            sa.Integer(),
            server_default="1",
            nullable=False,
            comment="raised with each new column of the star: who fills fewer settles no ride",
        ),
    )
    for statement in KEEP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER keep_for_who_fills_all ON star_changes")
    op.execute("DROP FUNCTION keep_for_who_fills_all()")
    op.drop_column("star_refreshes", "fill_version")
