"""Riders, bikes, rides, readings, and how far each partition is stored."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bikes",
        sa.Column(
            "serial", sa.Text(), nullable=False, comment="unknown:… until a bike's stream names it"
        ),
        sa.Column("firmware", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_bikes")),
        comment="Every bike that was ever ridden.",
    )
    op.create_table(
        "erasures",
        sa.Column("rider_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("rider_id", name=op.f("pk_erasures")),
        comment="Riders whose data were erased: lines stamped before do not bring them back.",
    )
    op.create_table(
        "ingest_offsets",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "next_offset", sa.BigInteger(), nullable=False, comment="first record not yet stored"
        ),
        sa.Column(
            "claim", sa.BigInteger(), nullable=False, comment="counts the workers that took over"
        ),
        sa.Column(
            "notes",
            sa.LargeBinary(),
            nullable=False,
            comment="half readings and more, at next_offset",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_ingest_offsets")),
        comment="How far each partition is stored; moves in the transaction that stores the rows.",
    )
    op.create_table(
        "ingest_streams",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stream_key", sa.LargeBinary(), nullable=False, comment="the messages' key"),
        sa.Column("bike_serial", sa.Text(), nullable=False),
        sa.Column("ride_id", sa.BigInteger(), nullable=False, comment="the stream's last ride"),
        sa.Column(
            "previous_started_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="this and below: the ride before, if any",
        ),
        sa.Column(
            "previous_counted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="its last reading with a duration",
        ),
        sa.Column(
            "previous_elapsed_s",
            sa.Double(),
            nullable=True,
            comment="that reading's duration",
        ),
        sa.PrimaryKeyConstraint("topic", "partition", "stream_key", name=op.f("pk_ingest_streams")),
        comment="Which ride each stream is on, to go on with it after a restart.",
    )
    op.create_table(
        "readings",
        sa.Column("ride_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "elapsed_s",
            sa.Double(),
            nullable=True,
            comment="seconds since the ride began, by the bike's count",
        ),
        sa.Column(
            "heart_rate_bpm", sa.SmallInteger(), nullable=True, comment="NULL: no hands on the bar"
        ),
        sa.Column("cadence_rpm", sa.SmallInteger(), nullable=True),
        sa.Column("resistance", sa.SmallInteger(), nullable=True, comment="the bike's own level"),
        sa.Column("power_watts", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("ride_id", "at", name=op.f("pk_readings")),
        comment="One second of a ride; NULL is what was not measured. A partition a UTC day.",
        postgresql_partition_by="RANGE (at)",
    )
    op.create_table(
        "riders",
        sa.Column("rider_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("gender", sa.Text(), nullable=False, comment="female, male, other or unknown"),
        sa.Column("born_on", sa.Date(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("height_cm", sa.Double(), nullable=True),
        sa.Column("weight_kg", sa.Double(), nullable=True),
        sa.Column(
            "flat", sa.Text(), nullable=True, comment="flat or studio, where the address has one"
        ),
        sa.Column("street", sa.Text(), nullable=True, comment="house number and street"),
        sa.Column("town", sa.Text(), nullable=True),
        sa.Column("postcode", sa.Text(), nullable=True),
        sa.Column("account_created_on", sa.Date(), nullable=True),
        sa.Column("original_source", sa.Text(), nullable=True, comment="how the rider came to us"),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="stamp of the line that told these facts",
        ),
        sa.CheckConstraint(
            "gender IN ('female', 'male', 'other', 'unknown')", name=op.f("ck_riders_gender")
        ),
        sa.PrimaryKeyConstraint("rider_id", name=op.f("pk_riders")),
        comment="A rider as last told by a bike; the newest stamp wins.",
    )
    op.create_table(
        "rides",
        sa.Column("ride_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "rider_id", sa.BigInteger(), nullable=True, comment="NULL: who rode is not known"
        ),
        sa.Column("bike_serial", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="stamp of the last reading; NULL: the ride goes on",
        ),
        sa.Column("end_reason", sa.Text(), nullable=True, comment="next_ride or silence"),
        sa.Column(
            "reading_count",
            sa.Integer(),
            nullable=True,
            comment="this and all below: NULL until the ride ends",
        ),
        sa.Column(
            "duration_s", sa.Double(), nullable=True, comment="seconds, by the bike's own count"
        ),
        sa.Column(
            "mean_heart_rate_bpm",
            sa.Double(),
            nullable=True,
            comment="seconds without a heart rate left out",
        ),
        sa.Column("max_heart_rate_bpm", sa.SmallInteger(), nullable=True),
        sa.Column("mean_cadence_rpm", sa.Double(), nullable=True),
        sa.Column("max_cadence_rpm", sa.SmallInteger(), nullable=True),
        sa.Column("mean_power_watts", sa.Double(), nullable=True),
        sa.Column("max_power_watts", sa.Double(), nullable=True),
        sa.Column(
            "total_power_watts",
            sa.Double(),
            nullable=True,
            comment="the sum of all readings' watts",
        ),
        sa.Column(
            "energy_kj", sa.Double(), nullable=True, comment="a reading stands for one second"
        ),
        sa.Column("mean_resistance", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "end_reason IN ('next_ride', 'silence')", name=op.f("ck_rides_end_reason")
        ),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (end_reason IS NULL)", name=op.f("ck_rides_ended_with_reason")
        ),
        sa.ForeignKeyConstraint(
            ["bike_serial"], ["bikes.serial"], name=op.f("fk_rides_bike_serial")
        ),
        sa.ForeignKeyConstraint(["rider_id"], ["riders.rider_id"], name=op.f("fk_rides_rider_id")),
        sa.PrimaryKeyConstraint("ride_id", name=op.f("pk_rides")),
        sa.UniqueConstraint(
            "bike_serial", "started_at", name=op.f("uq_rides_bike_serial_started_at")
        ),
        comment="A ride: a rider, a bike, a start.",
    )
    op.create_index(
        "ix_rides_open",
        "rides",
        ["started_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_rides_rider_id_started_at", "rides", ["rider_id", "started_at"], unique=False
    )
    op.create_index("ix_rides_started_at", "rides", ["started_at"], unique=False)
    # Readings whose stamp lies far from today (a bike's clock gone wrong) share one partition.
    op.execute("CREATE TABLE readings_default PARTITION OF readings DEFAULT")
    # Rows that are updated with every batch: room on the page, and no waiting for the vacuum.
    op.execute(
        "ALTER TABLE ingest_offsets SET (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, "
        "autovacuum_vacuum_threshold = 500, toast.autovacuum_vacuum_scale_factor = 0, "
        "toast.autovacuum_vacuum_threshold = 500)"
    )


def downgrade() -> None:
    for table in (
        "erasures",
        "ingest_streams",
        "ingest_offsets",
        "readings",
        "rides",
        "bikes",
        "riders",
    ):
        op.drop_table(table)
