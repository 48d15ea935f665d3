"""The CEO's daily reports, and how many readings of a ride hold a heart rate."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL for rides that ended before this: their readings may be gone, and are many.
    op.add_column(
        "rides",
        sa.Column(
            "heart_rate_count",
            sa.Integer(),
            nullable=True,
            comment="readings that hold a heart rate",
        ),
    )
    op.create_table(
        "reports",
        sa.Column("edition", sa.Text(), nullable=False, comment="daily or weekly"),
        sa.Column(
            "report_on",
            sa.Date(),
            nullable=False,
            comment="the first day told of, in the company's zone",
        ),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="sending until known: sent or failed"
        ),
        sa.Column(
            "attempts", sa.Integer(), server_default="0", nullable=False, comment="tries to send it"
        ),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when the last try began",
        ),
        sa.Column(
            "sent_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the mail provider last accepted it",
        ),
        sa.Column(
            "archived_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the archive last took it; NULL: not archived",
        ),
        sa.Column(
            "provider_message_id",
            sa.Text(),
            nullable=True,
            comment="what the mail provider calls the mail",
        ),
        sa.Column("failure", sa.Text(), nullable=True, comment="why the last try failed"),
        sa.CheckConstraint("edition IN ('daily', 'weekly')", name=op.f("ck_reports_edition")),
        sa.CheckConstraint("state IN ('sending', 'sent', 'failed')", name=op.f("ck_reports_state")),
        sa.CheckConstraint(
            "(state = 'failed') = (failure IS NOT NULL)",
            name=op.f("ck_reports_failed_with_reason"),
        ),
        sa.CheckConstraint(
            "state <> 'sent' OR sent_at IS NOT NULL", name=op.f("ck_reports_sent_with_time")
        ),
        sa.PrimaryKeyConstraint("edition", "report_on", name=op.f("pk_reports")),
        comment="The CEO's reports: which days and weeks were told of, so that none is told twice.",
    )


def downgrade() -> None:
    op.drop_table("reports")
    op.drop_column("rides", "heart_rate_count")
