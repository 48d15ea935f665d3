"""CORE: which stacks there are, and what an environment's file says of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

HERE: Final = Path(__file__).parent

# In the order of being made: each stands on those before it.
FOUNDATIONS: Final = ("network", "data", "cluster")
# Each is deployed by itself.
SERVICES: Final = ("ingestor", "hr-alerter", "api", "dashboard", "reporter")
MIGRATIONS: Final = "migrate"
# Deployed with the service whose image they run: they have none of their own.
COMPANIONS: Final = {"ingestor": ("analytics",)}
STACKS_WITH_TASKS: Final = (
    MIGRATIONS,
    *(stack for service in SERVICES for stack in (service, *COMPANIONS.get(service, ()))),
)
# All, in the order of being made.
STACKS: Final = (*FOUNDATIONS, *STACKS_WITH_TASKS)


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
        if unknown := written["stacks"].keys() - {*STACKS}:
            raise DeploymentError(f"{path}: no stack is called {', '.join(sorted(unknown))}")
        return cls(path.stem, written["region"], written["stacks"])

    def stack_name(self, stack: str) -> str:
        """What CloudFormation calls a stack of this environment."""
        return f"deloton-{self.name}-{stack}"

    def stack_parameters(self, stack: str, **more: str) -> dict[str, str]:
        """Every parameter of a stack: the file's, the environment's name, and `more`."""
        return {**self.parameters.get(stack, {}), "Environment": self.name, **more}


def template_of(stack: str) -> str:
    """The text of a stack's template."""
    return (HERE / "templates" / f"{stack}.yaml").read_text()
