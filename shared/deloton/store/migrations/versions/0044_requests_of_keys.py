"""What keys have asked in a minute, of all processes of the API: they share a key's limit."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A crash of the server may empty it: it holds minutes.
    op.create_table(
        "key_requests",
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked", sa.BigInteger, nullable=False, comment="in all processes"),
        sa.PrimaryKeyConstraint("key_id", "minute", name="pk_key_requests"),
        comment="How often keys have asked in the last minutes; kept for five.",
        prefixes=["UNLOGGED"],
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON key_requests TO api")
    op.execute("GRANT SELECT ON key_requests TO api_sandbox")


def downgrade() -> None:
    op.drop_table("key_requests")
