"""Each alarm of the templates is silent while all is well, and speaks in what it is there for."""

import json
from collections.abc import Sequence

import pytest
import yaml
from prometheus_client import CollectorRegistry, Counter

from deloton.rules.whose import Whose
from deloton.running.emf import CloudFigures
from tests.deploy.alarm_evaluator import ALARM, NO_DATA, OK, Alarm, Point
from tests.deploy.templates_read import alarms
from tests.deploy.test_compose_files import MONITORING

ALARMS = alarms()
HOUR_S, NOTHING = 3600, None

# What is told once in each so many seconds: while all is well, and in the outage; None is nothing.
# What AWS tells by itself is as its documentation says; our own figures are recorded from real
# programs in outages too: tests/e2e/test_alarms.py.
TOLD: dict[str, tuple[int, float | None, float | None]] = {
    "cluster-database-capacity": (60, 40, 95),
    "cluster-database-storage": (300, 3e11, 3e12),
    "api-5xx": (60, NOTHING, 4),
    "api-unhealthy": (60, 0, 1),
    "api-tasks": (60, 2, 1),
    "dashboard-5xx": (60, NOTHING, 4),
    "dashboard-unhealthy": (60, 0, 1),
    "dashboard-tasks": (60, 1, NOTHING),
    "reporter-not-started": (60, 0, 1),
    "reporter-missing": (24 * HOUR_S, 1, NOTHING),
    "tableau-not-started": (60, 0, 1),
    "tableau-missing": (24 * HOUR_S, 1, NOTHING),
    "ingestor-behind": (60, 0, 180),
    "ingestor-failing": (60, 0, 130),
    "ingestor-lag": (60, 900, 700_000),
    "ingestor-stores-nothing": (60, 500, NOTHING),
    "ingestor-dead-letters": (60, 1, 40),
    "ingestor-refused-by-database": (60, 0, 1),
    "ingestor-two-bikes": (60, 0, 1),
    # Where packing is off both are told as 0.
    "ingestor-rides-not-packed": (60, 0, 101),
    "ingestor-days-not-dropped": (60, 0, 3),
    "ingestor-tasks": (60, 1, 0),
    "analytics-stale": (300, 1, NOTHING),
    "hr-alerter-failing": (60, 0, 130),
    "hr-alerter-lag": (60, 20, 40_000),
    "hr-alerter-failures": (60, 0, 1),
    "hr-alerter-refused-addresses": (60, 0, 1),
    "hr-alerter-bounce-rate": (HOUR_S, 0.01, 0.035),
    "hr-alerter-complaint-rate": (HOUR_S, 0.0001, 0.0006),
    "hr-alerter-tasks": (60, 2, 1),
    "webhooks-failing": (60, 0, 130),
    "webhooks-behind": (60, 3, 700),
    "webhooks-tasks": (60, 1, 0),
    "canary-silent": (60, 120, 1000),
    "canary-slow": (60, 4, 75),
    "canary-tasks": (60, 1, 0),
}
# Nobody tells anything any more: what of it is alarming.
SPEAK_OF_ABSENCE = {
    *("ingestor-behind", "ingestor-failing", "hr-alerter-failing", "hr-alerter-lag"),
    *("ingestor-tasks", "hr-alerter-tasks", "api-tasks", "dashboard-tasks", "canary-tasks"),
    *(
        "ingestor-stores-nothing",
        "webhooks-failing",
        "webhooks-tasks",
        "canary-silent",
        "analytics-stale",
        "reporter-missing",
        "tableau-missing",
        "cluster-database-capacity",
    ),
}
LONG_S = 60 * HOUR_S


def told(every_s: int, value: float | None, *, until_s: float = LONG_S) -> list[Point]:
    """The same value again and again, up to a moment."""
    if value is None:
        return []
    return [Point(float(at_s), value) for at_s in range(0, int(until_s), every_s)]


def test_every_alarm_has_its_outage() -> None:
    assert TOLD.keys() == ALARMS.keys()


@pytest.mark.parametrize("name", TOLD)
def test_an_alarm_is_silent_while_all_is_well(name: str) -> None:
    every_s, well, _ = TOLD[name]
    assert ALARMS[name].state(told(every_s, well), LONG_S) == OK


@pytest.mark.parametrize("name", TOLD)
def test_an_alarm_speaks_in_its_outage(name: str) -> None:
    every_s, _, ill = TOLD[name]
    assert ALARMS[name].state(told(every_s, ill), LONG_S) == ALARM


@pytest.mark.parametrize("name", TOLD)
def test_absence_is_alarming_where_somebody_should_be_telling(name: str) -> None:
    state = ALARMS[name].state([], LONG_S)
    assert (state == ALARM) == (name in SPEAK_OF_ABSENCE)


@pytest.mark.parametrize("name", ["ingestor-failing", "hr-alerter-failing"])
def test_a_failure_of_a_minute_is_no_alarm_and_one_of_three_is(name: str) -> None:
    def failing(seconds: int) -> Sequence[Point]:
        began_s = LONG_S - seconds
        return [Point(float(at_s), max(0.0, at_s - began_s)) for at_s in range(0, LONG_S, 60)]

    assert ALARMS[name].state(failing(60), LONG_S) == OK
    assert ALARMS[name].state(failing(240), LONG_S) == ALARM


def counted_for_an_hour(name: str, figure: str, **labels: str) -> list[Point]:
    """What CloudWatch is told of a counter that grows by one a minute, with these labels."""
    registry = CollectorRegistry()
    counter = Counter(name, "…", list(labels), registry=registry)
    figures, points = CloudFigures("Deloton/test", registry), []
    for at_s in range(0, HOUR_S, 60):
        counter.labels(**labels).inc()
        [line] = map(json.loads, figures.lines(at_s * 1000))
        points.append(Point(float(at_s), line[figure]))
    return points


@pytest.mark.parametrize("whose", Whose)
def test_real_bikes_that_are_all_silent_are_an_alarm_whoever_else_rides(whose: Whose) -> None:
    points = counted_for_an_hour("ingestor_readings", "Readings", whose=whose)
    state = ALARMS["ingestor-stores-nothing"].state(points, HOUR_S)
    assert state == (OK if whose is Whose.RIDER else ALARM)


@pytest.mark.parametrize("state", ["failed", "expired", "unknown"])
@pytest.mark.parametrize("whose", Whose)
def test_alerts_of_real_riders_alone_that_failed_are_an_alarm(whose: Whose, state: str) -> None:
    points = counted_for_an_hour(
        "hr_alerter_alerts", "FailedAlerts", level="high", state=state, whose=whose
    )
    found = ALARMS["hr-alerter-failures"].state(points, HOUR_S)
    assert found == (ALARM if whose is Whose.RIDER else OK)


@pytest.mark.parametrize(
    ("missing", "state"), [("breaching", ALARM), ("notBreaching", OK), ("missing", NO_DATA)]
)
def test_what_is_missing_counts_as_the_alarm_says(missing: str, state: str) -> None:
    assert an_alarm(TreatMissingData=missing).state([], LONG_S) == state


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([9, 9, 9, None, None], ALARM),  # the newest three that there are
        ([1, 9, 9, None, None], OK),
        ([None, 9, 9, None, None], ALARM),  # two, and what is missing is breaching
        ([9, 9, 1, 9, 9], OK),
    ],
)
def test_an_alarm_takes_the_newest_points_that_there_are(
    values: list[float | None], state: str
) -> None:
    points = [Point(60.0 * n, value) for n, value in enumerate(values) if value is not None]
    assert an_alarm(TreatMissingData="breaching").state(points, 300) == state


def an_alarm(**changes: object) -> Alarm:
    """More than 5 in each of three minutes."""
    said = {
        "MetricName": "Some",
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 3,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "missing",
    }
    return Alarm(said | changes)


SAME_IN_PROMETHEUS = {
    "Behind": "ingestor-behind",
    "IngestorFailing": "ingestor-failing",
    "AlerterFailing": "hr-alerter-failing",
    "IngestorLag": "ingestor-lag",
    "DeadLetters": "ingestor-dead-letters",
    "RefusedByDatabase": "ingestor-refused-by-database",
    "TwoBikes": "ingestor-two-bikes",
    "RidesNotPacked": "ingestor-rides-not-packed",
    "DaysNotDropped": "ingestor-days-not-dropped",
    "AlerterLag": "hr-alerter-lag",
    "FailedAlerts": "hr-alerter-failures",
    "RefusedAddresses": "hr-alerter-refused-addresses",
    "WebhooksFailing": "webhooks-failing",
    "WebhooksBehind": "webhooks-behind",
    "CanarySilent": "canary-silent",
    "CanarySlow": "canary-slow",
}


def test_prometheus_rules_have_the_thresholds_of_the_alarms() -> None:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    rules = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    others = {"StoresNothing", "NotKnown", "LimitsNotShared", "Gone"}
    assert rules.keys() == SAME_IN_PROMETHEUS.keys() | others
    for rule, alarm in SAME_IN_PROMETHEUS.items():
        threshold = json.loads(rules[rule].rpartition(" > ")[2])
        assert threshold == ALARMS[alarm].said["Threshold"], rule
