"""The rule of clocks, worked out by hand: stamps in seconds, and when they came."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.oracle.clocks import NO_TIME, Clock

BEGAN_AT = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
HOUR_S = 3600.0


def at(seconds: float) -> datetime:
    return BEGAN_AT + timedelta(seconds=seconds)


def shown_wrong_s(clock: Clock, came_s: list[float], ahead_s: float = 0.0) -> float:
    """A line a second, which came then: by how much a ride's time turns out to be wrong."""
    wrong_s = 0.0
    for second, came in enumerate(came_s):
        ahead = timedelta(seconds=ahead_s + wrong_s)
        wrong_s += clock.hear(at(second), at(came), ahead).total_seconds()
    return wrong_s


@pytest.mark.parametrize(("seconds", "wrong_s"), [(18, 0.0), (19, HOUR_S), (60, HOUR_S)])
def test_a_stream_that_is_live_for_19_s_tells_the_clock(seconds: int, wrong_s: float) -> None:
    came_s = [HOUR_S + second for second in range(seconds + 1)]
    assert shown_wrong_s(Clock(), came_s) == wrong_s


def test_a_backlog_tells_nothing() -> None:
    assert shown_wrong_s(Clock(), [HOUR_S + second / 10 for second in range(300)]) == 0


def test_what_comes_live_after_a_backlog_tells_the_clock() -> None:
    came_s = [HOUR_S] * 30 + [HOUR_S + second for second in range(30)]
    assert shown_wrong_s(Clock(), came_s) == HOUR_S - 30


@pytest.mark.parametrize("late_s", [-5.0, 0.0, 30.0])
def test_a_clock_that_is_right_is_left_alone(late_s: float) -> None:
    assert shown_wrong_s(Clock(), [late_s + second for second in range(60)]) == 0


def test_a_clock_that_was_put_right_goes_by_its_stamps_again() -> None:
    came_s = [second + 0.2 for second in range(60)]
    assert shown_wrong_s(Clock(), came_s, ahead_s=HOUR_S) == -HOUR_S


@pytest.mark.parametrize(("came_s", "ahead_s"), [(-5.0, 0.0), (-5.1, -5.1), (-HOUR_S, -HOUR_S)])
def test_a_ride_cannot_begin_after_it_was_told(came_s: float, ahead_s: float) -> None:
    assert Clock().at_beginning(at(0), at(came_s)) == timedelta(seconds=ahead_s)


def test_what_is_known_holds_for_the_rides_that_follow() -> None:
    clock = Clock(ahead=timedelta(hours=1))
    assert clock.at_beginning(at(0), at(HOUR_S + 0.2)) == timedelta(hours=1)
    assert clock.at_beginning(at(0), at(0.2)) == NO_TIME


def test_nothing_is_known_where_nobody_knows_when_lines_came() -> None:
    assert Clock().at_beginning(at(0), None) == NO_TIME
    assert Clock().hear(at(0), None, NO_TIME) == NO_TIME
