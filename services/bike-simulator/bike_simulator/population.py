"""CORE: many riders whose hearts differ as people's do, their sensors' faults, and real dangers.

A population to measure rules of alerts against. Each row of its arrays is one ride, each column one
second. Nobody is clipped to what a formula expects: a rider's true maximum is drawn around it.

What is published is named where it stands; how long a fault of a sensor lasts nobody has counted,
so those lengths are ours, and wide.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bike_simulator.riding import LONGEST_RIDE_S, REST_CHANCE, SPRINTS, hands_on_bar

Floats = NDArray[np.float32]
Ints = NDArray[np.int16]
Bools = NDArray[np.bool_]

SECONDS: Final = LONGEST_RIDE_S

# Half of the riders follow each formula (base, slope by age, standard error or deviation in bpm):
# Nes et al. 2013, 3,320 healthy adults; Tanaka et al. 2001, 18,712 subjects.
MAXIMA: Final = ((211.0, 0.64, 10.8), (208.0, 0.7, 10.0))
YOUNGEST, USUAL_AGE, OLDEST = 25, 38, 79

# By effort: the share of the own maximum that is kept up, and that of the hardest minute.
EFFORTS: Final = {
    "easy": ((0.52, 0.66), (0.60, 0.76)),
    "moderate": ((0.64, 0.76), (0.72, 0.86)),
    "hard": ((0.76, 0.87), (0.86, 0.95)),
    "all-out": ((0.84, 0.93), (0.97, 1.00)),
}
EFFORT_NAMES: Final = tuple(EFFORTS)
# How often people of three habits ride at each effort, and how many people have the habit.
HABITS: Final = np.array(
    [[0.60, 0.30, 0.09, 0.01], [0.30, 0.35, 0.20, 0.15], [0.10, 0.25, 0.35, 0.30]]
)
HABIT_SHARES: Final = np.array([0.35, 0.40, 0.25])
FIRST_RIDES_SHARE: Final = 0.2
MOST_EARLIER_RIDES: Final = 20
# The hardest part of an all-out ride lasts; others' is the programme's sprint.
ALL_OUT_BLOCKS_S: Final = (40, 120)

ARTEFACTS: Final = (
    "hands off and on",  # the first seconds after a grip show anything
    "dip",
    "spike",
    "doubled",  # each beat counted twice
    "halved",  # every other beat missed
    "cadence lock",  # the pedals' rhythm taken for the heart's
    "frozen",  # the last value stays, right or wrong
    "255",  # a byte's way to say "no value"
)
DANGERS: Final = ("climb", "jump", "slow")
LONGEST_SETTLING_S: Final = 4
# Usual and longest, in seconds: a glitch, beats miscounted, and what lasts.
LENGTHS_S: Final = {
    "dip": (3, 12),
    "spike": (3, 12),
    "255": (3, 12),
    "doubled": (8, 40),
    "halved": (8, 40),
}
LONG_S: Final = (30, 240)
# Faults that pass begin in different parts of a ride.
SLOTS: Final = 4
SLOT_S: Final = SECONDS // SLOTS
HIGHEST_BPM: Final = 250
# Bradycardia: 2018 ACC/AHA/HRS guideline.
SLOW_BPM: Final = 50


@dataclass(frozen=True)
class Rides:
    """Rides of one kind: a row a ride, a column a second.

    `heart_rate_bpm` is 0 where no hands are on the bar. `proven_bpm` is the highest heart rate that
    was held for 15 s in one of the `earlier_rides`, 0 without any. `began_s` is the second at which
    the danger begins, -1 without one.
    """

    kind: str
    effort: NDArray[np.int8]
    age: Ints
    maximum_bpm: Floats
    earlier_rides: Ints
    proven_bpm: Floats
    heart_rate_bpm: Ints
    cadence_rpm: Ints
    began_s: Ints

    def __len__(self) -> int:
        return len(self.age)


def healthy_rides(rng: np.random.Generator, count: int, effort: str) -> Rides:
    """Rides of healthy people at one effort, by a sensor that errs after each grip alone."""
    place = EFFORT_NAMES.index(effort)
    return _rides(rng, effort, np.full(count, place, dtype=np.int8))


def rides_with_artefacts(rng: np.random.Generator, count: int, artefact: str) -> Rides:
    """Healthy rides, easy to hard, whose sensor has one kind of fault up to four times."""
    rides = _rides(rng, artefact, rng.choice(3, count, p=(0.4, 0.35, 0.25)).astype(np.int8))
    for row in range(count):
        for slot in rng.choice(SLOTS, int(rng.integers(1, SLOTS + 1)), replace=False):
            at = int(slot * SLOT_S + rng.integers(5, SLOT_S - 45))
            _spoil(rng, artefact, at, rides.heart_rate_bpm[row], rides.cadence_rpm[row])
    return rides


def dangerous_rides(rng: np.random.Generator, count: int, danger: str) -> Rides:
    """Rides at any effort with one episode of 60 to 180 s, during which hands stay on the bar.

    `climb`: passes the own maximum, rising 1.5 to 5 bpm a second, to 15 to 45 bpm beyond it; begins
    with the first second beyond. `jump`: within two seconds to 160 to 215 bpm, at least 35 more
    than before; supraventricular tachycardias mostly beat 150 to 220 a minute (Link 2012). `slow`:
    falls below 50 bpm, to 32 to 46, while pedalling on.
    """
    rides = _rides(rng, danger, rng.choice(4, count, p=(0.3, 0.3, 0.2, 0.2)).astype(np.int8))
    for row in range(count):
        rides.began_s[row] = _endanger(rng, danger, rides, row)
    return rides


def expected_maximum_bpm(rng: np.random.Generator, age: Ints) -> Floats:
    """A true maximum for each age, drawn around one of the published means."""
    formulas = np.array(MAXIMA)[rng.integers(0, len(MAXIMA), age.size)]
    drawn = formulas[:, 0] - formulas[:, 1] * age + formulas[:, 2] * rng.normal(size=age.size)
    return np.clip(drawn, 105, 230).astype(np.float32)


def _rides(rng: np.random.Generator, kind: str, effort: NDArray[np.int8]) -> Rides:
    count = effort.size
    age = np.rint(rng.triangular(YOUNGEST, USUAL_AGE, OLDEST, count)).astype(np.int16)
    maximum_bpm = expected_maximum_bpm(rng, age)
    earlier, proven_share = _history(rng, effort)
    held = np.array([hands_on_bar(rng, SECONDS) for _ in range(count)])
    beats = maximum_bpm[:, None] * np.minimum(_shares(rng, effort), 1.0)
    beats += 1.2 * np.clip(_smooth_noise(rng, count), -2, 2)
    beats += _settling_errors(rng, held)
    return Rides(
        kind,
        effort,
        age,
        maximum_bpm,
        earlier,
        (proven_share * maximum_bpm).astype(np.float32),
        np.where(held, np.rint(beats), 0).astype(np.int16),
        _cadences(rng, effort),
        np.full(count, -1, dtype=np.int16),
    )


def _history(rng: np.random.Generator, effort: NDArray[np.int8]) -> tuple[Ints, Floats]:
    """How often each rider rode before, and the highest share of the maximum held for 15 s.

    Who rides at this effort today has the habit of it more often than others.
    """
    weights = HABIT_SHARES[:, None] * HABITS
    weights = (weights / weights.sum(axis=0))[:, effort].T
    habit = (rng.random((effort.size, 1)) > weights.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    earlier = rng.integers(1, MOST_EARLIER_RIDES + 1, effort.size).astype(np.int16)
    earlier[rng.random(effort.size) < FIRST_RIDES_SHARE] = 0
    best = np.zeros(effort.size, dtype=np.float32)
    chances = HABITS[habit].cumsum(axis=1)
    hardest = np.array([peak for _, peak in EFFORTS.values()])
    for ride in range(MOST_EARLIER_RIDES):
        then = (rng.random((effort.size, 1)) > chances).sum(axis=1).clip(0, 3)
        share = rng.uniform(hardest[then, 0], hardest[then, 1]) - 0.015
        best = np.where(ride < earlier, np.maximum(best, share), best)
    return earlier, best


def _shares(rng: np.random.Generator, effort: NDArray[np.int8]) -> Floats:
    """The share of the maximum at which each heart beats: it lags behind what the legs do."""
    bounds = np.array(list(EFFORTS.values()))[effort]
    steady = rng.uniform(bounds[:, 0, 0], bounds[:, 0, 1])
    peak = np.maximum(steady, rng.uniform(bounds[:, 1, 0], bounds[:, 1, 1]))
    wanted = np.repeat(steady[:, None], SECONDS, axis=1)
    second = np.arange(SECONDS)
    for first_s, last_s, *_ in SPRINTS:
        lasts = np.full(effort.size, last_s - first_s + 1)
        all_out = effort == EFFORT_NAMES.index("all-out")
        lasts[all_out] = rng.integers(*ALL_OUT_BLOCKS_S, int(all_out.sum()))
        within = (second >= first_s) & (second < first_s + lasts[:, None])
        # A sprint is over before the heart is there: it heads for more than it reaches.
        ahead = np.where(all_out, peak, np.minimum(peak + 0.45 * (peak - steady), 1.05))
        wanted = np.where(within, ahead[:, None], wanted)
    rising = 1 / rng.uniform(12, 22, effort.size)
    falling = 1 / rng.uniform(25, 45, effort.size)
    shares = np.empty((effort.size, SECONDS), dtype=np.float32)
    now = rng.uniform(0.42, 0.55, effort.size)
    for at in range(SECONDS):
        way = wanted[:, at] - now
        now = now + way * np.where(way > 0, rising, falling)
        now = np.minimum(now, np.maximum(peak, steady))
        shares[:, at] = now
    return shares


def _smooth_noise(rng: np.random.Generator, count: int) -> Floats:
    noise = rng.normal(size=(count, SECONDS)).astype(np.float32)
    for at in range(1, SECONDS):
        noise[:, at] = 0.8 * noise[:, at - 1] + 0.6 * noise[:, at]
    return noise


def _settling_errors(rng: np.random.Generator, held: Bools) -> Floats:
    """The sensor's error in the first seconds of each grip, up to 14 bpm."""
    errors = np.zeros(held.shape, dtype=np.float32)
    taken = held.copy()
    taken[:, 1:] &= ~held[:, :-1]
    for row, at in zip(*np.nonzero(taken), strict=True):
        errors[row, at : at + rng.integers(1, LONGEST_SETTLING_S + 1)] = rng.uniform(-14, 14)
    return errors


def _cadences(rng: np.random.Generator, effort: NDArray[np.int8]) -> Ints:
    """Pedalling: faster the harder the effort, wavering, faster in sprints, sometimes at rest."""
    steady = 58 + 9 * effort + rng.normal(0, 8, effort.size)
    waver = rng.uniform(0.5, 4.0, effort.size)
    cadence = steady[:, None] + waver[:, None] * _smooth_noise(rng, effort.size)
    for first_s, last_s, *_ in SPRINTS:
        cadence[:, first_s:last_s] += rng.uniform(15, 35, (effort.size, 1))
    cadence[:, :5] *= np.linspace(0, 1, 5)
    for row in np.flatnonzero(rng.random(effort.size) < REST_CHANCE):
        rest_s = int(rng.integers(20, SECONDS - 40))
        cadence[row, rest_s : rest_s + int(rng.integers(4, 25))] = 0
    return np.rint(np.clip(cadence, 0, 219)).astype(np.int16)


def _length_s(rng: np.random.Generator, usual_s: float, longest_s: int) -> int:
    """Mostly short, now and then long."""
    return int(np.clip(rng.lognormal(np.log(usual_s), 0.8), 1, longest_s))


def _spoil(rng: np.random.Generator, artefact: str, at: int, beats: Ints, cadence: Ints) -> None:
    """Write one fault into what a ride's sensor shows, wherever hands are on the bar."""
    span = slice(at, at + _length_s(rng, *LENGTHS_S.get(artefact, LONG_S)))
    now = beats[span]
    match artefact:
        case "hands off and on":
            span = slice(at, at + int(rng.integers(2, 30)))
            beats[span] = 0
            back = slice(span.stop, span.stop + int(rng.integers(1, LONGEST_SETTLING_S + 1)))
            shown = np.rint(rng.uniform(35, 210) + np.arange(4) * rng.uniform(-3, 3))
            beats[back] = shown[: beats[back].size]
            return
        case "dip":
            shown = rng.uniform(30, 60) + rng.normal(0, 1.5, now.size)
        case "spike":
            shown = rng.uniform(170, 235) + rng.normal(0, 1.5, now.size)
        case "doubled":
            shown = np.minimum(2 * now.astype(float), HIGHEST_BPM)
        case "halved":
            shown = now / 2
        case "cadence lock":
            shown = cadence[span] + rng.integers(-1, 2, now.size)
        case "frozen":
            right = now[now > 0][:1]
            value = rng.uniform(40, 220) if rng.integers(2) or not right.size else right[0]
            shown = np.full(now.size, value)
        case _:
            shown = np.full(now.size, 255)
    beats[span] = np.where(now > 0, np.rint(np.maximum(shown, 0)), 0)


def _endanger(rng: np.random.Generator, danger: str, rides: Rides, row: int) -> int:
    """Write an episode into a ride; return the second at which the danger begins."""
    beats, maximum = rides.heart_rate_bpm[row], float(rides.maximum_bpm[row])
    at, lasts = int(rng.integers(100, 300)), int(rng.integers(60, 181))
    before = beats[:at][beats[:at] > 0]
    usual = float(np.median(before[-10:])) if before.size else 0.6 * maximum
    per_s, least = {"climb": (rng.uniform(1.5, 5.0), 0.0), "jump": (60.0, 35.0)}.get(
        danger, (rng.uniform(2.0, 6.0), 0.0)
    )
    level = {
        "climb": maximum + rng.uniform(15, 45),
        "jump": max(usual + least, rng.uniform(160, 215)),
        "slow": rng.uniform(32, 46),
    }[danger]
    level = min(level, 238.0)
    steps = max(1, int(np.ceil(abs(level - usual) / per_s)))
    way = np.linspace(usual, level, steps + 1)[1:]
    shape = np.concatenate([way, np.full(lasts, level)])
    shape = shape + np.clip(rng.normal(0, 1.0, shape.size), -3, 3)
    stop = min(SECONDS, at + shape.size)
    # Held from a while before: what no sensor measures nobody finds.
    unheld = np.flatnonzero(beats[at - 40 : at] == 0) + at - 40
    beats[unheld] = np.rint(usual + rng.normal(0, 1, unheld.size))
    beats[at:stop] = np.rint(shape[: stop - at])
    if danger == "slow":
        cadence = rides.cadence_rpm[row]
        cadence[at - 20 : stop] = np.maximum(cadence[at - 20 : stop], 55)
    passed = {"climb": way > maximum, "jump": way > usual, "slow": way < SLOW_BPM}[danger]
    return at + int(np.argmax(passed))
