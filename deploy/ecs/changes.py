"""EDGE: which services' inputs differ between the image that runs and this checkout, by git."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.ecs.environment import COMPANIONS

# Where a service lies that is not in services/.
FOLDERS: Final = {"tableau": "deploy/tableau"}
# What every service is built and deployed with.
SHARED_INPUTS: Final = ("deploy/ecs/environments", "shared/deloton", ".dockerignore")


def changed_services(running: Mapping[str, str | None], repository: Path) -> list[str]:
    """The services to deploy: whose own inputs differ from those of the commit that runs.

    `running` gives the commit of each service of the environment. One that runs nothing, or a
    commit that this clone does not know, is to be deployed.
    """
    return [
        service
        for service, commit in running.items()
        if commit is None
        or not _is_known(commit, repository)
        or _differs(commit, inputs_of(service), repository)
    ]


def inputs_of(service: str) -> list[str]:
    """The files and folders that a service's image and its stacks are made of."""
    stacks = (service, *COMPANIONS.get(service, ()))
    templates = [f"deploy/ecs/templates/{stack}.yaml" for stack in stacks]
    return [FOLDERS.get(service, f"services/{service}"), *templates, *SHARED_INPUTS]


def _is_known(commit: str, repository: Path) -> bool:
    return _git(["cat-file", "-e", f"{commit}^{{commit}}"], repository) == 0


def _differs(commit: str, paths: Sequence[str], repository: Path) -> bool:
    return _git(["diff", "--quiet", commit, "HEAD", "--", *paths], repository) != 0


def _git(arguments: Sequence[str], repository: Path) -> int:
    ran = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return ran.returncode
