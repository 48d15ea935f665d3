"""CORE: who is simulated: bikes and riders that partners try their programs on before a contract.

They ride beside the real ones, through the same services, and no figure, page or report knows of
them, nor does any answer but those to sandbox keys: PostgreSQL keeps the two apart (migration
`sandbox`); what has the owner's rights has to leave them out by itself.
"""

from typing import Final

from deloton.rules.canary import FIRST_CANARY_RIDER_ID

# Their serials begin so.
SANDBOX_BIKES: Final = "SANDBOX"
# From here up to the canary's: nobody gives riders such numbers.
FIRST_SANDBOX_RIDER_ID: Final = 8_000_000_000_000_000_000


def is_sandbox_rider(rider_id: int) -> bool:
    """Whether a rider is simulated."""
    return FIRST_SANDBOX_RIDER_ID <= rider_id < FIRST_CANARY_RIDER_ID
