"""What analysts are told of bikes lies in a table: no plan tells which bike is being ridden.

Until now the view looked into rides: EXPLAIN told of those in progress, which it passed over. The
refresh that follows fills the table; until then no bike is told of. The view keeps its columns.
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

REFRESHER = "star_refresher"
COLUMNS = "bike_serial, firmware, power_sensor_is_faulty"
VIEW = "CREATE OR REPLACE VIEW analytics.dim_bikes AS"


def upgrade() -> None:
    op.create_table(
        "star_bikes",
        sa.Column("bike_serial", sa.Text(), nullable=False),
        sa.Column("firmware", sa.Text(), nullable=False, comment="unknown where it is"),
        sa.Column(
            "power_sensor_is_faulty",
            sa.Boolean(),
            comment="by the latest ride that has ended; NULL: not known",
        ),
        sa.ForeignKeyConstraint(
            ["bike_serial"],
            ["bikes.serial"],
            name=op.f("fk_star_bikes_bike_serial"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("bike_serial", name=op.f("pk_star_bikes")),
        comment="What analysts see of a bike.",
    )
    op.execute(f"GRANT SELECT ON bikes TO {REFRESHER}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON star_bikes TO {REFRESHER}")
    op.execute(f"{VIEW} SELECT {COLUMNS} FROM public.star_bikes")  # noqa: S608


def downgrade() -> None:
    bikes = _revision("0027").is_real("serial")
    op.execute(f"{VIEW} {_revision('0013').DIM_BIKES.format(condition=f'WHERE {bikes}')}")
    op.execute(f"REVOKE SELECT ON bikes FROM {REFRESHER}")  # noqa: S608
    op.drop_table("star_bikes")


def _revision(number: str) -> Any:  # noqa: ANN401
    return context.script.get_revision(number).module
