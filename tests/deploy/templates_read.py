"""The alarms of all templates, as they stand with every parameter at its default."""

from typing import Any

from cfnlint.decode import cfn_yaml

from deploy.ecs.environment import STACKS, template_of
from tests.deploy.alarm_evaluator import Alarm


def alarms() -> dict[str, Alarm]:
    """Each alarm by its name without the environment's."""
    found = {}
    for stack in STACKS:
        template = cfn_yaml.loads(template_of(stack))
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                said = resource["Properties"]
                name = said["AlarmName"]["Fn::Sub"].removeprefix("deloton-${Environment}-")
                found[name] = Alarm(_filled(said, template["Parameters"]))
    return found


def _filled(said: Any, parameters: Any) -> Any:  # noqa: ANN401
    """A piece of a template with parameters at their defaults."""
    if isinstance(said, dict):
        if set(said) == {"Ref"} and said["Ref"] in parameters:
            return parameters[said["Ref"]].get("Default")
        return {name: _filled(value, parameters) for name, value in said.items()}
    return [_filled(each, parameters) for each in said] if isinstance(said, list) else said
