"""EDGE: the few figures that alarms and autoscaling watch, as log lines that CloudWatch reads.

A line a minute (see `deloton.running.cloudwatch`), taken from what /metrics tells.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal

from msgspec import Struct
from prometheus_client import REGISTRY
from prometheus_client.registry import CollectorRegistry
from prometheus_client.samples import Sample

from deloton.rules.whose import Whose
from deloton.running.cloudwatch import line_of, now_ms, write_line

EVERY_S = 60.0


class CloudMetric(Struct, frozen=True):
    """One figure: which samples of /metrics it is made of, and how.

    `rise` is what a counter has grown by since the last line; `only` picks samples by what their
    labels say. A figure that is not known, for it has no sample or one of them is NaN, is not
    told: its absence is what alarms see.
    """

    service: str
    name: str
    sample: str
    made_by: Literal["sum", "max", "rise"]
    unit: Literal["Count", "Seconds"] = "Count"
    only: Mapping[str, frozenset[str]] = {}


REAL: Final[Mapping[str, frozenset[str]]] = {"whose": frozenset({Whose.RIDER})}

# Alarms and autoscaling of the services' stacks go by these names. What is simulated neither raises
# an alarm nor hides that something is wrong with what is real.
CLOUD_METRICS = (
    CloudMetric("ingestor", "Lag", "ingestor_lag", "sum"),
    CloudMetric("ingestor", "SecondsBehind", "ingestor_seconds_behind", "max", "Seconds"),
    CloudMetric("ingestor", "FailingSeconds", "ingestor_failing_seconds", "max", "Seconds"),
    CloudMetric("ingestor", "Readings", "ingestor_readings_total", "rise", only=REAL),
    CloudMetric("ingestor", "DeadLetters", "ingestor_dead_letters_total", "rise"),
    CloudMetric("ingestor", "RefusedByDatabase", "ingestor_refused_by_database_total", "rise"),
    CloudMetric("ingestor", "TwoBikes", "ingestor_two_bikes_lines_total", "rise"),
    CloudMetric("ingestor", "RidesNotPacked", "ingestor_rides_not_packed", "max"),
    CloudMetric("ingestor", "DaysNotDropped", "ingestor_reading_days_not_dropped", "max"),
    CloudMetric("hr-alerter", "FailingSeconds", "hr_alerter_failing_seconds", "max", "Seconds"),
    CloudMetric("hr-alerter", "Lag", "hr_alerter_lag", "sum"),
    CloudMetric(
        "hr-alerter",
        "FailedAlerts",
        "hr_alerter_alerts_total",
        "rise",
        only={**REAL, "state": frozenset({"failed", "expired", "unknown"})},
    ),
    CloudMetric(
        "hr-alerter",
        "RefusedAddresses",
        "hr_alerter_refused_addresses_total",
        "rise",
        only=REAL,
    ),
    CloudMetric("webhooks", "FailingSeconds", "webhooks_failing_seconds", "max", "Seconds"),
    CloudMetric("webhooks", "SecondsBehind", "webhooks_seconds_behind", "max", "Seconds"),
    CloudMetric("canary", "SilentSeconds", "canary_silent_seconds", "max", "Seconds"),
    CloudMetric("canary", "EndToEndSeconds", "canary_last_seconds", "max", "Seconds"),
)


class CloudFigures:
    """Turns what a registry holds into lines; remembers counters between two of them."""

    def __init__(self, namespace: str, registry: CollectorRegistry = REGISTRY) -> None:
        """Counters count from here."""
        self._namespace = namespace
        self._registry = registry
        self._before: dict[str, float] = {}
        self.lines(0)

    def lines(self, at_ms: int) -> list[str]:
        """A line a service that has figures here; `at_ms` since the epoch."""
        families = {family.name: family for family in self._registry.collect()}
        found: dict[str, dict[str, tuple[float, str]]] = {}
        for metric in CLOUD_METRICS:
            family = families.get(metric.sample.removesuffix("_total"))
            value = None if family is None else self._value(metric, family.samples)
            if value is not None:
                found.setdefault(metric.service, {})[metric.name] = (value, metric.unit)
        return [
            line_of(self._namespace, at_ms, service, figures) for service, figures in found.items()
        ]

    def _value(self, metric: CloudMetric, samples: Iterable[Sample]) -> float | None:
        values = [
            sample.value
            for sample in samples
            if sample.name == metric.sample
            and all(sample.labels.get(label) in said for label, said in metric.only.items())
        ]
        if any(map(math.isnan, values)):
            return None
        if metric.made_by == "max":
            return max(values, default=None)
        if metric.made_by == "sum" and not values:
            return None
        total = sum(values)
        if metric.made_by == "sum":
            return total
        key = f"{metric.service}/{metric.name}"
        rise = total - self._before.get(key, 0.0)
        self._before[key] = total
        return rise


@asynccontextmanager
async def telling_cloudwatch(
    namespace: str | None,
    write: Callable[[str], None] = write_line,
    every_s: float = EVERY_S,
) -> AsyncIterator[None]:
    """Write the lines until the block ends; none where there is no namespace."""
    if not namespace:
        yield
        return
    task = asyncio.create_task(_tell(CloudFigures(namespace), write, every_s))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _tell(figures: CloudFigures, write: Callable[[str], None], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        for line in figures.lines(now_ms()):
            write(line)
