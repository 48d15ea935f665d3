"""The straightforward computation against rides worked out by hand."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.oracle.straightforward import (
    Expected,
    RawMessage,
    Reading,
    expected_rows,
    read_streams,
)

BEGAN_AT = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
RIDER = {
    "user_id": 7001,
    "name": "Ms. Ada B Example",
    "address": "Flat 9b,Example lane,Exampleton,EX4 4MP",
    "date_of_birth": -336700800000,
    "bike_serial": "SN0000",
}
MARKER = "--------- beginning of main"


def at(seconds: float) -> datetime:
    return BEGAN_AT + timedelta(seconds=seconds)


def line(seconds: float, words: str) -> str:
    return f"{at(seconds):%Y-%m-%d %H:%M:%S.%f} mendoza v9: {words}"


def system(seconds: float) -> str:
    return line(seconds, f"[SYSTEM] data = {json.dumps(RIDER)}")


def ride(seconds: float, duration: float) -> str:
    return line(seconds, f"[INFO]: Ride - duration = {duration}; resistance = 30")


def telemetry(seconds: float, heart_rate_bpm: int = 0, watts: float = 8.5) -> str:
    return line(seconds, f"[INFO]: Telemetry - hrt = {heart_rate_bpm}; rpm = 38; power = {watts}")


def rows_of(*texts: str, waited: bool = True) -> Expected:
    values = [json.dumps({"log": text + "\n"}).encode() for text in texts]
    messages = [RawMessage(0, offset, b"SN0000", value) for offset, value in enumerate(values)]
    return expected_rows(read_streams(messages), waited=waited)


def test_a_stream_that_only_announces_a_ride_has_none() -> None:
    assert rows_of(MARKER, line(0, "Getting user data from server..")).rides == {}


def test_a_ride_of_two_seconds_is_two_readings_and_their_totals() -> None:
    rows = rows_of(
        system(0),
        ride(0.5, 1.0),
        telemetry(1.0),
        ride(1.5, 2.0),
        telemetry(2.0, heart_rate_bpm=126),
    )
    assert rows.readings["SN0000", BEGAN_AT] == [
        Reading(at(1.0), 1.0, None, 38, 30, 8.5),
        Reading(at(2.0), 2.0, 126, 38, 30, 8.5),
    ]
    row = rows.rides["SN0000", BEGAN_AT]
    assert (row["reading_count"], row["duration_s"], row["ended_at"]) == (2, 2.0, at(2.0))
    assert (row["mean_heart_rate_bpm"], row["total_power_watts"]) == (126, 17.0)


def test_a_lost_half_costs_only_its_own_fields() -> None:
    rows = rows_of(system(0), ride(0.5, 1.0), ride(1.5, 2.0), telemetry(2.0), telemetry(3.0, 90))
    assert rows.readings["SN0000", BEGAN_AT] == [
        Reading(at(0.5), 1.0, None, None, 30, None),
        Reading(at(2.0), 2.0, None, 38, 30, 8.5),
        Reading(at(3.0), None, 90, 38, None, 8.5),
    ]


def test_a_ride_without_its_system_line_begins_where_its_seconds_say() -> None:
    rows = rows_of(MARKER, telemetry(4.0), ride(4.5, 5.0), telemetry(5.0))
    assert list(rows.rides) == [("unknown:SN0000", at(-0.5))]
    assert rows.refused == set()
    [readings] = rows.readings.values()
    assert [(reading.at, reading.elapsed_s) for reading in readings] == [
        (at(4.0), None),
        (at(5.0), 5.0),
    ]


@pytest.mark.parametrize(("gap_s", "reason"), [(30, "next_ride"), (30.000001, "silence")])
def test_more_than_30_s_before_the_next_ride_are_silence(gap_s: float, reason: str) -> None:
    rows = rows_of(system(0), ride(0.5, 1.0), telemetry(1.0), MARKER, system(1 + gap_s))
    assert rows.rides["SN0000", BEGAN_AT]["end_reason"] == reason


def test_repeated_lines_change_nothing() -> None:
    lines = [system(0), ride(0.5, 1.0), telemetry(1.0), ride(1.5, 2.0), telemetry(2.0)]
    assert rows_of(*(text for text in lines for _ in range(2))) == rows_of(*lines)


def test_a_ride_in_progress_has_no_totals_yet() -> None:
    rows = rows_of(system(0), ride(0.5, 1.0), telemetry(1.0), ride(1.5, 2.0), waited=False)
    assert len(rows.readings["SN0000", BEGAN_AT]) == 1
    assert set(rows.rides["SN0000", BEGAN_AT].values()) == {7001, None, 0}
    assert rows.rides["SN0000", BEGAN_AT]["implausible_count"] == 0


def test_the_longest_run_of_seconds_with_a_wrong_power_is_counted() -> None:
    # At resistance 30 and 38 rpm the formula gives 8.9 W.
    watts = [13.8, 14.0, 3.8, 8.9, 14.0, 14.0]
    lines = [system(0)]
    for second, power in enumerate(watts, 1):
        lines += [ride(second - 0.5, float(second)), telemetry(float(second), watts=power)]
    assert rows_of(*lines).rides["SN0000", BEGAN_AT]["power_deviation_s"] == 2
    assert rows_of(*lines[:3]).rides["SN0000", BEGAN_AT]["power_deviation_s"] == 0


def test_a_rider_is_told_apart_into_columns() -> None:
    rider = rows_of(system(0)).riders[7001]
    assert (rider["title"], rider["first_name"], rider["last_name"]) == ("Ms", "Ada", "B Example")
    assert (rider["flat"], rider["postcode"]) == ("Flat 9b", "EX4 4MP")
    assert rider["born_on"].isoformat() == "1959-05-02"
