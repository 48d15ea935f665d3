"""SHELL: foundations, migrations and services of one environment, in their order."""

from typing import Any

import boto3

from deloton.logs import get_logger
from deploy.ecs.environment import (
    FOUNDATIONS,
    MIGRATIONS,
    SERVICES,
    DeploymentError,
    Environment,
    template_of,
)
from deploy.ecs.stacks import Stacks

_log = get_logger(__name__)


class Deployment:
    """What can be done to an environment. Every step may be repeated: what is there is kept."""

    def __init__(
        self,
        environment: Environment,
        *,
        endpoint_url: str | None = None,
        pause_s: float = 5.0,
    ) -> None:
        """Credentials as boto3 finds them; `endpoint_url` in place of AWS."""
        session = boto3.session.Session(region_name=environment.region)
        self._environment = environment
        self._pause_s = pause_s
        self._stacks = Stacks(session.client("cloudformation", endpoint_url=endpoint_url), pause_s)
        self._ecs: Any = session.client("ecs", endpoint_url=endpoint_url)

    def prepare(self) -> None:
        """Make network, data and cluster, or bring them up to date."""
        for stack in FOUNDATIONS:
            self._put(stack)

    def deploy(self, service: str, tag: str, *, migrate: bool = True) -> None:
        """Deploy one service at one tag; no other service is touched.

        The image's migrations run first. `migrate=False` is for going back to an older image,
        which does not know the newest tables' revision.
        """
        if service not in SERVICES:
            raise DeploymentError(f"no service is called {service}: one of {', '.join(SERVICES)}")
        if migrate:
            self._migrate(service, tag)
        self._put(service, ImageTag=tag)

    def destroy(self) -> None:
        """Remove every stack. The reports' bucket, the key and a last snapshot stay."""
        for stack in reversed((*FOUNDATIONS, MIGRATIONS, *SERVICES)):
            self._stacks.remove(self._environment.stack_name(stack))
            _log.info("stack removed", stack=stack)

    def _put(self, stack: str, **parameters: str) -> None:
        _log.info("stack is brought up to date", stack=stack, **parameters)
        changed = self._stacks.put(
            self._environment.stack_name(stack),
            template_of(stack),
            self._environment.stack_parameters(stack, **parameters),
        )
        _log.info("stack is up to date", stack=stack, changed=changed)

    def _migrate(self, service: str, tag: str) -> None:
        repository = self._outputs("data")[_repository_output(service)]
        self._put(MIGRATIONS, ImageTag=tag, Repository=repository)
        made = self._outputs(MIGRATIONS)
        cluster = self._outputs("cluster")["ClusterName"]
        network = {
            "subnets": self._outputs("network")["PrivateSubnets"].split(","),
            "securityGroups": [made["SecurityGroup"]],
            "assignPublicIp": "DISABLED",
        }
        answer = self._ecs.run_task(
            cluster=cluster,
            taskDefinition=made["TaskDefinition"],
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": network},
        )
        if answer["failures"]:
            raise DeploymentError(f"migrations did not start: {answer['failures'][0]['reason']}")
        [task] = answer["tasks"]
        self._wait_for_success(cluster, task["taskArn"])

    def _wait_for_success(self, cluster: str, task_arn: str) -> None:
        self._ecs.get_waiter("tasks_stopped").wait(
            cluster=cluster,
            tasks=[task_arn],
            WaiterConfig={"Delay": self._pause_s, "MaxAttempts": 360},
        )
        [task] = self._ecs.describe_tasks(cluster=cluster, tasks=[task_arn])["tasks"]
        statuses = [container.get("exitCode") for container in task["containers"]]
        if statuses != [0]:
            why = task.get("stoppedReason", "see the log group of `migrate`")
            raise DeploymentError(f"migrations ended with {statuses}: {why}")
        _log.info("schema is up to date")

    def _outputs(self, stack: str) -> dict[str, str]:
        return self._stacks.outputs(self._environment.stack_name(stack))


def _repository_output(service: str) -> str:
    return "".join(word.capitalize() for word in service.split("-")) + "RepositoryUri"
