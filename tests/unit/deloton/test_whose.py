"""Whose a bike or a rider is."""

import pytest

from deloton.rules.whose import Whose, whose_bike, whose_rider


@pytest.mark.parametrize(
    ("serial", "whose"),
    [
        ("SN9777", Whose.RIDER),
        ("SANDBOX", Whose.SANDBOX),
        ("SANDBOX0777", Whose.SANDBOX),
        ("SANDBO", Whose.RIDER),
        ("XSANDBOX", Whose.RIDER),
        ("CANARY", Whose.CANARY),
        ("CANARY2", Whose.RIDER),
        ("unknown:SANDBOX1", Whose.RIDER),
        (None, Whose.RIDER),
    ],
)
def test_whose_a_bike_is_stands_in_its_serial(serial: str | None, whose: Whose) -> None:
    assert whose_bike(serial) is whose


@pytest.mark.parametrize(
    ("rider_id", "whose"),
    [
        (7001, Whose.RIDER),
        (8_000_000_000_000_000_000 - 1, Whose.RIDER),
        (8_000_000_000_000_000_000, Whose.SANDBOX),
        (9_000_000_000_000_000_000 - 1, Whose.SANDBOX),
        (9_000_000_000_000_000_000, Whose.CANARY),
    ],
)
def test_whose_a_rider_is_stands_in_the_number(rider_id: int, whose: Whose) -> None:
    assert whose_rider(rider_id) is whose
