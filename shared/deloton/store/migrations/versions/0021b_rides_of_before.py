"""The rides of before wait to be packed as well: noted some at a time, while bikes ride on."""

revision = "0021b"
down_revision = "0021"
branch_labels = None
depends_on = None

# Nobody packs yet who could take a note away again: so this comes to an end.
FILLED_BEFOREHAND = """
INSERT INTO rides_to_pack (ride_id, since)
SELECT ride_id, ended_at FROM rides
WHERE ended_at IS NOT NULL
AND NOT EXISTS (SELECT FROM rides_to_pack AS noted WHERE noted.ride_id = rides.ride_id)
AND NOT EXISTS (SELECT FROM ride_series AS packed WHERE packed.ride_id = rides.ride_id)
LIMIT 10000
ON CONFLICT (ride_id) DO NOTHING
"""


def upgrade() -> None:
    """All is done beforehand."""


def downgrade() -> None:
    """What waits, waits."""
