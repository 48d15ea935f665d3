"""SHELL: foundations, migrations and services of one environment, in their order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError

from deloton.running.logs import get_logger
from deploy.ecs.environment import (
    COMPANIONS,
    FOUNDATIONS,
    KEPT,
    MIGRATIONS,
    STACKS,
    STACKS_WITH_TASKS,
    DeploymentError,
    Environment,
    stack_policy,
    template_of,
)
from deploy.ecs.stacks import NEVER_MADE, Stacks

_log = get_logger(__name__)


@dataclass(frozen=True)
class ServiceStatus:
    """What runs of a service: its image's tag (None: never deployed), tasks, standing alarms."""

    service: str
    tag: str | None
    running: int
    wanted: int
    alarms: list[str]


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
        self._iam: Any = session.client("iam", endpoint_url=endpoint_url)
        self._secrets: Any = session.client("secretsmanager", endpoint_url=endpoint_url)
        self._alarms: Any = session.client("cloudwatch", endpoint_url=endpoint_url)

    @property
    def services(self) -> tuple[str, ...]:
        """The services of the environment, in the order of being deployed."""
        return self._environment.services

    def prepare(self) -> None:
        """Make what the services stand on, or bring it up to date."""
        self._let_ecs_act()
        self._put("access")
        self._put("network")
        # A database that is protected cannot be rolled back: it is once it stands.
        if not self._stands("data"):
            self._put("data", Protected="false")
        self._put("data")
        for stack, kept in KEPT.items():
            name = self._environment.stack_name(stack)
            self._stacks.protect(name, stack_policy(kept), yes=True)
        self._put("cluster")

    def plan(self) -> dict[str, list[str]]:
        """What `prepare` would change of each stack that stands; `new` of one that does not."""
        return {
            stack: self._stacks.changes(
                self._environment.stack_name(stack),
                template_of(stack),
                self._environment.stack_parameters(stack),
            )
            if self._stands(stack)
            else ["new"]
            for stack in FOUNDATIONS
        }

    def deploy(self, service: str, tag: str, *, migrate: bool = True) -> None:
        """Deploy one service at one tag, with what runs its image; no other is touched.

        The image's migrations run first. `migrate=False` is for going back to an older image,
        which does not know the newest tables' revision.
        """
        known = self.services
        if service not in known:
            raise DeploymentError(f"no service is called {service}: one of {', '.join(known)}")
        if migrate:
            self._migrate(service, tag)
        for stack in (service, *COMPANIONS.get(service, ())):
            self._put_service(stack, ImageTag=tag, **self._login_of(stack))

    def running(self) -> dict[str, str | None]:
        """The tag that each service was deployed with; None where it never was."""
        return {service: self._tag_of(service) for service in self.services}

    def status(self) -> list[ServiceStatus]:
        """What runs: each service's tag and tasks, and which of its alarms stand."""
        cluster = self._outputs("cluster")["ClusterName"]
        standing = self._standing_alarms()
        return [
            ServiceStatus(
                service,
                self._tag_of(service),
                *self._tasks_of(service, cluster),
                [name for name in standing if name.startswith(f"{service}-")],
            )
            for service in self.services
        ]

    def destroy(self) -> None:
        """Remove every stack. The reports' bucket, the key and a last snapshot stay."""
        for stack in KEPT:
            if self._stands(stack):
                name = self._environment.stack_name(stack)
                self._stacks.protect(name, stack_policy(()), yes=False)
        for stack in reversed(STACKS):
            self._stacks.remove(self._environment.stack_name(stack))
            _log.info("stack removed", stack=stack)

    def _stands(self, stack: str) -> bool:
        status = self._stacks.status(self._environment.stack_name(stack))
        return status is not None and status not in NEVER_MADE

    def _tag_of(self, service: str) -> str | None:
        if not self._stands(service):
            return None
        return self._stacks.parameter(self._environment.stack_name(service), "ImageTag")

    def _tasks_of(self, service: str, cluster: str) -> tuple[int, int]:
        """How many tasks of a service run, and how many should; a schedule has none."""
        found = self._ecs.describe_services(cluster=cluster, services=[service])["services"]
        return (found[0]["runningCount"], found[0]["desiredCount"]) if found else (0, 0)

    def _standing_alarms(self) -> list[str]:
        prefix = f"deloton-{self._environment.name}-"
        pages = self._alarms.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=prefix, StateValue="ALARM"
        )
        return [
            str(alarm["AlarmName"]).removeprefix(prefix)
            for page in pages
            for alarm in page["MetricAlarms"]
        ]

    def _let_ecs_act(self) -> None:
        """Give the account the role that ECS acts by; a fresh account has none."""
        try:
            self._iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"InvalidInput", "EntityAlreadyExists"}:
                raise
            return  # it is there
        _log.info("the account has the role that ECS acts by")

    def _login_of(self, stack: str) -> dict[str, str]:
        """The version of the dashboard's login: the balancer reads it anew when that changes."""
        if stack != "dashboard":
            return {}
        secret = f"deloton/{self._environment.name}/dashboard-login"
        versions = self._secrets.describe_secret(SecretId=secret)["VersionIdsToStages"]
        [current] = [version for version, stages in versions.items() if "AWSCURRENT" in stages]
        return {"LoginVersion": current}

    def _put_service(self, stack: str, **parameters: str) -> None:
        """A stack that CloudFormation makes by a role that may do no more than that takes."""
        self._put(stack, self._outputs("access")["StackRoleArn"], **parameters)

    def _put(self, stack: str, role_arn: str | None = None, **parameters: str) -> None:
        _log.info("stack is brought up to date", stack=stack, **parameters)
        changed = self._stacks.put(
            self._environment.stack_name(stack),
            template_of(stack),
            self._environment.stack_parameters(stack, **parameters),
            role_arn=role_arn,
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
        self._put_service(MIGRATIONS, ImageTag=tag, Repository=repository)
        self.run(MIGRATIONS)
        _log.info("schema is up to date")

    def _outputs(self, stack: str) -> dict[str, str]:
        if not self._stands(stack):
            name = self._environment.stack_name(stack)
            raise DeploymentError(f"{name} does not stand: `make prepare` first")
        return self._stacks.outputs(self._environment.stack_name(stack))


def _repository_output(service: str) -> str:
    return "".join(word.capitalize() for word in service.split("-")) + "RepositoryUri"
