"""CORE: heart rates: what to expect at a given age, a rider's limits, the training zones."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct, structs

from deloton.rules.calendar import PLAUSIBLE_AGES

NES_TO_AGE: Final = 40
# Formulas of adults; for children and adolescents that of Tanaka fits best (Carli et al. 2023: a
# meta-analysis of 11 studies).
ADULT_FROM: Final = 18


class MaximumPolicy(StrEnum):
    """Ours and the published formulas for the heart rate that a person can be expected to reach.

    Ours is that of Nes to the age of 40, and above that of Tanaka, fitted on more older adults.
    Below 18 each is that of Tanaka.
    """

    DELOTON = "deloton"
    NES = "nes"
    TANAKA = "tanaka"
    GULATI = "gulati"
    FOX = "fox"


def _nes(age: float) -> float:
    """Nes et al. 2013 (HUNT Fitness Study, 3,320 adults): standard error 10.8 bpm."""
    return 211 - 0.64 * age


def _tanaka(age: float) -> float:
    """Tanaka, Monahan and Seals 2001: meta-analysis of 351 studies, 18,712 subjects."""
    return 208 - 0.7 * age


def _gulati(age: float) -> float:
    """Gulati et al. 2010: 5,437 asymptomatic women."""
    return 206 - 0.88 * age


def _fox(age: float) -> float:
    """Fox, Naughton and Haskell 1971: the rule of thumb; kept for comparison."""
    return 220 - age


_FORMULAS: Final[dict[MaximumPolicy, Callable[[float], float]]] = {
    MaximumPolicy.NES: _nes,
    MaximumPolicy.TANAKA: _tanaka,
    MaximumPolicy.GULATI: _gulati,
    MaximumPolicy.FOX: _fox,
}


# The same as riders read them.
FORMULA_WORDS: Final[dict[MaximumPolicy, str]] = {
    MaximumPolicy.NES: "211 − 0.64 × age, Nes et al. 2013",
    MaximumPolicy.TANAKA: "208 − 0.7 × age, Tanaka et al. 2001",
    MaximumPolicy.GULATI: "206 − 0.88 × age, Gulati et al. 2010",
    MaximumPolicy.FOX: "220 − age, Fox et al. 1971",
}


def _formula_at(policy: MaximumPolicy, age: float) -> MaximumPolicy:
    """The published formula that a policy reckons with at an age."""
    if age < ADULT_FROM:
        return MaximumPolicy.TANAKA
    if policy is MaximumPolicy.DELOTON:
        return MaximumPolicy.NES if age <= NES_TO_AGE else MaximumPolicy.TANAKA
    return policy


class AlertLevel(StrEnum):
    """How a heart rate is abnormal; `CRITICAL` includes `HIGH`."""

    LOW = "low"
    HIGH = "high"
    CRITICAL = "critical"


class LimitPolicy(Struct, frozen=True):
    """Where the limits of riders without own ones lie; `docs/alerts.md` tells why, and measures it.

    A formula tells the mean of many maxima; single ones lie around it with a standard error of
    10.8 bpm (Nes et al. 2013). High and critical are the expected maximum and so many such errors.
    Low is bradycardia by the 2018 ACC/AHA/HRS guideline: below 50 bpm. A rider of unknown age is
    held to be `default_age` years old: near the middle of our riders, and at the knee of our own
    formula.
    """

    maximum: MaximumPolicy = MaximumPolicy.DELOTON
    high_errors: float = 0.5
    critical_errors: float = 2.75
    low_bpm: float = 50.0
    default_age: int = 40


STANDARD_ERROR_BPM: Final = 10.8


class Proof(Struct, frozen=True):
    """What a rider's heart has shown that it can do: the highest rate held in earlier rides."""

    bpm: int
    rides: int


class ProofRule(Struct, frozen=True):
    """How a level's limit follows what was proven: so much above it, within bounds.

    The bounds are standard errors above the expected maximum. `lowest_errors` counts from
    `ENOUGH_RIDES` on: whoever rode less may never have ridden hard. None: a proof lowers nothing.
    """

    above_bpm: int
    highest_errors: float
    lowest_errors: float | None = None


ENOUGH_RIDES: Final = 3
PROOF_RULES: Final = {
    AlertLevel.HIGH: ProofRule(15, highest_errors=3.0, lowest_errors=-0.5),
    AlertLevel.CRITICAL: ProofRule(20, highest_errors=3.5),
}

# A heart that jumps by so much within seconds, and stays there, is told of sooner: as critical from
# the limit high on, as high from this share of the expected maximum.
SUDDEN_RISE_BPM: Final = 30
SUDDEN_SHARE: Final = 0.8


class OwnLimits(Struct, frozen=True):
    """A rider's own limits, agreed with a doctor; None is the policy's."""

    low_bpm: int | None = None
    high_bpm: int | None = None
    critical_bpm: int | None = None
    alerts_on: bool = True


class Limit(Struct, frozen=True):
    """One limit of a rider, and where it comes from in words that a rider can read.

    `sudden_bpm` is the limit of a heart that has just jumped; None: the same.
    """

    level: AlertLevel
    bpm: float
    rule: str
    sudden_bpm: float | None = None

    def is_passed_by(self, heart_rate_bpm: float) -> bool:
        """Low is passed below the limit, the others at it."""
        if self.level is AlertLevel.LOW:
            return heart_rate_bpm < self.bpm
        return heart_rate_bpm >= self.bpm

    def after_a_jump(self) -> "Limit":
        """The limit that a heart has passed which has just jumped."""
        if self.sudden_bpm is None:
            return self
        return Limit(self.level, self.sudden_bpm, SUDDEN)


OWN_LIMIT: Final = "your own limit"
SUDDEN: Final = (
    f"where a heart rate that jumps by {SUDDEN_RISE_BPM} bpm or more within seconds, and stays "
    "there, begins to count"
)
LOW_RULE: Final = "the same for every rider; below 50 bpm is bradycardia (ACC/AHA/HRS 2018)"


def limits_of(
    age: int | None,
    policy: LimitPolicy,
    own: OwnLimits | None = None,
    proof: Proof | None = None,
) -> tuple[Limit, Limit, Limit]:
    """The limits low, high and critical of a rider in whole bpm, whether or not alerts are on.

    Where an own limit crosses one of the policy's, the policy's gives way.
    """
    own = own or OwnLimits()
    low = Limit(AlertLevel.LOW, policy.low_bpm, LOW_RULE)
    high, critical, sudden_bpm = _by_age_and_proof(age, policy, proof)
    if own.low_bpm is not None:
        low = Limit(AlertLevel.LOW, own.low_bpm, OWN_LIMIT)
    if own.high_bpm is not None:
        high = Limit(AlertLevel.HIGH, own.high_bpm, OWN_LIMIT)
        critical = max(critical, Limit(AlertLevel.CRITICAL, own.high_bpm, OWN_LIMIT), key=_bpm)
    if own.critical_bpm is not None:
        critical = Limit(AlertLevel.CRITICAL, own.critical_bpm, OWN_LIMIT)
        high = min(high, Limit(AlertLevel.HIGH, own.critical_bpm, OWN_LIMIT), key=_bpm)
    # A doctor's limits are all there is to know.
    if own.critical_bpm is None:
        critical = structs.replace(critical, sudden_bpm=high.bpm)
    if own.high_bpm is None:
        high = structs.replace(high, sudden_bpm=min(sudden_bpm, high.bpm))
    return low, high, critical


def _by_age_and_proof(
    age: int | None, policy: LimitPolicy, proof: Proof | None
) -> tuple[Limit, Limit, int]:
    """The limits high and critical, and from where on a jump counts."""
    known = age is not None and age in PLAUSIBLE_AGES
    years = age if known and age is not None else policy.default_age
    formula = _formula_at(policy.maximum, years)
    maximum_bpm = _FORMULAS[formula](years)
    whose = f"at the age of {years}" if known else f"at {years}, as your age is not known"
    expected = f"the {maximum_bpm:.0f} bpm expected {whose} ({FORMULA_WORDS[formula]})"
    high = _limit(AlertLevel.HIGH, policy.high_errors, maximum_bpm, expected, proof)
    critical = _limit(AlertLevel.CRITICAL, policy.critical_errors, maximum_bpm, expected, proof)
    return high, critical, round(SUDDEN_SHARE * maximum_bpm)


def _limit(
    level: AlertLevel, errors: float, maximum_bpm: float, expected: str, proof: Proof | None
) -> Limit:
    """The expected maximum and so many errors, or what follows from a proof."""
    rule = PROOF_RULES[level]
    bpm = round(maximum_bpm + errors * STANDARD_ERROR_BPM)
    if proof is None:
        return Limit(level, bpm, _beside(expected, bpm, maximum_bpm))
    lowest_errors = errors
    if rule.lowest_errors is not None and proof.rides >= ENOUGH_RIDES:
        lowest_errors = min(errors, rule.lowest_errors)
    lowest = round(maximum_bpm + lowest_errors * STANDARD_ERROR_BPM)
    highest = round(maximum_bpm + max(errors, rule.highest_errors) * STANDARD_ERROR_BPM)
    proven = proof.bpm + rule.above_bpm
    if lowest < proven < highest:
        held = f"the {proof.bpm} bpm that your heart held in an earlier ride"
        return Limit(level, proven, f"{rule.above_bpm} bpm more than {held}")
    bpm = lowest if proven <= lowest else highest
    return Limit(level, bpm, _beside(expected, bpm, maximum_bpm))


def _beside(expected: str, bpm: int, maximum_bpm: float) -> str:
    """How far a limit lies from what is expected, in words."""
    apart = bpm - round(maximum_bpm)
    if apart == 0:
        return expected
    return f"{abs(apart)} bpm {'more' if apart > 0 else 'less'} than {expected}"


def _bpm(limit: Limit) -> float:
    return limit.bpm


class Zone(Struct, frozen=True):
    """A training zone: from `lower` (included) to `upper` (not) as shares of the maximum."""

    number: int
    name: str
    lower: float
    upper: float


# Edwards 1993, The Heart Rate Monitor Book: bands of ten percent; below 60 % counts as zone 1.
ZONES: tuple[Zone, ...] = (
    Zone(1, "very light", 0.0, 0.6),
    Zone(2, "light", 0.6, 0.7),
    Zone(3, "moderate", 0.7, 0.8),
    Zone(4, "hard", 0.8, 0.9),
    Zone(5, "maximum", 0.9, float("inf")),
)


def expected_maximum_bpm(age: float, policy: MaximumPolicy = MaximumPolicy.DELOTON) -> float:
    """The heart rate in bpm that a healthy person of that age (years) can be expected to reach."""
    return _FORMULAS[_formula_at(policy, age)](age)


def zone_of(heart_rate_bpm: float, maximum_bpm: float) -> Zone:
    """The training zone in which a heart rate lies."""
    share = heart_rate_bpm / maximum_bpm
    return next(zone for zone in ZONES if share < zone.upper)


def time_in_zones(
    seconds_by_heart_rate: Mapping[int | None, int], maximum_bpm: float
) -> dict[int, int]:
    """Seconds in each training zone, by its number; seconds without a heart rate are left out."""
    seconds = {zone.number: 0 for zone in ZONES}
    for heart_rate_bpm, count in seconds_by_heart_rate.items():
        if heart_rate_bpm is not None:
            seconds[zone_of(heart_rate_bpm, maximum_bpm).number] += count
    return seconds
