"""Each fault appears when asked for, and nothing else changes."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from bike_simulator import FAULT_PRESETS, FaultRates, FleetPlan, Message, simulate

START_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAMAGED = ("cut", "cut-text", "not-json", "not-utf8", "no-log")
LOST = ("lost-half", "lost-marker", "lost-system")


def played(rates: FaultRates) -> list[Message]:
    until_at = START_AT + timedelta(minutes=20)
    return list(
        simulate(FleetPlan(START_AT, 10, until_at=until_at, back_to_back=True, faults=rates))
    )


WHOLE = played(FaultRates())


def only(kind: str) -> list[Message]:
    rate = 0.5 if kind in ("lost-marker", "lost-system", "odd-rider") else 0.01
    return played(FaultRates().but(kind, rate))


def differing(kind: str) -> tuple[list[bytes], list[bytes]]:
    """What is there without the fault only, and what is there with it only."""
    whole, faulty = Counter(m.value for m in WHOLE), Counter(m.value for m in only(kind))
    return list((whole - faulty).elements()), list((faulty - whole).elements())


def text_of(value: bytes) -> str:
    return str(json.loads(value)["log"])


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_lines_come_in_place_of_whole_ones(kind: str) -> None:
    gone, came = differing(kind)
    assert len(only(kind)) == len(WHOLE)
    assert len(gone) == len(came)
    assert 0.007 < len(came) / len(WHOLE) < 0.013


@pytest.mark.parametrize("kind", LOST)
def test_lost_lines_are_missing_and_nothing_comes_in_their_place(kind: str) -> None:
    gone, came = differing(kind)
    assert gone
    assert not came
    words = {"lost-half": b"[INFO]: ", "lost-marker": b"--------- ", "lost-system": b"[SYSTEM]"}
    assert all(words[kind] in value for value in gone)


def test_cut_messages_are_no_whole_json() -> None:
    for value in differing("cut")[1]:
        with pytest.raises(json.JSONDecodeError):
            json.loads(value)


def test_cut_texts_are_whole_json_with_the_beginning_of_a_line() -> None:
    texts = [text_of(message.value) for message in WHOLE]
    for value in differing("cut-text")[1][:20]:
        assert any(text.startswith(text_of(value)) for text in texts)


def test_messages_that_are_no_utf8_cannot_be_decoded() -> None:
    for value in differing("not-utf8")[1]:
        with pytest.raises(UnicodeDecodeError):
            value.decode()


def test_messages_without_log_hold_no_text() -> None:
    for value in differing("no-log")[1]:
        body = json.loads(value)
        assert not isinstance(body, dict) or not body.get("log")


def test_duplicates_follow_their_original_at_once() -> None:
    latest: dict[bytes, Message] = {}
    repeats = 0
    for message in only("duplicate"):
        repeats += latest.get(message.key) == message
        latest[message.key] = message
    gone, came = differing("duplicate")
    assert not gone
    assert repeats == len(came) > 100


def test_unknown_lines_come_in_addition_and_in_time_order() -> None:
    gone, came = differing("unknown-kind")
    assert not gone
    assert len(came) > 100
    assert not any(b"Ride - " in value or b"Telemetry - " in value for value in came)
    times_us = [message.at_us for message in only("unknown-kind")]
    assert times_us == sorted(times_us)


def test_odd_riders_differ_in_the_system_line_alone() -> None:
    gone, came = differing("odd-rider")
    assert len(gone) == len(came) > 5
    for value in came:
        payload = json.loads(text_of(value).partition("data = ")[2])
        assert len(payload) >= 8


def test_heavy_preset_shows_every_fault_and_light_fewer() -> None:
    assert all(rate > 0 for rate in FAULT_PRESETS["heavy"].by_kind().values())
    assert all(rate > 0 for rate in FAULT_PRESETS["light"].by_kind().values())
    whole = {message.value for message in WHOLE}
    strange = [
        sum(message.value not in whole for message in played(FAULT_PRESETS[name]))
        for name in ("none", "light", "heavy")
    ]
    assert strange[0] == 0 < strange[1] < strange[2]


def test_faulty_fleets_are_repeatable() -> None:
    assert played(FAULT_PRESETS["heavy"]) == played(FAULT_PRESETS["heavy"])


@pytest.mark.parametrize(("kind", "rate"), [("cuts", 0.1), ("cut", 1.5), ("cut", -0.1)])
def test_unknown_faults_and_impossible_rates_are_refused(kind: str, rate: float) -> None:
    with pytest.raises(ValueError, match="cut"):
        FaultRates().but(kind, rate)
