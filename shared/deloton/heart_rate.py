"""The rules of heart rate: what to expect at a given age, a rider's limits, the training zones."""

from collections.abc import Callable
from datetime import date
from enum import StrEnum

from msgspec import Struct

from deloton.formats import per_cent

NES_TO_AGE = 40


class MaximumPolicy(StrEnum):
    """The published formulas for the heart rate that a person can be expected to reach."""

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


def _deloton(age: float) -> float:
    """Ours: Nes to the age of 40, Tanaka above, where it was fitted on more older adults."""
    return _nes(age) if age <= NES_TO_AGE else _tanaka(age)


EXPECTED_MAXIMUM: dict[MaximumPolicy, Callable[[float], float]] = {
    MaximumPolicy.DELOTON: _deloton,
    MaximumPolicy.NES: _nes,
    MaximumPolicy.TANAKA: _tanaka,
    MaximumPolicy.GULATI: _gulati,
    MaximumPolicy.FOX: _fox,
}


# The same as riders read them.
FORMULA_WORDS: dict[MaximumPolicy, str] = {
    MaximumPolicy.NES: "211 − 0.64 × age, Nes et al. 2013",
    MaximumPolicy.TANAKA: "208 − 0.7 × age, Tanaka et al. 2001",
    MaximumPolicy.GULATI: "206 − 0.88 × age, Gulati et al. 2010",
    MaximumPolicy.FOX: "220 − age, Fox et al. 1971",
}


def _words_for(policy: MaximumPolicy, age: float) -> str:
    if policy is MaximumPolicy.DELOTON:
        chosen = MaximumPolicy.NES if age <= NES_TO_AGE else MaximumPolicy.TANAKA
        return f"{policy}: {FORMULA_WORDS[chosen]}"
    return f"{policy}: {FORMULA_WORDS[policy]}"


class AlertLevel(StrEnum):
    """How a heart rate is abnormal; `CRITICAL` includes `HIGH`."""

    LOW = "low"
    HIGH = "high"
    CRITICAL = "critical"


class LimitPolicy(Struct, frozen=True):
    """Where the limits of riders without own ones lie.

    High is where the band of maximum effort begins (Edwards 1993: 90 % of the maximum), critical
    the expected maximum itself. Low is bradycardia by the 2018 ACC/AHA/HRS guideline: below
    50 bpm. A rider of unknown age is held to be `default_age` years old: near the middle of our
    riders, and at the knee of our own formula.
    """

    maximum: MaximumPolicy = MaximumPolicy.DELOTON
    high_share: float = 0.9
    critical_share: float = 1.0
    low_bpm: float = 50.0
    default_age: int = 40


class OwnLimits(Struct, frozen=True):
    """A rider's own limits, agreed with a doctor; None is the policy's."""

    low_bpm: int | None = None
    high_bpm: int | None = None
    critical_bpm: int | None = None
    alerts_on: bool = True


class Limit(Struct, frozen=True):
    """One limit of a rider, and where it comes from in words that a rider can read."""

    level: AlertLevel
    bpm: float
    rule: str

    def is_passed_by(self, heart_rate_bpm: float) -> bool:
        """Low is passed below the limit, the others at it."""
        if self.level is AlertLevel.LOW:
            return heart_rate_bpm < self.bpm
        return heart_rate_bpm >= self.bpm


# Ages of riders that can be meant; a birthday outside is held to be unknown.
PLAUSIBLE_AGES = range(5, 111)
OWN_LIMIT = "your own limit"


def limits_of(
    age: int | None, policy: LimitPolicy, own: OwnLimits | None = None
) -> tuple[Limit, Limit, Limit]:
    """The limits low, high and critical of a rider, whether or not alerts are on.

    Where an own limit crosses one of the policy's, the policy's gives way.
    """
    own = own or OwnLimits()
    known = age is not None and age in PLAUSIBLE_AGES
    years = age if known and age is not None else policy.default_age
    maximum_bpm = expected_maximum_bpm(years, policy.maximum)
    whose = f"age {years}" if known else f"unknown age, taken as {years}"
    below = "the same for every rider; below 50 bpm is bradycardia (ACC/AHA/HRS 2018)"
    low = Limit(AlertLevel.LOW, policy.low_bpm, below)
    high, critical = (
        Limit(
            level,
            round(share * maximum_bpm, 1),
            f"{per_cent(share)} of the expected maximum of {maximum_bpm:.1f} bpm "
            f"({whose}; {_words_for(policy.maximum, years)})",
        )
        for level, share in (
            (AlertLevel.HIGH, policy.high_share),
            (AlertLevel.CRITICAL, policy.critical_share),
        )
    )
    if own.low_bpm is not None:
        low = Limit(AlertLevel.LOW, own.low_bpm, OWN_LIMIT)
    if own.high_bpm is not None:
        high = Limit(AlertLevel.HIGH, own.high_bpm, OWN_LIMIT)
        critical = max(critical, Limit(AlertLevel.CRITICAL, own.high_bpm, OWN_LIMIT), key=_bpm)
    if own.critical_bpm is not None:
        critical = Limit(AlertLevel.CRITICAL, own.critical_bpm, OWN_LIMIT)
        high = min(high, Limit(AlertLevel.HIGH, own.critical_bpm, OWN_LIMIT), key=_bpm)
    return low, high, critical


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


def age_on(day: date, born_on: date) -> int:
    """Full years lived on a day; who was born on 29 February has the birthday on 1 March."""
    had_birthday = (day.month, day.day) >= (born_on.month, born_on.day)
    return day.year - born_on.year - (not had_birthday)


def expected_maximum_bpm(age: float, policy: MaximumPolicy = MaximumPolicy.DELOTON) -> float:
    """The heart rate in bpm that a healthy person of that age (years) can be expected to reach."""
    return EXPECTED_MAXIMUM[policy](age)


def zone_of(heart_rate_bpm: float, maximum_bpm: float) -> Zone:
    """The training zone in which a heart rate lies."""
    share = heart_rate_bpm / maximum_bpm
    return next(zone for zone in ZONES if share < zone.upper)
