"""Exports of a person that are made in the background."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "exports",
        sa.Column("export_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("key_id", sa.Text, nullable=False, comment="who asked, and alone is told of it"),
        sa.Column(
            "rider_id",
            sa.BigInteger,
            nullable=False,
            comment="of whom; the row outlasts an erasure until the file is gone",
        ),
        sa.Column(
            "state",
            sa.Text,
            nullable=False,
            server_default="queued",
            comment="queued, running, then ready or failed; expired: no file any more",
        ),
        sa.Column("requested_at", _UTC, nullable=False, server_default=sa.func.now()),
        sa.Column("finished_at", _UTC, comment="when it was ready or had failed"),
        sa.Column("expires_at", _UTC, comment="from then on there is no file"),
        sa.Column("removed_at", _UTC, comment="when its file was removed"),
        sa.Column("size_bytes", sa.BigInteger, comment="of the file"),
        sa.Column(
            "attempts", sa.Integer, nullable=False, server_default="0", comment="tries to make it"
        ),
        sa.Column("owner", sa.Text, comment="the process that makes it"),
        sa.Column("owned_until", _UTC, comment="until then it is no other's"),
        sa.Column(
            "secret",
            sa.LargeBinary,
            nullable=False,
            comment="signs addresses of the file, if we do",
        ),
        sa.PrimaryKeyConstraint("export_id", name="pk_exports"),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.key_id"], name="fk_exports_key_id"),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'ready', 'failed', 'expired')",
            name="ck_exports_state",
        ),
        sa.CheckConstraint("(owner IS NULL) = (owned_until IS NULL)", name="ck_exports_owned"),
        sa.CheckConstraint("state <> 'ready' OR expires_at IS NOT NULL", name="ck_exports_expires"),
        comment="Exports of a person that are made in the background: which, for whom, how far.",
    )
    op.create_index("ix_exports_rider_id", "exports", ["rider_id"])
    op.create_index("ix_exports_key_id", "exports", ["key_id"])
    op.create_index(
        "ix_exports_open",
        "exports",
        ["export_id"],
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON exports TO api")


def downgrade() -> None:
    op.drop_table("exports")
