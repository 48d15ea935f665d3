"""What warns, stores and migrates waits for nothing that a session of an analyst's can take.

Everybody may take advisory locks in PostgreSQL, and make large objects, unless that is revoked; the
owner of those functions alone can, which is PostgreSQL's first superuser. A migration that is run
by another owner, as on Aurora, leaves them as they are. So nothing of ours that must go on waits
for such a lock: turns are locks of tables and rows, which ask for a right that analysts lack.
"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

READER = "tableau_reader"

# To give a lock back hurts nobody, and drivers do it whenever they hand on a connection.
ADVISORY = "proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$'"
LARGE_OBJECTS = "(proname ~ '^lo_' OR proname IN ('loread', 'lowrite'))"
TAKES_ADVISORY = "api, hr_alerter, ingestor, reporter, star_refresher"


def for_each_function(condition: str, *statements: str) -> str:
    """Say `statements` of PostgreSQL's own functions, `%s`, where we have their owner's rights."""
    said = " ".join(f"EXECUTE format('{statement}', named);" for statement in statements)
    return f"""
    DO $$
    DECLARE
        named text;
    BEGIN
        FOR named IN
            SELECT pg_proc.oid::regprocedure::text FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace AND {condition}
            AND pg_has_role(proowner, 'USAGE')
        LOOP
            {said}
        END LOOP;
    END $$
    """  # noqa: S608  names of PostgreSQL's own


# A session may set them anew: they are for who forgets, not for who means harm.
LIMITS = {"lock_timeout": "2s", "idle_session_timeout": "1h"}

# What analysts ask goes into the server's log, where the owner may say so.
LOG_WHAT_IS_ASKED = f"""
DO $$
BEGIN
    ALTER ROLE {READER} SET log_statement = 'all';
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $$
"""


def upgrade() -> None:
    op.execute(
        for_each_function(
            ADVISORY,
            "REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION %s TO {TAKES_ADVISORY}, CURRENT_USER",
        )
    )
    op.execute(
        for_each_function(
            LARGE_OBJECTS,
            "REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC",
            "GRANT EXECUTE ON FUNCTION %s TO CURRENT_USER",
        )
    )
    op.create_table(
        "deletion_turns",
        sa.Column("only_locked", sa.Boolean(), comment="nothing is ever stored here"),
        comment="Who stores and who deletes lock it, each in a way that keeps the other out.",
    )
    # The right to insert is what locking as those do who store asks for, on every version.
    op.execute("GRANT INSERT ON deletion_turns TO ingestor")
    op.execute("GRANT UPDATE ON deletion_turns TO api")
    # Two alerts of one rider at once: whoever locks the rider's row first.
    op.execute("GRANT UPDATE (rider_id) ON riders TO hr_alerter")
    for name, value in LIMITS.items():
        op.execute(f"ALTER ROLE {READER} SET {name} = '{value}'")
    op.execute(LOG_WHAT_IS_ASKED)


def downgrade() -> None:
    # The reader's limits serve the version before as well.
    op.execute("REVOKE UPDATE (rider_id) ON riders FROM hr_alerter")
    op.drop_table("deletion_turns")
    for condition in (ADVISORY, LARGE_OBJECTS):
        op.execute(for_each_function(condition, "GRANT EXECUTE ON FUNCTION %s TO PUBLIC"))
