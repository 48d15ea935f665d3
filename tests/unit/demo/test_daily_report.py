"""Yesterday's report goes out once the fleet's history is stored, not before."""

from datetime import UTC, datetime, timedelta

import pytest

from demo.daily_report import is_history_stored
from demo.figures import Figures


def figures(newest_age_s: float | None, lag_lines: int) -> Figures:
    """What the demo knows at a moment."""
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    newest_at = None if newest_age_s is None else now - timedelta(seconds=newest_age_s)
    return Figures(now, 4, 100, 30_000, newest_at, 60_000, lag_lines, 0, ())


@pytest.mark.parametrize(
    ("newest_age_s", "lag_lines", "stored"),
    [(2.0, 10, True), (2.0, 20_000, False), (40_000.0, 10, False), (None, 0, False)],
)
def test_history_is_stored_when_the_newest_reading_is_of_now_and_few_lines_wait(
    newest_age_s: float | None, lag_lines: int, stored: bool
) -> None:
    assert is_history_stored(figures(newest_age_s, lag_lines)) is stored


def test_a_demo_without_figures_waits() -> None:
    assert not is_history_stored(None)
