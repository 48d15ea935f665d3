"""Figures on their way to CloudWatch: out of a registry, into lines of its format."""

import asyncio
import json
import math
import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from deloton.rules.whose import Whose
from deloton.running.cloudwatch import tell_done
from deloton.running.emf import CloudFigures, telling_cloudwatch
from ingestor import metrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def only_line(figures: CloudFigures) -> dict[str, Any]:
    [line] = figures.lines(1_700_000_000_000)
    told: dict[str, Any] = json.loads(line)
    return told


def test_a_line_names_its_metrics_as_cloudwatch_wants_them(registry: CollectorRegistry) -> None:
    Gauge("ingestor_lag", "…", ["partition"], registry=registry).labels("0").set(3)
    assert only_line(CloudFigures("Deloton/test", registry)) == {
        "_aws": {
            "Timestamp": 1_700_000_000_000,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Deloton/test",
                    "Dimensions": [["Service"]],
                    "Metrics": [{"Name": "Lag", "Unit": "Count"}],
                }
            ],
        },
        "Service": "ingestor",
        "Lag": 3,
    }


def test_lag_is_the_sum_of_partitions_and_the_age_is_the_worst(registry: CollectorRegistry) -> None:
    for name in ("ingestor_lag", "ingestor_seconds_behind"):
        gauge = Gauge(name, "…", ["partition"], registry=registry)
        gauge.labels("0").set(3)
        gauge.labels("1").set(4)
    told = only_line(CloudFigures("Deloton/test", registry))
    assert (told["Lag"], told["SecondsBehind"]) == (7, 4)


def test_a_counter_is_told_as_what_it_grew_by(registry: CollectorRegistry) -> None:
    letters = Counter("ingestor_dead_letters", "…", ["reason"], registry=registry)
    letters.labels("cut").inc(5)
    figures = CloudFigures("Deloton/test", registry)
    letters.labels("cut").inc(2)
    assert only_line(figures)["DeadLetters"] == 2
    assert only_line(figures)["DeadLetters"] == 0


def test_what_is_not_known_is_not_told(registry: CollectorRegistry) -> None:
    for name in ("ingestor_lag", "ingestor_seconds_behind"):
        Gauge(name, "…", ["partition"], registry=registry)
    Gauge("ingestor_failing_seconds", "…", registry=registry).set(140)
    told = only_line(CloudFigures("Deloton/test", registry))
    assert told["FailingSeconds"] == 140
    assert "Lag" not in told
    assert "SecondsBehind" not in told


def test_a_sum_or_a_maximum_of_which_a_part_is_not_known_is_not_told(
    registry: CollectorRegistry,
) -> None:
    for name in ("ingestor_lag", "ingestor_seconds_behind"):
        gauge = Gauge(name, "…", ["partition"], registry=registry)
        gauge.labels("0").set(3)
        gauge.labels("1").set(math.nan)
    assert CloudFigures("Deloton/test", registry).lines(0) == []


def test_only_alerts_of_real_riders_that_failed_or_expired_are_failures(
    registry: CollectorRegistry,
) -> None:
    alerts = Counter("hr_alerter_alerts", "…", ["level", "state", "whose"], registry=registry)
    figures = CloudFigures("Deloton/test", registry)
    for state in ("pending", "sent", "failed", "expired"):
        for whose in Whose:
            alerts.labels("high", state, whose).inc()
    assert only_line(figures)["FailedAlerts"] == 2


def test_what_was_done_once_is_told_with_a_namespace_alone() -> None:
    written: list[str] = []
    tell_done(None, "reporter", written.append)
    assert written == []
    tell_done("Deloton/test", "reporter", written.append)
    [told] = map(json.loads, written)
    assert (told["Service"], told["ReportsOut"]) == ("reporter", 1)
    [directive] = told["_aws"]["CloudWatchMetrics"]
    assert directive["Metrics"] == [{"Name": "ReportsOut", "Unit": "Count"}]
    assert told["_aws"]["Timestamp"] == pytest.approx(time.time() * 1000, abs=60_000)


async def test_lines_are_written_while_the_block_lasts_and_only_with_a_namespace() -> None:
    assert isinstance(metrics.LAG, Gauge)
    written: list[str] = []
    async with telling_cloudwatch(None, written.append, every_s=0.01):
        await asyncio.sleep(0.05)
    assert written == []
    async with telling_cloudwatch("Deloton/test", written.append, every_s=0.01):
        while not written:
            await asyncio.sleep(0.01)
