"""A ride is shown where its bike and its rider both belong, and erased wherever it is.

A ride of a real rider on a simulated bike, the canary's, or the other way round, is shown to
nobody: services of the version before may have stored such, and may yet. Who erases a person, or
counts what is held of one, is told of all rides by functions with their owner's rights.
"""

from typing import Any

from alembic import context, op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

# As `deloton.rules` has them: a test compares.
FIRST_CANARY_RIDER_ID = 9_000_000_000_000_000_000
FIRST_SANDBOX_RIDER_ID = 8_000_000_000_000_000_000

_NO_REAL_RIDER = (
    f"rider_id IS NULL OR rider_id >= {FIRST_SANDBOX_RIDER_ID} "
    f"AND rider_id < {FIRST_CANARY_RIDER_ID}"
)
_REAL_RIDER = f"rider_id IS NULL OR rider_id < {FIRST_SANDBOX_RIDER_ID}"

FUNCTIONS = {
    "rides_of_person(bigint)": """
CREATE FUNCTION rides_of_person(person bigint)
RETURNS TABLE (ride_id bigint, started_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT rides.ride_id, rides.started_at FROM rides WHERE rides.rider_id = person
$$
""",
    "delete_rides_of_person(bigint)": """
CREATE FUNCTION delete_rides_of_person(person bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    ridden bigint[];
BEGIN
    SELECT array_agg(ride_id) INTO ridden FROM (
        SELECT ride_id FROM rides WHERE rider_id = person FOR UPDATE
    ) locked;
    DELETE FROM readings WHERE ride_id = ANY(ridden);
    DELETE FROM rides WHERE ride_id = ANY(ridden);
END $$
""",
}
MEANINGS = {
    "rides_of_person(bigint)": "All rides of a rider, those that are shown to nobody too.",
    "delete_rides_of_person(bigint)": "Delete them, and their readings.",
}


def upgrade() -> None:
    of_0027 = _revision("0027")
    set_policies(
        f"({of_0027.REAL['rides']}) AND ({_REAL_RIDER})",
        f"({of_0027.SIMULATED['rides']}) AND ({_NO_REAL_RIDER})",
    )
    for function, made in FUNCTIONS.items():
        op.execute(made)
        op.execute(f"COMMENT ON FUNCTION {function} IS '{MEANINGS[function]}'")
        op.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO api")
    # What analysts were told of such riders; of all others nothing.
    op.execute(
        "DELETE FROM star_rides USING rides WHERE rides.ride_id = star_rides.ride_id "  # noqa: S608
        f"AND rides.rider_id >= {FIRST_SANDBOX_RIDER_ID}"
    )
    op.execute(f"DELETE FROM star_riders WHERE rider_id >= {FIRST_SANDBOX_RIDER_ID}")  # noqa: S608


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    of_0027 = _revision("0027")
    set_policies(of_0027.REAL["rides"], of_0027.SIMULATED["rides"])


def set_policies(real: str, simulated: str) -> None:
    op.execute(f"ALTER POLICY all_but_the_canary ON rides USING ({real})")
    op.execute(f"ALTER POLICY sandbox ON rides USING ({simulated})")
    op.execute(f"ALTER POLICY sandbox_alone ON rides USING ({simulated})")


def _revision(number: str) -> Any:  # noqa: ANN401
    return context.script.get_revision(number).module
