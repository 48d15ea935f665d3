"""CORE: whose a bike or a rider is: real, of the sandbox, or the canary's.

What is simulated goes through the same services as what is real; who counts tells them apart by
this, so that alarms hear of real riders alone. None rides a bike of another kind: what is shown of
a ride is decided by its bike, what is shown of a rider by the number.
"""

from enum import StrEnum

from deloton.rules.canary import CANARY_BIKE, FIRST_CANARY_RIDER_ID
from deloton.rules.sandbox import SANDBOX_BIKES, is_sandbox_rider


class Whose(StrEnum):
    """The label `whose` of metrics."""

    RIDER = "rider"
    SANDBOX = "sandbox"
    CANARY = "canary"


def whose_bike(serial: str | None) -> Whose:
    """Whose a bike is, by its serial, as PostgreSQL tells them apart; one not known is real."""
    if serial is None:
        return Whose.RIDER
    if serial == CANARY_BIKE:
        return Whose.CANARY
    return Whose.SANDBOX if serial.startswith(SANDBOX_BIKES) else Whose.RIDER


def whose_rider(rider_id: int) -> Whose:
    """Whose a rider is, by number."""
    if rider_id >= FIRST_CANARY_RIDER_ID:
        return Whose.CANARY
    return Whose.SANDBOX if is_sandbox_rider(rider_id) else Whose.RIDER
