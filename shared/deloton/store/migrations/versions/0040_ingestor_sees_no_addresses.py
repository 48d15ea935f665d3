"""The ingestor writes riders and reads none: only whom it has, and since when."""

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("REVOKE SELECT ON riders FROM ingestor")
    op.execute("GRANT SELECT (rider_id, seen_at) ON riders TO ingestor")


def downgrade() -> None:
    op.execute("GRANT SELECT ON riders TO ingestor")
