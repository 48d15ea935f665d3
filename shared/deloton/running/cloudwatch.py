"""EDGE: figures for CloudWatch, as lines on standard output that its log group turns into metrics.

They cost no call and no right. A service that runs on tells its figures through `emf.py`.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Final

# What tasks tell that do their work and end: by its absence an alarm knows that it was not done.
DONE_METRICS: Final = {"reporter": "ReportsOut", "analytics": "Refreshes", "tableau": "Extracts"}


def line_of(
    namespace: str, at_ms: int, service: str, figures: Mapping[str, tuple[float, str]]
) -> str:
    """One line: a service's figures, each with its unit; `at_ms` since the epoch."""
    directive = {
        "Namespace": namespace,
        "Dimensions": [["Service"]],
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in figures.items()],
    }
    return json.dumps(
        {
            "_aws": {"Timestamp": at_ms, "CloudWatchMetrics": [directive]},
            "Service": service,
            **{name: value for name, (value, _) in figures.items()},
        }
    )


def write_line(line: str) -> None:
    """Hand a line to the log driver at once."""
    print(line, flush=True)  # noqa: T201  the log driver reads standard output


def tell_done(
    namespace: str | None, service: str, write: Callable[[str], None] = write_line
) -> None:
    """Write that a task has done its work, now; nothing where there is no namespace."""
    if namespace:
        write(line_of(namespace, now_ms(), service, {DONE_METRICS[service]: (1, "Count")}))


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return int(time.time() * 1000)
