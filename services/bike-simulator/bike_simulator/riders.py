"""CORE: the people who ride: UK names, addresses and bodies, drawn once and for ever by a seed.

A rider is a pure function of (seed, number), so a population of any size costs no memory until
its members sit down, and the same person comes back on other days and other bikes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

from faker import Faker

TITLES = {
    "male": ("Mr", "Mr", "Mr", "Dr", "Prof", "Mx"),
    "female": ("Mrs", "Miss", "Ms", "Ms", "Dr", "Prof", "Mx"),
}
APOSTROPHE_NAMES = ("O'Brien", "O'Connor", "O'Neill", "O'Sullivan", "D'Arcy", "O'Keefe")
SOURCES = ("direct", "offline", "google ads", "social media")
SOURCE_WEIGHTS = (30, 15, 35, 20)
MAIL_DOMAINS = ("example.com", "example.org", "example.net")
# Takes every mail, delivers none, and nobody counts it: the mailbox simulator of Amazon SES.
SANDBOX_MAIL = "success+sandbox-{n}@simulator.amazonses.com"
# As `deloton.rules.sandbox` has them: a test compares.
SANDBOX_BIKES = "SANDBOX"
FIRST_SANDBOX_RIDER_ID = 8_000_000_000_000_000_000
MAIL_PATTERNS = (
    "{first}.{last}{n}",
    "{first}-{last}{n}",
    "{initial}{last}{n}",
    "{n}{last}",
    "{first}+ride{n}",
    "{last}.{first}.{n}",
)
# Mean and standard deviation by gender: Health Survey for England 2021, adults' measured
# height; the body mass index is drawn a little below its mean, for people who exercise.
HEIGHT_CM = {"male": (176.0, 7.0), "female": (162.5, 6.5)}
BODY_MASS_INDEX = {"male": (26.0, 3.0), "female": (25.0, 3.4)}
DAYS_BETWEEN_MOVES = 180


@dataclass(frozen=True, slots=True)
class Rider:
    """One person. `number` is the place in the population, `user_id` the company's own number.

    `fitness` runs from 0 (untrained) to 1 (athlete). `heart_errors` is how many standard errors the
    own maximum heart rate lies above the mean of the age. `weight_steps_kg` are the changes against
    `weight_kg` of successive weeks; `addresses` the homes of successive half years.
    """

    number: int
    user_id: int
    name: str
    gender: str
    addresses: tuple[str, ...]
    born_on: date
    email: str
    height_cm: int
    weight_kg: int
    weight_steps_kg: tuple[int, ...]
    account_created_on: date
    source: str
    fitness: float
    heart_errors: float = 0.0

    def age_on(self, day: date) -> int:
        """Age in whole years on `day`."""
        before_birthday = (day.month, day.day) < (self.born_on.month, self.born_on.day)
        return day.year - self.born_on.year - before_birthday


class Population:
    """`size` riders, made when first asked for; ages 24 to 78 throughout `year`."""

    def __init__(self, seed: int, size: int, year: int, *, sandbox: bool = False) -> None:
        """Draw the pools of names and places; the riders themselves follow on demand.

        Those of the `sandbox` have numbers and mail addresses that nobody else has.
        """
        self.size = size
        self._sandbox = sandbox
        self._seed = seed
        self._year = year
        self._names = _Names.drawn(seed)
        self.rider = lru_cache(maxsize=20_000)(self._make_rider)

    def _make_rider(self, number: int) -> Rider:
        random = Random(f"rider/{self._seed}/{number}")
        gender = random.choices(("male", "female"), (52, 48))[0]
        first, last = self._names.first(gender, random), self._names.last(random)
        height_cm = round(_bounded_gauss(random, *HEIGHT_CM[gender], spread=2.6))
        index = _bounded_gauss(random, *BODY_MASS_INDEX[gender], spread=2.2)
        homes = 3 if _happens(random, 0.3) else 1
        rider = Rider(
            number=number,
            user_id=1001 + 7 * number + random.randrange(7),
            name=_full_name(first, last, gender, random),
            gender=gender,
            addresses=tuple(self._names.address(random) for _ in range(homes)),
            born_on=_birthday(self._year, random),
            email=_email(first, last, number, random),
            height_cm=height_cm,
            weight_kg=round(index * (height_cm / 100) ** 2),
            weight_steps_kg=_weight_steps_kg(random),
            account_created_on=date(2018, 1, 1) + timedelta(days=random.randrange(6 * 365)),
            source=random.choices(SOURCES, SOURCE_WEIGHTS)[0],
            fitness=_bounded_gauss(random, 0.5, 0.2, spread=2.5),
            heart_errors=_bounded_gauss(random, 0.0, 1.0, spread=2.5),
        )
        return _of_sandbox(rider) if self._sandbox else rider


def _of_sandbox(rider: Rider) -> Rider:
    """The same rider with a number and an address that say: simulated."""
    number = FIRST_SANDBOX_RIDER_ID + rider.user_id
    return replace(rider, user_id=number, email=SANDBOX_MAIL.format(n=rider.number))


def user_payload(rider: Rider, bike_serial: str, day: date) -> dict[str, Any]:
    """What a bike says of its rider on `day`: the eleven keys, in the feed's own order."""
    week = (day.toordinal() + rider.number) // 7
    home = (day.toordinal() + 37 * rider.number) // DAYS_BETWEEN_MOVES
    step_kg = rider.weight_steps_kg[week % len(rider.weight_steps_kg)]
    return {
        "user_id": rider.user_id,
        "name": rider.name,
        "gender": rider.gender,
        "address": rider.addresses[home % len(rider.addresses)],
        "date_of_birth": _epoch_ms(rider.born_on),
        "email_address": rider.email,
        "height_cm": rider.height_cm,
        "weight_kg": rider.weight_kg + step_kg,
        "account_create_date": _epoch_ms(rider.account_created_on),
        "bike_serial": bike_serial,
        "original_source": rider.source,
    }


@dataclass(frozen=True, slots=True)
class _Names:
    """Pools from Faker's British provider: asking it anew for each rider would be slow."""

    male: Sequence[str]
    female: Sequence[str]
    surnames: Sequence[str]
    streets: Sequence[str]
    towns: Sequence[str]
    postcodes: Sequence[str]
    flats: Sequence[str]

    @classmethod
    def drawn(cls, seed: int) -> "_Names":
        fake = Faker("en_GB")
        fake.seed_instance(seed)
        return cls(
            male=[fake.first_name_male() for _ in range(300)],
            female=[fake.first_name_female() for _ in range(300)],
            surnames=[fake.last_name() for _ in range(500)],
            streets=[fake.street_name() for _ in range(800)],
            towns=[fake.city() for _ in range(400)],
            postcodes=[fake.postcode() for _ in range(800)],
            flats=[fake.secondary_address() for _ in range(300)],
        )

    def first(self, gender: str, random: Random) -> str:
        pool = self.male if gender == "male" else self.female
        first = random.choice(pool)
        return f"{first}-{random.choice(pool)}" if _happens(random, 0.03) else first

    def last(self, random: Random) -> str:
        if _happens(random, 0.04):
            return random.choice(APOSTROPHE_NAMES)
        last = random.choice(self.surnames)
        return f"{last}-{random.choice(self.surnames)}" if _happens(random, 0.08) else last

    def address(self, random: Random) -> str:
        """Three parts with a house number, or four with a flat; no blank after the commas."""
        street, town = random.choice(self.streets), random.choice(self.towns)
        postcode = random.choice(self.postcodes)
        if _happens(random, 0.35):
            return f"{random.choice(self.flats)},{street},{town},{postcode}"
        return f"{_house_number(random)} {street},{town},{postcode}"


def _house_number(random: Random) -> str:
    """One to three digits; leading zeros and 0 itself occur, as they do in the real feed."""
    return "".join(random.choices("0123456789", k=random.choice((1, 2, 2, 3))))


def _full_name(first: str, last: str, gender: str, random: Random) -> str:
    if _happens(random, 0.015):
        return first
    words = [first, last]
    if _happens(random, 0.05):
        words.insert(1, random.choice(("van", "de", "Lee", "Jo", "St")))
    if _happens(random, 0.3):
        dot = "." if _happens(random, 0.25) else ""
        words.insert(0, random.choice(TITLES[gender]) + dot)
    return " ".join(words)


def _email(first: str, last: str, number: int, random: Random) -> str:
    """The name in one of the usual spellings; the rider's number keeps it unique."""
    first, last = (word.lower().replace("'", "").replace(" ", "") for word in (first, last))
    pattern = random.choice(MAIL_PATTERNS)
    local = pattern.format(first=first, last=last, initial=first[0], n=number)
    return f"{local}@{random.choice(MAIL_DOMAINS)}"


def _birthday(year: int, random: Random) -> date:
    born_in = year - 25 - int(random.triangular(0, 54, 13))
    return date(born_in, 1, 1) + timedelta(days=random.randrange(365))


def _weight_steps_kg(random: Random) -> tuple[int, ...]:
    """Two riders in five change: a kilogram or two up and down over eight weeks."""
    if _happens(random, 0.6):
        return (0,)
    return tuple(random.choice((-2, -1, 0, 0, 1, 2)) for _ in range(8))


def _happens(random: Random, chance: float) -> bool:
    return random.random() < chance


def _bounded_gauss(random: Random, mean: float, deviation: float, spread: float) -> float:
    """A normal draw, cut off at `spread` deviations from its mean."""
    return mean + deviation * max(-spread, min(spread, random.gauss(0, 1)))


def _epoch_ms(day: date) -> int:
    """UTC midnight of `day` in milliseconds since 1970: negative before."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return round(midnight.timestamp()) * 1000
