"""A ride's readings as arrays in one row, beside their rows, once the ride has ended.

Readings land as rows as before. A ride that has ended waits in `rides_to_pack`; whoever packs it
(`deloton.store.series`) writes its row of `ride_series`. Whatever changes a ride that has ended,
by a version of before too, takes its series away in the same transaction, and it waits again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from deloton.store.byte import Byte

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_UTC = sa.DateTime(timezone=True)
_ARRAYS = {
    "step_low": (Byte(), "this and the next two: by how much each step differs, as bytes"),
    "step_mid": (Byte(), "NULL: 0 all the way"),
    "step_high": (sa.BigInteger(), "what is above them; NULL: 0 all the way"),
    "elapsed_lead": (
        sa.Integer(),
        "how far the bike's count leads the reading's number; NULL: 0 all the way",
    ),
    "elapsed_s": (sa.Double(), "the counts themselves, where they are not whole; else NULL"),
    "heart_rate_bpm": (sa.SmallInteger(), None),
    "cadence_rpm": (sa.SmallInteger(), None),
    "resistance": (sa.SmallInteger(), None),
    "power_watts": (sa.Double(), "an element NULL: as bike_powers tells; NULL: all are"),
    "powerless": (
        sa.Integer(),
        "numbers, from 1, of readings without the power that bike_powers tells",
    ),
}

# A step is step_us, and its three bytes and more, as one number.
PACKED = """
SELECT series.ride_id, reading.at, reading.elapsed_s, reading.heart_rate_bpm, reading.cadence_rpm,
       reading.resistance,
       CASE WHEN reading.number = ANY (series.powerless) THEN NULL
            ELSE coalesce(reading.power_watts, told.power_watts) END AS power_watts
FROM public.ride_series AS series CROSS JOIN LATERAL (
    SELECT number,
           -- Whole numbers below 2^53: exact, and quicker than sums of bigint.
           series.first_at + interval '1 microsecond' * (sum(
               series.step_us + low::int + 256 * coalesce(mid::int, 0)
               + 65536 * coalesce(high, 0)::double precision
           ) OVER (ORDER BY number) - series.step_us) AS at,
           CASE WHEN series.elapsed_s IS NULL THEN
               CASE WHEN series.elapsed_lead IS NULL THEN number ELSE number + lead END
           ELSE elapsed_s END::double precision AS elapsed_s,
           heart_rate_bpm, cadence_rpm, resistance, power_watts
    FROM unnest(
        series.step_low, series.step_mid, series.step_high, series.elapsed_lead,
        series.elapsed_s, series.heart_rate_bpm, series.cadence_rpm, series.resistance,
        series.power_watts
    ) WITH ORDINALITY AS element (
        low, mid, high, lead, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts,
        number
    )
) AS reading
LEFT JOIN public.bike_powers AS told ON told.resistance = reading.resistance
    AND told.cadence_rpm = reading.cadence_rpm
"""

BOTH_HOMES = """
SELECT ride_id, at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts
FROM public.packed_readings
UNION ALL
SELECT ride_id, at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts
FROM public.readings
WHERE NOT EXISTS (
    SELECT FROM public.ride_series WHERE ride_series.ride_id = readings.ride_id
)
"""

# PostgreSQL puts it into the statement that asks, which then looks into one of the two.
READINGS_OF = """
CREATE FUNCTION readings_of(ride bigint, since timestamptz, until timestamptz) RETURNS TABLE (
    ride_id bigint, at timestamptz, elapsed_s double precision, heart_rate_bpm smallint,
    cadence_rpm smallint, resistance smallint, power_watts double precision
) LANGUAGE sql STABLE AS $$
    SELECT ride_id, at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts
    FROM public.packed_readings WHERE ride_id = ride
    UNION ALL
    SELECT ride_id, at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts
    FROM public.readings
    WHERE ride_id = ride
    AND at BETWEEN since AND until
    AND NOT EXISTS (SELECT FROM public.ride_series AS packed WHERE packed.ride_id = ride)
$$
"""

NOTE_CHANGES = (
    """
    CREATE FUNCTION note_ride_to_pack() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    BEGIN
        IF OLD.ended_at IS NOT NULL THEN
            DELETE FROM ride_series WHERE ride_id = NEW.ride_id;
        END IF;
        IF NEW.ended_at IS NOT NULL THEN
            INSERT INTO rides_to_pack (ride_id) VALUES (NEW.ride_id)
            ON CONFLICT (ride_id) DO UPDATE SET since = excluded.since;
        ELSE
            DELETE FROM rides_to_pack WHERE ride_id = NEW.ride_id;
        END IF;
        RETURN NULL;
    END $$
    """,
    # Readings of a ride that has ended never change without its end being told anew.
    """
    CREATE TRIGGER note_ride_to_pack AFTER UPDATE OF ended_at, started_at ON rides
    FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL OR NEW.ended_at IS NOT NULL)
    EXECUTE FUNCTION note_ride_to_pack()
    """,
    "REVOKE EXECUTE ON FUNCTION note_ride_to_pack() FROM PUBLIC",
)

READERS = ("ingestor", "api", "dashboard", "star_refresher")
VIEWS = {
    "packed_readings": (PACKED, "The readings of rides that are packed; a row each."),
    "ride_readings": (
        BOTH_HOMES,
        "Every reading, wherever it lies; a row each. Ask by ride_id: that is quick.",
    ),
}


def upgrade() -> None:
    _create_tables()
    for name, (query, meaning) in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")
        op.execute(f"COMMENT ON VIEW {name} IS '{meaning}'")
    op.execute(READINGS_OF)
    op.execute(
        "COMMENT ON FUNCTION readings_of IS "
        "'The readings of a ride, wherever they lie; rows are looked for between two times.'"
    )
    op.execute("REVOKE EXECUTE ON FUNCTION readings_of FROM PUBLIC")
    for role in READERS:
        op.execute(f"GRANT SELECT ON packed_readings, ride_readings TO {role}")
        op.execute(f"GRANT SELECT (ride_id) ON ride_series TO {role}")
        op.execute(f"GRANT EXECUTE ON FUNCTION readings_of TO {role}")
    op.execute("GRANT SELECT, INSERT, DELETE ON ride_series TO ingestor")
    op.execute("GRANT SELECT, INSERT ON bike_powers TO ingestor")
    # Who takes a ride in hand locks its row there.
    op.execute("GRANT SELECT, UPDATE, DELETE ON rides_to_pack TO ingestor")
    op.execute("GRANT SELECT ON rides_to_pack TO on_call")
    for statement in NOTE_CHANGES:
        op.execute(statement)


def _create_tables() -> None:
    op.create_table(
        "bike_powers",
        sa.Column("resistance", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("cadence_rpm", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("power_watts", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("resistance", "cadence_rpm", name=op.f("pk_bike_powers")),
        comment="The power that bikes tell at a resistance and cadence. A row never changes.",
    )
    op.create_table(
        "ride_series",
        sa.Column("ride_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reading_count", sa.Integer(), nullable=False),
        sa.Column("first_at", _UTC, nullable=False),
        sa.Column("last_at", _UTC, nullable=False),
        sa.Column(
            "step_us", sa.BigInteger(), nullable=False, comment="the usual time between readings"
        ),
        *(
            sa.Column(name, postgresql.ARRAY(kind), comment=meaning)
            for name, (kind, meaning) in _ARRAYS.items()
        ),
        sa.ForeignKeyConstraint(
            ["ride_id"], ["rides.ride_id"], name=op.f("fk_ride_series_ride_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("ride_id", name=op.f("pk_ride_series")),
        comment="All readings of a ride that has ended, as arrays: read packed_readings.",
    )
    op.create_index("ix_ride_series_last_at", "ride_series", ["last_at"])
    # Compressed and beside each other: a ride is one row on one page.
    op.execute("ALTER TABLE ride_series SET (toast_tuple_target = 128)")
    for name in _ARRAYS:
        op.execute(f"ALTER TABLE ride_series ALTER {name} SET STORAGE MAIN")
    op.create_table(
        "rides_to_pack",
        sa.Column("ride_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("since", _UTC, server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ride_id"],
            ["rides.ride_id"],
            name=op.f("fk_rides_to_pack_ride_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("ride_id", name=op.f("pk_rides_to_pack")),
        comment="Rides that have ended, or changed after it, and are not packed since.",
    )
    op.create_index("ix_rides_to_pack_since", "rides_to_pack", ["since"])


def downgrade() -> None:
    op.execute("DROP TRIGGER note_ride_to_pack ON rides")
    op.execute("DROP FUNCTION note_ride_to_pack()")
    op.execute("DROP FUNCTION readings_of")
    for view in reversed(VIEWS):
        op.execute(f"DROP VIEW {view}")
    for table in ("rides_to_pack", "ride_series", "bike_powers"):
        op.drop_table(table)
