"""A ride keeps what its bike's clock said, where that was wrong; silent streams are forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

BEGINNINGS = (
    "when it began by the bike's own clock, and once more for each time that clock was set since; "
    "NULL: it was right"
)
MOVED_AT = "when it went on to its last ride, by this server's clock"
PREVIOUS = {
    "previous_started_at": (
        "this and below: the ride before, if any",
        "this and below: of versions before; not read",
    ),
    "previous_counted_at": ("its last reading with a duration", None),
    "previous_elapsed_s": ("that reading's duration", None),
}


def upgrade() -> None:
    op.add_column(
        "rides",
        sa.Column("clock_beginnings", sa.ARRAY(sa.DateTime(timezone=True)), comment=BEGINNINGS),
    )
    op.create_index(
        "uq_rides_told",
        "rides",
        ["bike_serial", sa.text("coalesce(clock_beginnings[1], started_at)")],
        unique=True,
    )
    op.create_index(
        "ix_rides_wrong_clock",
        "rides",
        ["bike_serial", "started_at"],
        postgresql_where=sa.text("clock_beginnings IS NOT NULL"),
    )
    op.add_column(
        "ingest_streams",
        sa.Column(
            "moved_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
            comment=MOVED_AT,
        ),
    )
    op.execute("GRANT DELETE ON ingest_streams TO ingestor")
    for column, (_, meaning) in PREVIOUS.items():
        _explain(column, meaning)


def downgrade() -> None:
    op.execute("REVOKE DELETE ON ingest_streams FROM ingestor")
    op.drop_column("ingest_streams", "moved_at")
    for column, (meaning, _) in PREVIOUS.items():
        _explain(column, meaning)
    op.drop_index("ix_rides_wrong_clock", "rides")
    op.drop_index("uq_rides_told", "rides")
    op.drop_column("rides", "clock_beginnings")


def _explain(column: str, meaning: str | None) -> None:
    quoted = "NULL" if meaning is None else "'" + meaning.replace("'", "''") + "'"
    op.execute(f"COMMENT ON COLUMN ingest_streams.{column} IS {quoted}")
