"""What riders' hearts held in each ride, from which the limits of the next ones learn.

The alerter writes it. The alerter of before does without.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

GRANTS = {"hr_alerter": "SELECT, INSERT, UPDATE", "dashboard": "SELECT", "api": "SELECT"}


def upgrade() -> None:
    op.create_table(
        "ride_hearts",
        sa.Column("ride_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "held_bpm",
            sa.SmallInteger(),
            nullable=True,
            comment="the highest rate kept up for 15 s, and not jumped to; NULL: none yet",
        ),
        sa.Column(
            "proven_bpm",
            sa.SmallInteger(),
            nullable=True,
            comment="the highest such rate of earlier rides, by which this one is watched",
        ),
        sa.Column(
            "proven_rides", sa.SmallInteger(), nullable=True, comment="of how many earlier rides"
        ),
        sa.CheckConstraint(
            "(proven_bpm IS NULL) = (proven_rides IS NULL)", name=op.f("ck_ride_hearts_proven")
        ),
        sa.ForeignKeyConstraint(
            ["ride_id"], ["rides.ride_id"], name=op.f("fk_ride_hearts_ride_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("ride_id", name=op.f("pk_ride_hearts")),
        comment="What a rider's heart has shown that it can do, in a ride and before it.",
    )
    for role, privileges in GRANTS.items():
        op.execute(f"GRANT {privileges} ON ride_hearts TO {role}")


def downgrade() -> None:
    op.drop_table("ride_hearts")
