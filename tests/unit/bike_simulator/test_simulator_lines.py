"""The spelling of the feed, checked against lines typed in by hand."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from bike_simulator import FleetPlan, Message, simulate
from bike_simulator.log_lines import (
    asking_line,
    envelope,
    reading_message,
    ride_heads,
    ride_tails,
    rider_line,
    telemetry_heads,
    telemetry_tails,
)

START_AT = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
FIRMWARES = ("mendoza v9",)
KEYS = [
    "user_id",
    "name",
    "gender",
    "address",
    "date_of_birth",
    "email_address",
    "height_cm",
    "weight_kg",
    "account_create_date",
    "bike_serial",
    "original_source",
]
READING = re.compile(
    r'\{"log": "\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} mendoza v9: \[INFO\]: '
    r"(?:Ride - duration = (?P<duration>\d+)\.0; resistance = (?P<resistance>\d+)"
    r"|Telemetry - hrt = (?P<hrt>\d+); rpm = (?P<rpm>\d+); power = (?P<power>\d+\.\d{1,16}))"
    r'\\n"\}'
)


def at_us(text: str) -> int:
    at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def one_bike(hours: float = 2) -> list[Message]:
    until_at = START_AT + timedelta(hours=hours)
    fleet = FleetPlan(START_AT, bikes=1, until_at=until_at, back_to_back=True)
    return list(simulate(fleet))


def rides_of(messages: list[Message]) -> Iterator[list[Message]]:
    """Whole rides of one bike: the last, which the end cuts short, is left out."""
    starts = [place for place, m in enumerate(messages) if b"beginning of main" in m.value]
    for first, after in pairwise(starts):
        yield messages[first:after]


def test_markers_are_nine_dashes_one_blank_and_no_stamp() -> None:
    main, ride = one_bike(0.1)[:2]
    assert main.value == rb'{"log": "--------- beginning of main\n"}'
    assert ride.value == rb'{"log": "--------- beginning of a new ride\n"}'


def test_opening_lines_are_spelled_as_in_the_feed() -> None:
    asking = asking_line(at_us("2026-03-02 09:15:00.422392"), "mendoza v9")
    rider = rider_line(at_us("2026-03-02 09:15:00.922427"), "mendoza v9", {"name": "Ms A", "x": 1})
    assert asking == "2026-03-02 09:15:00.422392 mendoza v9: Getting user data from server.."
    assert envelope(rider) == (
        rb'{"log": "2026-03-02 09:15:00.922427 mendoza v9: '
        rb'[SYSTEM] data = {\"name\":\"Ms A\",\"x\":1}\n"}'
    )


def test_ride_line_is_spelled_as_in_the_feed() -> None:
    head, tail = int(ride_heads(2)[1]), int(ride_tails(np.array([30]))[0])
    assert reading_message(at_us("2026-03-02 09:15:02.422486"), head, tail, FIRMWARES) == (
        rb'{"log": "2026-03-02 09:15:02.422486 mendoza v9: '
        rb'[INFO]: Ride - duration = 2.0; resistance = 30\n"}'
    )


def test_telemetry_line_is_spelled_as_in_the_feed() -> None:
    head = int(telemetry_heads(np.array([0]))[0])
    tail = int(telemetry_tails(np.array([0]), np.array([0]))[0])
    assert reading_message(at_us("2026-03-02 09:15:01.922469"), head, tail, FIRMWARES) == (
        rb'{"log": "2026-03-02 09:15:01.922469 mendoza v9: '
        rb'[INFO]: Telemetry - hrt = 0; rpm = 0; power = 0.0\n"}'
    )


def test_every_line_after_the_opening_is_a_reading_half() -> None:
    for ride in rides_of(one_bike()):
        assert all(READING.fullmatch(message.value.decode()) for message in ride[4:])


def test_ride_of_n_seconds_is_2n_plus_4_messages_in_strict_alternation() -> None:
    for ride in rides_of(one_bike()):
        found = [READING.fullmatch(message.value.decode()) for message in ride[4:]]
        durations = [int(m["duration"]) for m in found[::2] if m and m["duration"]]
        beats = [m["hrt"] for m in found[1::2] if m and m["hrt"]]
        assert durations == list(range(1, len(durations) + 1))
        assert 179 <= len(durations) <= 520
        assert len(ride) == 2 * len(beats) + 4 == 2 * len(durations) + 4


def test_rider_line_carries_the_eleven_keys_in_order_as_compact_json() -> None:
    for ride in rides_of(one_bike()):
        data = json.loads(ride[3].value)["log"].rstrip("\n").partition("[SYSTEM] data = ")[2]
        payload = json.loads(data)
        assert list(payload) == KEYS
        assert data == json.dumps(payload, separators=(",", ":"))
        assert payload["bike_serial"] == "SN0000"


def test_stamps_of_a_bike_rise_by_half_a_second_with_jitter() -> None:
    for ride in rides_of(one_bike()):
        steps_us = np.diff([message.at_us for message in ride])
        assert steps_us.min() > 500_000
        assert steps_us.max() < 500_050
        assert len(set(steps_us.tolist())) > 10


def test_stamp_in_the_line_is_the_time_of_the_message() -> None:
    for message in one_bike(0.2)[2:200]:
        text = json.loads(message.value)["log"]
        assert text.startswith("---") or at_us(text[:26]) == message.at_us


def test_system_line_follows_the_last_reading_by_two_seconds_back_to_back() -> None:
    first, second = list(rides_of(one_bike()))[:2]
    assert second[3].at_us - first[-1].at_us == pytest.approx(2_000_000, abs=200)


def test_key_is_the_serial_of_the_bike() -> None:
    assert {message.key for message in one_bike(0.2)} == {b"SN0000"}


def test_firmware_tags_are_shared_out_among_the_bikes() -> None:
    until_at = START_AT + timedelta(minutes=3)
    tags = ("mendoza v9", "mendoza v10-rc.1")
    plan = FleetPlan(START_AT, bikes=2, until_at=until_at, back_to_back=True, firmwares=tags)
    for message in simulate(plan):
        if b"beginning" not in message.value:
            assert f" {tags[message.key == b'SN0001']}: ".encode() in message.value
