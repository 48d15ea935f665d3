"""What the health page tells: whether the worker has partitions and what it depends on answers."""

import time
from collections.abc import Callable, Hashable, Mapping

from msgspec import Struct

# Shorter failures are told but do not make the worker unhealthy: it retries by itself.
PATIENCE_S = 30.0


class HealthReport(Struct, frozen=True):
    """The body of the health page; `healthy` decides between 200 and 503."""

    healthy: bool
    assigned_partitions: list[int]
    failing_for_s: Mapping[str, float]

    @property
    def failing_seconds(self) -> float:
        """For how long what fails longest has been failing; 0 where all works."""
        return max(self.failing_for_s.values(), default=0.0)


class Health:
    """Keeps what the steps of the work report about the database and the broker."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing has failed yet. `clock` tells seconds and never falls back."""
        self._clock = clock
        self._failing_since: dict[str, dict[Hashable, float]] = {}

    def failing(self, what: str, who: Hashable = None) -> None:
        """A step that needs `what` has failed and is going to be repeated.

        `who` tells those apart that do the same at once: nobody takes another's failure back.
        """
        self._failing_since.setdefault(what, {}).setdefault(who, self._clock())

    def working(self, what: str, who: Hashable = None) -> None:
        """A step that needs `what` has succeeded."""
        failing = self._failing_since.get(what, {})
        failing.pop(who, None)
        if not failing:
            self._failing_since.pop(what, None)

    def report(self, assigned_partitions: list[int]) -> HealthReport:
        """The state of now."""
        now = self._clock()
        failing = {
            what: round(now - min(since.values()), 1) for what, since in self._failing_since.items()
        }
        healthy = all(seconds < PATIENCE_S for seconds in failing.values())
        return HealthReport(healthy, sorted(assigned_partitions), failing)
