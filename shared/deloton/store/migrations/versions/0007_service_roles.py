"""A role for each service, which may do what its service does and no more.

Tables belong to whoever migrates, and so do the daily partitions of `readings`: the ingestor
makes and drops them through two functions that run with their owner's rights.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Who rides, without how to reach them.
RIDERS_IN_PERSON = (
    "SELECT (rider_id, title, first_name, last_name, gender, born_on, height_cm, weight_kg, town, "
    "original_source)"
)

# role: {table: privileges}
GRANTS = {
    "ingestor": {
        "riders": "SELECT, INSERT, UPDATE, DELETE",
        "bikes": "SELECT, INSERT, UPDATE",
        "rides": "SELECT, INSERT, UPDATE",
        "readings": "SELECT, INSERT, UPDATE, DELETE",
        "readings_default": "SELECT, DELETE",
        "ingest_offsets": "SELECT, INSERT, UPDATE",
        "ingest_streams": "SELECT, INSERT, UPDATE",
        "refused_lines": "SELECT, INSERT, UPDATE",
        "erasures": "SELECT",
        # By the triggers on rides.
        "star_changes": "INSERT",
    },
    "hr_alerter": {
        "riders": "SELECT (rider_id, title, first_name, last_name, gender, born_on, email)",
        "rides": "SELECT",
        "rider_limits": "SELECT, INSERT, UPDATE, DELETE",
        "heart_rate_alerts": "SELECT, INSERT, UPDATE",
    },
    # Whom or what it deletes it locks first: UPDATE of a key is the least that a lock asks for.
    "api": {
        "riders": "SELECT, DELETE, UPDATE (rider_id)",
        "bikes": "SELECT",
        "rides": "SELECT, DELETE, UPDATE (ride_id)",
        "readings": "SELECT, DELETE",
        "rider_limits": "SELECT",
        "heart_rate_alerts": "SELECT, DELETE",
        "erasures": "SELECT, INSERT, UPDATE",
        "audit": "SELECT, INSERT",
        "api_keys": "SELECT, INSERT, UPDATE (revoked_at)",
    },
    "dashboard": {
        "riders": RIDERS_IN_PERSON,
        "bikes": "SELECT",
        "rides": "SELECT",
        "readings": "SELECT",
        "rider_limits": "SELECT",
        "heart_rate_alerts": "SELECT",
    },
    "reporter": {
        "riders": RIDERS_IN_PERSON,
        "rides": "SELECT",
        "heart_rate_alerts": "SELECT",
        "refused_lines": "SELECT",
        "reports": "SELECT, INSERT, UPDATE",
    },
    # Holds rides and riders by a lock while it reads them.
    "star_refresher": {
        "riders": (
            "SELECT (rider_id, gender, born_on, weight_kg, account_created_on), UPDATE (rider_id)"
        ),
        "rides": "SELECT, UPDATE (ride_id)",
        "readings": "SELECT",
        "star_riders": "SELECT, INSERT",
        "star_rides": "SELECT, INSERT, UPDATE, DELETE",
        "star_reading_minutes": "SELECT, INSERT, UPDATE",
        "star_changes": "SELECT, INSERT, DELETE",
        "star_refreshes": "SELECT, UPDATE",
    },
}

# Attaching locks less than CREATE TABLE … PARTITION OF: others go on storing. Only who stores
# into the default partition has to wait, or is waited for.
MAKE_DAY = """
CREATE FUNCTION make_readings_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    name text := 'readings_' || to_char(day, 'YYYYMMDD');
    begins timestamptz := day::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    -- Any number that nothing else in the database locks.
    PERFORM pg_advisory_xact_lock(x'72656164'::bigint);
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    LOCK TABLE readings_default IN SHARE ROW EXCLUSIVE MODE;
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
"""

DROP_DAY = """
CREATE FUNCTION drop_readings_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', 'readings_' || to_char(day, 'YYYYMMDD'));
END $$
"""

DAY_FUNCTIONS = {
    "make_readings_day(date)": "Make the partition of a UTC day; false where there is one.",
    "drop_readings_day(date)": "Drop the partition of a UTC day, and with it its readings.",
}


def make_role(role: str) -> str:
    """Roles belong to the whole server: another database of it may have made this one before.

    Without a password nobody can log in: `python -m deloton.migrate` gives it one.
    """
    return f"""
    DO $$
    BEGIN
        PERFORM FROM pg_roles WHERE rolname = '{role}';
        IF NOT FOUND THEN
            BEGIN
                CREATE ROLE {role} LOGIN NOINHERIT;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END;
        END IF;
    END $$
    """


def upgrade() -> None:
    for statement in (MAKE_DAY, DROP_DAY):
        op.execute(statement)
    for role, tables in GRANTS.items():
        op.execute(make_role(role))
        for table, privileges in tables.items():
            op.execute(f"GRANT {privileges} ON {table} TO {role}")
    for function, meaning in DAY_FUNCTIONS.items():
        op.execute(f"COMMENT ON FUNCTION {function} IS '{meaning}'")
        op.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO ingestor")
    # Readings that may be there already are compared in a table of the session's own.
    op.execute(
        "DO $$ BEGIN "
        "EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO ingestor', current_database()); "
        "END $$"
    )


def downgrade() -> None:
    # The roles stay: other databases of the server may have them too.
    op.execute(
        "DO $$ BEGIN "
        "EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM ingestor', current_database()); "
        "END $$"
    )
    for function in DAY_FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    for role, tables in GRANTS.items():
        for table in tables:
            op.execute(f"REVOKE ALL ON {table} FROM {role}")
