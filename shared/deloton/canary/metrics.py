"""EDGE: what Prometheus reads at /metrics."""

import math
import time

from prometheus_client import Counter, Gauge, Histogram

END_TO_END_SECONDS = Histogram(
    "canary_end_to_end_seconds",
    "From the first reading beyond the limit to the mail in the inbox",
    buckets=(1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180),
)
LAST_SECONDS = Gauge("canary_last_seconds", "The same of the last beat; NaN: no mail came of it")
SILENT_SECONDS = Gauge(
    "canary_silent_seconds", "For how long no mail has come, since the last one or the start"
)
BEATS = Counter("canary_beats", "Beats, by whether a mail came of them", ["end"])
FAILING_SECONDS = Gauge(
    "canary_failing_seconds", "For how long broker or inbox have been failing, or 0"
)

LAST_SECONDS.set(math.nan)


class Silence:
    """For how long no mail has come: reckoned whenever it is asked for."""

    def __init__(self) -> None:
        """Count from now."""
        self._heard_at = time.monotonic()
        SILENT_SECONDS.set_function(lambda: time.monotonic() - self._heard_at)

    def end(self) -> None:
        """A mail has come."""
        self._heard_at = time.monotonic()
