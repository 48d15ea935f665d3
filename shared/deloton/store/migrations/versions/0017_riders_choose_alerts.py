"""A rider switches alerts and sets limits by a signed link: the API may, and the audit tells."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ACTIONS_BEFORE = "action IN ('delete_ride', 'erase_rider', 'export_rider')"
ACTIONS = "action IN ('delete_ride', 'erase_rider', 'export_rider', 'change_alerts')"
COMMENTS = {
    "key_id": ("who did it", "who did it; NULL: the rider, by a link in a mail"),
    "action": (
        "delete_ride, erase_rider or export_rider",
        "delete_ride, erase_rider, export_rider or change_alerts",
    ),
}


def check(condition: str) -> None:
    op.drop_constraint(op.f("ck_audit_action"), "audit", type_="check")
    op.create_check_constraint(op.f("ck_audit_action"), "audit", condition)


def upgrade() -> None:
    check(ACTIONS)
    op.alter_column("audit", "key_id", nullable=True)
    op.create_check_constraint(
        op.f("ck_audit_who"), "audit", "key_id IS NOT NULL OR action = 'change_alerts'"
    )
    for column, (_, told) in COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN audit.{column} IS '{told}'")
    op.execute("GRANT INSERT, UPDATE ON rider_limits TO api")


def downgrade() -> None:
    op.execute("REVOKE INSERT, UPDATE ON rider_limits FROM api")
    op.execute("DELETE FROM audit WHERE action = 'change_alerts'")
    op.drop_constraint(op.f("ck_audit_who"), "audit", type_="check")
    op.alter_column("audit", "key_id", nullable=False)
    check(ACTIONS_BEFORE)
    for column, (told, _) in COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN audit.{column} IS '{told}'")
