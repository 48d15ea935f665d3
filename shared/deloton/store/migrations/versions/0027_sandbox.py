"""Simulated rides are seen by sandbox keys alone, and these see nothing else.

The API asks for such a key as the role `api_sandbox`, and PostgreSQL itself leaves out all that is
not simulated; for everybody else it leaves out what is. Who stores rides and who mails sees all.
Readings, and whatever else goes by a ride's or rider's number, are met through those.
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

# As `deloton.rules` has them: a test compares.
CANARY_BIKE = "CANARY"
FIRST_CANARY_RIDER_ID = 9_000_000_000_000_000_000
SANDBOX_BIKES = "SANDBOX"
FIRST_SANDBOX_RIDER_ID = 8_000_000_000_000_000_000

ROLE = "api_sandbox"
_OF_SANDBOX_RIDERS = f"rider_id >= {FIRST_SANDBOX_RIDER_ID} AND rider_id < {FIRST_CANARY_RIDER_ID}"


def is_simulated(serial: str) -> str:
    return f"left({serial}, {len(SANDBOX_BIKES)}) = '{SANDBOX_BIKES}'"


def is_real(serial: str) -> str:
    return f"{serial} <> '{CANARY_BIKE}' AND NOT {is_simulated(serial)}"


BUILT_BEFOREHAND = {
    "ix_rides_sandbox": (
        "CREATE INDEX CONCURRENTLY ix_rides_sandbox ON rides (started_at) "
        f"WHERE {is_simulated('bike_serial')}"
    )
}

SIMULATED = {
    "bikes": is_simulated("serial"),
    "rides": is_simulated("bike_serial"),
    "heart_rate_alerts": _OF_SANDBOX_RIDERS,
    "riders": _OF_SANDBOX_RIDERS,
}
REAL = {
    "bikes": is_real("serial"),
    "rides": is_real("bike_serial"),
    "heart_rate_alerts": f"rider_id IS NULL OR rider_id < {FIRST_SANDBOX_RIDER_ID}",
}

# Roles belong to the whole server: another database of it may have made this one before.
MAKE_ROLE = f"""
DO $$
BEGIN
    PERFORM FROM pg_roles WHERE rolname = '{ROLE}';
    IF NOT FOUND THEN
        BEGIN
            CREATE ROLE {ROLE} NOLOGIN NOINHERIT;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF NOT pg_has_role('api', '{ROLE}', 'MEMBER') THEN
        GRANT {ROLE} TO api;
    END IF;
END $$
"""
# It reads what the API reads.
GRANT_READING = f"""
DO $$
DECLARE
    readable text;
BEGIN
    FOR readable IN
        SELECT table_name FROM information_schema.role_table_grants
        WHERE grantee = 'api' AND table_schema = 'public' AND privilege_type = 'SELECT'
    LOOP
        EXECUTE format('GRANT SELECT ON %I TO {ROLE}', readable);
    END LOOP;
    GRANT SELECT (ride_id) ON ride_series TO {ROLE};
    GRANT SELECT (alert_id, note, acknowledged_at) ON danger_acknowledgements TO {ROLE};
END $$
"""  # noqa: S608  names of our own
# What an export and webhooks write, of the key that asks.
GRANTS = {
    "audit": "INSERT",
    "api_keys": "UPDATE (last_used_at)",
    "webhooks": "INSERT, UPDATE, DELETE",
    "webhook_deliveries": "UPDATE",
}
FUNCTIONS = ("number_changes(interval)", "readings_of")

NOTE_RIDE = f"""
CREATE OR REPLACE FUNCTION note_ride_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    number bigint := coalesce(NEW.ride_id, OLD.ride_id);
    bike text := coalesce(NEW.bike_serial, OLD.bike_serial);
BEGIN
    INSERT INTO changes (kind, ride_id, simulated)
    VALUES (TG_ARGV[0], number, {is_simulated("bike")});
    RETURN NULL;
END $$
"""  # noqa: S608  names of our own
NOTE_RIDER = f"""
CREATE OR REPLACE FUNCTION note_rider_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    number bigint := coalesce(NEW.rider_id, OLD.rider_id);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        NEW.seen_at := OLD.seen_at;
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO changes (kind, rider_id, simulated)
    VALUES (TG_ARGV[0], number, number >= {FIRST_SANDBOX_RIDER_ID});
    RETURN NULL;
END $$
"""  # noqa: S608


def upgrade() -> None:
    op.add_column(
        "api_keys",
        sa.Column(
            "sandbox",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="it sees simulated riders and nobody else",
        ),
    )
    op.add_column(
        "changes",
        sa.Column("simulated", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.execute(NOTE_RIDE)
    op.execute(NOTE_RIDER)
    op.execute(MAKE_ROLE)
    op.execute(GRANT_READING)
    for table, privileges in GRANTS.items():
        op.execute(f"GRANT {privileges} ON {table} TO {ROLE}")
    for function in FUNCTIONS:
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {ROLE}")
    for table, condition in REAL.items():
        op.execute(f"ALTER POLICY all_but_the_canary ON {table} USING ({condition})")
        op.execute(f"CREATE POLICY sandbox ON {table} TO {ROLE} USING ({SIMULATED[table]})")
    # Of riders nobody else is shown fewer than before: no question of theirs gets slower.
    op.execute("CREATE POLICY everybody ON riders USING (true)")
    op.execute("ALTER TABLE riders ENABLE ROW LEVEL SECURITY")
    for table, condition in SIMULATED.items():
        op.execute(
            f"CREATE POLICY sandbox_alone ON {table} AS RESTRICTIVE TO {ROLE} USING ({condition})"
        )
    set_views(FIRST_SANDBOX_RIDER_ID, is_real("serial"))


def downgrade() -> None:
    set_views(FIRST_CANARY_RIDER_ID, f"serial <> '{CANARY_BIKE}'")
    for table in SIMULATED:
        op.execute(f"DROP POLICY sandbox_alone ON {table}")
    op.execute("ALTER TABLE riders DISABLE ROW LEVEL SECURITY")
    op.execute("DROP POLICY everybody ON riders")
    for table, condition in _revision("0013").NOT_THE_CANARYS.items():
        op.execute(f"DROP POLICY sandbox ON {table}")
        op.execute(f"ALTER POLICY all_but_the_canary ON {table} USING ({condition})")
    for function in FUNCTIONS:
        op.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM {ROLE}")
    op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {ROLE}")
    for noting in (_revision("0020").NOTE_RIDE, _revision("0020").NOTE_RIDER):
        op.execute(noting.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    op.drop_index("ix_rides_sandbox", "rides")
    op.drop_column("changes", "simulated")
    op.drop_column("api_keys", "sandbox")


def set_views(first_hidden_rider_id: int, bikes: str) -> None:
    op.execute(
        f"CREATE OR REPLACE VIEW analytics.fact_alerts AS {_revision('0023').FACT_ALERTS} "
        f"WHERE a.rider_id IS NULL OR a.rider_id < {first_hidden_rider_id}"
    )
    dim_bikes = _revision("0013").DIM_BIKES.format(condition=f"WHERE {bikes}")
    op.execute(f"CREATE OR REPLACE VIEW analytics.dim_bikes AS {dim_bikes}")


def _revision(number: str) -> Any:  # noqa: ANN401
    return context.script.get_revision(number).module
