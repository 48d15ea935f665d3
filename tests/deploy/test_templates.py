"""What the templates say of passwords and alarms fits the programs and the runbook."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from deloton.running.cloudwatch import DONE_METRICS
from deloton.running.emf import CLOUD_METRICS
from deloton.running.web_headers import KEEP_ALIVE_S
from deloton.store.roles import SERVICE_ROLES
from deploy.ecs.environment import SERVICES, STACKS, STACKS_WITH_TASKS, template_of
from deploy.ecs.generation import generate

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


def default_text_of(stack: str, parameter: str) -> str:
    """The default of a text that a template leaves open."""
    return str(cfn_yaml.loads(template_of(stack))["Parameters"][parameter]["Default"])


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
    assert set(users) == {role}
    assert "database-user" not in template_of(stack)


@pytest.mark.parametrize("stack", STACKS_WITH_TASKS)
def test_a_template_is_what_its_source_says(stack: str) -> None:
    assert template_of(stack) == generate(stack), "make templates"


def test_the_extract_is_taken_from_the_stand_by_by_the_role_that_sees_no_names() -> None:
    [container] = resource_of("tableau", "TaskDefinition")["ContainerDefinitions"]
    told = {each["Name"]: each["Value"] for each in container["Environment"]}
    users_and_hosts = re.findall(r"postgresql://(\w+)@([\w-]+)\.", str(told["DATABASE_URL"]))
    assert users_and_hosts == [("tableau_reader", "database-reader")]
    secrets = {each["Name"]: str(each["ValueFrom"]) for each in container["Secrets"]}
    assert secrets.keys() == {"PGPASSWORD", "TABLEAU_TOKEN_NAME", "TABLEAU_TOKEN_SECRET"}
    assert all("-tableau-" in secret for secret in secrets.values())


@pytest.mark.parametrize(("stack", "what"), [("reporter", "Report"), ("tableau", "Extract")])
def test_a_task_of_a_schedule_that_fails_or_never_comes_up_is_told_at_once(
    stack: str, what: str
) -> None:
    rule = resource_of(stack, f"{what}Failed")
    detail = rule["EventPattern"]["detail"]
    assert detail["group"] == [{"Fn::Sub": f"family:deloton-${{Environment}}-{stack}"}]
    assert {key for each in detail["$or"] for key in each} == {"containers", "stopCode"}
    [target] = rule["Targets"]
    assert "alarms" in str(target["Arn"])


def test_the_migrations_give_every_role_its_password() -> None:
    given = set(re.findall(r"Name: (\w+)_DATABASE_PASSWORD", template_of("migrate")))
    assert given == {role.upper() for role in SERVICE_ROLES} | {"ON_CALL"}


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


def test_analysts_ask_the_stand_by_and_only_a_bridge_that_is_named_reaches_it() -> None:
    template = cfn_yaml.loads(template_of("data"))
    told = {name: template["Outputs"][name]["Value"] for name in ("ReaderAddress", "ReaderName")}
    assert told["ReaderAddress"] == {"Fn::GetAtt": ["Database", "ReadEndpoint.Address"]}
    assert told["ReaderName"] == {"Ref": "ReaderName"}
    ways_in = {
        name: resource.get("Condition")
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::EC2::SecurityGroupIngress"
    }
    assert ways_in == {
        "BridgeAccess": "BridgeIsHere",
        "BridgeAccessFromElsewhere": "BridgeIsElsewhere",
    }
    assert default_text_of("data", "TableauBridgeSecurityGroup") == ""
    assert default_text_of("data", "TableauBridgeAddresses") == ""


@pytest.mark.parametrize("stack", STACKS_WITH_TASKS)
def test_what_a_role_of_a_service_may_do_lies_within_the_boundary_of_all(stack: str) -> None:
    boundary = actions_of(resource_of("access", "Boundary")["PolicyDocument"])
    roles = [
        resource["Properties"]
        for resource in cfn_yaml.loads(template_of(stack))["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
    ]
    assert roles
    for role in roles:
        assert role["PermissionsBoundary"] == {
            "Fn::ImportValue": {"Fn::Sub": "deloton-${Environment}-boundary"}
        }
        for policy in role.get("Policies", ()):
            assert actions_of(policy["PolicyDocument"]) <= boundary, policy["PolicyName"]


def test_the_workflow_may_make_the_stack_of_each_service() -> None:
    role = str(resource_of("access", "DeployRole"))
    assert {stack for stack in STACKS_WITH_TASKS if f"-{stack}/*" in role} == {*STACKS_WITH_TASKS}


def actions_of(document: dict[str, Any]) -> set[str]:
    """All that the statements of a policy allow, those on a condition of the template's too."""
    statements = [each["Fn::If"][1] if "Fn::If" in each else each for each in document["Statement"]]
    listed = (each["Action"] for each in statements)
    return {
        action
        for actions in listed
        for action in ([actions] if isinstance(actions, str) else actions)
    }


def test_we_keep_an_idle_connection_for_longer_than_the_load_balancer() -> None:
    balancer = resource_of("cluster", "LoadBalancer")
    attributes = {each["Key"]: each["Value"] for each in balancer["LoadBalancerAttributes"]}
    assert int(attributes["idle_timeout.timeout_seconds"]) < KEEP_ALIVE_S


@pytest.mark.parametrize(
    ("service", "path"), [("api", "/health/live"), ("dashboard", "/_stcore/health")]
)
def test_a_database_that_is_away_takes_no_task_out_of_the_load_balancer(
    service: str, path: str
) -> None:
    assert resource_of(service, "TargetGroup")["HealthCheckPath"] == path


def test_what_services_count_is_told_to_nobody_outside() -> None:
    rule = resource_of("cluster", "MetricsRule")
    [condition] = rule["Conditions"]
    assert condition["PathPatternConfig"]["Values"] == ["/metrics", "/metrics/*"]
    assert rule["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
    others = [resource_of(stack, "ListenerRule")["Priority"] for stack in ("api", "dashboard")]
    assert rule["Priority"] < min(others)


def test_a_slow_statement_is_logged_without_the_values_that_it_asks_for() -> None:
    parameters = resource_of("data", "DatabaseParameters")["Parameters"]
    lengths = {name: value for name, value in parameters.items() if "parameter_max_length" in name}
    assert lengths == {"log_parameter_max_length": "0", "log_parameter_max_length_on_error": "0"}


def test_every_log_has_an_owner_that_outlives_a_failed_service_and_ends_after_a_month() -> None:
    groups = {
        resource["Properties"]["LogGroupName"]["Fn::Sub"]: resource["Properties"]["RetentionInDays"]
        for stack in ("cluster", "data")
        for resource in cfn_yaml.loads(template_of(stack))["Resources"].values()
        if resource["Type"] == "AWS::Logs::LogGroup"
    }
    written = {"/aws/rds/cluster/deloton-${Environment}/postgresql"}
    for stack in STACKS_WITH_TASKS:
        [container] = resource_of(stack, "TaskDefinition")["ContainerDefinitions"]
        written.add(container["LogConfiguration"]["Options"]["awslogs-group"]["Fn::Sub"])
    assert groups == dict.fromkeys(written, 30)


def test_what_a_first_attempt_leaves_behind_does_not_stand_in_the_way_of_the_second() -> None:
    resources = cfn_yaml.loads(template_of("data"))["Resources"]
    kept = {
        name: said["DeletionPolicy"] for name, said in resources.items() if "DeletionPolicy" in said
    }
    assert kept.pop("Database") == "Snapshot"
    assert set(kept.values()) == {"RetainExceptOnCreate"}
    assert resources["Database"]["Properties"]["DeletionProtection"] == {"Ref": "Protected"}


def test_what_reaches_the_alarms_topic_needs_no_condition_that_eventbridge_cannot_meet() -> None:
    policies = [
        resource_of("data", "Key")["KeyPolicy"],
        resource_of("cluster", "AlarmsPolicy")["PolicyDocument"],
    ]
    for policy in policies:
        [said] = [
            each for each in policy["Statement"] if "events.amazonaws.com" in str(each["Principal"])
        ]
        assert "Condition" not in said


def resource_of(stack: str, name: str) -> dict[str, Any]:
    """The properties of a resource."""
    properties: dict[str, Any] = cfn_yaml.loads(template_of(stack))["Resources"][name]["Properties"]
    return properties
