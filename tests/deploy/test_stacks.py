"""The stacks of one environment made, updated and removed on moto's server.

What moto's CloudFormation lacks is stubbed (`moto_stubs`); it neither rolls back nor waits for
tasks, so the circuit breaker is AWS's own word.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from cfnlint.decode import cfn_yaml
from moto.cloudformation.models import cloudformation_backends
from moto.ecs.models import ecs_backends
from moto.server import ThreadedMotoServer

from demo.ports import free_port
from deploy.ecs.deployment import Deployment
from deploy.ecs.environment import (
    FOUNDATIONS,
    HERE,
    KEPT,
    OPTIONAL,
    SERVICES,
    STACKS,
    DeploymentError,
    Environment,
    template_of,
)
from tests.deploy import moto_stubs

EXAMPLE = Environment.read(HERE / "environments" / "example.yaml")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


class Aws:
    """An account of moto's with nothing in it."""

    def __init__(self, url: str, environment: Environment) -> None:
        self.environment = environment
        self.deployment = Deployment(environment, endpoint_url=url, pause_s=0.01)
        self._url = url

    def client(self, service: str) -> Any:  # noqa: ANN401
        return boto3.session.Session().client(
            service, endpoint_url=self._url, region_name=self.environment.region
        )

    def stacks(self) -> dict[str, str]:
        """The status of each stack that is there."""
        found = self.client("cloudformation").describe_stacks()["Stacks"]
        return {
            stack["StackName"].removeprefix(f"deloton-{self.environment.name}-"): stack[
                "StackStatus"
            ]
            for stack in found
        }

    def events(self, stack: str) -> int:
        """How many things have happened to a stack."""
        return len(self.events_of(stack))

    def events_of(self, stack: str) -> list[dict[str, Any]]:
        """What has happened to a stack, newest first."""
        name = self.environment.stack_name(stack)
        happened = self.client("cloudformation").describe_stack_events(StackName=name)
        return list(happened["StackEvents"])

    def parameter(self, stack: str, parameter: str) -> str:
        """What a stack was last given."""
        name = self.environment.stack_name(stack)
        [found] = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        given = {each["ParameterKey"]: each["ParameterValue"] for each in found["Parameters"]}
        return str(given[parameter])

    def schedules(self, stack: str) -> set[str]:
        """The schedules of a stack, as its template calls them."""
        name = self.environment.stack_name(stack)
        made = self.client("cloudformation").list_stack_resources(StackName=name)
        return {
            each["LogicalResourceId"]
            for each in made["StackResourceSummaries"]
            if each["ResourceType"] == "AWS::Scheduler::Schedule"
        }

    def deploying(self, parameters: Mapping[str, Mapping[str, str]]) -> Deployment:
        """The same environment with other parameters."""
        changed = replace(self.environment, parameters=parameters)
        return Deployment(changed, endpoint_url=self._url, pause_s=0.01)

    def revisions(self, service: str) -> int:
        """How many task definitions a service has had."""
        family = f"deloton-{self.environment.name}-{service}"
        listed = self.client("ecs").list_task_definitions(familyPrefix=family)
        return len(listed["taskDefinitionArns"])

    def image(self, service: str) -> str:
        """Which image a service's newest task definition names."""
        family = f"deloton-{self.environment.name}-{service}"
        backend = ecs_backends["123456789012"][self.environment.region]
        [container] = backend.describe_task_definition(family).container_definitions
        # After an update moto leaves the template's own spelling, which its API then cannot tell.
        return str(container.get("image") or container["Image"])


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    assert moto_stubs.STUBS
    server = ThreadedMotoServer(port=free_port(), verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def aws(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    yield Aws(moto_url, with_certificate(moto_url))
    urlopen(Request(f"{moto_url}/moto-api/reset", method="POST")).close()


def with_certificate(moto_url: str) -> Environment:
    """The example as an environment of the test's own; its certificate exists."""
    acm = boto3.session.Session().client("acm", endpoint_url=moto_url, region_name=EXAMPLE.region)
    made = acm.request_certificate(DomainName="deloton.example")
    cluster = {**EXAMPLE.parameters["cluster"], "CertificateArn": made["CertificateArn"]}
    return replace(EXAMPLE, name="test", parameters={**EXAMPLE.parameters, "cluster": cluster})


def test_everything_is_made_and_removed_again(aws: Aws) -> None:
    aws.deployment.prepare()
    for service in aws.deployment.services:
        aws.deployment.deploy(service, "1.0.0")
    assert aws.stacks().keys() == {*STACKS}
    assert set(aws.stacks().values()) <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    aws.deployment.destroy()
    assert aws.stacks() == {}


def test_a_new_tag_of_one_service_leaves_the_others_as_they_were(aws: Aws) -> None:
    aws.deployment.prepare()
    for service in aws.deployment.services:
        aws.deployment.deploy(service, "1.0.0", migrate=False)
    before = {stack: aws.events(stack) for stack in STACKS if stack != "migrate"}
    images = {service: aws.image(service) for service in aws.deployment.services}
    aws.deployment.deploy("api", "1.1.0", migrate=False)
    assert {stack for stack, was in before.items() if aws.events(stack) != was} == {
        "api",
        "webhooks",
    }
    expected = {**images, "api": images["api"].replace(":1.0.0", ":1.1.0")}
    assert {service: aws.image(service) for service in images} == expected


def test_deploying_the_same_tag_again_changes_nothing(aws: Aws) -> None:
    aws.deployment.prepare()
    aws.deployment.deploy("ingestor", "1.0.0", migrate=False)
    before = aws.image("ingestor"), aws.revisions("ingestor")
    aws.deployment.prepare()
    aws.deployment.deploy("ingestor", "1.0.0", migrate=False)
    assert (aws.image("ingestor"), aws.revisions("ingestor")) == before


def test_the_star_is_refreshed_by_the_ingestors_image(aws: Aws) -> None:
    aws.deployment.prepare()
    for tag in ("1.0.0", "1.1.0"):
        aws.deployment.deploy("ingestor", tag, migrate=False)
        assert aws.image("analytics") == aws.image("ingestor")
        assert aws.image("analytics").endswith(f"/ingestor:{tag}")


def test_migrations_run_from_the_image_that_is_deployed(aws: Aws) -> None:
    aws.deployment.prepare()
    aws.deployment.deploy("dashboard", "2.0.0")
    assert aws.image("migrate").endswith("/dashboard:2.0.0")


def test_a_command_runs_in_a_task_of_its_service_and_is_shown(aws: Aws) -> None:
    aws.deployment.prepare()
    aws.deployment.deploy("api", "1.0.0", migrate=False)
    assert aws.deployment.run("api", ["python", "-m", "api.keys", "list"]) == []
    cluster = f"deloton-{aws.environment.name}"
    [arn] = aws.client("ecs").list_tasks(cluster=cluster)["taskArns"]
    [task] = aws.client("ecs").describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
    [override] = task["overrides"]["containerOverrides"]
    assert override == {"name": "api", "command": ["python", "-m", "api.keys", "list"]}
    assert "/deloton-test-api:" in task["taskDefinitionArn"]


def test_a_stack_without_tasks_runs_no_command(aws: Aws) -> None:
    with pytest.raises(DeploymentError, match="no stack with tasks is called data"):
        aws.deployment.run("data", ["true"])


def test_a_service_without_its_foundations_is_refused_with_a_reason(aws: Aws) -> None:
    with pytest.raises(DeploymentError, match="deloton-test-access does not stand"):
        aws.deployment.deploy("api", "1.0.0", migrate=False)


def test_what_an_environments_file_does_not_name_of_the_optional_is_no_service_of_it(
    aws: Aws,
) -> None:
    assert aws.deployment.services == (*SERVICES, *OPTIONAL)
    named = {name: each for name, each in aws.environment.parameters.items() if name != "tableau"}
    without = aws.deploying(named)
    assert without.services == SERVICES
    with pytest.raises(DeploymentError, match="no service is called tableau"):
        without.deploy("tableau", "1.0.0")


def test_an_unknown_service_is_refused_before_anything_is_asked(aws: Aws) -> None:
    with pytest.raises(DeploymentError, match="no service is called apis"):
        aws.deployment.deploy("apis", "1.0.0")


def test_a_stack_that_never_came_to_be_keeps_what_happened_to_it_and_is_made_anew(
    aws: Aws,
) -> None:
    aws.deployment.prepare()
    aws.deployment.deploy("ingestor", "1.0.0", migrate=False)
    backend = cloudformation_backends["123456789012"][aws.environment.region]
    name = aws.environment.stack_name("ingestor")
    [failed] = [stack for stack in backend.stacks.values() if stack.name == name]
    failed.status = "ROLLBACK_COMPLETE"
    assert aws.deployment.running()["ingestor"] is None
    aws.deployment.deploy("ingestor", "1.0.1", migrate=False)
    assert aws.stacks()["ingestor"] == "CREATE_COMPLETE"
    assert aws.deployment.running()["ingestor"] == "1.0.1"
    events = aws.client("cloudformation").describe_stack_events(StackName=failed.stack_id)
    assert events["StackEvents"]


def test_the_database_is_protected_once_it_stands(aws: Aws) -> None:
    aws.deployment.prepare()
    assert aws.parameter("data", "Protected") == "true"
    statuses = [event["ResourceStatus"] for event in aws.events_of("data")]
    assert statuses[0] == "UPDATE_COMPLETE", "made unprotected, then protected"
    aws.deployment.prepare()
    assert aws.parameter("data", "Protected") == "true"
    assert [event["ResourceStatus"] for event in aws.events_of("data")].count(
        "CREATE_COMPLETE"
    ) == 1


def test_what_must_not_be_lost_is_replaced_by_no_update_and_deleted_with_no_stack(aws: Aws) -> None:
    aws.deployment.prepare()
    name = aws.environment.stack_name("data")
    cloudformation = aws.client("cloudformation")
    policy = json.loads(cloudformation.get_stack_policy(StackName=name)["StackPolicyBody"])
    [denied] = [each for each in policy["Statement"] if each["Effect"] == "Deny"]
    assert "LogicalResourceId/Database" in denied["Resource"]
    assert denied["Action"] == ["Update:Replace", "Update:Delete"]
    [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["EnableTerminationProtection"]
    resources = cfn_yaml.loads(template_of("data"))["Resources"]
    kept = {name for name, said in resources.items() if "DeletionPolicy" in said}
    assert kept == {*KEPT["data"]}


def test_a_service_is_made_by_a_role_that_may_do_no_more(aws: Aws) -> None:
    aws.deployment.prepare()
    aws.deployment.deploy("api", "1.0.0", migrate=False)
    backend = cloudformation_backends["123456789012"][aws.environment.region]
    roles = {
        stack.name.rpartition("test-")[2]: stack.role_arn or "" for stack in backend.stacks.values()
    }
    for made in ("api", "webhooks"):
        assert "StackRole" in roles.pop(made)
    assert set(roles.values()) == {""}


def test_what_would_change_is_shown_and_nothing_is_changed(aws: Aws) -> None:
    assert set(map(tuple, aws.deployment.plan().values())) == {("new",)}
    aws.deployment.prepare()
    before = {stack: aws.events(stack) for stack in FOUNDATIONS}
    parameters = {**aws.environment.parameters, "network": {"NatPerZone": "false"}}
    told = aws.deploying(parameters).plan()
    # What would change moto guesses; how it is told is ours.
    assert told["network"]
    assert all(
        re.fullmatch(r"(Add|Modify|Remove) \w+ \(AWS::[\w:]+\)", line) for line in told["network"]
    )
    assert {stack: aws.events(stack) for stack in FOUNDATIONS} == before


def test_a_new_login_of_the_dashboard_reaches_the_load_balancer(aws: Aws) -> None:
    aws.deployment.prepare()
    aws.deployment.deploy("dashboard", "1.0.0", migrate=False)
    before = aws.parameter("dashboard", "LoginVersion")
    aws.client("secretsmanager").put_secret_value(
        SecretId="deloton/test/dashboard-login",
        SecretString='{"client_id": "new", "client_secret": "new"}',
    )
    aws.deployment.deploy("dashboard", "1.0.0", migrate=False)
    assert aws.parameter("dashboard", "LoginVersion") != before


@pytest.mark.parametrize(
    ("runs_as", "schedule"), [("task", "Schedule"), ("lambda", "FunctionSchedule")]
)
def test_the_report_is_a_task_or_a_function(aws: Aws, runs_as: str, schedule: str) -> None:
    aws.deployment.prepare()
    parameters = aws.environment.parameters
    chosen = {**parameters, "reporter": {**parameters["reporter"], "RunsAs": runs_as}}
    aws.deploying(chosen).deploy("reporter", "1.0.0", migrate=False)
    assert aws.schedules("reporter") == {schedule}


def test_what_runs_is_told_of_each_service(aws: Aws) -> None:
    aws.deployment.prepare()
    aws.deployment.deploy("api", "1.0.0", migrate=False)
    told = {each.service: (each.tag, each.alarms) for each in aws.deployment.status()}
    assert told == {**dict.fromkeys(aws.deployment.services, (None, [])), "api": ("1.0.0", [])}


def test_an_account_has_the_role_that_ecs_acts_by(aws: Aws) -> None:
    aws.deployment.prepare()
    roles = aws.client("iam").list_roles(PathPrefix="/aws-service-role/ecs.amazonaws.com/")
    assert len(roles["Roles"]) == 1
    aws.deployment.prepare()


@pytest.mark.parametrize("name", ["Production", "p", "production-londo", "9to5"])
def test_an_environments_name_fits_all_names_that_are_made_of_it(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.yaml"
    file.write_text("region: eu-west-2\nstacks: {}\n")
    with pytest.raises(DeploymentError, match="2 to 14 small letters"):
        Environment.read(file)


def test_numbers_and_truths_need_no_quotes_and_lists_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "staging.yaml"
    file.write_text(
        "region: eu-west-2\nstacks: {data: {MaximumCapacity: 16, MakeMailIdentity: false}}\n"
    )
    assert Environment.read(file).parameters["data"] == {
        "MaximumCapacity": "16",
        "MakeMailIdentity": "false",
    }
    file.write_text("region: eu-west-2\nstacks: {api: {HostName: [a, b]}}\n")
    with pytest.raises(DeploymentError, match="api: HostName must be a text"):
        Environment.read(file)


@pytest.mark.parametrize("service", [*SERVICES, "analytics"])
def test_a_new_tag_reaches_the_task_definition_and_what_runs_it_alone(service: str) -> None:
    assert reached_by("ImageTag", template_of(service)) <= {
        "TaskDefinition",
        "Service",
        "Schedule",
        "ScheduleRole",
        "Function",
        "FunctionTries",
        "FunctionSchedule",
    }


def reached_by(name: str, template: str) -> set[str]:
    """The resources whose own text names a parameter, or whose properties name one of those."""
    resources = template.split("\nResources:\n")[1].split("\nOutputs:\n", maxsplit=1)[0]
    texts = {
        part.split(":", 1)[0]: re.sub(r"DependsOn:.*", "", part)
        for part in re.split(r"\n  (?=\w+:\n)", "\n" + resources)
        if part.strip()
    }
    reached: set[str] = set()
    while found := {
        resource
        for resource, text in texts.items()
        if resource not in reached
        and any(re.search(rf"(!Ref |\$\{{){one}\b", text) for one in {name, *reached})
    }:
        reached |= found
    return reached
