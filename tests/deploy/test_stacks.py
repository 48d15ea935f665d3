"""The stacks of one environment made, updated and removed on moto's server.

What moto's CloudFormation lacks is stubbed (`moto_stubs`); it neither rolls back nor waits for
tasks, so the circuit breaker is AWS's own word.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.ecs.models import ecs_backends
from moto.server import ThreadedMotoServer

from demo.ports import free_port
from deploy.ecs.deployment import Deployment
from deploy.ecs.environment import (
    HERE,
    SERVICES,
    STACKS,
    DeploymentError,
    Environment,
    template_of,
)
from tests.deploy import moto_stubs

EXAMPLE = Environment.read(HERE / "environments" / "example.yaml")

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


class Aws:
    """An account of moto's with nothing in it."""

    def __init__(self, url: str, environment: Environment) -> None:
        self.environment = environment
        self.deployment = Deployment(environment, endpoint_url=url, pause_s=0.01)
        self._url = url

    def client(self, service: str) -> Any:  # noqa: ANN401
        return boto3.client(service, endpoint_url=self._url, region_name=self.environment.region)

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
        name = self.environment.stack_name(stack)
        happened = self.client("cloudformation").describe_stack_events(StackName=name)
        return len(happened["StackEvents"])

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
    acm = boto3.client("acm", endpoint_url=moto_url, region_name=EXAMPLE.region)
    made = acm.request_certificate(DomainName="deloton.example")
    cluster = {**EXAMPLE.parameters["cluster"], "CertificateArn": made["CertificateArn"]}
    return replace(EXAMPLE, name="test", parameters={**EXAMPLE.parameters, "cluster": cluster})


def test_everything_is_made_and_removed_again(aws: Aws) -> None:
    aws.deployment.prepare()
    for service in SERVICES:
        aws.deployment.deploy(service, "1.0.0")
    assert aws.stacks().keys() == {*STACKS}
    assert set(aws.stacks().values()) <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    aws.deployment.destroy()
    assert aws.stacks() == {}


def test_a_new_tag_of_one_service_leaves_the_others_as_they_were(aws: Aws) -> None:
    aws.deployment.prepare()
    for service in SERVICES:
        aws.deployment.deploy(service, "1.0.0", migrate=False)
    before = {stack: aws.events(stack) for stack in STACKS if stack != "migrate"}
    images = {service: aws.image(service) for service in SERVICES}
    aws.deployment.deploy("api", "1.1.0", migrate=False)
    assert {stack for stack, was in before.items() if aws.events(stack) != was} == {"api"}
    expected = {**images, "api": images["api"].replace(":1.0.0", ":1.1.0")}
    assert {service: aws.image(service) for service in SERVICES} == expected


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
    with pytest.raises(DeploymentError, match="deloton-test-api"):
        aws.deployment.deploy("api", "1.0.0", migrate=False)


def test_an_unknown_service_is_refused_before_anything_is_asked(aws: Aws) -> None:
    with pytest.raises(DeploymentError, match="no service is called apis"):
        aws.deployment.deploy("apis", "1.0.0")


@pytest.mark.parametrize("service", [*SERVICES, "analytics"])
def test_a_new_tag_reaches_the_task_definition_and_what_runs_it_alone(service: str) -> None:
    assert reached_by("ImageTag", template_of(service)) <= {
        "TaskDefinition",
        "Service",
        "Schedule",
        "ScheduleRole",
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
