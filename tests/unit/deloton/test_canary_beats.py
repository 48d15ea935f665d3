"""A beat is a ride as bikes send it, of a rider beyond a limit, mailed to an address of its own."""

from datetime import UTC, datetime

import pytest

from deloton.canary.beats import HIGHEST_BPM, Beat, heart_rate_bpm
from deloton.feed.log_lines import Marker, RideAnnounced, TelemetryLine, parse_message
from deloton.rules.calendar import age_on
from deloton.rules.canary import CANARY_BIKE, FIRST_CANARY_RIDER_ID
from deloton.rules.heart_rate import LimitPolicy, limits_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BEAT = Beat(7, NOON, "success@simulator.amazonses.com")


def test_a_beat_is_announced_as_a_ride_of_the_canarys_bike_and_rider() -> None:
    main, ride, rider = map(parse_message, BEAT.announcement())
    assert isinstance(main, Marker)
    assert isinstance(ride, Marker)
    assert isinstance(rider, RideAnnounced)
    assert rider.rider is not None
    assert (rider.at, rider.bike_serial) == (NOON, CANARY_BIKE)
    assert rider.rider.rider_id == FIRST_CANARY_RIDER_ID + 3
    assert rider.rider.email == "success+canary-1772452800@simulator.amazonses.com"


def test_its_heart_climbs_until_it_is_beyond_the_limit_and_stays_there() -> None:
    [_, _, announced] = map(parse_message, BEAT.announcement())
    assert isinstance(announced, RideAnnounced)
    assert announced.rider is not None
    assert announced.rider.born_on is not None
    _, high, critical = limits_of(age_on(NOON.date(), announced.rider.born_on), LimitPolicy())
    told = [parse_message(BEAT.second(second)[1]) for second in range(1, 121)]
    readings = [line for line in told if isinstance(line, TelemetryLine)]
    rates = [line.heart_rate_bpm or 0 for line in readings]
    assert len(rates) == 120
    first = next(line for line in readings if (line.heart_rate_bpm or 0) >= high.bpm)
    assert first.at == BEAT.beyond_limit_at
    assert rates == sorted(rates)
    assert rates[-1] == HIGHEST_BPM >= critical.bpm


def test_every_beat_within_a_quarter_of_an_hour_has_a_rider_of_its_own() -> None:
    riders = {Beat(number, NOON, "a@b.example").announcement()[2] for number in range(4)}
    ids = {str(line).partition("user_id")[2][:25] for line in riders}
    assert len(ids) == 4


@pytest.mark.parametrize(("second", "bpm"), [(1, 114), (26, 164), (44, 200), (45, 200), (180, 200)])
def test_a_heart_climbs_two_beats_a_second(second: int, bpm: int) -> None:
    assert heart_rate_bpm(second) == bpm
