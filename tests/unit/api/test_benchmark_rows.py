"""What wrk prints is read as it is meant, answers that never came included."""

import pytest

from benchmarks.api import Figures, answers_in, percentile_ms

PRINTED = """
  Latency Distribution
     50%    {p50}
     99%    {p50}
  {answers} requests in 3.00s, 1.00MB read
Requests/sec:    {answers}.00
"""


@pytest.mark.parametrize(
    ("p50", "answers", "expected"),
    [("812.00us", 9, 0.812), ("1.25ms", 9, 1.25), ("2.00s", 1, 2000.0), ("1.10m", 1, 66_000.0)],
)
def test_a_time_is_told_in_milliseconds(p50: str, answers: int, expected: float) -> None:
    printed = PRINTED.format(p50=p50, answers=answers)
    assert percentile_ms(printed, 50) == pytest.approx(expected)
    assert answers_in(printed) == answers


def test_who_gave_no_answer_has_a_row_without_figures() -> None:
    printed = PRINTED.format(p50="0.00us", answers=0)
    assert percentile_ms(printed, 50) is None
    row = Figures(percentile_ms(printed, 50), percentile_ms(printed, 99), 0.0, None).row("a", "b")
    assert row == "| a | b | – | – | 0 | – |"
