"""The rules of heart rate: what to expect of a rider of a given age, and the training zones."""

from collections.abc import Callable
from datetime import date
from enum import StrEnum

from msgspec import Struct

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
