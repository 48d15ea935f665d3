"""CORE: a fleet of simulated bikes: the outside world for demo, tests and benchmarks.

It deliberately shares no code with the services that read its lines, so that a parser tested
against it is tested against an independent spelling of the feed.
"""

from bike_simulator.faults import FAULT_PRESETS, FaultRates
from bike_simulator.fleet import FleetPlan, Message, simulate, simulate_windows

__all__ = [
    "FAULT_PRESETS",
    "FaultRates",
    "FleetPlan",
    "Message",
    "simulate",
    "simulate_windows",
]
