"""Rows of packed rides may go, a day at a time; who changes such a ride unpacks it first.

A packed ride's rows are some or all of what its series tells. Who waits for a lock on `readings`
here gives way soon: whoever stores or reads would wait behind.
"""

from typing import Any

from alembic import context, op

revision = "0041"
down_revision = "0039"
branch_labels = None
depends_on = None

COLUMNS = "ride_id, at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts"

# A day holds its lock twice at most while others wait behind it.
LOCK_TIMEOUT = "200ms"

# A packer holds the ride while it packs: waited for, so that no series appears behind this.
UNPACK = f"""
CREATE FUNCTION unpack_rides(chosen bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM rides WHERE ride_id = ANY (chosen) ORDER BY ride_id FOR NO KEY UPDATE;
    INSERT INTO readings ({COLUMNS})
    SELECT {COLUMNS} FROM packed_readings WHERE ride_id = ANY (chosen)
    ON CONFLICT (ride_id, at) DO NOTHING;
    DELETE FROM ride_series WHERE ride_id = ANY (chosen);
    RETURN QUERY
    SELECT rides.ride_id FROM rides
    WHERE rides.ride_id = ANY (chosen) AND ended_at IS NOT NULL
    -- Looked for everywhere where they are not where they should be.
    AND reading_count > (
        SELECT count(*) FROM readings WHERE readings.ride_id = rides.ride_id
        AND at BETWEEN started_at - interval '1 day' AND ended_at + interval '1 day'
    )
    AND reading_count > (
        SELECT count(*) FROM readings WHERE readings.ride_id = rides.ride_id
    );
END $$
"""  # noqa: S608 - names of columns

# Who has not unpacked a ride before it stored is of a version that knows rows alone.
NOTE_CHANGES = """
CREATE OR REPLACE FUNCTION note_ride_to_pack() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    packed integer;
BEGIN
    IF OLD.ended_at IS NOT NULL THEN
        SELECT reading_count INTO packed FROM ride_series WHERE ride_id = NEW.ride_id;
        IF packed > (SELECT count(*) FROM readings WHERE ride_id = NEW.ride_id) THEN
            IF NEW.reading_count < OLD.reading_count THEN
                RAISE EXCEPTION 'ride % was counted without its packed readings', NEW.ride_id
                USING ERRCODE = 'check_violation';
            END IF;
            PERFORM unpack_rides(ARRAY[NEW.ride_id]);
        ELSIF packed IS NOT NULL THEN
            DELETE FROM ride_series WHERE ride_id = NEW.ride_id;
        END IF;
    END IF;
    IF NEW.ended_at IS NOT NULL THEN
        INSERT INTO rides_to_pack (ride_id) VALUES (NEW.ride_id)
        ON CONFLICT (ride_id) DO UPDATE SET since = excluded.since, refused = NULL;
    ELSE
        DELETE FROM rides_to_pack WHERE ride_id = NEW.ride_id;
    END IF;
    RETURN NULL;
END $$
"""

# Looked at before anything is locked: most days are there.
MAKE_DAY = f"""
CREATE OR REPLACE FUNCTION make_readings_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '{LOCK_TIMEOUT}' AS $$
DECLARE
    name text := 'readings_' || to_char(day, 'YYYYMMDD');
    begins timestamptz := day::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- One at a time.
    LOCK TABLE readings_default IN SHARE ROW EXCLUSIVE MODE;
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE readings INCLUDING ALL)', name);
    EXECUTE format(
        'WITH moved AS (DELETE FROM readings_default WHERE at >= %L AND at < %L RETURNING *) '
        'INSERT INTO %I SELECT * FROM moved', begins, ends, name
    );
    EXECUTE format(
        'ALTER TABLE readings ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, begins, ends
    );
    RETURN true;
END $$
"""  # noqa: S608 - names of our own

# Of a ride over midnight that is not packed the rest goes too: half a ride tells what is not so.
DROP_DAY = f"""
CREATE OR REPLACE FUNCTION drop_readings_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '{LOCK_TIMEOUT}' AS $$
DECLARE
    ends timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    DELETE FROM readings USING rides
    WHERE readings.ride_id = rides.ride_id
    AND started_at >= ends - interval '2 days' AND started_at < ends AND ended_at >= ends
    AND at >= ends AND at <= ended_at
    AND NOT EXISTS (SELECT FROM ride_series WHERE ride_series.ride_id = rides.ride_id);
    EXECUTE format('DROP TABLE IF EXISTS %I', 'readings_' || to_char(day, 'YYYYMMDD'));
END $$
"""  # noqa: S608 - a time of ours

# First all is compared, which holds up nobody. Then who stores into that day is kept out, and
# looked at is what may have changed since: rides in progress and those that wait to be packed.
DROP_PACKED_DAY = f"""
CREATE FUNCTION drop_packed_readings_day(day date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '{LOCK_TIMEOUT}' AS $$
DECLARE
    name text := 'readings_' || to_char(day, 'YYYYMMDD');
    begins timestamptz := day::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
    odd record;
BEGIN
    -- One at a time.
    EXECUTE format('LOCK TABLE %I IN SHARE UPDATE EXCLUSIVE MODE', name);
    EXECUTE format($query$
        SELECT count(*) AS rides, min(ride_id) AS ride_id FROM (
            SELECT ride_id, count(*) AS stored FROM %I GROUP BY ride_id
        ) here
        JOIN rides USING (ride_id) LEFT JOIN ride_series AS packed USING (ride_id)
        WHERE stored IS DISTINCT FROM CASE
            WHEN first_at >= $1 AND last_at < $2 THEN packed.reading_count
            ELSE nullif((
                SELECT count(*) FROM packed_readings WHERE packed_readings.ride_id = here.ride_id
                AND at >= $1 AND at < $2
            ), 0)
        END
    $query$, name) INTO odd USING begins, ends;
    IF odd.rides > 0 THEN
        RETURN format('%s rides are not packed as they are stored, as ride %s',
                      odd.rides, odd.ride_id);
    END IF;
    EXECUTE format('LOCK TABLE %I IN EXCLUSIVE MODE', name);
    EXECUTE format($query$
        SELECT ride_id FROM (
            SELECT ride_id FROM rides WHERE ended_at IS NULL
            UNION ALL SELECT ride_id FROM rides_to_pack
        ) changing
        WHERE EXISTS (SELECT FROM %I AS here WHERE here.ride_id = changing.ride_id) LIMIT 1
    $query$, name) INTO odd;
    IF odd.ride_id IS NOT NULL THEN
        RETURN format('ride %s has changed just now', odd.ride_id);
    END IF;
    EXECUTE format('DROP TABLE %I', name);
    RETURN NULL;
END $$
"""  # noqa: S608 - a time of ours

FUNCTIONS = {
    "unpack_rides(bigint[])": (
        "Make packed rides rows again, before they change; returns those whose readings are gone."
    ),
    "drop_packed_readings_day(date)": (
        "Drop the partition of a UTC day whose rides are all packed; else the reason why not."
    ),
}


def upgrade() -> None:
    for statement in (UNPACK, NOTE_CHANGES, MAKE_DAY, DROP_DAY, DROP_PACKED_DAY):
        op.execute(statement)
    for function, meaning in FUNCTIONS.items():
        op.execute(f"COMMENT ON FUNCTION {function} IS '{meaning}'")
        op.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO ingestor")


def downgrade() -> None:
    """The rows that are gone are made anew: the version before knows rows alone."""
    op.execute(
        f"INSERT INTO readings ({COLUMNS}) SELECT {COLUMNS} FROM packed_readings "  # noqa: S608
        "ON CONFLICT (ride_id, at) DO NOTHING"
    )
    op.execute(_revision("0022").NOTE_CHANGES.format(also=", refused = NULL"))
    for statement in (_revision("0007").MAKE_DAY, _revision("0007").DROP_DAY):
        op.execute(statement.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")


def _revision(number: str) -> Any:  # noqa: ANN401
    return context.script.get_revision(number).module
