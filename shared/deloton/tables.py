"""The one statement of the schema: every table, its columns and what they mean.

Times are `timestamptz` in UTC. Migrations in `migrations/` build what stands here; a test
compares the two.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_UTC = DateTime(timezone=True)

riders = Table(
    "riders",
    metadata,
    Column("rider_id", BigInteger, primary_key=True, autoincrement=False),
    Column("title", Text),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("gender", Text, nullable=False, comment="female, male, other or unknown"),
    Column("born_on", Date),
    Column("email", Text),
    Column("height_cm", Double),
    Column("weight_kg", Double),
    Column("flat", Text, comment="flat or studio, where the address has one"),
    Column("street", Text, comment="house number and street"),
    Column("town", Text),
    Column("postcode", Text),
    Column("account_created_on", Date),
    Column("original_source", Text, comment="how the rider came to us"),
    Column("seen_at", _UTC, nullable=False, comment="stamp of the line that told these facts"),
    CheckConstraint("gender IN ('female', 'male', 'other', 'unknown')", name="gender"),
    comment="A rider as last told by a bike; the newest stamp wins.",
)

bikes = Table(
    "bikes",
    metadata,
    Column("serial", Text, primary_key=True, comment="unknown:… until a bike's stream names it"),
    Column("firmware", Text),
    comment="Every bike that was ever ridden.",
)

rides = Table(
    "rides",
    metadata,
    Column("ride_id", BigInteger, Identity(), primary_key=True),
    Column("rider_id", ForeignKey(riders.c.rider_id), comment="NULL: who rode is not known"),
    Column("bike_serial", ForeignKey(bikes.c.serial), nullable=False),
    Column("started_at", _UTC, nullable=False),
    Column("ended_at", _UTC, comment="stamp of the last reading; NULL: the ride goes on"),
    Column("end_reason", Text, comment="next_ride or silence"),
    Column("reading_count", Integer, comment="this and all below: NULL until the ride ends"),
    Column("duration_s", Double, comment="seconds, by the bike's own count"),
    Column("mean_heart_rate_bpm", Double, comment="seconds without a heart rate left out"),
    Column("max_heart_rate_bpm", SmallInteger),
    Column("mean_cadence_rpm", Double),
    Column("max_cadence_rpm", SmallInteger),
    Column("mean_power_watts", Double),
    Column("max_power_watts", Double),
    Column("total_power_watts", Double, comment="the sum of all readings' watts"),
    Column("energy_kj", Double, comment="a reading stands for one second"),
    Column("mean_resistance", Double),
    UniqueConstraint("bike_serial", "started_at"),
    CheckConstraint("end_reason IN ('next_ride', 'silence')", name="end_reason"),
    CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="ended_with_reason"),
    Index("ix_rides_started_at", "started_at"),
    Index("ix_rides_rider_id_started_at", "rider_id", "started_at"),
    comment="A ride: a rider, a bike, a start.",
)
Index("ix_rides_open", rides.c.started_at, postgresql_where=rides.c.ended_at.is_(None))

readings = Table(
    "readings",
    metadata,
    Column("ride_id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", _UTC, primary_key=True),
    Column("elapsed_s", Double, comment="seconds since the ride began, by the bike's count"),
    Column("heart_rate_bpm", SmallInteger, comment="NULL: no hands on the bar"),
    Column("cadence_rpm", SmallInteger),
    Column("resistance", SmallInteger, comment="the bike's own level"),
    Column("power_watts", Double),
    comment="One second of a ride; NULL is what was not measured. A partition a UTC day.",
    postgresql_partition_by="RANGE (at)",
)

ingest_offsets = Table(
    "ingest_offsets",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False, comment="first record not yet stored"),
    Column("claim", BigInteger, nullable=False, comment="counts the workers that took over"),
    Column("waiting", LargeBinary, nullable=False, comment="half readings at next_offset"),
    Column("updated_at", _UTC, nullable=False, server_default=func.now()),
    comment="How far each partition is stored; moves in the transaction that stores the rows.",
)

ingest_streams = Table(
    "ingest_streams",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("stream_key", LargeBinary, primary_key=True, comment="the messages' key"),
    Column("bike_serial", Text, nullable=False),
    Column("ride_id", BigInteger, nullable=False, comment="the stream's last ride"),
    comment="Which ride each stream is on, to go on with it after a restart.",
)

erasures = Table(
    "erasures",
    metadata,
    Column("rider_id", BigInteger, primary_key=True, autoincrement=False),
    Column("erased_at", _UTC, nullable=False),
    comment="Riders whose data were erased: lines stamped before do not bring them back.",
)
