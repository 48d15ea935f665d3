"""EDGE: stacks of CloudFormation: made, updated, waited for and removed."""

import time
from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from deploy.ecs.environment import DeploymentError

# A database takes a quarter of an hour; a service that does not come up is rolled back sooner.
PATIENCE_S: Final = 3600.0
# A stack that never came to be: nothing can be done with it but to remove it.
NEVER_MADE: Final = frozenset(
    {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS"}
)


class Stacks:
    """The stacks of one region."""

    def __init__(self, cloudformation: Any, pause_s: float = 5.0) -> None:  # noqa: ANN401
        """Take a boto3 client of CloudFormation; look at what goes on each `pause_s`."""
        self._client = cloudformation
        self._pause_s = pause_s

    def put(
        self,
        name: str,
        template: str,
        parameters: Mapping[str, str],
        *,
        role_arn: str | None = None,
    ) -> bool:
        """Make a stack or bring it up to date, and wait until it is; say whether it changed.

        Raises `DeploymentError`, with the first reason that CloudFormation gives, where it did
        not come to be. It is then as it was before; one that was new stays, with nothing in it
        but what happened to it, until it is put again. CloudFormation acts as the role, if one is
        given, and else as whoever calls.
        """
        wanted = _wanted(name, template, parameters)
        if role_arn:
            wanted["RoleARN"] = role_arn
        if self.status(name) in NEVER_MADE:
            self.remove(name)
        try:
            if self.status(name) is None:
                made = self._client.create_stack(**wanted, OnFailure="ROLLBACK")
            else:
                made = self._client.update_stack(**wanted)
        except ClientError as error:
            said = error.response["Error"]["Message"]
            if "No updates are to be performed" in said:
                return False
            raise DeploymentError(f"{name}: {said}") from error
        self._settle(name, made["StackId"], {"CREATE_COMPLETE", "UPDATE_COMPLETE"})
        return True

    def changes(self, name: str, template: str, parameters: Mapping[str, str]) -> list[str]:
        """What `put` would change, a line each; nothing is changed. The stack has to stand."""
        wanted = _wanted(name, template, parameters)
        made = self._client.create_change_set(
            **wanted, ChangeSetName="plan", ChangeSetType="UPDATE"
        )
        try:
            while True:
                told = self._client.describe_change_set(ChangeSetName=made["Id"])
                if not told["Status"].endswith(("PENDING", "IN_PROGRESS")):
                    break
                time.sleep(self._pause_s)
        finally:
            self._client.delete_change_set(ChangeSetName=made["Id"])
        # One without changes is told as failed.
        return [_line_of(change["ResourceChange"]) for change in told.get("Changes", [])]

    def protect(self, name: str, policy: str, *, yes: bool) -> None:
        """Let a stack be deleted or not, and say by a stack policy what an update may not touch."""
        self._client.update_termination_protection(StackName=name, EnableTerminationProtection=yes)
        self._client.set_stack_policy(StackName=name, StackPolicyBody=policy)

    def remove(self, name: str) -> None:
        """Remove a stack and wait until it is gone; one that is not there is gone."""
        if found := self._found(name):
            self._client.delete_stack(StackName=name)
            # By its name a stack cannot be asked for any more once it is gone.
            self._settle(name, found["StackId"], {None})

    def status(self, name: str) -> str | None:
        """The stack's status, by its name or its id; None where there is none."""
        found = self._found(name)
        return None if found is None else str(found["StackStatus"])

    def parameter(self, name: str, parameter: str) -> str | None:
        """What a stack was last given; None where it has no such parameter, or is not there."""
        given = (self._found(name) or {}).get("Parameters", [])
        values = (each["ParameterValue"] for each in given if each["ParameterKey"] == parameter)
        return next(values, None)

    def outputs(self, name: str) -> dict[str, str]:
        """What a stack tells of itself."""
        [stack] = self._client.describe_stacks(StackName=name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def _found(self, name: str) -> dict[str, Any] | None:
        try:
            [stack] = self._client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return None
            raise
        return None if stack["StackStatus"] == "DELETE_COMPLETE" else dict(stack)

    def _settle(self, name: str, stack_id: str, wanted: set[str | None]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while (status := self.status(stack_id)) is not None and status.endswith("_IN_PROGRESS"):
            if time.monotonic() > deadline:
                raise DeploymentError(f"{name} is still {status} after {PATIENCE_S:.0f} s")
            time.sleep(self._pause_s)
        if status not in wanted:
            reason = self._first_failure(name, stack_id)
            raise DeploymentError(
                f"{name} is {status or 'gone'}: {reason} (its events: "
                f"aws cloudformation describe-stack-events --stack-name {stack_id})"
            )

    def _first_failure(self, name: str, stack_id: str) -> str:
        pages = self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id)
        # Newest first; the last update begins with the stack's own event.
        reason = "no reason given"
        for event in (event for page in pages for event in page["StackEvents"]):
            if event["ResourceStatus"].endswith("_FAILED"):
                why = event.get("ResourceStatusReason", "no reason given")
                reason = f"{event['LogicalResourceId']}: {why}"
            elif event["LogicalResourceId"] == name and event["ResourceStatus"] in {
                "UPDATE_IN_PROGRESS",
                "CREATE_IN_PROGRESS",
            }:
                break
        return reason


def _wanted(name: str, template: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    return {
        "StackName": name,
        "TemplateBody": template,
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
        "Capabilities": ["CAPABILITY_IAM"],
        "Tags": [{"Key": "application", "Value": "deloton"}],
    }


def _line_of(change: Mapping[str, Any]) -> str:
    """`Modify Database (AWS::RDS::DBCluster): made anew`."""
    line = f"{change['Action']} {change['LogicalResourceId']} ({change['ResourceType']})"
    anew = {"True": ": made anew", "Conditional": ": perhaps made anew"}
    return line + anew.get(change.get("Replacement", ""), "")
