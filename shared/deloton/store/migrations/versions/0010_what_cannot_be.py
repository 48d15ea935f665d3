"""What cannot be is counted: power that the bike denies, and values beyond person and bike."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

DENIED = (
    "Seconds whose power was more than 300 W beside what resistance and cadence give: they are "
    "left out of the highest power, and a ride with one of them is nobody's best and leads no list "
    "by mean power or energy. Not known of old rides."
)
IMPLAUSIBLE = "lines with a value that no person or bike reaches: it counts as not measured"


def upgrade() -> None:
    op.add_column("rides", sa.Column("power_denied_s", sa.Integer(), comment=DENIED))
    op.add_column(
        "rides",
        sa.Column(
            "implausible_count",
            sa.Integer(),
            nullable=False,
            server_default="0",
            comment=IMPLAUSIBLE,
        ),
    )


def downgrade() -> None:
    op.drop_column("rides", "implausible_count")
    op.drop_column("rides", "power_denied_s")
