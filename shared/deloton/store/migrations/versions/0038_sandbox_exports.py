"""Sandbox keys have exports made, too: of the riders that they see."""

from alembic import op

revision = "0038"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("GRANT INSERT ON exports TO api_sandbox")


def downgrade() -> None:
    op.execute("REVOKE INSERT ON exports FROM api_sandbox")
