"""The fleet: time order, repeatability, who rides when."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

import pytest

from bike_simulator import FleetPlan, Message, simulate
from bike_simulator.hearts import maxima_bpm

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def fleet(hours: float = 0.5, hour: float = 9, **changes: Any) -> FleetPlan:  # noqa: ANN401
    start_at = MONDAY + timedelta(hours=hour)
    return FleetPlan(start_at, until_at=start_at + timedelta(hours=hours), **changes)


def payload_of(message: Message) -> dict[str, Any] | None:
    _, found, data = json.loads(message.value)["log"].partition("[SYSTEM] data = ")
    return json.loads(data) if found else None


def test_messages_come_in_time_order_across_the_fleet() -> None:
    times_us = [message.at_us for message in simulate(fleet(bikes=30, back_to_back=True))]
    assert len(times_us) > 50_000
    assert all(before <= after for before, after in pairwise(times_us))


def test_stamps_of_each_bike_rise_strictly() -> None:
    latest_us: dict[bytes, int] = defaultdict(int)
    for message in simulate(fleet(bikes=30, back_to_back=True)):
        assert message.at_us > latest_us[message.key]
        latest_us[message.key] = message.at_us


def test_equal_plans_give_equal_bytes_and_other_seeds_do_not() -> None:
    first = list(simulate(fleet(bikes=20)))
    assert first == list(simulate(fleet(bikes=20)))
    assert first != list(simulate(fleet(bikes=20, seed=8)))


@pytest.mark.parametrize("hours", [0.251, 3.0, None])
def test_the_beginning_does_not_depend_on_how_long_it_runs(hours: float | None) -> None:
    until_at = None if hours is None else MONDAY + timedelta(hours=9 + hours)
    short = list(simulate(fleet(0.25, bikes=20, dangerous_riders=2)))
    start_at = MONDAY + timedelta(hours=9)
    longer = FleetPlan(start_at, bikes=20, dangerous_riders=2, until_at=until_at)
    assert list(islice(simulate(longer), len(short))) == short


def test_nothing_lies_outside_start_and_end() -> None:
    plan = fleet(0.2, bikes=10, back_to_back=True)
    messages = list(simulate(plan))
    assert plan.until_at is not None
    assert all(plan.start_at <= message.at < plan.until_at for message in messages)


def test_all_bikes_ride_within_two_minutes_back_to_back() -> None:
    keys = {message.key for message in simulate(fleet(2 / 60, bikes=300, back_to_back=True))}
    assert len(keys) == 300


def bikes_by_minute(hour: float, hours: float, **changes: Any) -> list[int]:  # noqa: ANN401
    minutes: dict[int, set[bytes]] = defaultdict(set)
    for message in simulate(fleet(hours, hour, bikes=50, **changes)):
        minutes[(message.at - MONDAY) // timedelta(minutes=1)].add(message.key)
    return [len(minutes[minute]) for minute in range(round(hour * 60), round((hour + hours) * 60))]


def test_fifty_bikes_are_never_all_idle_by_day_and_busiest_in_the_evening() -> None:
    afternoon, evening = bikes_by_minute(hour=13, hours=2), bikes_by_minute(hour=18, hours=1)
    assert min(afternoon[10:]) >= 2
    assert sum(evening[10:]) / 50 > 14 > sum(afternoon[10:]) / 110


def test_nights_are_quiet() -> None:
    night = bikes_by_minute(hour=0, hours=4)
    assert sum(night) / len(night) < 2


def test_bikes_round_the_clock_ride_through_the_night() -> None:
    assert min(bikes_by_minute(hour=2, hours=1, round_the_clock=4)[1:]) >= 4


def test_broken_power_sensors_change_the_power_of_the_last_bikes_alone() -> None:
    whole = list(simulate(fleet(0.1, bikes=5, back_to_back=True)))
    broken = list(simulate(fleet(0.1, bikes=5, back_to_back=True, broken_power_sensors=2)))
    differing = {one.key for one, other in zip(whole, broken, strict=True) if one != other}
    assert differing == {b"SN0003", b"SN0004"}
    before_power = [message.value.partition(b"power")[0] for message in whole]
    assert [message.value.partition(b"power")[0] for message in broken] == before_power


def test_riders_come_back_on_other_bikes_and_never_ride_two_at_once() -> None:
    bikes_of: dict[int, set[str]] = defaultdict(set)
    riding: dict[bytes, int] = {}
    for message in simulate(fleet(1, bikes=20, riders=30, back_to_back=True)):
        if payload := payload_of(message):
            riding.pop(message.key, None)
            assert payload["user_id"] not in riding.values()
            riding[message.key] = payload["user_id"]
            bikes_of[payload["user_id"]].add(payload["bike_serial"])
    assert max(map(len, bikes_of.values())) > 2


def test_dangerous_riders_exceed_their_limit_in_as_many_rides_as_asked() -> None:
    racing: set[tuple[bytes, int]] = set()
    limit_bpm: dict[bytes, float] = {}
    user_id: dict[bytes, int] = {}
    for message in simulate(fleet(0.25, bikes=30, back_to_back=True, dangerous_riders=3)):
        if payload := payload_of(message):
            born = datetime.fromtimestamp(payload["date_of_birth"] / 1000, UTC)
            limit_bpm[message.key] = maxima_bpm((MONDAY - born).days // 365)[1]
            user_id[message.key] = payload["user_id"]
        elif b"hrt = " in message.value:
            beats = int(message.value.partition(b"hrt = ")[2].partition(b";")[0])
            if beats > limit_bpm[message.key]:
                racing.add((message.key, user_id[message.key]))
    assert 3 <= len(racing) <= 9


def racing_from(plan: FleetPlan) -> dict[tuple[bytes, int], datetime]:
    """Bike and rider of each heart that beats faster than any healthy one, and since when."""
    found: dict[tuple[bytes, int], datetime] = {}
    user_id: dict[bytes, int] = {}
    for message in simulate(plan):
        if payload := payload_of(message):
            user_id[message.key] = payload["user_id"]
        elif b"hrt = " in message.value:
            beats = int(message.value.partition(b"hrt = ")[2].partition(b";")[0])
            if beats > 180:
                found.setdefault((message.key, user_id[message.key]), message.at)
    return found


def test_one_heart_races_soon_after_the_moment_that_is_asked_for() -> None:
    at = MONDAY + timedelta(hours=9, minutes=5)
    [since] = racing_from(fleet(0.3, bikes=5, back_to_back=True, danger_at=at)).values()
    assert timedelta(seconds=20) < since - at < timedelta(seconds=60)


def test_a_share_of_all_rides_is_dangerous() -> None:
    plan = fleet(0.3, bikes=40, back_to_back=True, dangerous_share=0.4)
    rides = sum(payload_of(message) is not None for message in simulate(plan))
    assert 0.1 < len(racing_from(plan)) / rides < 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dangerous_share": 1.1}, "must lie in 0 to 1"),
        ({"danger_at": datetime(2026, 3, 2)}, "time zone"),  # noqa: DTZ001
        ({"bikes": 0}, "at least one bike"),
        ({"seed": -1}, "seed"),
        ({"riders": 10, "bikes": 11}, "at least as many riders"),
        ({"start_at": datetime(2026, 3, 2)}, "time zone"),  # noqa: DTZ001
        ({"until_at": MONDAY}, "after its start"),
        ({"dangerous_riders": -1}, "fewer than no"),
        ({"broken_power_sensors": -1}, "fewer than no"),
        ({"firmwares": ()}, "firmware"),
    ],
)
def test_plans_that_make_no_sense_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FleetPlan(**{"start_at": MONDAY, **changes})
