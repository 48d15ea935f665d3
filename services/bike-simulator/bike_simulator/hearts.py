"""CORE: a rider's heart, second by second, and what its sensor makes of it."""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bike_simulator.riding import SPRINTS, Seconds, is_sprint, smooth_noise

Condition = Literal["well", "racing", "faint"]

SLOWEST_BPM: Final = 55
HIGHEST_BPM: Final = 238  # even of a racing heart: more no sensor is believed
# A racing heart goes so far beyond what is expected that hardly any healthy one gets there: more
# than three standard errors (Nes 2013). One in three stays where few healthy ones do.
RACING_BEYOND_BPM: Final = (35, 43)
MILDLY_BEYOND_BPM: Final = (10, 20)
MILD_SHARE: Final = 1 / 3
# Hands are on the bar for so long before an episode: whom no sensor measures nobody can help.
HELD_BEFORE_S: Final = 40
SHORTEST_EPISODE_RIDE_S: Final = 300  # a ride with an episode must have room for it
RISE_BPM_PER_S: Final = 5.0

# How hard people ride, and which share of the own maximum they reach. Of a fleet's rides so few are
# all-out: most riders of the demo are on their first ones, when a limit knows nothing of them yet.
Hardness = Literal["usual", "hard", "all-out"]
PEAKS: Final[dict[Hardness, tuple[float, float]]] = {
    "usual": (0.85, 0.88),
    "hard": (0.88, 0.95),
    "all-out": (0.97, 1.0),
}
STEADIER: Final[dict[Hardness, float]] = {"usual": 0.0, "hard": 0.07, "all-out": 0.1}
HARD_SHARE: Final = 0.1
ALL_OUT_SHARE: Final = 0.015
ALL_OUT_S: Final = (40, 120)
NES_TO_AGE: Final = 40
STANDARD_ERROR_BPM: Final = 10.8

# Expected maximum by age: Fox 1971, Tanaka 2001, Nes 2013, Gulati 2010.
MAXIMUM_FORMULAS: Final = ((220.0, 1.0), (208.0, 0.7), (211.0, 0.64), (206.0, 0.88))


def maxima_bpm(age: int) -> tuple[float, float]:
    """The lowest and the highest of the usual expected maxima at `age`."""
    maxima = [base - slope * age for base, slope in MAXIMUM_FORMULAS]
    return min(maxima), max(maxima)


def own_maximum_bpm(age: int, heart_errors: float) -> float:
    """What a heart can do: so many standard errors (Nes 2013) from the mean of its age.

    The mean is that of Nes 2013 up to 40 years, and that of Tanaka 2001 above.
    """
    mean_bpm = 211 - 0.64 * age if age <= NES_TO_AGE else 208 - 0.7 * age
    return mean_bpm + heart_errors * STANDARD_ERROR_BPM


def heart_rates_bpm(
    rng: np.random.Generator,
    seconds: int,
    age: int,
    fitness: float,
    held: NDArray[np.bool_],
    heart_errors: float = 0.0,
) -> Seconds:
    """What the sensor shows of a healthy heart: 0 where no hands are on the bar.

    Most rides are usual ones; some are hard, and a few all-out, up to the own maximum.
    """
    maximum_bpm = own_maximum_bpm(age, heart_errors)
    hardness = hardness_of(rng)
    peak = float(rng.uniform(*PEAKS[hardness]))
    beats = maximum_bpm * np.minimum(peak, effort_of(rng, seconds, fitness, hardness, peak))
    beats += 1.2 * np.clip(smooth_noise(rng, seconds), -1.5, 1.5)
    beats += _settling_error_bpm(rng, held)
    beats = np.clip(np.rint(beats), SLOWEST_BPM, int(peak * maximum_bpm))
    return np.where(held, beats, 0).astype(np.int64)


def with_episodes(
    rng: np.random.Generator,
    shown_bpm: Seconds,
    age: int,
    condition: Condition,
    only_at_s: int | None = None,
) -> Seconds:
    """The same ride with one to three episodes of 20 to 60 s of a dangerous heart rate.

    A racing heart goes far beyond every usual expected maximum for the age, a faint one below
    50 bpm; both hold hands on the bar while it lasts and for a while before, and come and go within
    some 20 s. `only_at_s`: the second of the only one.
    """
    if condition == "well":
        return shown_bpm
    beats = shown_bpm.astype(np.float64)
    starts_s = _episode_starts_s(rng, len(shown_bpm)) if only_at_s is None else [only_at_s]
    for start_s in starts_s:
        level_bpm = _episode_level_bpm(rng, age, condition, may_be_mild=only_at_s is None)
        _overlay_episode(rng, beats, start_s, level_bpm)
    return np.clip(np.rint(beats), 0, HIGHEST_BPM).astype(np.int64)


def hardness_of(rng: np.random.Generator) -> Hardness:
    """How hard a ride is: drawn by the shares above."""
    drawn = rng.random()
    if drawn < ALL_OUT_SHARE:
        return "all-out"
    return "hard" if drawn < ALL_OUT_SHARE + HARD_SHARE else "usual"


def effort_of(
    rng: np.random.Generator, seconds: int, fitness: float, hardness: Hardness, peak: float
) -> NDArray[np.float64]:
    """The share of the maximum at which the heart beats: lags behind what the legs do."""
    steady = 0.72 - 0.10 * fitness + rng.normal(0, 0.025) + STEADIER[hardness]
    sprint = min(peak, steady + rng.uniform(0.13, 0.19))
    wanted = np.where(is_sprint(seconds), sprint + 0.1, steady)
    if hardness == "all-out":
        # It begins with a sprint, and is kept up.
        from_s = SPRINTS[-1][0] if seconds >= SPRINTS[-1][0] + 60 else SPRINTS[0][0]
        wanted[from_s : from_s + int(rng.integers(*ALL_OUT_S))] = peak + 0.03
    wanted += 0.03 * np.arange(seconds) / 520  # the drift of a body warming up
    rising, falling = 1 / rng.uniform(12, 22), 1 / rng.uniform(25, 45)
    effort = rng.uniform(0.48, 0.60)
    efforts = []
    for target in wanted.tolist():
        effort += (target - effort) * (rising if target > effort else falling)
        efforts.append(effort)
    return np.array(efforts)


def _settling_error_bpm(rng: np.random.Generator, held: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The sensor's error in the first seconds after hands return; then it jumps to the truth."""
    error_bpm = np.zeros(held.size)
    for back_s in np.flatnonzero(held[1:] & ~held[:-1]) + 1:
        error_bpm[back_s : back_s + rng.integers(1, 5)] = rng.uniform(-14, 14)
    return error_bpm


def _episode_starts_s(rng: np.random.Generator, seconds: int) -> list[int]:
    """Episodes at least 120 s apart, each with room to rise and fall before the ride ends."""
    first_s = int(rng.integers(45, 120))
    return list(range(first_s, seconds - 110, int(rng.integers(130, 200))))[:3]


def _episode_level_bpm(
    rng: np.random.Generator, age: int, condition: Condition, *, may_be_mild: bool
) -> float:
    if condition == "faint":
        return float(rng.uniform(38, 46))
    is_mild = may_be_mild and rng.random() < MILD_SHARE
    beyond_bpm = MILDLY_BEYOND_BPM if is_mild else RACING_BEYOND_BPM
    return min(HIGHEST_BPM, maxima_bpm(age)[1] + float(rng.uniform(*beyond_bpm)))


def _overlay_episode(
    rng: np.random.Generator, beats: NDArray[np.float64], start_s: int, level_bpm: float
) -> None:
    """Write the way there, 20 to 60 s at the level, and the way back into `beats`."""
    before = beats[:start_s][beats[:start_s] > 0]
    usual_bpm = float(before[-1]) if before.size else 100.0
    since_s = max(0, start_s - HELD_BEFORE_S)
    away = np.flatnonzero(beats[since_s:start_s] == 0) + since_s
    beats[away] = usual_bpm + np.arange(away.size) % 2
    there = _way(usual_bpm, level_bpm)
    stay = np.full(int(rng.integers(20, 61)), level_bpm)
    # The heart comes back to what the legs ask for by then.
    after = beats[start_s + 2 * there.size + stay.size :]
    after = after[after > 0]
    back = _way(level_bpm, float(after[0]) if after.size else usual_bpm)
    shape = np.concatenate([there, stay, back])
    shape += np.clip(rng.normal(0, 0.8, shape.size), -1.5, 1.5)
    beats[start_s : start_s + shape.size] = shape[: beats.size - start_s]


def _way(from_bpm: float, to_bpm: float) -> NDArray[np.float64]:
    """From one rate to another as fast as a heart in trouble changes."""
    ramp_s = int(abs(to_bpm - from_bpm) / RISE_BPM_PER_S) + 1
    return np.linspace(from_bpm, to_bpm, ramp_s + 1)[1:]
