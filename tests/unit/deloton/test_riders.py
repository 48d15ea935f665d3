"""A rider's data are read as far as they can be read, and never refused."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deloton.events import Address, Gender, Rider
from deloton.feed.rider_payload import (
    LONGEST,
    day_of_epoch_ms,
    parse_address,
    parse_gender,
    parse_name,
    parse_rider,
    positive,
    text,
    whole_number,
)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Ada Example", (None, "Ada", "Example")),
        ("Ms Ada Example", ("Ms", "Ada", "Example")),
        ("Ms. Ada Example", ("Ms", "Ada", "Example")),
        ("Prof Ada Example", ("Prof", "Ada", "Example")),
        ("dr ada example", ("dr", "ada", "example")),
        ("Mx Sam O'Brien-Smith", ("Mx", "Sam", "O'Brien-Smith")),
        ("Mary-Jane D'Arcy", (None, "Mary-Jane", "D'Arcy")),
        ("Ada Mary Example", (None, "Ada", "Mary Example")),
        ("Miss Ada van der Berg", ("Miss", "Ada", "van der Berg")),
        ("Cher", (None, "Cher", None)),
        ("Mr Cher", ("Mr", "Cher", None)),
        ("Mr", (None, "Mr", None)),
        ("Drake Mister", (None, "Drake", "Mister")),
        ("  Ada   Example  ", (None, "Ada", "Example")),
        ("Zoë Ó Briain", (None, "Zoë", "Ó Briain")),
        ("", (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_names_fall_into_title_first_and_last(
    name: str | None, parts: tuple[str | None, ...]
) -> None:
    assert parse_name(name) == parts


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (
            "Flat 9b,Example lane,Exampleton,EX4 4MP",
            Address("Flat 9b", "Example lane", "Exampleton", "EX4 4MP"),
        ),
        ("Studio 0,1 A road,B,C1", Address("Studio 0", "1 A road", "B", "C1")),
        ("007 A lane,Town,EX4 4MP", Address(None, "007 A lane", "Town", "EX4 4MP")),
        ("0 A lane, Town , EX4 4MP", Address(None, "0 A lane", "Town", "EX4 4MP")),
        ("12 Example lane,Exampleton", Address(None, "12 Example lane", "Exampleton", None)),
        ("12 Example lane", Address(None, "12 Example lane", None, None)),
        ("Flat 1,A house,A lane,Town,P1", Address("Flat 1", "A house, A lane", "Town", "P1")),
        ("A lane,,", Address(None, "A lane", None, None)),
        (",,,", Address()),
        ("", Address()),
        (None, Address()),
    ],
)  # fmt: skip
def test_addresses_fall_into_their_parts(address: str | None, expected: Address) -> None:
    assert parse_address(address) == expected


@pytest.mark.parametrize(
    ("value", "gender"),
    [
        ("female", Gender.FEMALE),
        ("male", Gender.MALE),
        (" Female ", Gender.FEMALE),
        ("other", Gender.OTHER),
        ("unknown", Gender.UNKNOWN),
        ("non-binary", Gender.OTHER),
        ("f", Gender.OTHER),
        ("", Gender.UNKNOWN),
        (" \0", Gender.UNKNOWN),
        (None, Gender.UNKNOWN),
        (1, Gender.UNKNOWN),
        (["male"], Gender.UNKNOWN),
    ],
)
def test_a_gender_of_any_kind_is_kept_as_one_of_four(value: object, gender: Gender) -> None:
    assert parse_gender(value) is gender


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (0, date(1970, 1, 1)),
        (-1, date(1969, 12, 31)),
        (86_399_999, date(1970, 1, 1)),
        (86_400_000, date(1970, 1, 2)),
        (-336_700_800_000, date(1959, 5, 2)),
        (1_641_254_400_000, date(2022, 1, 4)),
        (1.6412544e12, date(2022, 1, 4)),
        (10**30, None),
        (-(10**30), None),
        (10**400, None),
        (float("inf"), None),
        (float("nan"), None),
        (True, None),
        ("0", None),
        (None, None),
    ],
)
def test_a_day_is_read_from_milliseconds_negative_before_1970(
    value: object, day: date | None
) -> None:
    assert day_of_epoch_ms(value) == day


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0), (7001, 7001), ("7001", 7001), ("007", 7), (2**63 - 1, 2**63 - 1), (2**63, None),
        ("9" * 19, None), ("9" * 5000, None), (-1, None), ("-1", None), ("+1", None), (" 1", None),
        ("²", None), ("٣", None), ("", None), (True, None), (1.5, None), (None, None), ({}, None),
    ],
)  # fmt: skip
def test_a_whole_number_fits_a_bigint_or_is_none(value: object, number: int | None) -> None:
    assert whole_number(value) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (171, 171.0), (64.5, 64.5), (0, None), (-1, None), (float("inf"), None),
        (float("nan"), None), (10**400, None), (True, None), ("171", None), (None, None),
    ],
)  # fmt: skip
def test_a_measure_of_a_rider_is_finite_and_above_zero(value: object, number: float | None) -> None:
    assert positive(value) == number


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", "a"), (" a ", "a"), ("a\0b", "ab"), ("\ud800a\udfff", "a"), ("\0", None), ("🚲", "🚲"),
     ("", None), (5, None), (None, None)],
)  # fmt: skip
def test_text_is_what_postgresql_can_store(value: object, expected: str | None) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    "field",
    ["name", "gender", "address", "date_of_birth", "email_address", "height_cm", "weight_kg",
     "account_create_date", "original_source"],
)  # fmt: skip
@pytest.mark.parametrize("odd", [None, "", [], {}, True, 1e300, -5, "\0"])
def test_an_odd_field_costs_only_itself(field: str, odd: object) -> None:
    rider = parse_rider({"user_id": 7001, "email_address": "a+b.c-d@e.co", field: odd})
    assert rider is not None
    assert rider.rider_id == 7001
    assert rider.email == ("a+b.c-d@e.co" if field != "email_address" else None)


def test_a_rider_without_an_id_is_no_rider() -> None:
    assert parse_rider({"name": "Ada Example"}) is None


def test_a_rider_of_whom_only_the_id_is_told_is_kept() -> None:
    assert parse_rider({"user_id": 7001}) == Rider(7001)


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_text_gives_a_name_and_an_address_of_storable_parts(name: str, address: str) -> None:
    rider = parse_rider({"user_id": 1, "name": name, "address": address})
    assert rider is not None
    parts = [rider.title, rider.first_name, rider.last_name, rider.address.street]
    for part in filter(None, parts):
        assert part == text(part)


LONG = "x" * 5000


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"name": f"Ms {LONG} Example"}, "first_name"),
        ({"name": f"Ms Ada {LONG}"}, "last_name"),
        ({"address": f"{LONG},1 Lane,Town,EX4 4MP"}, "flat"),
        ({"address": f"{LONG},Town,EX4 4MP"}, "street"),
        ({"address": f"1 Lane,{LONG},EX4 4MP"}, "town"),
        ({"address": f"1 Lane,Town,{LONG}"}, "postcode"),
        ({"original_source": LONG}, "original_source"),
    ],
)
def test_a_text_is_cut_to_what_its_field_holds(payload: dict[str, object], field: str) -> None:
    rider = parse_rider({"user_id": 7001, **payload})
    assert rider is not None
    found = getattr(rider, field, None) or getattr(rider.address, field)
    assert found == "x" * LONGEST[field]


@pytest.mark.parametrize("longer", [0, 1])
def test_an_address_for_mails_that_is_too_long_is_unknown_and_not_cut(longer: int) -> None:
    email = "a" * (LONGEST["email"] - len("@example.com") + longer) + "@example.com"
    rider = parse_rider({"user_id": 7001, "email_address": email})
    assert rider is not None
    assert rider.email == (None if longer else email)
