"""CORE: the real, the simulated and the canary: no rider of one rides a bike of another.

What is shown of a ride is decided by its bike, what is shown of a rider by the number: a ride of
both kinds would show one side's people to the other.
"""

from enum import StrEnum

from deloton.rules.canary import CANARY_BIKE, FIRST_CANARY_RIDER_ID
from deloton.rules.sandbox import SANDBOX_BIKES, is_sandbox_rider


class World(StrEnum):
    """Whose a bike or a rider is."""

    REAL = "real"
    SANDBOX = "sandbox"
    CANARY = "canary"


def world_of_bike(serial: str) -> World:
    """The world that a serial means."""
    if serial == CANARY_BIKE:
        return World.CANARY
    return World.SANDBOX if serial.startswith(SANDBOX_BIKES) else World.REAL


def world_of_rider(rider_id: int) -> World:
    """The world that a rider's number means."""
    if rider_id >= FIRST_CANARY_RIDER_ID:
        return World.CANARY
    return World.SANDBOX if is_sandbox_rider(rider_id) else World.REAL
