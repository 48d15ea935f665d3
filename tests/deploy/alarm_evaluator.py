"""What CloudWatch would make of an alarm's words and of what was told: OK, ALARM or neither.

As its documentation says: points are put together by period; an alarm looks at as many periods as
`EvaluationPeriods` says and at two more, takes the newest that have a point, and fills up with
`TreatMissingData` where there are too few. Of metric maths it knows what our templates say.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

OK, ALARM, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
# Periods that are looked at beyond those that are evaluated.
BEYOND: Final = 2

STATISTICS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "Maximum": max,
    "Minimum": min,
    "Sum": sum,
    "Average": lambda values: sum(values) / len(values),
}
COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
}

Series = Sequence[float | None]


@dataclass(frozen=True)
class Point:
    """A value that was told, `at_s` seconds after some beginning."""

    at_s: float
    value: float


@dataclass(frozen=True)
class Alarm:
    """An alarm of a template, with every parameter filled in."""

    said: Mapping[str, Any]

    @property
    def metric(self) -> Mapping[str, Any]:
        """The metric: the alarm's own, or that of its one statistic."""
        if "Metrics" not in self.said:
            return self.said
        [statistic] = [each["MetricStat"] for each in self.said["Metrics"] if "MetricStat" in each]
        return {
            **statistic["Metric"],
            "Period": statistic["Period"],
            "Statistic": statistic["Stat"],
        }

    def state(self, points: Sequence[Point], now_s: float, faster: float = 1.0) -> str:
        """The state at `now_s`, where everything goes `faster` than the template says."""
        periods = int(self.said["EvaluationPeriods"])
        period_s = float(self.metric["Period"]) / faster
        told = self._calculated(self._series(points, now_s, period_s, periods + BEYOND))
        known = [value for value in told if value is not None]
        missing = self.said["TreatMissingData"]
        if not known and missing in {"missing", "ignore"}:
            return NO_DATA
        breaching = [self._breaches(value, faster) for value in known[-periods:]]
        if missing in {"breaching", "notBreaching"}:
            breaching += [missing == "breaching"] * (periods - len(breaching))
        needed = int(self.said.get("DatapointsToAlarm", periods))
        return ALARM if sum(breaching) >= needed else OK

    def _series(
        self, points: Sequence[Point], now_s: float, period_s: float, count: int
    ) -> list[float | None]:
        """The statistic of the last whole periods before now, oldest first."""
        statistic = STATISTICS[self.metric["Statistic"]]
        last = int(now_s // period_s)
        by_period: dict[int, list[float]] = {}
        for point in points:
            by_period.setdefault(int(point.at_s // period_s), []).append(point.value)
        return [
            statistic(by_period[number]) if number in by_period else None
            for number in range(last - count, last)
        ]

    def _calculated(self, series: Series) -> list[float | None]:
        """The series that is compared: by the alarm's expression, where it has one."""
        expressions = [each for each in self.said.get("Metrics", ()) if "Expression" in each]
        if not expressions:
            return list(series)
        [expression] = [each["Expression"] for each in expressions]
        if filled := re.fullmatch(r"FILL\(\w+, (\d+)\)", expression):
            return [float(filled[1]) if value is None else value for value in series]
        divided = re.fullmatch(r"\w+ / (\d+)", expression)
        assert divided, expression
        return [None if value is None else value / float(divided[1]) for value in series]

    def _breaches(self, value: float, faster: float) -> bool:
        threshold = float(self.said["Threshold"])
        if self.metric["MetricName"].endswith("Seconds") or "Seconds" in self.metric["MetricName"]:
            threshold /= faster
        return COMPARISONS[self.said["ComparisonOperator"]](value, threshold)
