"""Who is on call asks as a role that only reads, and learns of people no more than numbers."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Neither names nor addresses, births, limits nor hearts second by second; no key's hash.
MAY_READ = {
    "alembic_version": "SELECT",
    "riders": "SELECT (rider_id, seen_at)",
    "bikes": "SELECT",
    "rides": "SELECT",
    "heart_rate_alerts": "SELECT",
    "ingest_offsets": "SELECT",
    "ingest_streams": "SELECT",
    "refused_lines": "SELECT",
    "reports": "SELECT",
    "erasures": "SELECT",
    "deleted_rides": "SELECT",
    "star_changes": "SELECT",
    "star_refreshes": "SELECT",
    "audit": "SELECT",
    "api_keys": (
        "SELECT (key_id, name, scopes, requests_per_minute, created_at, revoked_at, expires_at, "
        "last_used_at)"
    ),
}
# Those of which others are shown no row of the canary's.
ROWS_OF_THE_CANARY = ("bikes", "rides", "heart_rate_alerts")

# Roles belong to the whole server: another database of it may have made this one before.
MAKE_ROLE = """
DO $$
BEGIN
    PERFORM FROM pg_roles WHERE rolname = 'on_call';
    IF NOT FOUND THEN
        BEGIN
            CREATE ROLE on_call LOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
END $$
"""
# What others ask at the moment. Not every owner may give that on.
SEE_QUESTIONS = """
DO $$
BEGIN
    GRANT pg_read_all_stats TO on_call;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'on_call does not see what others ask';
END $$
"""


def upgrade() -> None:
    op.execute(MAKE_ROLE)
    op.execute("ALTER ROLE on_call SET default_transaction_read_only = on")
    op.execute(SEE_QUESTIONS)
    for table, privilege in MAY_READ.items():
        op.execute(f"GRANT {privilege} ON {table} TO on_call")
    for table in ROWS_OF_THE_CANARY:
        op.execute(f"ALTER POLICY the_canary_too ON {table} TO ingestor, hr_alerter, on_call")


def downgrade() -> None:
    # The role stays: other databases of the server may have it too.
    for table in ROWS_OF_THE_CANARY:
        op.execute(f"ALTER POLICY the_canary_too ON {table} TO ingestor, hr_alerter")
    for table in MAY_READ:
        op.execute(f"REVOKE ALL ON {table} FROM on_call")
