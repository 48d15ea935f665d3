"""The health page tells what fails, and is patient for a while."""

import pytest

from deloton.running.health import PATIENCE_S, Health
from deloton.testing import ManualClock


def test_a_worker_that_has_just_started_is_healthy() -> None:
    report = Health().report([])
    assert report.healthy
    assert not report.failing_for_s


def test_partitions_are_told_in_their_order() -> None:
    assert Health().report([3, 1, 2]).assigned_partitions == [1, 2, 3]


@pytest.mark.parametrize(("after_s", "healthy"), [(0, True), (29.9, True), (PATIENCE_S, False)])
def test_what_fails_is_told_at_once_and_is_ill_after_a_while(after_s: float, healthy: bool) -> None:
    clock = ManualClock()
    health = Health(clock)
    health.failing("database")
    clock.pass_by(after_s)
    report = health.report([0])
    assert report.healthy is healthy
    assert report.failing_for_s == {"database": after_s}


def test_a_failure_counts_from_its_first_attempt() -> None:
    clock = ManualClock()
    health = Health(clock)
    for _ in range(5):
        health.failing("broker")
        clock.pass_by(10)
    assert health.report([]).failing_for_s == {"broker": 50}


def test_what_works_again_is_forgotten_and_the_rest_is_not() -> None:
    health = Health(ManualClock())
    health.failing("broker")
    health.failing("database")
    health.working("broker")
    health.working("nothing that ever failed")
    assert list(health.report([]).failing_for_s) == ["database"]


def test_nobody_takes_back_what_another_says() -> None:
    health = Health(clock=lambda: 0.0)
    health.failing("database", "one")
    health.failing("database", "other")
    health.working("database", "one")
    assert "database" in health.report([]).failing_for_s
    health.working("database", "other")
    assert health.report([]).failing_for_s == {}
