"""EDGE: stacks of CloudFormation: made, updated, waited for and removed."""

import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from deploy.ecs.environment import DeploymentError

# A database takes a quarter of an hour; a service that does not come up is rolled back sooner.
PATIENCE_S = 3600.0


class Stacks:
    """The stacks of one region."""

    def __init__(self, cloudformation: Any, pause_s: float = 5.0) -> None:  # noqa: ANN401
        """Take a boto3 client of CloudFormation; look at what goes on each `pause_s`."""
        self._client = cloudformation
        self._pause_s = pause_s

    def put(self, name: str, template: str, parameters: Mapping[str, str]) -> bool:
        """Make a stack or bring it up to date, and wait until it is; say whether it changed.

        Raises `DeploymentError`, with the first reason that CloudFormation gives, where it did
        not come to be: it is then as it was before.
        """
        wanted = {
            "StackName": name,
            "TemplateBody": template,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            "Capabilities": ["CAPABILITY_IAM"],
            "Tags": [{"Key": "application", "Value": "deloton"}],
        }
        try:
            if self.status(name) is None:
                self._client.create_stack(**wanted, OnFailure="DELETE")
            else:
                self._client.update_stack(**wanted)
        except ClientError as error:
            said = error.response["Error"]["Message"]
            if "No updates are to be performed" in said:
                return False
            raise DeploymentError(f"{name}: {said}") from error
        self._settle(name, {"CREATE_COMPLETE", "UPDATE_COMPLETE"})
        return True

    def remove(self, name: str) -> None:
        """Remove a stack and wait until it is gone; one that is not there is gone."""
        if self.status(name) is not None:
            self._client.delete_stack(StackName=name)
            self._settle(name, {None})

    def status(self, name: str) -> str | None:
        """The stack's status; None where there is none."""
        try:
            [stack] = self._client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return None
            raise
        status = str(stack["StackStatus"])
        return None if status == "DELETE_COMPLETE" else status

    def outputs(self, name: str) -> dict[str, str]:
        """What a stack tells of itself."""
        [stack] = self._client.describe_stacks(StackName=name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def _settle(self, name: str, wanted: set[str | None]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while (status := self.status(name)) is not None and status.endswith("_IN_PROGRESS"):
            if time.monotonic() > deadline:
                raise DeploymentError(f"{name} is still {status} after {PATIENCE_S:.0f} s")
            time.sleep(self._pause_s)
        if status not in wanted:
            raise DeploymentError(f"{name} is {status or 'gone'}: {self._first_failure(name)}")

    def _first_failure(self, name: str) -> str:
        try:
            events = self._client.describe_stack_events(StackName=name)["StackEvents"]
        except ClientError:
            return "see CloudFormation's deleted stacks for its events"
        # Newest first; the last update begins with the stack's own event.
        reason = "no reason given"
        for event in events:
            if event["ResourceStatus"].endswith("_FAILED"):
                why = event.get("ResourceStatusReason", "no reason given")
                reason = f"{event['LogicalResourceId']}: {why}"
            elif event["LogicalResourceId"] == name and event["ResourceStatus"] in {
                "UPDATE_IN_PROGRESS",
                "CREATE_IN_PROGRESS",
            }:
                break
        return reason
