"""A company of eight days, told by SQL and counted again in plain Python."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from reporter.days import day_in
from reporter.queries import count_period
from reporter.summary import Summary, summarise

LONDON = ZoneInfo("Europe/London")
# The clocks change on the Sunday in the middle of the days before.
ON = date(2026, 4, 1)
FIRST_ON = ON - timedelta(days=9)
GENDERS = ("female", "male", "other", "unknown")
TOWNS = ("Leeds", "York", "Hull", None)
SOURCES = ("direct", "offline", "google ads", "social media", None)
STATES = ("sent", "pending", "expired", "undeliverable", "failed")
LEVELS = ("low", "high", "critical")
REASONS = ("not_json", "no_ride", "unknown_line")


@dataclass(frozen=True)
class Rider:
    rider_id: int
    name: str
    gender: str
    born_on: date | None
    town: str | None
    source: str | None


@dataclass(frozen=True)
class Ride:
    bike: str
    at: datetime
    rider: Rider | None
    seconds: int
    with_heart_rate: int
    heart_rate_bpm: float | None
    watts: float
    max_watts: float
    deviation_s: int
    is_over: bool

    @property
    def on(self) -> date:
        return self.at.astimezone(LONDON).date()


@dataclass(frozen=True)
class Company:
    rides: list[Ride]
    # When, which level, what became of it.
    alerts: list[tuple[datetime, str, str]]
    # When, partition, why: how many.
    refused: dict[tuple[datetime, int, str], int]


def a_company(chance: Random) -> Company:
    riders = [
        Rider(
            number,
            f"Rider No{number}",
            chance.choice(GENDERS),
            chance.choice((None, date(1940 + number % 70, 4, 1 + number % 3))),
            chance.choice(TOWNS),
            chance.choice(SOURCES),
        )
        for number in range(60)
    ]
    begins_at = datetime(FIRST_ON.year, FIRST_ON.month, FIRST_ON.day, tzinfo=UTC)
    minutes = chance.sample(range(10 * 24 * 60), 500)
    moments = [begins_at + timedelta(minutes=minute) for minute in minutes]
    rides = [
        a_ride(chance, f"SN{number}", at, chance.choice([None, *riders]))
        for number, at in enumerate(moments)
    ]
    alerts = [
        (ride.at, level, chance.choice(STATES))
        for ride in chance.sample(rides, 120)
        for level in chance.sample(LEVELS, 2)
    ]
    quarters = [at.replace(minute=at.minute // 15 * 15) for at in chance.sample(moments, 100)]
    refused = {(at, n % 3, chance.choice(REASONS)): n + 1 for n, at in enumerate(quarters)}
    return Company(rides, alerts, refused)


def a_ride(chance: Random, bike: str, at: datetime, rider: Rider | None) -> Ride:
    seconds = chance.choice((60, 119, 120, 300, 520))
    with_heart_rate = chance.randrange(seconds)
    return Ride(
        bike,
        at,
        rider,
        seconds,
        with_heart_rate,
        chance.uniform(90, 160) if with_heart_rate else None,
        chance.uniform(20, 200),
        chance.uniform(200, 1400),
        chance.choice((0, 3, 29, 30, 200)),
        chance.random() > 0.05,
    )


async def store(database_url: str, company: Company) -> None:
    connection = await asyncpg.connect(database_url)
    riders = {ride.rider for ride in company.rides if ride.rider}
    await connection.executemany(
        "INSERT INTO riders (rider_id, first_name, last_name, gender, born_on, town, "
        "original_source, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, now())",
        [(r.rider_id, *r.name.split(), r.gender, r.born_on, r.town, r.source) for r in riders],
    )
    await connection.executemany(
        "INSERT INTO bikes VALUES ($1)", [(ride.bike,) for ride in company.rides]
    )
    for ride in company.rides:
        await store_ride(connection, ride)
    await connection.executemany(
        "INSERT INTO heart_rate_alerts (ride_id, level, measured_at, heart_rate_bpm, limit_bpm, "
        "limit_rule, state, settled_at) SELECT ride_id, $2, started_at, 190, 180, 'x', $3, "
        "CASE WHEN $3 <> 'pending' THEN started_at END FROM rides WHERE started_at = $1",
        company.alerts,
    )
    await connection.executemany(
        "INSERT INTO refused_lines VALUES ($1, 'deloton', $2, $3, $4)",
        [(*key, lines) for key, lines in company.refused.items()],
    )
    await connection.close()


async def store_ride(connection: asyncpg.Connection, ride: Ride) -> None:
    total_watts = ride.watts * ride.seconds
    totals = (
        ride.at + timedelta(seconds=ride.seconds), "silence", ride.seconds, float(ride.seconds),
        ride.heart_rate_bpm, ride.with_heart_rate, ride.watts, ride.max_watts, total_watts,
        total_watts / 1000, ride.deviation_s,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO rides (bike_serial, started_at, rider_id, ended_at, end_reason, "
        "reading_count, duration_s, mean_heart_rate_bpm, heart_rate_count, mean_power_watts, "
        "max_power_watts, total_power_watts, energy_kj, power_deviation_s) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        *(ride.bike, ride.at, ride.rider and ride.rider.rider_id),
        *(totals if ride.is_over else [None] * len(totals)),
    )


def figures_of(company: Company, on: date) -> dict[str, float | None]:
    rides = [ride for ride in company.rides if ride.on == on]
    over = [ride for ride in rides if ride.is_over]
    riders = {ride.rider.rider_id for ride in rides if ride.rider}
    former = {ride.rider.rider_id for ride in company.rides if ride.rider and ride.on < on}
    seconds = sum(ride.seconds for ride in over)
    beating = sum(ride.with_heart_rate for ride in over)
    watts = math.fsum(ride.watts * ride.seconds for ride in over)
    beats = math.fsum((ride.heart_rate_bpm or 0) * ride.with_heart_rate for ride in over)
    return {
        "rides": len(rides),
        "riders": len(riders),
        "new_riders": len(riders - former),
        "returning_riders": len(riders & former),
        "ride_time_s": seconds,
        "mean_duration_s": seconds / len(over),
        "total_power_watts": watts,
        "mean_power_watts": watts / seconds,
        "energy_kj": watts / 1000,
        "mean_heart_rate_bpm": beats / beating,
        "alerts": sum(at.astimezone(LONDON).date() == on for at, *_ in company.alerts),
        "open_rides": len(rides) - len(over),
        "rides_cut_short": sum(ride.seconds < 120 for ride in over),
        "rides_without_rider": sum(ride.rider is None for ride in rides),
        "without_contact_share": 1 - beating / seconds,
        "faulty_bikes": len({ride.bike for ride in over if ride.deviation_s >= 30}),
        "dead_letters": sum(
            lines
            for (at, *_), lines in company.refused.items()
            if at.astimezone(LONDON).date() == on
        ),
    }


@pytest.fixture
def company() -> Company:
    return a_company(Random(11))


async def summary_of(database_url: str, company: Company) -> Summary:
    await store(database_url, company)
    connection = await asyncpg.connect(database_url)
    day = day_in(LONDON, ON)
    try:
        return summarise(day, await count_period(connection, day))
    finally:
        await connection.close()


async def test_every_figure_and_its_past_are_those_of_plain_python(
    database_url: str, company: Company
) -> None:
    summary = await summary_of(database_url, company)
    own, *past = (figures_of(company, ON - timedelta(days=back)) for back in range(8))
    for figure in summary.figures:
        assert figure.value == pytest.approx(own[figure.name]), figure.name
        assert figure.before == pytest.approx(past[0][figure.name]), figure.name
        mean = math.fsum(day[figure.name] or 0 for day in past) / 7
        assert figure.usual == pytest.approx(mean), figure.name


async def test_every_group_hour_leader_alert_and_refusal_is_that_of_plain_python(
    database_url: str, company: Company
) -> None:
    summary = await summary_of(database_url, company)
    rides = [ride for ride in company.rides if ride.on == ON]
    known = [ride.rider for ride in rides if ride.rider]
    nobody = len(rides) - len(known)

    def counted(groups: Iterable[object]) -> dict[str | None, int]:
        return {group.label: group.rides for group in groups}  # type: ignore[attr-defined]

    genders = Counter(rider.gender for rider in known)
    assert counted(summary.genders) == genders + Counter(unknown=nobody)
    sources = Counter(rider.source for rider in known)
    assert counted(summary.sources) == sources + Counter({None: nobody})
    towns = Counter(rider.town for rider in known if rider.town)
    assert counted(summary.towns) == towns
    assert counted(summary.ages) == Counter(map(age_band_of, known)) + Counter({None: nobody})
    hours = Counter(ride.at.astimezone(LONDON).hour for ride in rides)
    assert [part.rides for part in summary.parts] == [hours[hour] for hour in range(24)]
    assert [(one.name, one.rides) for one in summary.leaders] == leaders_of(rides)
    assert {(one.level, one.alerts, one.sent, one.pending) for one in summary.alerts} == {
        (level, len(states), states.count("sent"), states.count("pending"))
        for level, states in states_by_level(company).items()
    }
    refusals: Counter[str] = Counter()
    for (at, _, reason), lines in company.refused.items():
        if at.astimezone(LONDON).date() == ON:
            refusals[reason] += lines
    assert {one.reason: one.lines for one in summary.refusals} == refusals


def age_band_of(rider: Rider) -> str | None:
    if rider.born_on is None:
        return None
    had_birthday = (ON.month, ON.day) >= (rider.born_on.month, rider.born_on.day)
    age = ON.year - rider.born_on.year - (not had_birthday)
    if age < 25:
        return "under 25"
    return "65 and over" if age >= 65 else f"{(age - 5) // 10}5–{(age + 5) // 10}4"


def leaders_of(rides: list[Ride]) -> list[tuple[str, int]]:
    energy_kj: dict[Rider, float] = defaultdict(float)
    for ride in rides:
        if ride.rider and ride.is_over:
            energy_kj[ride.rider] += ride.watts * ride.seconds
    best = sorted(energy_kj, key=lambda rider: -energy_kj[rider])[:5]
    return [(rider.name, sum(ride.rider == rider for ride in rides)) for rider in best]


def states_by_level(company: Company) -> dict[str, list[str]]:
    states = defaultdict(list)
    for at, level, state in company.alerts:
        if at.astimezone(LONDON).date() == ON:
            states[level].append(state)
    return states
