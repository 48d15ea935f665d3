"""SHELL: foundations, migrations and services of one environment, in their order."""

from collections.abc import Sequence
from typing import Any

import boto3

from deloton.logs import get_logger
from deploy.ecs.environment import (
    COMPANIONS,
    FOUNDATIONS,
    MIGRATIONS,
    SERVICES,
    STACKS,
    STACKS_WITH_TASKS,
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
        self._logs: Any = session.client("logs", endpoint_url=endpoint_url)

    def prepare(self) -> None:
        """Make network, data and cluster, or bring them up to date."""
        for stack in FOUNDATIONS:
            self._put(stack)

    def deploy(self, service: str, tag: str, *, migrate: bool = True) -> None:
        """Deploy one service at one tag, with what runs its image; no other is touched.

        The image's migrations run first. `migrate=False` is for going back to an older image,
        which does not know the newest tables' revision.
        """
        if service not in SERVICES:
            raise DeploymentError(f"no service is called {service}: one of {', '.join(SERVICES)}")
        if migrate:
            self._migrate(service, tag)
        for stack in (service, *COMPANIONS.get(service, ())):
            self._put(stack, ImageTag=tag)

    def destroy(self) -> None:
        """Remove every stack. The reports' bucket, the key and a last snapshot stay."""
        for stack in reversed(STACKS):
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

    def run(self, stack: str, command: Sequence[str] = ()) -> list[str]:
        """Run a task of a stack, or another command in it, to its end; return what it logged.

        Raises `DeploymentError` where it did not start, or did not end with 0.
        """
        if stack not in STACKS_WITH_TASKS:
            known = ", ".join(STACKS_WITH_TASKS)
            raise DeploymentError(f"no stack with tasks is called {stack}: one of {known}")
        cluster = self._outputs("cluster")["ClusterName"]
        task_arn = self._start(stack, cluster, command)
        self._ecs.get_waiter("tasks_stopped").wait(
            cluster=cluster,
            tasks=[task_arn],
            WaiterConfig={"Delay": self._pause_s, "MaxAttempts": 360},
        )
        [task] = self._ecs.describe_tasks(cluster=cluster, tasks=[task_arn])["tasks"]
        logged = self._logged(stack, task_arn.rpartition("/")[2])
        statuses = [container.get("exitCode") for container in task["containers"]]
        if statuses != [0]:
            last = logged[-1] if logged else f"see the log group of `{stack}`"
            why = task.get("stoppedReason", "")
            raise DeploymentError(f"the task of {stack} ended with {statuses}: {why} {last}")
        return logged

    def _start(self, stack: str, cluster: str, command: Sequence[str]) -> str:
        made = self._outputs(stack)
        network = {
            "subnets": self._outputs("network")["PrivateSubnets"].split(","),
            "securityGroups": [made["SecurityGroup"]],
            "assignPublicIp": "DISABLED",
        }
        other = [{"name": stack, "command": list(command)}] if command else []
        answer = self._ecs.run_task(
            cluster=cluster,
            taskDefinition=made["TaskDefinition"],
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": network},
            overrides={"containerOverrides": other},
        )
        if answer["failures"]:
            reason = answer["failures"][0]["reason"]
            raise DeploymentError(f"the task of {stack} did not start: {reason}")
        [task] = answer["tasks"]
        return str(task["taskArn"])

    def _logged(self, stack: str, task_id: str) -> list[str]:
        """What a task wrote; nothing where it did not come so far."""
        try:
            page = self._logs.get_log_events(
                logGroupName=f"/deloton/{self._environment.name}/{stack}",
                logStreamName=f"{stack}/{stack}/{task_id}",
                startFromHead=True,
            )
        except self._logs.exceptions.ResourceNotFoundException:
            return []
        return [str(event["message"]) for event in page["events"]]

    def _migrate(self, service: str, tag: str) -> None:
        repository = self._outputs("data")[_repository_output(service)]
        self._put(MIGRATIONS, ImageTag=tag, Repository=repository)
        self.run(MIGRATIONS)
        _log.info("schema is up to date")

    def _outputs(self, stack: str) -> dict[str, str]:
        return self._stacks.outputs(self._environment.stack_name(stack))


def _repository_output(service: str) -> str:
    return "".join(word.capitalize() for word in service.split("-")) + "RepositoryUri"
