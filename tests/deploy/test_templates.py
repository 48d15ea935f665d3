"""What the templates say of passwords and alarms fits the programs and the runbook."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from deloton.cloudwatch import DONE_METRICS
from deloton.emf import CLOUD_METRICS
from deloton.roles import SERVICE_ROLES
from deploy.ecs.environment import SERVICES, STACKS, template_of

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
PASSWORD_OF = re.compile(r"deloton-\$\{Environment\}-([a-z-]+)-database-password")
OURS = "Deloton/${Environment}"
A_DAY_S, A_WEEK_S = 86_400, 604_800


def alarms() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each alarm's name without the environment's, and what it says."""
    for stack in STACKS:
        template = cfn_yaml.loads(template_of(stack))
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                said = resource["Properties"]
                yield said["AlarmName"]["Fn::Sub"].removeprefix("deloton-${Environment}-"), said


def default_of(stack: str, parameter: str) -> int:
    """The default of a number that a template leaves open."""
    return int(cfn_yaml.loads(template_of(stack))["Parameters"][parameter]["Default"])


ALARMS = dict(alarms())


def stack_of(name: str) -> str:
    """The stack of an alarm."""
    stacks: tuple[str, ...] = STACKS
    return max((stack for stack in stacks if name.startswith(f"{stack}-")), key=len)


def watched(alarm: dict[str, Any]) -> dict[str, Any]:
    """The metric of an alarm: its own, or the one that its expression is made of."""
    if "Metrics" not in alarm:
        return alarm
    [statistic] = [each["MetricStat"] for each in alarm["Metrics"] if "MetricStat" in each]
    return {**statistic["Metric"], "Period": statistic["Period"]}


@pytest.mark.parametrize("stack", [*SERVICES, "analytics"])
def test_a_task_reads_the_password_of_its_own_role_alone(stack: str) -> None:
    assert set(PASSWORD_OF.findall(template_of(stack))) == {stack}
    role = {"analytics": "star_refresher"}.get(stack, stack.replace("-", "_"))
    users = re.findall(r"postgresql://(\w+)@", template_of(stack))
    assert users == [role]
    assert "database-user" not in template_of(stack)


def test_the_migrations_give_every_role_its_password() -> None:
    given = set(re.findall(r"Name: (\w+)_DATABASE_PASSWORD", template_of("migrate")))
    assert given == {role.upper() for role in SERVICE_ROLES}


def test_every_figure_of_ours_that_is_watched_is_told_by_a_program() -> None:
    told = {(metric.service, metric.name) for metric in CLOUD_METRICS} | {*DONE_METRICS.items()}
    named = [watched(alarm) for alarm in ALARMS.values()]
    ours = {
        (metric["Dimensions"][0]["Value"], metric["MetricName"])
        for metric in named
        if metric["Namespace"] == {"Fn::Sub": OURS}
    }
    assert ours
    assert ours == told


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_looks_back_no_further_than_cloudwatch_does(name: str) -> None:
    period_s = int(watched(ALARMS[name])["Period"])
    times = ALARMS[name]["EvaluationPeriods"]
    if isinstance(times, dict):
        times = default_of(stack_of(name), times["Ref"])
    assert period_s * times <= (A_DAY_S if period_s < 3600 else A_WEEK_S)


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_has_a_chapter_in_the_runbook(name: str) -> None:
    chapters = [line for line in OPERATIONS.read_text().splitlines() if line.startswith("### ")]
    stack = stack_of(name)
    what = name.removeprefix(f"{stack}-")
    assert any(
        re.search(rf"\b{what}\b", line) and (stack in line or "any service" in line)
        for line in chapters
    ), f"{name}: {what} of {stack}"
