"""CORE: one ride as a compact list of messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bike_simulator import log_lines
from bike_simulator.faults import odd_payload
from bike_simulator.hearts import Condition, heart_rates_bpm, with_episodes
from bike_simulator.riders import Rider, user_payload
from bike_simulator.riding import cadences_rpm, hands_on_bar, misread, resistance_levels

OPENING_LINES: Final = 4
STEP_US: Final = 500_000


@dataclass(frozen=True, slots=True)
class RideOrder:
    """All that decides a ride: equal orders give equal bytes.

    `start_us` is when the first marker goes out, in microseconds since the epoch; `random_key`
    names the ride's own random streams; `firmware` is a place in the fleet's `firmwares`;
    `episode_at_s` is the second of the only episode, where it is not left to chance.
    """

    rider: Rider
    bike_serial: str
    seconds: int
    start_us: int
    random_key: tuple[int, ...]
    firmware: int = 0
    condition: Condition = "well"
    episode_at_s: int | None = None
    power_sensor_broken: bool = False


@dataclass(frozen=True, slots=True)
class RideMessages:
    """One row per message, sorted by time: when (µs after the ride's start), head, tail.

    A row of head 0 has its bytes in `own_texts`, at the place that its tail says.
    """

    offsets_us: NDArray[np.int32]
    heads: NDArray[np.uint16]
    tails: NDArray[np.uint16]
    own_texts: Sequence[bytes]


def perform(order: RideOrder, firmwares: Sequence[str], odd_rider: float = 0.0) -> RideMessages:
    """The 2n + 4 messages of a ride; `odd_rider` is the chance of odd data on its [SYSTEM] line."""
    rng = np.random.default_rng([*order.random_key, 1])
    seconds, rider = order.seconds, order.rider
    day = datetime.fromtimestamp(order.start_us / 1e6, UTC).date()
    at_us = offsets_us(rng, OPENING_LINES + 2 * seconds)
    resistance = resistance_levels(rng, seconds)
    cadence = cadences_rpm(rng, seconds, rider.fitness)
    held = hands_on_bar(rng, seconds)
    age = rider.age_on(day)
    beats = heart_rates_bpm(rng, seconds, age, rider.fitness, held, rider.heart_errors)
    beats = with_episodes(rng, beats, age, order.condition, order.episode_at_s)

    heads = np.zeros(at_us.size, dtype=np.uint16)
    tails = np.zeros(at_us.size, dtype=np.uint16)
    heads[OPENING_LINES::2] = log_lines.ride_heads(seconds)
    tails[OPENING_LINES::2] = log_lines.ride_tails(resistance)
    heads[OPENING_LINES + 1 :: 2] = log_lines.telemetry_heads(beats)
    measured = misread(resistance) if order.power_sensor_broken else resistance
    tails[OPENING_LINES + 1 :: 2] = log_lines.telemetry_tails(measured, cadence)
    heads[OPENING_LINES:] += np.uint16(order.firmware * log_lines.HEADS_PER_FIRMWARE)
    tails[:OPENING_LINES] = range(OPENING_LINES)

    payload = user_payload(rider, order.bike_serial, day)
    if odd_rider:
        odd_rng = np.random.default_rng([*order.random_key, 2])
        payload = odd_payload(payload, odd_rng) if odd_rng.random() < odd_rider else payload
    asked_us, answered_us = (order.start_us + int(at_us[place]) for place in (2, 3))
    opening = _opening(asked_us, answered_us, firmwares[order.firmware], payload)
    return RideMessages(at_us, heads, tails, opening)


def offsets_us(rng: np.random.Generator, messages: int) -> NDArray[np.int32]:
    """One message each half second, each some 10 to 40 µs late on top of the one before."""
    steps = STEP_US + rng.integers(10, 40, messages, dtype=np.int32)
    steps[0] = 0
    return np.cumsum(steps, dtype=np.int32)


def _opening(
    asked_us: int, answered_us: int, firmware: str, payload: dict[str, Any]
) -> list[bytes]:
    lines = (
        log_lines.BEGINNING_OF_MAIN,
        log_lines.BEGINNING_OF_RIDE,
        log_lines.asking_line(asked_us, firmware),
        log_lines.rider_line(answered_us, firmware, payload),
    )
    return [log_lines.envelope(line) for line in lines]
