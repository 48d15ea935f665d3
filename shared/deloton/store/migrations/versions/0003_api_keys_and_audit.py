"""Keys of the API, the audit of deletions and exports, and indexes for leaders and towns."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LED_BY = ("max_power_watts", "mean_power_watts", "energy_kj")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text(), nullable=False, comment="the public part of the key"),
        sa.Column("name", sa.Text(), nullable=False, comment="who uses it"),
        sa.Column(
            "secret_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of the secret part"
        ),
        sa.Column(
            "scopes", sa.ARRAY(sa.Text()), nullable=False, comment="of read, personal, erase"
        ),
        sa.Column(
            "requests_per_minute", sa.Integer(), nullable=False, comment="in each API process"
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "revoked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="from then on it opens nothing",
        ),
        sa.CheckConstraint(
            "scopes <@ ARRAY['read', 'personal', 'erase']", name=op.f("ck_api_keys_scopes")
        ),
        sa.CheckConstraint("requests_per_minute > 0", name=op.f("ck_api_keys_requests_per_minute")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
        comment="Who may ask the API, and what; the key itself is shown once and not kept.",
    )
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("key_id", sa.Text(), nullable=False, comment="who did it"),
        sa.Column(
            "action",
            sa.Text(),
            nullable=False,
            comment="delete_ride, erase_rider or export_rider",
        ),
        sa.Column(
            "subject_id", sa.BigInteger(), nullable=False, comment="the ride's or the rider's id"
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="as given by who did it"),
        sa.CheckConstraint(
            "action IN ('delete_ride', 'erase_rider', 'export_rider')", name=op.f("ck_audit_action")
        ),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.key_id"], name=op.f("fk_audit_key_id")),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit")),
        comment="What was deleted or handed out of a person's data, by whom, when and why.",
    )
    op.create_index("ix_audit_subject_id", "audit", ["subject_id"])
    op.create_index("ix_riders_town", "riders", [sa.text("lower(town)")])
    for figure in LED_BY:
        op.create_index(f"ix_rides_{figure}", "rides", [figure, "ride_id"])


def downgrade() -> None:
    for figure in LED_BY:
        op.drop_index(f"ix_rides_{figure}", "rides")
    op.drop_index("ix_riders_town", "riders")
    op.drop_table("audit")
    op.drop_table("api_keys")
