"""How far a partition is behind: what is known is told, and what is not is not made up."""

from math import nan

import pytest

from ingestor.standing import KNOWN_FOR_S, End, Standing, standing

NOW_S = 1_700_000_000.0
STORED_MS = int((NOW_S - 140) * 1000)
LATELY, LONG_AGO = NOW_S - KNOWN_FOR_S, NOW_S - KNOWN_FOR_S - 1


@pytest.mark.parametrize(
    ("end", "newest_timestamp_ms", "expected"),
    [
        (End(100, LATELY), STORED_MS, Standing(0.0, 0.0)),
        (End(107, LATELY), STORED_MS, Standing(7.0, 140.0)),
        # The topic was made anew: nothing waits that is known of.
        (End(3, LATELY), STORED_MS, Standing(0.0, 0.0)),
        # What waited waits still; how much more has come, nobody knows.
        (End(107, LONG_AGO), STORED_MS, Standing(nan, 140.0)),
        (End(100, LONG_AGO), STORED_MS, Standing(nan, nan)),
        # Nothing stored yet: how old is what waits?
        (End(107, LATELY), None, Standing(7.0, nan)),
        (End(100, LATELY), None, Standing(0.0, 0.0)),
        (None, STORED_MS, Standing(nan, nan)),
        # Kafka's clock is ahead of ours.
        (End(107, LATELY), int((NOW_S + 5) * 1000), Standing(7.0, 0.0)),
    ],
)
def test_a_partition_stored_up_to_100_stands_so(
    end: End | None, newest_timestamp_ms: int | None, expected: Standing
) -> None:
    found = standing(end, 100, newest_timestamp_ms, NOW_S)
    assert [found.lag, found.seconds_behind] == pytest.approx(
        [expected.lag, expected.seconds_behind], nan_ok=True
    )
