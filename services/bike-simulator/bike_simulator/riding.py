"""CORE: what happens on the bike second by second: resistance, cadence, power, hands.

Every array has one row per second of the ride, the first being second 1.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from deloton.rules.power import FASTEST_CADENCE_RPM, HIGHEST_RESISTANCE, fitted_power_watts

Seconds = NDArray[np.int64]

SHORTEST_RIDE_S: Final = 179
LONGEST_RIDE_S: Final = 520
FULL_RIDE_SHARE: Final = 0.6  # of the rides reach the cap, which makes it the mode
MEAN_RIDE_S: Final = round(0.6 * LONGEST_RIDE_S + 0.4 * (SHORTEST_RIDE_S + LONGEST_RIDE_S) / 2)

REST_CHANCE: Final = 0.12
TRACK_CYCLIST_CHANCE: Final = 0.005

STEADY_RESISTANCE: Final = 30
# The programme: (first second, last second, lowest level, highest level).
SPRINTS: Final = ((121, 140, 154, 170), (321, 340, 154, 170))
RECOVERIES: Final = ((141, 142, 90, 101), (341, 342, 90, 101))

LONGEST_START_WITHOUT_HANDS_S: Final = 86
LONGEST_DROP_OUT_S: Final = 155
LARGEST_SHARE_WITHOUT_HANDS: Final = 0.77

# A broken power sensor measures as if the resistance were that much higher: pedalling steadily,
# some 8 to 18 W too much.
BROKEN_SENSOR_LEVELS: Final = 20
_NOISE_KERNEL: Final = 0.8 ** np.arange(12) * 0.6  # keeps a deviation of 1


def ride_seconds(rng: np.random.Generator) -> int:
    """How long a ride lasts: 179 to 520 s, mostly the cap."""
    if rng.random() < FULL_RIDE_SHARE:
        return LONGEST_RIDE_S
    return int(rng.integers(SHORTEST_RIDE_S, LONGEST_RIDE_S))


def resistance_levels(rng: np.random.Generator, seconds: int) -> Seconds:
    """The ride programme: 0 for up to 3 s, 30, and two sprints with a short way down."""
    levels = np.full(LONGEST_RIDE_S, STEADY_RESISTANCE, dtype=np.int64)
    levels[: rng.integers(0, 4)] = 0
    for first_s, last_s, lowest, highest in SPRINTS + RECOVERIES:
        levels[first_s - 1 : last_s] = rng.integers(lowest, highest + 1, last_s - first_s + 1)
    return levels[:seconds]


def is_sprint(seconds: int) -> NDArray[np.bool_]:
    """True in the seconds that belong to a sprint of the programme."""
    sprints = np.zeros(LONGEST_RIDE_S, dtype=np.bool_)
    for first_s, last_s, *_ in SPRINTS:
        sprints[first_s - 1 : last_s] = True
    return sprints[:seconds]


def cadences_rpm(rng: np.random.Generator, seconds: int, fitness: float) -> Seconds:
    """Cadence: gets going in a few seconds, wavers, sprints and tires; sometimes a rest."""
    elapsed_s = np.arange(seconds)
    steady_rpm = 58 + 26 * fitness + rng.normal(0, 5)
    cadence_rpm = steady_rpm + 4.0 * smooth_noise(rng, seconds)
    sprint_rpm = _sprint_rpm(rng, fitness)
    for first_s, last_s, *_ in SPRINTS:
        span = slice(first_s - 1, min(last_s, seconds))
        length_s = max(0, span.stop - span.start)
        cadence_rpm[span] += (sprint_rpm - steady_rpm) * np.linspace(1.0, 0.8, 20)[:length_s]
        cadence_rpm[last_s : last_s + 15] *= 0.85
    cadence_rpm *= np.clip(elapsed_s / rng.integers(2, 9), 0, 1)
    if rng.random() < REST_CHANCE:
        rest_s = int(rng.integers(20, seconds - 20))
        cadence_rpm[rest_s : rest_s + int(rng.integers(4, 25))] = 0
    return np.clip(np.rint(cadence_rpm), 0, FASTEST_CADENCE_RPM).astype(np.int64)


def power_watts(resistance: Seconds, cadence_rpm: Seconds) -> NDArray[np.float64]:
    """Power: a pure function of resistance and cadence, never below 0, 0 when at rest."""
    watts: NDArray[np.float64] = fitted_power_watts(resistance, cadence_rpm)
    return np.maximum(watts, 0.0)


def misread(resistance: Seconds) -> Seconds:
    """The resistance that the power of a broken sensor belongs to; never above the highest."""
    return np.minimum(resistance + BROKEN_SENSOR_LEVELS, HIGHEST_RESISTANCE)


def hands_on_bar(rng: np.random.Generator, seconds: int) -> NDArray[np.bool_]:
    """True where the bar can read a pulse: not at the start, not in drop-outs.

    About one second in six has no hands over many rides, at most 77 % within one.
    """
    held = np.ones(seconds, dtype=np.bool_)
    start_s = min(LONGEST_START_WITHOUT_HANDS_S, 1 + int(rng.exponential(24.0)))
    held[:start_s] = False
    for _ in range(rng.poisson(2.4 * seconds / LONGEST_RIDE_S)):
        lost_s = int(rng.integers(start_s + 2, seconds))
        # Mostly seconds, now and then minutes.
        length_s = min(LONGEST_DROP_OUT_S, 1 + int(rng.lognormal(2.9, 1.05)))
        tried = held.copy()
        tried[lost_s : lost_s + length_s] = False
        enough = tried.mean() >= 1 - LARGEST_SHARE_WITHOUT_HANDS
        if enough and _longest_gap_s(tried) <= LONGEST_DROP_OUT_S:
            held = tried
    return held


def smooth_noise(rng: np.random.Generator, seconds: int) -> NDArray[np.float64]:
    """Noise of deviation 1 whose neighbouring seconds resemble one another."""
    return np.convolve(rng.normal(size=seconds + _NOISE_KERNEL.size - 1), _NOISE_KERNEL, "valid")


def _sprint_rpm(rng: np.random.Generator, fitness: float) -> float:
    """Most riders sprint at 80 to 130; one in two hundred spins like a track cyclist."""
    if rng.random() < TRACK_CYCLIST_CHANCE:
        return float(rng.uniform(170, 225))
    return float(78 + 40 * fitness + rng.normal(0, 9))


def _longest_gap_s(held: NDArray[np.bool_]) -> int:
    """The longest run of seconds without hands, the start left out."""
    held_s = np.append(np.flatnonzero(held), held.size)
    return int(np.diff(held_s).max()) - 1
