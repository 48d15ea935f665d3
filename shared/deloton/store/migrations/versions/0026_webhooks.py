"""Partners are told of changes: who wants to be told where, and what became of each message."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

SCOPES_BEFORE = "scopes <@ ARRAY['read', 'personal', 'erase']"
SCOPES = "scopes <@ ARRAY['read', 'personal', 'erase', 'webhooks']"
MEANT = ("of read, personal, erase", "of read, personal, erase, webhooks")
UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    set_scopes(SCOPES, MEANT[1])
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False, comment="whose it is: it ends with the key"),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", sa.ARRAY(sa.Text()), nullable=True, comment="NULL: every kind"),
        sa.Column("secret", sa.LargeBinary(), nullable=False, comment="signs what is sent"),
        sa.Column("former_secret", sa.LargeBinary(), nullable=True, comment="signs beside it"),
        sa.Column("former_until", UTC, nullable=True),
        sa.Column(
            "change_id",
            sa.BigInteger(),
            nullable=False,
            comment="the last change that deliveries were made of",
        ),
        sa.Column("state", sa.Text(), server_default="on", nullable=False, comment="on or off"),
        sa.Column("off_because", sa.Text(), nullable=True, comment="dead or gone"),
        sa.Column(
            "failures",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="tries in a row that failed",
        ),
        sa.Column("failing_since", UTC, nullable=True, comment="the first of them"),
        sa.Column("next_try_at", UTC, server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", UTC, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('on', 'off')", name=op.f("ck_webhooks_state")),
        sa.CheckConstraint(
            "(state = 'off') = (off_because IS NOT NULL) AND off_because IN ('dead', 'gone')",
            name=op.f("ck_webhooks_off_because"),
        ),
        sa.CheckConstraint(
            "(former_secret IS NULL) = (former_until IS NULL)", name=op.f("ck_webhooks_former")
        ),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.key_id"], name=op.f("fk_webhooks_key_id")),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("pk_webhooks")),
        comment="Where partners want to be told of changes.",
    )
    op.create_index("ix_webhooks_key_id", "webhooks", ["key_id"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("delivery_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), nullable=False),
        sa.Column("change_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="this and the next three: the change's"
        ),
        sa.Column("ride_id", sa.BigInteger(), nullable=True),
        sa.Column("rider_id", sa.BigInteger(), nullable=True),
        sa.Column("noted_at", UTC, nullable=False),
        sa.Column(
            "about",
            sa.Text(),
            nullable=False,
            comment="the ride or the rider: what is about the same is sent one after the other",
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default="pending",
            nullable=False,
            comment="pending until delivered, or failed: given up",
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", UTC, server_default=sa.text("now()"), nullable=False),
        sa.Column("next_try_at", UTC, server_default=sa.text("now()"), nullable=False),
        sa.Column("give_up_at", UTC, nullable=False),
        sa.Column("owned_until", UTC, nullable=True, comment="until then a worker has it in hand"),
        sa.Column("last_status", sa.Integer(), nullable=True, comment="of the last try's answer"),
        sa.Column("last_error", sa.Text(), nullable=True, comment="why there was no good answer"),
        sa.Column("settled_at", UTC, nullable=True, comment="NULL: pending"),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'failed')", name=op.f("ck_webhook_deliveries_state")
        ),
        sa.CheckConstraint(
            "(state = 'pending') = (settled_at IS NULL)",
            name=op.f("ck_webhook_deliveries_settled"),
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.webhook_id"],
            name=op.f("fk_webhook_deliveries_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint(
            "webhook_id", "change_id", name=op.f("uq_webhook_deliveries_webhook_id_change_id")
        ),
        comment="A change that a webhook is told of, and what became of that.",
    )
    for name, columns in (
        ("ix_webhook_deliveries_due", ["webhook_id", "next_try_at"]),
        ("ix_webhook_deliveries_in_turn", ["webhook_id", "about", "change_id"]),
    ):
        op.create_index(
            name,
            "webhook_deliveries",
            columns,
            postgresql_where=sa.text("state = 'pending'"),
        )
    op.create_index(
        "ix_webhook_deliveries_webhook_id_delivery_id",
        "webhook_deliveries",
        ["webhook_id", "delivery_id"],
    )
    op.create_index("ix_webhook_deliveries_settled_at", "webhook_deliveries", ["settled_at"])
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks, webhook_deliveries TO api")


def set_scopes(condition: str, meaning: str) -> None:
    op.drop_constraint(op.f("ck_api_keys_scopes"), "api_keys")
    op.create_check_constraint(op.f("ck_api_keys_scopes"), "api_keys", condition)
    op.execute(f"COMMENT ON COLUMN api_keys.scopes IS '{meaning}'")


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
    op.execute("UPDATE api_keys SET scopes = array_remove(scopes, 'webhooks')")
    set_scopes(SCOPES_BEFORE, MEANT[0])
