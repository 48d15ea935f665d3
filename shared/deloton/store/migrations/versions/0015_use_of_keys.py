"""Keys of the API tell when they were last used, and may have an end."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

COLUMNS = (
    sa.Column(
        "expires_at",
        sa.DateTime(timezone=True),
        nullable=True,
        comment="from then on it opens nothing; NULL: it has no end",
    ),
    sa.Column(
        "last_used_at",
        sa.DateTime(timezone=True),
        nullable=True,
        comment="to the minute; NULL: never, or before this was noted",
    ),
)


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("api_keys", column)
    op.execute("GRANT UPDATE (last_used_at) ON api_keys TO api")


def downgrade() -> None:
    op.execute("REVOKE UPDATE (last_used_at) ON api_keys FROM api")
    for column in COLUMNS:
        op.drop_column("api_keys", column.name)
