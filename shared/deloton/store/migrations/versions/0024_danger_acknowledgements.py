"""The dashboard notes who of the staff sees to a danger, when, and what they did."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "danger_acknowledgements",
        sa.Column("acknowledgement_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("alert_id", sa.BigInteger, nullable=False),
        sa.Column("staff_name", sa.Text, nullable=False, comment="as the one who did it wrote it"),
        sa.Column("note", sa.Text, nullable=False, comment="what was done; may be empty"),
        sa.Column(
            "acknowledged_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
        sa.CheckConstraint(
            "length(staff_name) BETWEEN 1 AND 60 AND length(note) <= 500",
            name=op.f("ck_danger_acknowledgements_bounded"),
        ),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["heart_rate_alerts.alert_id"],
            name=op.f("fk_danger_acknowledgements_alert_id_heart_rate_alerts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("acknowledgement_id", name=op.f("pk_danger_acknowledgements")),
        comment="Who of the staff has seen to a danger; never changed, goes with the alert.",
    )
    op.create_index(
        op.f("ix_danger_acknowledgements_alert_id"), "danger_acknowledgements", ["alert_id"]
    )
    op.execute("GRANT SELECT, INSERT ON danger_acknowledgements TO dashboard")
    # What was noted of a rider goes into the rider's export; who noted it does not.
    op.execute("GRANT SELECT (alert_id, note, acknowledged_at) ON danger_acknowledgements TO api")


def downgrade() -> None:
    op.drop_table("danger_acknowledgements")
