"""People: plausible, repeatable, and in the feed's spelling."""

import re
from collections import Counter
from datetime import date, timedelta

import pytest

from bike_simulator.riders import Population, user_payload

TODAY = date(2026, 3, 2)
POPULATION = Population(seed=7, size=2000, year=2026)
PEOPLE = [POPULATION.rider(number) for number in range(POPULATION.size)]


def test_the_same_seed_and_number_give_the_same_person() -> None:
    again = Population(seed=7, size=10, year=2026)
    assert [again.rider(n) for n in (3, 1)] == [PEOPLE[3], PEOPLE[1]]
    assert Population(seed=8, size=10, year=2026).rider(3) != PEOPLE[3]


def test_user_ids_are_unique_and_not_contiguous() -> None:
    ids = sorted(rider.user_id for rider in PEOPLE)
    assert len(set(ids)) == len(ids)
    assert ids[-1] - ids[0] > 2 * len(ids)


def test_ages_lie_between_24_and_78() -> None:
    ages = [rider.age_on(TODAY) for rider in PEOPLE]
    assert min(ages) >= 24
    assert max(ages) <= 78
    assert max(ages) - min(ages) > 45


def test_births_before_1970_are_negative_milliseconds_at_midnight() -> None:
    for rider in PEOPLE[:300]:
        born_ms = user_payload(rider, "SN0000", TODAY)["date_of_birth"]
        assert born_ms % 86_400_000 == 0
        assert (born_ms < 0) == (rider.born_on.year < 1970)


def test_addresses_have_three_or_four_parts_without_blanks_after_commas() -> None:
    parts = Counter(len(rider.addresses[0].split(",")) for rider in PEOPLE)
    assert set(parts) == {3, 4}
    for rider in PEOPLE:
        first, *_, town, postcode = rider.addresses[0].split(",")
        assert re.match(r"(Flat|Studio) \w+$|\d+ \S", first)
        assert town == town.strip()
        assert re.fullmatch(r"[A-Z]{1,2}\d{1,2}[A-Z]? \d[A-Z]{2}", postcode)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(Mr|Mrs|Miss|Ms|Mx|Dr|Prof) ",
        r"^(Mr|Mrs|Ms|Dr|Prof)\. ",
        "-",
        "'",
        r"^\S+$",
        r"^(\S+ ){2}",
    ],
)
def test_names_come_in_every_form(pattern: str) -> None:
    assert 3 < sum(bool(re.search(pattern, rider.name)) for rider in PEOPLE) < 1000


def test_emails_are_unique_and_at_reserved_domains_only() -> None:
    emails = [rider.email for rider in PEOPLE]
    assert len(set(emails)) == len(emails)
    for email in emails:
        assert re.fullmatch(r"[a-z0-9.+-]+@example\.(com|org|net)", email)
    for sign in "-.+7":
        assert any(sign in email.partition("@")[0] for email in emails)


@pytest.mark.parametrize(("gender", "tallest_mean_cm"), [("male", 178), ("female", 165)])
def test_bodies_are_plausible(gender: str, tallest_mean_cm: int) -> None:
    group = [rider for rider in PEOPLE if rider.gender == gender]
    assert tallest_mean_cm - 5 < sum(r.height_cm for r in group) / len(group) < tallest_mean_cm
    assert all(140 <= rider.height_cm <= 200 for rider in group)
    assert all(38 <= rider.weight_kg <= 140 for rider in group)


def test_some_riders_come_back_with_another_weight_or_address() -> None:
    later = TODAY + timedelta(days=200)
    pairs = [(user_payload(r, "SN0000", TODAY), user_payload(r, "SN1", later)) for r in PEOPLE]
    for key in ("weight_kg", "address"):
        changed = sum(before[key] != after[key] for before, after in pairs)
        assert 0.1 < changed / len(pairs) < 0.6
    assert all(before["user_id"] == after["user_id"] for before, after in pairs)
