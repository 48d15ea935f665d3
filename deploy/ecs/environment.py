"""CORE: which stacks there are, and what an environment's file says of each."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

HERE: Final = Path(__file__).parent

# In the order of being made: each stands on those before it.
FOUNDATIONS: Final = ("access", "network", "data", "cluster")
# Each is deployed by itself.
# Who shows comes before who writes: it has to know what may be written.
SERVICES: Final = ("api", "dashboard", "reporter", "ingestor", "hr-alerter")
# Deployed like those, where an environment's file names it.
OPTIONAL: Final = ("tableau",)
# What is in it must not be lost: no update may replace or delete these of its resources.
KEPT: Final = {"data": ("Key", "Database", "DatabaseUser", "Reports", "Exports")}
MIGRATIONS: Final = "migrate"
# Deployed with the service whose image they run: they have none of their own.
COMPANIONS: Final = {
    "api": ("webhooks",),
    "ingestor": ("analytics",),
    "hr-alerter": ("canary",),
}
STACKS_WITH_TASKS: Final = (
    MIGRATIONS,
    *(
        stack
        for service in (*SERVICES, *OPTIONAL)
        for stack in (service, *COMPANIONS.get(service, ()))
    ),
)
# All, in the order of being made.
STACKS: Final = (*FOUNDATIONS, *STACKS_WITH_TASKS)


# The longest of the names that are made of it are target groups': 32 letters.
LONGEST_NAME: Final = 14
NAME: Final = re.compile(rf"[a-z][a-z0-9-]{{1,{LONGEST_NAME - 1}}}")


class DeploymentError(Exception):
    """A deployment that did not take place, or was rolled back; says why."""


@dataclass(frozen=True)
class Environment:
    """One place where Deloton runs: its name, its region, the parameters of its stacks."""

    name: str
    region: str
    parameters: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read `<name>.yaml`. Raises `DeploymentError` where it is missing or says too little."""
        try:
            written: Any = yaml.safe_load(path.read_text())
        except OSError as error:
            raise DeploymentError(f"{path}: {error.strerror}; copy example.yaml") from error
        if not isinstance(written, dict) or written.keys() != {"region", "stacks"}:
            raise DeploymentError(f"{path} must hold `region` and `stacks`, nothing else")
        if not NAME.fullmatch(path.stem):
            raise DeploymentError(
                f"{path}: an environment's name is 2 to {LONGEST_NAME} small letters, digits and "
                "hyphens, a letter first: it is part of names that AWS bounds"
            )
        stacks = written["stacks"]
        if unknown := stacks.keys() - {*STACKS}:
            raise DeploymentError(f"{path}: no stack is called {', '.join(sorted(unknown))}")
        return cls(
            path.stem,
            written["region"],
            {stack: _parameters(given, f"{path}: {stack}") for stack, given in stacks.items()},
        )

    @property
    def services(self) -> tuple[str, ...]:
        """The services of this environment: all, and which of the optional ones its file names."""
        return (*SERVICES, *(each for each in OPTIONAL if each in self.parameters))

    def stack_name(self, stack: str) -> str:
        """What CloudFormation calls a stack of this environment."""
        return f"deloton-{self.name}-{stack}"

    def stack_parameters(self, stack: str, **more: str) -> dict[str, str]:
        """Every parameter of a stack: the file's, the environment's name, and `more`."""
        return {**self.parameters.get(stack, {}), "Environment": self.name, **more}


def _parameters(given: Any, where: str) -> dict[str, str]:  # noqa: ANN401 - whatever YAML holds
    """Parameters as CloudFormation wants them: 16 and true may be written without quotes."""
    if not isinstance(given, dict):
        raise DeploymentError(f"{where} must hold parameters and their values")
    return {name: _text(value, f"{where}: {name}") for name, value in given.items()}


def _text(value: object, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise DeploymentError(f"{where} must be a text, a number, true or false")


def stack_policy(kept: Sequence[str]) -> str:
    """What an update of a stack may do: everything but to replace or delete these."""
    every = {"Effect": "Allow", "Principal": "*", "Action": "Update:*", "Resource": "*"}
    those = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["Update:Replace", "Update:Delete"],
        "Resource": [f"LogicalResourceId/{name}" for name in kept],
    }
    return json.dumps({"Statement": [every, those] if kept else [every]})


def template_of(stack: str) -> str:
    """The text of a stack's template."""
    return (HERE / "templates" / f"{stack}.yaml").read_text()
